"""Putting values right: a correction, or a pin, as a delivery of the stewards' own source.

What belongs here: the file that the next run takes. What does not: the choice of the golden value (survivorship), and
the request that is answered so (`ledger`). A correction is a record like any other: it has an origin and a date, it
is attached to the customer by a steward's decision, each of its values is pinned, and an erasure finds it.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestration.contracts.loader import did_you_mean
from orchestration.contracts.source import Source
from orchestration.contracts.survivorship import ATTRIBUTES
from orchestration.errors import UsageError
from orchestration.privacy.people import Person, published
from orchestration.settings import Workspace

#: The source that carries what stewards put right.
STEWARDS = "stewards"
#: Fields that can be corrected, with the attribute (`survivorship.yml`) that each belongs to.
FIELDS = {
    "civility": "civility", "first_name": "name", "last_name": "name", "birth_name": "birth_name", "birth_on": "birth_on",
    "sex": "sex", "email": "email", "phone": "phone", "address_line": "address", "address_extra": "address",
    "postal_code": "address", "city": "address", "country": "address", "language": "language", "company_name": "company",
    "company_number": "company", "preferred_channel": "preferred_contact_channel", "contact_frequency": "contact_frequency",
}  # fmt: skip
_EMAIL = re.compile(r"^[^@\s]+@[^@\s]+\.[^@\s]+$")


def rectify(
    workspace: Workspace, sources: Mapping[str, Source], person: Person, values: Mapping[str, str], *,
    by: str, at: dt.datetime,
) -> Path:  # fmt: skip
    """Write a correction into the inbox; the next run takes it. `at`: UTC. Raises UsageError.

    Fields that are taken together (a name, an address) come whole: what is not corrected is as it was.
    """
    _check(values)
    _require_source(sources)
    own = sorted(record for record in person.subject.records if record[0] != STEWARDS)
    if person.customer_id is None or not own:
        raise UsageError("no run has seen this person yet, so there is nothing to correct; `rcu run` first")
    attributes = sorted({FIELDS[name] for name in values})
    told = {
        **_as_it_is(workspace, person.customer_id, attributes),
        **{name: text.strip() for name, text in values.items()},
    }
    number = f"{at:%Y%m%d}-{uuid.uuid4().hex[:10]}"
    decisions = [
        {"decision": "same", "right_source": source, "right_record_id": record} for source, record in own
    ] + [{"decision": "pin", "attribute": attribute} for attribute in attributes]  # fmt: skip
    mine = {"left_source": STEWARDS, "left_record_id": number}
    return _write(workspace, number, by, at, [{**mine, **one} for one in decisions], told)


def pin(
    workspace: Workspace, sources: Mapping[str, Source], person: Person, attribute: str,
    record: tuple[str, str] | None, *, by: str, at: dt.datetime,
) -> Path:  # fmt: skip
    """Write into the inbox that an attribute is taken from `record`, or (None) by its rules again. Raises UsageError."""
    known = sorted(ATTRIBUTES)
    if attribute not in ATTRIBUTES and not attribute.startswith("custom."):
        raise UsageError(
            f'there is no attribute "{attribute}"{did_you_mean(attribute, known)}; one of {", ".join(known)}'
        )
    _require_source(sources)
    if record is not None and record not in person.subject.records:
        raise UsageError(
            f'record "{record[1]}" of source "{record[0]}" is none of this customer; `rcu explain` lists them'
        )
    if person.customer_id is None:
        raise UsageError("no run has seen this person yet, so there is nothing to pin; `rcu run` first")
    source, record_id = record or min(person.subject.records)
    told = {"left_source": source, "left_record_id": record_id, "decision": "pin" if record else "unpin"}
    number = f"{at:%Y%m%d}-{uuid.uuid4().hex[:10]}"
    return _write(workspace, number, by, at, [{**told, "attribute": attribute}], None)


def _check(values: Mapping[str, str]) -> None:
    if not values:
        raise UsageError(f"give what is to be corrected, such as email=NEW; one of {', '.join(FIELDS)}")
    for name, text in sorted(values.items()):
        if name not in FIELDS:
            raise UsageError(f'"{name}" cannot be corrected{did_you_mean(name, FIELDS)}; one of {", ".join(FIELDS)}')
        if not text.strip():
            raise UsageError(f'"{name}" has no value; a correction says what is right')
    if "email" in values and not _EMAIL.match(values["email"].strip()):
        raise UsageError('"email" is no e-mail address')
    if "birth_on" in values:
        try:
            dt.date.fromisoformat(values["birth_on"].strip())
        except ValueError:
            raise UsageError('"birth_on" is a date such as 1980-03-01') from None


def _require_source(sources: Mapping[str, Source]) -> None:
    source = sources.get(STEWARDS)
    if source is None or not {"customer", "steward_decision"} <= set(source.delivers):
        raise UsageError(
            f"declarations/sources/{STEWARDS}.yml is missing, by which corrections come in; copy the one that `rcu init` writes "
            "(docs/guide/trust.md)"
        )


def _as_it_is(workspace: Workspace, customer_id: str, attributes: Sequence[str]) -> dict[str, str]:
    """The golden values of the attributes that have several fields."""
    names = [name for name, attribute in FIELDS.items() if attribute in attributes and attribute in ("name", "address")]
    if not names:
        return {}
    with published(workspace) as connection:
        row = connection.execute(
            f"select {', '.join(names)} from rcu.customers where customer_id = ?", [customer_id]
        ).fetchone()
    return {name: str(value) for name, value in zip(names, row or (), strict=bool(row)) if value is not None}


def _write(
    workspace: Workspace, number: str, by: str, at: dt.datetime, decisions: list[dict[str, str]],
    values: Mapping[str, str] | None,
) -> Path:  # fmt: skip
    row = {
        "id": number, "is_correction": values is not None, "decided_by": by,
        "decided_at": f"{at:%Y-%m-%dT%H:%M:%SZ}", **(values or {}),
        "decisions": [{"number": str(place), **one} for place, one in enumerate(decisions, start=1)],
    }  # fmt: skip
    path = workspace.inbox / f"{STEWARDS}_{at:%Y%m%dT%H%M%S%f}.jsonl"
    temporary = path.with_name(f".{path.name}.part")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return path
