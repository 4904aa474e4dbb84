"""Carry out activations: refuse or prepare, send, and only then record.

What belongs here: the order of effects of one delivery. What does not: each of them.

At least once: a delivery counts when it is recorded, after its destination took it. What dies in between is sent
again, under the same idempotency key (activation and version) and the same file names, with the people chosen
afresh: who refused in the meantime is no longer among them.
"""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import duckdb
import pyarrow as pa

from orchestration import warehouse
from orchestration.activation import audience as people_of
from orchestration.activation import files, formats, ledger
from orchestration.activation.audience import People, Published
from orchestration.activation.destinations import DeliveryFailed, Parcel, send
from orchestration.activation.ledger import Delivery
from orchestration.activation.waiting import files_to_take_first
from orchestration.contracts.activation import Activation
from orchestration.contracts.loader import did_you_mean
from orchestration.contracts.source import Source
from orchestration.contracts.trigger import Limits, SendingWindow
from orchestration.errors import RcuError, UsageError
from orchestration.protection import current_key
from orchestration.settings import Workspace
from orchestration.warehouse import Connection, literal

Status = Literal["delivered", "unchanged", "already", "refused", "failed", "dry_run"]
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What came of one activation: counts and messages, never a value of a person.

    `sent`: rows of a full list, events, or those added; `updated`: those whose attributes changed (delta).
    `left_out`: reason -> people.
    """

    activation: str
    status: Status
    version: str
    audience: int = 0
    sent: int = 0
    updated: int = 0
    removed: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    files: tuple[dict[str, Any], ...] = ()
    place: str = ""
    message: str = ""
    seconds: float = 0.0

    @property
    def left_out_count(self) -> int:
        return sum(self.left_out.values())

    @property
    def is_well(self) -> bool:
        return self.status not in ("refused", "failed")


def activate(
    workspace: Workspace,
    activations: Mapping[str, Activation],
    published: Published,
    *,
    sources: Mapping[str, Source],
    run_id: str,
    now: dt.datetime,
    only: set[str] | None = None,
    dry_run: bool = False,
    again: bool = False,
    limits: Limits | None = None,
    time_zone: str = "UTC",
    progress: Progress = lambda message: None,
) -> tuple[Outcome, ...]:
    """Carry out `only` (all by default), in the order of their names. Call under the run lock.

    One that fails or is refused does not keep the others from leaving. `again` sends what this version already
    delivered. `sources`: the declared ones, which tell what waits in the inbox. `limits`, `time_zone`: those of the
    triggers, whose quiet hours hold for what leaves after the window that its run gave it. Raises UsageError for a name that is
    not declared.
    """
    for name in sorted(only or ()):
        if name not in activations:
            raise UsageError(f'no activation "{name}"{did_you_mean(name, activations)}')
    outcomes = []
    history: dict[str, list[Delivery]] = {}
    for delivery in ledger.deliveries(workspace):
        history.setdefault(delivery.activation, []).append(delivery)
    connection = warehouse.connect(published.database, read_only=True)
    try:
        for name in sorted(activations if only is None else only):
            started = time.monotonic()
            call = _Call(
                workspace, connection, activations[name], published, history.get(name, []), sources, run_id, now,
                limits.open_window(now, time_zone) if limits else None,
            )  # fmt: skip
            outcome = _one(call, dry_run=dry_run, again=again)
            outcome = replace(outcome, seconds=round(time.monotonic() - started, 3))
            progress(in_words(outcome))
            outcomes.append(outcome)
    finally:
        connection.close()
    return tuple(outcomes)


def in_words(outcome: Outcome) -> str:
    """One line for people."""
    told = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in sorted(outcome.left_out.items()))
    counts = f"{outcome.sent} of {outcome.audience}"
    counts += "".join(
        f", {count} {what}" for what, count in (("updated", outcome.updated), ("removed", outcome.removed)) if count
    )
    left = f" (left out: {told})" if told else ""
    return {
        "delivered": f"{outcome.activation}: {counts} sent to {outcome.place}{left}",
        "unchanged": f"{outcome.activation}: nothing to send{left}",
        "already": f"{outcome.activation}: version {outcome.version} was delivered before; nothing was sent",
        "dry_run": f"{outcome.activation}: would send {counts}{left}",
        "refused": f"{outcome.activation}: refused: {outcome.message}",
        "failed": outcome.message,
    }[outcome.status]


@dataclass(frozen=True)
class _Call:
    """One activation being carried out: where, from what, and what was delivered before. `history`: oldest first."""

    workspace: Workspace
    connection: Connection  # on the published database
    activation: Activation
    published: Published
    history: list[Delivery]
    sources: Mapping[str, Source]
    run_id: str
    now: dt.datetime
    window: SendingWindow | None  # the first that is not over: a message of one that is goes then

    @property
    def done(self) -> list[Delivery]:
        return [delivery for delivery in self.history if delivery.status in ledger.DONE]

    def attempt(self) -> Delivery:
        activation, published = self.activation, self.published
        return Delivery(
            activation=activation.activation, delivery_key=f"{activation.activation}:{published.version}",
            attempt=ledger.new_attempt(), status="delivered", version=published.version,
            as_of_on=published.as_of_on, format=activation.format, channel=activation.channel,
            purpose=activation.needed_purpose, mode=activation.mode, destination=activation.deliver.kind,
            ended_at=self.now.astimezone(dt.UTC).replace(tzinfo=None),
        )  # fmt: skip


def _one(call: _Call, *, dry_run: bool, again: bool) -> Outcome:
    workspace, activation, name, version = (
        call.workspace, call.activation, call.activation.activation, call.published.version,
    )  # fmt: skip
    if not again and any(delivery.version == version for delivery in call.done):
        return Outcome(name, "already", version)
    attempt = call.attempt()
    refusal = _refusal(call)
    if refusal:
        if not dry_run:
            ledger.record(workspace, replace(attempt, status="refused", message=refusal), None, run_id=call.run_id)
        return Outcome(name, "refused", version, message=refusal)
    # A version that is sent again brings what it brought the first time: it is held against what came before it.
    before = [delivery for delivery in call.done if delivery.version < version]
    layout = formats.layout_of(activation)
    people = people_of.select_people(
        call.connection,
        workspace,
        activation,
        layout,
        call.published,
        key=current_key(workspace) if activation.unsubscribe else None,
        open_events=_open_events(call, before) if activation.audience.trigger else None,
    )
    tables, keys = _changes(call, layout, people, before)
    try:
        return _deliver(call, layout, people, tables, keys, attempt, before, dry_run=dry_run)
    except OSError as error:
        # A full disk while preparing: nothing has been sent.
        message = (
            f"{name}: the files could not be written ({error.strerror}); nothing was sent: make room, then run again"
        )
    except RcuError as error:
        message = str(error) if str(error).startswith(name) else f"{name}: {error}"
    if not dry_run:
        _record_failure(workspace, attempt, people, message, call.run_id)
    return Outcome(name, "failed", version, people.audience, left_out=people.left_out, message=message)


def _record_failure(workspace: Workspace, attempt: Delivery, people: People, message: str, run_id: str) -> None:
    told = replace(attempt, status="failed", message=message, audience_count=people.audience, left_out=people.left_out)
    try:
        ledger.record(workspace, told, None, run_id=run_id)
    except (OSError, duckdb.IOException):
        pass  # on a full disk the record fails as well; the message is told all the same


# --- refusing ----------------------------------------------------------------------------------------


def age_hours(published: Published, now: dt.datetime) -> float:
    """How old what would be sent is: since it was published, or since its date ended where that was earlier."""
    ended = dt.datetime.combine(published.as_of_on + dt.timedelta(days=1), dt.time(), dt.UTC)
    return (now - min(published.created_at, ended)).total_seconds() / 3600


def _refusal(call: _Call) -> str:
    """Why this activation must not leave now; empty: it may."""
    connection, activation, published, now = call.connection, call.activation, call.published, call.now
    if published.failed_gates:
        return f"gate {', '.join(published.failed_gates)} of version {published.version} failed"
    age = age_hours(published, now)
    if age > activation.max_age_hours:
        return (
            f"version {published.version} is {age:.0f} h old, and max_age_hours is {activation.max_age_hours:g}; "
            "publish again (`rcu run`)"
        )
    waiting = files_to_take_first(call.workspace, call.sources, activation.channel)
    if waiting:
        more = f" and {len(waiting) - 1} more" if len(waiting) > 1 else ""
        return (
            f"{waiting[0]}{more} in the inbox may hold refusals that no run has read; run first (`rcu run`): it takes "
            "the file and sends"
        )
    names = ", ".join(literal(name) for name in activation.audience.names)
    if names:
        wrong = connection.execute(
            f"select segment, status from segments.sizes where segment in ({names}) "
            "and as_of_on = (select max(as_of_on) from segments.sizes) order by segment"
        ).fetchall()
        known = {segment for segment, _ in wrong}
        missing = [name for name in activation.audience.names if name not in known]
        if missing:
            return (
                f"segment {', '.join(missing)} is not in version {published.version}; it was declared since: publish "
                "again (`rcu run`)"
            )
        # An empty list takes everyone away at the other side; one of several segments may well be empty.
        is_some = any(status != "empty" for _, status in wrong)
        for segment, status in wrong:
            if status in activation.refuse_sizes and not (status == "empty" and is_some):
                return f"the size of segment {segment} is {status}; look at it (`rcu segment preview {segment}`)"
    return ""


# --- what is sent ------------------------------------------------------------------------------------


def _open_events(call: _Call, before: list[Delivery]) -> str:
    """The events that fired, are not out of date and did not leave yet.

    Those of this version, and of versions whose delivery was tried in vain; an activation that is new does not
    send what fired before it was there.
    """
    version = call.published.version
    first = min([version, *(delivery.version for delivery in call.history)])
    sent = ledger.members_of(call.workspace, [delivery.attempt for delivery in before])
    columns, still = "*", ""
    if call.window is not None:
        begin, end, now = (
            f"timestamp '{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S}'"
            for moment in (call.window.begin, call.window.end, call.now)
        )
        is_over = f"send_until_at <= {now}"
        columns = (
            f"* replace (case when {is_over} then {begin} else send_from_at end as send_from_at, "
            f"case when {is_over} then {end} else send_until_at end as send_until_at)"
        )
        still = f"and not ({is_over} and expires_on < date '{call.window.day}') "
    return (
        f"select {columns} from segments.trigger_events "
        f"where trigger = {literal(call.activation.audience.trigger or '')} and outcome = 'fired' "
        f"and channel = {literal(call.activation.channel)} and version between {literal(first)} and {literal(version)} "
        f"and expires_on >= date '{call.published.as_of_on}' {still}and event_key not in (select member_key from ({sent}))"
    )


def _changes(
    call: _Call, layout: formats.Layout, people: People, before: list[Delivery]
) -> tuple[dict[str, pa.Table], dict[str, list[str]]]:
    """The rows of each action, under the names of the layout, and the member keys of each."""
    names = [column.name for column in layout.columns]
    connection, activation = call.connection, call.activation
    if activation.mode == "full":
        table = people.rows
        # Events are added to those that left before; a list of people replaces the one before.
        action = "add" if activation.audience.trigger else "full"
        return {action: _named(table, names)}, {action: table.column("member_key").to_pylist()}
    last = before[-1].attempt if before else ""
    connection.register("now_sent", people.rows.select(["member_key", "identity", "content"]))
    connection.execute(
        "create or replace temp table before_sent as select member_key, identity, content "
        f"from ({ledger.members_of(call.workspace, [last])})"
    )
    # Whoever is known by another address today is added under it and removed under the old one.
    added = {
        key
        for (key,) in connection.execute(
            "select member_key from now_sent anti join temp.before_sent using (member_key, identity)"
        ).fetchall()
    }
    gone = connection.execute(
        "select member_key, identity from temp.before_sent anti join now_sent using (member_key, identity) "
        "order by member_key"
    ).fetchall()
    changed = {
        key
        for (key,) in connection.execute(
            "select member_key from now_sent inner join temp.before_sent as before using (member_key, identity) "
            "where now_sent.content is distinct from before.content"
        ).fetchall()
    }
    connection.unregister("now_sent")
    if not layout.knows_update:
        added, changed = added | changed, set()
    keys = people.rows.column("member_key").to_pylist()
    tables, told = {}, {}
    for action, those in (("add", added), ("update", changed)):
        table = people.rows.filter(pa.array([key in those for key in keys], pa.bool_()))
        if action == "add" or table.num_rows:
            tables[action] = _named(table, names)
            told[action] = table.column("member_key").to_pylist()
    tables["remove"] = removal_table(layout, [identity for _, identity in gone])
    told["remove"] = [key for key, _ in gone]
    return tables, told


def removal_table(layout: formats.Layout, identities: list[str]) -> pa.Table:
    """The rows that take people away again: the columns by which the destination knows them."""
    told = [json.loads(identity) for identity in identities]
    return pa.table({name: pa.array([one.get(name) for one in told], pa.string()) for name in layout.identity})


def _named(table: pa.Table, names: list[str]) -> pa.Table:
    columns = table.select([f"c{index}" for index in range(len(names))])
    return columns.rename_columns(names)


# --- sending -----------------------------------------------------------------------------------------


def _deliver(
    call: _Call, layout: formats.Layout, people: People, tables: dict[str, pa.Table], keys: dict[str, list[str]],
    attempt: Delivery, before: list[Delivery], *, dry_run: bool,
) -> Outcome:  # fmt: skip
    workspace, activation, published = call.workspace, call.activation, call.published
    name, version = activation.activation, published.version
    sent = sum(table.num_rows for action, table in tables.items() if action in ("full", "add"))
    updated, removed = (tables[action].num_rows if action in tables else 0 for action in ("update", "remove"))
    is_list = activation.mode == "full" and not activation.audience.trigger
    outcome = Outcome(name, "dry_run", version, people.audience, sent, updated, removed, people.left_out)
    attempt = replace(
        attempt, audience_count=people.audience, sent_count=people.rows.num_rows, added_count=sent,
        updated_count=updated, removed_count=removed, left_out=people.left_out,
    )  # fmt: skip
    if dry_run:
        return outcome
    if not is_list and sent + updated + removed == 0:
        _remember(call, replace(attempt, status="unchanged"), people, before)
        return replace(outcome, status="unchanged")
    with files.scratch(workspace) as folder:
        stem = f"{name}-{version}"
        written = [
            file for action, table in tables.items() for file in files.write(table, layout, folder, stem, action)
        ]
        told = manifest(activation, published, attempt, people, written, before)
        parcel = Parcel(
            activation, workspace, version, attempt.delivery_key, stem, tuple(written),
            files.write_manifest(told, folder, stem), tables, keys, is_list,
        )  # fmt: skip
        place = send(parcel)
        attempt = replace(attempt, files=[file.told() for file in written])
    _remember(call, attempt, people, before)
    return replace(outcome, status="delivered", files=tuple(attempt.files), place=place)


def _remember(call: _Call, attempt: Delivery, people: People, before: list[Delivery]) -> None:
    members = people.rows.select(["member_key", "customer_id", "identity", "content"])
    try:
        ledger.record(call.workspace, attempt, members, run_id=call.run_id)
    except (OSError, duckdb.IOException) as error:
        raise DeliveryFailed(
            f"{attempt.activation}: the registry could not be written ({type(error).__name__}), so the delivery does not "
            "count: make room; it is sent again under the same key"
        ) from None
    if not call.activation.audience.trigger:
        kept = [attempt.attempt, *(delivery.attempt for delivery in before[-1:])]
        ledger.drop_older_members(call.workspace, attempt.activation, kept)


def manifest(
    activation: Activation, published: Published, attempt: Delivery, people: People,
    written: list[files.WrittenFile], before: list[Delivery],
) -> dict[str, Any]:  # fmt: skip
    """What a delivery tells of itself. It holds no clock: repeated, it is the same unless its people changed."""
    meant: dict[str, Any] = (
        {"trigger": activation.audience.trigger}
        if activation.audience.trigger
        else {"segments": list(activation.audience.names)}
    )
    return {
        "activation": activation.activation,
        "label": activation.label.model_dump(),
        "objective": activation.objective,
        "idempotency_key": attempt.delivery_key,
        "version": published.version,
        "as_of_on": published.as_of_on.isoformat(),
        "published_at": published.created_at.isoformat(),
        "audience": meant,
        "format": activation.format,
        "channel": activation.channel,
        "purpose": activation.needed_purpose,
        "mode": activation.mode,
        "since_version": before[-1].version if activation.mode == "delta" and before else None,
        "files": [file.told() for file in written],
        "rows": sum(file.rows for file in written),
        "audience_count": people.audience,
        "list_count": people.rows.num_rows,
        "left_out_count": people.audience - people.rows.num_rows,
        "left_out": people.left_out,
        "left_out_details": people.details,
    }


__all__ = ["DeliveryFailed", "Outcome", "activate", "age_hours", "in_words"]
