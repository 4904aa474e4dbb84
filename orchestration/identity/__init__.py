"""Identity: which records are the same person, and the lasting id of each person.

What belongs here: shared values, named rules, blocking, the model and its scores, clustering with
guards and steward decisions, lasting ids, the review queue, explanations. What does not: the
standardisation of values (dbt) and the golden record (dbt).

    report = resolve(connection, workspace, matching, as_of_on=..., version=..., run_id=...,
                     is_forward=True, mode="increment")
"""

from orchestration.identity.compare import Comparison, FieldTold, compare_records
from orchestration.identity.decisions import decide
from orchestration.identity.erase import erase
from orchestration.identity.explain import explain_customer, explain_pair
from orchestration.identity.resolve import IdentityReport, resolve
from orchestration.identity.review import ReviewPair, review_queue, set_aside_decisions
from orchestration.identity.tables import CUSTOMER_ID_EVENTS, IDENTITY_MODELS, RECORD_CUSTOMERS, STEWARD_DECISIONS

__all__ = [
    "CUSTOMER_ID_EVENTS",
    "IDENTITY_MODELS",
    "RECORD_CUSTOMERS",
    "STEWARD_DECISIONS",
    "Comparison",
    "FieldTold",
    "IdentityReport",
    "ReviewPair",
    "compare_records",
    "decide",
    "erase",
    "explain_customer",
    "explain_pair",
    "resolve",
    "review_queue",
    "set_aside_decisions",
]
