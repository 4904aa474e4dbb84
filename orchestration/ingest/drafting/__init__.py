"""A contract draft for a file nobody has described yet: what `rcu source new` writes.

What belongs here: looking at a bounded sample, guessing what each column means from its name and its content,
saying what is not sure. What does not: reading deliveries (`orchestration.ingest`), and any declared source:
a draft depends on the file alone.
"""

from orchestration.ingest.drafting.draft import Draft, draft_contract

__all__ = ["Draft", "draft_contract"]
