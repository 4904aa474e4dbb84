"""Where the model comes from: the declared file, else the last one a run trained and registered.

What belongs here: finding it. What does not: its shape (`model`), making it (`training`).
"""

from __future__ import annotations

import datetime as dt

from orchestration import registry
from orchestration.contracts.matching import Matching
from orchestration.identity import model
from orchestration.identity.tables import IDENTITY_MODELS
from orchestration.settings import Workspace
from orchestration.warehouse import Connection


def find_model(
    connection: Connection, workspace: Workspace, matching: Matching, *, as_of_on: dt.date
) -> model.Model | None:
    """The model to score with, or None when the tier is off or nothing was trained for these comparisons.

    Raises DeclarationError when the declared file is missing or does not fit; a registered one that does
    not fit is passed over.
    """
    if not matching.model.enabled:
        return None
    if matching.model.file:
        return model.read_file(workspace.declarations / matching.model.file, matching)
    rows = registry.rows(workspace, IDENTITY_MODELS, as_of_on=as_of_on)
    row = connection.execute(
        f"select model from ({rows}) where fingerprint = ? order by as_of_on desc, version desc limit 1",
        [model.fingerprint(matching)],
    ).fetchone()
    return model.read(row[0], matching, "registry/identity_models") if row else None
