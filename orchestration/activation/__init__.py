"""Activation: audiences leave as files, requests or rows, for people who may be contacted at that moment.

What belongs here: who is in a list now, formats, destinations, and the record of what was delivered. What does
not: who is in a segment (`segments`), which consents hold (dbt), when a run takes place. No Dagster.
"""

from orchestration.activation.activate import Outcome, activate, age_hours, in_words
from orchestration.activation.audience import Published
from orchestration.activation.erase import REMOVALS, erase
from orchestration.activation.files import neutral
from orchestration.activation.ledger import DELIVERIES, MEMBERS, Delivery, deliveries
from orchestration.activation.recipients import RECIPIENTS, received
from orchestration.activation.removals import RemovalsSent, send_removals, waiting_removals

__all__ = [
    "DELIVERIES",
    "MEMBERS",
    "RECIPIENTS",
    "REMOVALS",
    "Delivery",
    "Outcome",
    "Published",
    "RemovalsSent",
    "activate",
    "age_hours",
    "deliveries",
    "erase",
    "in_words",
    "neutral",
    "received",
    "send_removals",
    "waiting_removals",
]
