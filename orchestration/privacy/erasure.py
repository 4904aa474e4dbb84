"""Erasing one or several persons, everywhere, in an order that a stop cannot spoil.

What belongs here: the order of the domains' `erase`, and the journal that lets an interrupted erasure go on.
What does not: how files are changed.

The journal, `registry/privacy/erasing-<request>.json`, holds what is needed to find the person again while the
erasure lasts. It is readable by its owner alone and goes with the last step. The keyed lists come first: from
then on no delivery brings the person back, whatever happens next.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestration import identity, ingest, publish, reports, segments, suppression
from orchestration.contracts.source import Source
from orchestration.contracts.subject import Subject
from orchestration.errors import UsageError
from orchestration.privacy import ledger, objections, strays, traces
from orchestration.settings import Workspace

OnStep = Callable[[str], None]
#: Why an erasure happens. Of one that was asked for, no trace comes back; somebody who only fell silent is
#: known again when their record tells of something newer.
REASONS = ("request", "retention")


@dataclass(frozen=True)
class ErasureReport:
    """What an erasure did: counts by step, never a value."""

    request_id: str
    customer_ids: tuple[str, ...]
    records: int
    counts: dict[str, int] = field(default_factory=dict)
    waiting_files: tuple[str, ...] = ()
    stray_files: tuple[str, ...] = ()


def erase(
    workspace: Workspace, sources: Mapping[str, Source], subject: Subject, *, request_id: str, on: dt.date,
    reason: str = "request", done_by: str = "", on_step: OnStep = lambda step: None,
) -> ErasureReport:  # fmt: skip
    """Erase a person. Call under the run lock. Interrupted, `resume` (or any later run) completes it."""
    if subject.is_empty:
        raise UsageError("there is nobody to erase: neither a customer nor a record")
    journal = _journal(workspace, request_id)
    journal.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    told = {
        "request_id": request_id, "on": on.isoformat(), "reason": reason, "done_by": done_by,
        "subject": json.loads(subject.to_json()),
    }  # fmt: skip
    temporary = journal.with_name(f".{journal.name}.tmp")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(told, file, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(journal)
    on_step("journal")
    return _carry_out(workspace, sources, journal, on_step)


def resume(
    workspace: Workspace, sources: Mapping[str, Source], on_step: OnStep = lambda step: None
) -> list[ErasureReport]:
    """Complete every erasure that was interrupted. Call under the run lock, before anything else."""
    folder = workspace.registry / "privacy"
    return [_carry_out(workspace, sources, journal, on_step) for journal in sorted(folder.glob("erasing-*.json"))]


def _journal(workspace: Workspace, request_id: str) -> Path:
    safe = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in request_id)
    return workspace.registry / "privacy" / f"erasing-{safe}.json"


def _carry_out(
    workspace: Workspace, sources: Mapping[str, Source], journal: Path, on_step: OnStep
) -> ErasureReport:  # fmt: skip
    told = json.loads(journal.read_text(encoding="utf-8"))
    subject = Subject.from_json(json.dumps(told["subject"]))
    request_id, on = str(told["request_id"]), dt.date.fromisoformat(told["on"])
    counts: dict[str, int] = {}

    def note(step: str, report: object) -> None:
        counts.update({f"{step}_{name}": value for name, value in vars(report).items() if isinstance(value, int)})
        on_step(step)

    _list(workspace, subject, request_id, on, told["reason"])
    on_step("lists")
    counts["removal_files"] = _removals(workspace, subject, request_id, on)
    on_step("removals")
    counts["builds"] = publish.drop_builds(workspace)
    on_step("builds")
    note("deliveries", ingest.erase(workspace, sources, subject, since_on=on, request_id=request_id))
    note("identity", identity.erase(workspace, subject, erased_on=on))
    note("segments", segments.erase(workspace, subject))
    note("publications", publish.erase(workspace, subject, erased_on=on))
    counts["report_pages"] = reports.erase(workspace)
    on_step("reports")
    note("traces", traces.erase(workspace, subject))
    found = strays.erase(workspace, subject)
    note("strays", found)
    if told["reason"] == "request":
        _close(workspace, request_id, on, told["done_by"], subject, counts)
    on_step("ledger")
    journal.unlink()
    on_step("done")
    return ErasureReport(
        request_id, tuple(sorted(subject.customer_ids)), len(subject.records), counts,
        tuple(ingest.waiting_files(workspace, subject)), found.left,
    )  # fmt: skip


def _list(workspace: Workspace, subject: Subject, request_id: str, on: dt.date, reason: str) -> None:
    records = {suppression.record_key(source, record) for source, record in subject.records}
    values: dict[suppression.Kind, set[str]] = {"record" if reason == "request" else "dormant": records}
    for kind, keys in subject.keys.items():
        values[kind] = set(keys)  # type: ignore[index]
    suppression.add_erased(workspace, values, since_on=on, request_id=request_id)
    if reason == "request":
        objections.object_to_contact(workspace, subject, since_on=on, request_id=request_id)


def _removals(workspace: Workspace, subject: Subject, request_id: str, on: dt.date) -> int:
    """Tell each destination that received the person, while it is still known what they received."""
    from orchestration import activation

    told = activation.erase(workspace, subject, request_id=request_id, on=on)
    return int(told.removal_files)


def _close(
    workspace: Workspace, request_id: str, on: dt.date, done_by: str, subject: Subject, counts: dict[str, int]
) -> None:
    known = {request.request_id: request for request in ledger.requests(workspace)}
    living = min(subject.customer_ids, default=None)
    if request_id not in known:
        ledger.open_request(
            workspace, "erasure", received_on=on, customer_id=living, request_id=request_id, done_by=done_by
        )
        known = {request.request_id: request for request in ledger.requests(workspace)}
    if known[request_id].state == "open":
        ledger.append(
            workspace,
            [(request_id, "erasure", "answered", on, living, known[request_id].origin, done_by or "rcu", dict(counts))],
        )
