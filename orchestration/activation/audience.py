"""Who is in a list at the moment of sending, and who is left out and why.

What belongs here: the query from a publication to one row per person (or event of a trigger) with a reason
where they are left out. What does not: columns of a platform (`formats`), files, sending.

Reasons, the first that holds counts: `suppressed` (objection, erasure, also one that landed since), `minor`,
`no_consent` (refused, withdrawn, pending or never asked; also a refusal that landed since), `unreachable` (no
valid address or number), `control_group`, `duplicate` (someone else in the list has the same address),
`capped` (more people than `most_rows`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from orchestration.activation import formats, refusals
from orchestration.activation.unsubscribe import link
from orchestration.contracts.activation import Activation
from orchestration.protection import Key
from orchestration.settings import Workspace
from orchestration.warehouse import Connection, literal, quote

#: Reasons of rcu.contactability, as they are told in a manifest.
_GROUPS = {
    "suppressed": "suppressed",
    "objected_since": "suppressed",
    "objection": "suppressed",
    "minor": "minor",
    "no_contact_point": "unreachable",
    "hard_bounce": "unreachable",
    "invalid_contact_point": "unreachable",
    "no_usable_contact": "unreachable",
    "control_group": "control_group",
    "duplicate": "duplicate",
    "capped": "capped",
}

_BATCH_ROWS = 50_000


class SealedPublication(Protocol):
    """A publication as the domain that writes it tells of it."""

    @property
    def version(self) -> str: ...
    @property
    def as_of_on(self) -> dt.date: ...
    @property
    def created_at(self) -> str: ...
    @property
    def database(self) -> Path: ...
    @property
    def gates(self) -> dict[str, dict[str, int]]: ...


@dataclass(frozen=True)
class Published:
    """What is sent from: one publication."""

    version: str
    as_of_on: dt.date
    created_at: dt.datetime  # UTC
    database: Path
    failed_gates: tuple[str, ...] = ()

    @classmethod
    def of(cls, publication: SealedPublication) -> Published:
        """A publication, with the gates whose blocking checks did not all hold."""
        return cls(
            publication.version,
            publication.as_of_on,
            dt.datetime.fromisoformat(publication.created_at),
            publication.database,
            tuple(sorted(gate for gate, counts in publication.gates.items() if counts.get("failed"))),
        )


@dataclass(frozen=True)
class People:
    """An audience, judged. `rows`: member_key, customer_id, identity (JSON), content (of a delta: a digest of the
    other columns), then the columns of the layout.

    `left_out` counts people (events of a trigger) per reason, `details` the same in finer words; `audience` is
    everyone meant: the rows and those left out.
    """

    rows: pa.Table
    audience: int
    left_out: dict[str, int]
    details: dict[str, int]


def select_people(
    connection: Connection,
    workspace: Workspace,
    activation: Activation,
    layout: formats.Layout,
    published: Published,
    *,
    key: Key | None,
    open_events: str | None = None,
) -> People:
    """Judge everyone in the audience now and build the rows of those who may be sent.

    `connection` is on the published database, read-only. `key` signs unsubscribe links. `open_events` is the SQL
    of the events to send (columns of segments.trigger_events), for a trigger.
    """
    refusals.find_refusals(connection, workspace, channel=activation.channel, purpose=activation.needed_purpose)
    _write_audience(connection, activation, open_events)
    _write_judged(connection, activation)
    counts = connection.execute(
        "select coalesce(reason, ''), count(*) from temp.judged group by all order by all"
    ).fetchall()
    details = {reason: int(count) for reason, count in counts if reason}
    left_out: dict[str, int] = {}
    for reason, count in details.items():
        group = _GROUPS.get(reason, "no_consent")
        left_out[group] = left_out.get(group, 0) + count
    rows = _build_rows(connection, activation, layout, published, key)
    return People(rows, sum(int(count) for _, count in counts), dict(sorted(left_out.items())), details)


def _write_audience(connection: Connection, activation: Activation, open_events: str | None) -> None:
    """temp.audience: member_key, customer_id, is_control, segments, and the event's columns."""
    if activation.audience.trigger:
        events = ", ".join(formats.EVENT_FIELDS)
        query = (
            f"select event_key as member_key, customer_id, false as is_control, trigger as segments, {events} "
            f"from ({open_events})"
        )
    else:
        names = ", ".join(literal(name) for name in activation.audience.names)
        # In several segments: left out by the control group of any of them.
        query = (
            "select customer_id as member_key, customer_id, bool_or(is_control) as is_control, "
            f"string_agg(segment, ',' order by segment) as segments from segments.members where segment in ({names}) "
            "group by customer_id"
        )
    connection.execute(f"create or replace temp table audience as {query}")


def _write_judged(connection: Connection, activation: Activation) -> None:
    """temp.judged: the audience with contacts that may be used, and the reason where someone is left out."""
    channel, purpose = literal(activation.channel), literal(activation.needed_purpose)
    phone = {
        "phone": "case when may.by_phone then phones.value end",
        "sms": "case when may.by_sms then mobiles.value end",
    }.get(
        activation.channel,
        "coalesce(case when may.by_sms then mobiles.value end, case when may.by_phone then phones.value end)",
    )
    contact = {
        "email": "contact_email",
        "sms": "contact_mobile",
        "phone": "contact_phone",
        "post": "contact_address_line",
    }[activation.channel]
    is_single = activation.channel != "post" and not activation.audience.trigger
    connection.execute(
        f"""
        create or replace temp table judged as
        with may as (
            select
                customer_id,
                bool_or(is_contactable) filter (where channel = 'email') as by_email,
                bool_or(is_contactable) filter (where channel = 'sms') as by_sms,
                bool_or(is_contactable) filter (where channel = 'phone') as by_phone,
                bool_or(is_contactable) filter (where channel = 'post') as by_post,
                bool_or(is_contactable) filter (where channel = {channel}) as is_contactable,
                max(reason) filter (where channel = {channel}) as reason,
                max(basis) filter (where channel = {channel}) as basis
            from rcu.contactability
            where purpose = {purpose}
            group by customer_id
        ),

        -- of several valid points the golden one, else the one confirmed last
        points as (
            select
                points.customer_id,
                points.value,
                case when points.channel = 'email' then 'email' else points.kind end as kind,
                points.value = case points.channel when 'email' then golden.email else golden.phone end as is_golden,
                points.freshness
            from rcu.contact_points as points
            inner join rcu.customers as golden on points.customer_id = golden.customer_id
            where points.is_valid and points.channel in ('email', 'phone')
        ),
        emails as (
            select customer_id, value from points where kind = 'email'
            qualify row_number() over (
                partition by customer_id order by is_golden desc nulls last, freshness desc nulls last, value
            ) = 1
        ),
        mobiles as (
            select customer_id, value from points where kind = 'mobile'
            qualify row_number() over (
                partition by customer_id order by is_golden desc nulls last, freshness desc nulls last, value
            ) = 1
        ),
        landlines as (
            select customer_id, value from points where kind = 'landline'
            qualify row_number() over (
                partition by customer_id order by is_golden desc nulls last, freshness desc nulls last, value
            ) = 1
        ),
        phones as (
            select customer_id, value from points where kind <> 'email'
            qualify row_number() over (
                partition by customer_id order by is_golden desc nulls last, freshness desc nulls last, value
            ) = 1
        ),

        contacts as (
            select
                audience.*,
                case when may.by_email then emails.value end as contact_email,
                case when may.by_sms then mobiles.value end as contact_mobile,
                case when may.by_phone then landlines.value end as contact_landline,
                {phone} as contact_phone,
                case when may.by_post then customers.address_line end as contact_address_line,
                may.basis as consent_basis,
                said.since_at as consent_since_at,
                coalesce(profiling.status = 'granted', false) as is_profiling_granted,
                case
                    when refused.is_request then 'objected_since'
                    when may.customer_id is null or customers.customer_id is null then 'no_contact_point'
                    when may.reason in ('suppressed', 'objection', 'minor') then may.reason
                    when refused.customer_id is not null then 'refused_since'
                    when not coalesce(may.is_contactable, false) then coalesce(may.reason, 'no_consent')
                end as early_reason
            from temp.audience as audience
            left join marts.customer_360 as customers on audience.customer_id = customers.customer_id
            left join may on audience.customer_id = may.customer_id
            left join emails on audience.customer_id = emails.customer_id
            left join mobiles on audience.customer_id = mobiles.customer_id
            left join landlines on audience.customer_id = landlines.customer_id
            left join phones on audience.customer_id = phones.customer_id
            left join rcu.consents as said
                on audience.customer_id = said.customer_id and said.channel = {channel}
                and said.purpose = {purpose} and said.status = 'granted'
            left join rcu.consents as profiling
                on audience.customer_id = profiling.customer_id and profiling.channel = {channel}
                and profiling.purpose = 'profiling'
            left join {refusals.TABLE} as refused on audience.customer_id = refused.customer_id
        ),

        first_reasons as (
            select
                *,
                coalesce(
                    early_reason,
                    case when {contact} is null then 'no_usable_contact' when is_control then 'control_group' end
                ) as first_reason
            from contacts
        ),

        counted as (
            select
                *,
                row_number() over (
                    partition by lower({contact}), first_reason order by customer_id, member_key
                ) as same_contact
            from first_reasons
        ),

        second_reasons as (
            select
                * exclude (same_contact),
                case
                    when first_reason is not null then first_reason
                    when {str(is_single).lower()} and same_contact > 1 then 'duplicate'
                end as second_reason
            from counted
        ),

        drawn as (
            select
                *,
                row_number() over (
                    partition by second_reason
                    order by md5({literal(activation.activation + ":")} || customer_id), customer_id, member_key
                ) as draw
            from second_reasons
        )

        select
            * exclude (early_reason, first_reason, second_reason, draw),
            case
                when second_reason is not null then second_reason
                when draw > {activation.most_rows or 2**62} then 'capped'
            end as reason
        from drawn
        """
    )


def _build_rows(
    connection: Connection,
    activation: Activation,
    layout: formats.Layout,
    published: Published,
    key: Key | None,
) -> pa.Table:
    """The rows of those who may be sent, in the order of their key, a batch of people at a time."""
    own = {name for name, *_ in connection.execute("describe temp.judged").fetchall()} - {"customer_id"}
    fields = [field for field in layout.fields if field != "unsubscribe_url"]
    selected = ", ".join(
        f"{'judged' if field in own else 'customers'}.{quote(field)} as {quote(field)}"
        for field in fields
        if field not in ("customer_id", "contact_email", "contact_phone", "contact_mobile")
    )
    link_contact = {"email": "contact_email", "sms": "contact_mobile"}.get(activation.channel, "contact_phone")
    reader = connection.execute(
        "select judged.member_key, judged.customer_id, judged.contact_email, judged.contact_mobile, "
        f"judged.contact_phone{', ' + selected if selected else ''} from temp.judged as judged "
        "inner join marts.customer_360 as customers on judged.customer_id = customers.customer_id "
        "where judged.reason is null order by judged.member_key"
    ).to_arrow_reader(_BATCH_ROWS)
    schema = _schema(reader.schema, layout)
    batches = []
    for batch in reader:
        columns = {name: batch.column(name) for name in batch.schema.names}
        if activation.unsubscribe is not None and key is not None:
            columns["unsubscribe_url"] = pa.array(
                [
                    link(
                        activation.unsubscribe, key, customer_id=customer_id, contact=contact,
                        channel=activation.channel, purpose=activation.needed_purpose, on=published.as_of_on,
                    )
                    for customer_id, contact in zip(
                        columns["customer_id"].to_pylist(), columns[link_contact].to_pylist(), strict=True
                    )
                ],
                pa.string(),
            )  # fmt: skip
        batches.append(_formatted(columns, layout, schema, batch.num_rows, has_content=activation.mode == "delta"))
    return pa.Table.from_batches(batches, schema)


_KEYS = (("member_key", pa.string()), ("customer_id", pa.string()), ("identity", pa.string()), ("content", pa.string()))


def _schema(found: pa.Schema, layout: formats.Layout) -> pa.Schema:
    """Names get a prefix inside: a column of the layout may be called customer_id, too."""
    fields = [pa.field(name, kind) for name, kind in _KEYS]
    for index, column in enumerate(layout.columns):
        is_plain = column.make is None and column.fields != ("unsubscribe_url",)
        fields.append(pa.field(f"c{index}", found.field(column.fields[0]).type if is_plain else pa.string()))
    return pa.schema(fields)


def _formatted(
    columns: dict[str, pa.Array], layout: formats.Layout, schema: pa.Schema, rows: int, *, has_content: bool
) -> pa.RecordBatch:
    made: list[pa.Array] = []
    for index, column in enumerate(layout.columns):
        if column.make is None:
            made.append(columns[column.fields[0]])
        elif not column.fields:
            made.append(pa.array([column.make()] * rows, pa.string()))
        else:
            values = [columns[name].to_pylist() for name in column.fields]
            made.append(
                pa.array([column.make(*one) for one in zip(*values, strict=True)], schema.field(f"c{index}").type)
            )
    named = [(column.name, made[index]) for index, column in enumerate(layout.columns) if column.is_identity]
    identity = _as_json(named, rows)
    content = pa.nulls(rows, pa.string())
    if has_content:
        others = _as_json([(layout.columns[place].name, made[place]) for place in layout.content], rows)
        content = pa.array([hashlib.sha256(told.encode()).hexdigest()[:32] for told in others.to_pylist()], pa.string())
    return pa.RecordBatch.from_arrays(
        [columns["member_key"], columns["customer_id"], identity, content, *made], schema=schema
    )


def _as_json(named: list[tuple[str, pa.Array]], rows: int) -> pa.Array:
    names = [name for name, _ in named]
    values = [[None if value is None else str(value) for value in array.to_pylist()] for _, array in named]
    told = zip(*values, strict=True) if values else iter([()] * rows)
    return pa.array([json.dumps(dict(zip(names, one, strict=True)), ensure_ascii=False) for one in told], pa.string())
