"""What identity leaves behind: customers of records, id history, links, review queue, metrics.

What belongs here: writing the `identity.*` tables that others read, and the registry. What does not: deciding who
is one person (`linkage`) or which id a cluster inherits (`lasting_ids`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestration import registry
from orchestration.contracts.matching import Matching
from orchestration.identity import lasting_ids, near_dates, tables
from orchestration.identity.decisions import Settled
from orchestration.identity.lasting_ids import Event, Member
from orchestration.identity.scoring import SCALE, Compared, block_name
from orchestration.identity.tables import CUSTOMER_ID_EVENTS, RECORD_CUSTOMERS
from orchestration.settings import Workspace
from orchestration.warehouse import Connection, literal, quote


@dataclass(frozen=True)
class Queue:
    """The review queue's size, and how many pairs did not fit in it."""

    kept: int
    left_out: int


def load_prior(connection: Connection, workspace: Workspace, *, as_of_on: dt.date, from_build: bool) -> None:
    """`identity_prior`: the customer of each record after the last run; `identity_events`: the events so far.

    An increment (`from_build`) reads both where they are, and copies later what it is about to change.
    """
    for name in ("identity_prior", "identity_events"):
        for kind in ("view", "table"):
            if connection.execute(
                f"select 1 from duckdb_{kind}s() where temporary and {kind}_name = ?", [name]
            ).fetchone():
                connection.execute(f"drop {kind} temp.main.{name}")
    if from_build:
        connection.execute("create temp view identity_events as select * from identity.customer_id_history")
        return
    rows = registry.rows(workspace, RECORD_CUSTOMERS, as_of_on=as_of_on)
    connection.execute(
        "create or replace temp table identity_prior as select source, record_id, customer_id, as_of_on as "
        "attached_on, "
        f"attached_by from ({rows}) "
        "qualify row_number() over (partition by source, record_id order by as_of_on desc, version desc) = 1"
    )
    connection.execute("delete from identity_prior where customer_id is null")
    columns = "customer_id, event, event_on, successor_id, record_count, reason"
    events = registry.rows(workspace, CUSTOMER_ID_EVENTS, as_of_on=as_of_on)
    connection.execute(
        f"create or replace temp table identity_events as select {columns} from ({events}) order by as_of_on, version"
    )


def write_customers(
    connection: Connection, workspace: Workspace, settled: Settled, *, as_of_on: dt.date, version: str,
    run_id: str, is_forward: bool, matching: Matching, is_rebuild: bool,
) -> list[Event]:  # fmt: skip
    """Give the affected clusters their ids, write the tables, stage what changed. Returns the events of this run."""
    if not is_rebuild:
        connection.execute(
            "create or replace temp table identity_prior as "
            "select source, record_id, customer_id, attached_on, attached_by from identity.record_customers "
            "semi join (select source, record_id from identity_affected union all "
            "select source, record_id from identity_touched) using (source, record_id)"
        )
    connection.execute(
        "create or replace temp table identity_members as select a.rid, a.source, a.record_id, a.position, c.cluster, "
        "p.customer_id as prior from identity_affected as a join identity.clusters as c using (rid) "
        "left join identity_prior as p on p.source = a.source and p.record_id = a.record_id"
    )
    connection.execute(
        "create or replace temp table identity_gone_records as select p.source, p.record_id, p.customer_id "
        "from identity_prior as p anti join identity.records as r "
        "on r.source = p.source and r.record_id = p.record_id"
    )
    events = _assign(
        connection, workspace, as_of_on, living="identity_prior" if is_rebuild else "identity.record_customers"
    )
    _attach(connection, matching, settled, as_of_on, is_rebuild=is_rebuild)
    events += _retire(connection, events)
    _write_events(connection, events, as_of_on, is_rebuild=is_rebuild)
    if is_forward:
        _stage(connection, workspace, events, as_of_on=as_of_on, version=version, run_id=run_id)
    if is_rebuild:
        _write_current_ids(connection)
    else:
        _renew_current_ids(connection)
    return events


def _assign(connection: Connection, workspace: Workspace, as_of_on: dt.date, *, living: str) -> list[Event]:
    """`identity_ids` (cluster, customer_id). Plain cases are settled in SQL, the rest in `lasting_ids`."""
    connection.execute(
        "create or replace temp table identity_cases as with spread as ("
        "select prior, count(distinct cluster) as clusters from identity_members where prior is not null group "
        "by prior) "
        "select m.cluster, count(distinct m.prior) as priors, max(m.prior) as prior, max(s.clusters) as clusters, "
        "min(m.position) as first_position, cast(count(*) as integer) as record_count "
        "from identity_members as m left join spread as s on s.prior = m.prior group by m.cluster"
    )
    past = registry.rows(workspace, RECORD_CUSTOMERS, as_of_on=as_of_on)
    connection.execute(
        "create or replace temp table identity_returning as select distinct cluster from identity_members "
        f"semi join (select source, record_id from ({past}) where customer_id is not null) using (source, record_id) "
        "where prior is null"
    )
    connection.execute(
        "create or replace temp table identity_ids as select cluster, prior as customer_id from identity_cases "
        "where priors = 1 and clusters = 1"
    )
    new = connection.execute(
        "select c.cluster, m.source, m.record_id, c.record_count from identity_cases as c "
        "join identity_members as m on m.cluster = c.cluster and m.position = c.first_position "
        "where c.priors = 0 and c.cluster not in (select cluster from identity_returning) order by c.first_position"
    ).fetchall()
    taken = _EverGiven(connection, [(row[1], row[2]) for row in new])
    events, ids = [], []
    for cluster, source, record_id, record_count in new:
        found = lasting_ids.mint(source, record_id, taken)
        taken.add(found)
        ids.append((cluster, found))
        events.append(Event(found, "created", None, record_count, "new records"))
    hard = connection.execute(
        "select cluster, source, record_id, prior from identity_members where cluster not in "
        "(select cluster from identity_ids) and cluster in (select cluster from identity_cases where priors > 0 "
        "or cluster in (select cluster from identity_returning)) order by cluster, position"
    ).fetchall()
    if hard:
        numbers: list[int] = []
        clusters: list[list[Member]] = []
        for cluster, source, record_id, prior in hard:
            if not numbers or numbers[-1] != cluster:
                numbers.append(cluster)
                clusters.append([])
            clusters[-1].append(Member(source, record_id, prior))
        age = _Age(connection)
        done = lasting_ids.assign(
            clusters,
            age=age,
            ever_given=taken,
            is_living=_Living(connection, living),
            former=lambda members: _former(connection, past, members),
        )
        ids += list(zip(numbers, done.ids, strict=True))
        events += done.events
    if ids:
        connection.execute(
            "insert into identity_ids select unnest(?::bigint[]), unnest(?::varchar[])",
            [[pair[0] for pair in ids], [pair[1] for pair in ids]],
        )
    return events


class _EverGiven:
    """Every id ever given, looked up in the history; the likely ones are fetched at once."""

    def __init__(self, connection: Connection, keys: Sequence[tuple[str, str]]) -> None:
        self._connection = connection
        self._known: dict[str, bool] = {}
        self._every: set[str] | None = None
        row = connection.execute("select count(*) from identity_events").fetchone()
        self._is_empty = not row or not row[0]
        if not self._is_empty and keys:
            wanted = [lasting_ids.mint(source, record_id, ()) for source, record_id in keys]
            hits = connection.execute(
                "select distinct customer_id from identity_events semi join (select unnest(?::varchar[]) as "
                "customer_id) "
                "using (customer_id)",
                [wanted],
            ).fetchall()
            given = {hit for (hit,) in hits}
            self._known = {found: found in given for found in wanted}

    def add(self, found: str) -> None:
        self._known[found] = True

    def __contains__(self, key: object) -> bool:
        found = str(key)
        if found not in self._known:
            if self._is_empty:
                return False
            if self._every is None:
                rows = self._connection.execute("select distinct customer_id from identity_events").fetchall()
                self._every = {customer_id for (customer_id,) in rows}
            self._known[found] = found in self._every
        return self._known[found]


class _Age:
    """Sorts ids from the oldest; an id without a creation event counts as new."""

    def __init__(self, connection: Connection) -> None:
        rows = connection.execute(
            "select customer_id, cast(min(event_on) as varchar) from identity_events where event = 'created' "
            "and customer_id in (select prior from identity_members union select customer_id from "
            "identity_gone_records) "
            "group by customer_id"
        ).fetchall()
        self._created: dict[str, str] = dict(rows)

    def __call__(self, found: str) -> tuple[str, str]:
        return (self._created.get(found, "9999-12-31"), found)


class _Living:
    """Whether an id was some customer's before this run: `table` has the customers of then, read once when asked."""

    def __init__(self, connection: Connection, table: str) -> None:
        self._connection = connection
        self._table = table
        self._known: set[str] | None = None

    def __call__(self, found: str) -> bool:
        if self._known is None:
            rows = self._connection.execute(f"select distinct customer_id from {self._table}").fetchall()
            self._known = {customer_id for (customer_id,) in rows}
        return found in self._known


def _former(connection: Connection, past: str, members: Sequence[Member]) -> Mapping[Member, Sequence[str]]:
    rows = connection.execute(
        f"select source, record_id, list(distinct customer_id order by customer_id) from ({past}) semi join "
        "(select unnest(?::varchar[]) as source, unnest(?::varchar[]) as record_id) using (source, record_id) "
        "where customer_id is not null group by source, record_id",
        [[member.source for member in members], [member.record_id for member in members]],
    ).fetchall()
    by_key = {(source, record_id): ids for source, record_id, ids in rows}
    return {
        member: [old for old in by_key.get((member.source, member.record_id), []) if old != member.prior]
        for member in members
    }


def _attach(
    connection: Connection, matching: Matching, settled: Settled, as_of_on: dt.date, *, is_rebuild: bool
) -> None:
    """Replace the affected rows of `identity.record_customers`."""
    names = "".join(f"when {number} then {literal('rule:' + rule.rule)} " for number, rule in enumerate(matching.rules))
    named = f"case held_by {names}else 'model' end" if names else "'model'"
    bits = " ".join(f"when (rules & {1 << number}) > 0 then {number}" for number in range(len(matching.rules)))
    first_rule = f"case {bits} else 1000 end" if bits else "1000"
    connection.execute("create or replace temp table identity_held as with held as ("
                       f"select left_rid as rid, right_rid as other, {first_rule} as held_by from identity.links "
                       "union all "
                       f"select right_rid, left_rid, {first_rule} from identity.links) "
                       "select h.rid, min(h.held_by) as held_by from held as h "
                       "semi join identity_affected as f on f.rid = h.rid "
                       "join identity.clusters as c on c.rid = h.rid join identity.clusters as o on o.rid = h.other "
                       "where c.cluster = o.cluster group by h.rid")  # fmt: skip
    connection.execute("create or replace temp table identity_by_steward (source varchar, record_id varchar)")
    keys = sorted({key for pair in settled.must for key in pair})
    if keys:
        connection.execute(
            "insert into identity_by_steward select unnest(?::varchar[]), unnest(?::varchar[])",
            [[key[0] for key in keys], [key[1] for key in keys]],
        )
    connection.execute(
        "create or replace temp table identity_attached as select m.source, m.record_id, i.customer_id, "
        f"coalesce(p.attached_on, date '{as_of_on}') as attached_on, "
        "coalesce(p.attached_by, case when s.source is not null then 'steward' when h.rid is null then 'alone' "
        f"else {named} end) "
        "as attached_by from identity_members as m join identity_ids as i using (cluster) "
        "left join identity_held as h on h.rid = m.rid "
        "left join identity_by_steward as s on s.source = m.source and s.record_id = m.record_id "
        "left join identity_prior as p on p.source = m.source and p.record_id = m.record_id "
        "and p.customer_id = i.customer_id"
    )
    attached = "(select * from identity_attached order by source, record_id)"
    if is_rebuild:
        connection.execute(f"insert into identity.record_customers from {attached}")
        return
    tables.replace(
        connection,
        "record_customers",
        attached,
        "(source, record_id) in (select (source, record_id) from identity_attached "
        "union all select (source, record_id) from identity_gone_records)",
    )


def _retire(connection: Connection, events: Sequence[Event]) -> list[Event]:
    """Ids whose last records are gone."""
    merged = {event.customer_id for event in events if event.event == "merged"}
    rows = connection.execute(
        "select distinct g.customer_id from identity_gone_records as g "
        "anti join identity.record_customers as c using (customer_id) order by 1"
    ).fetchall()
    return [Event(old, "retired", None, 0, "its records are gone") for (old,) in rows if old not in merged]


def _write_events(connection: Connection, events: Sequence[Event], as_of_on: dt.date, *, is_rebuild: bool) -> None:
    if is_rebuild:
        connection.execute("delete from identity.customer_id_history")
        connection.execute("insert into identity.customer_id_history select * from identity_events")
    connection.execute(
        "create or replace temp table identity_new_events as select * from identity.customer_id_history limit 0"
    )
    if events:
        connection.execute(
            "insert into identity_new_events select unnest(?::varchar[]), unnest(?::varchar[]), "
            f"date '{as_of_on}', unnest(?::varchar[]), unnest(?::integer[]), unnest(?::varchar[])",
            [
                [event.customer_id for event in events],
                [event.event for event in events],
                [event.successor_id for event in events],
                [event.record_count for event in events],
                [event.reason for event in events],
            ],
        )
    if is_rebuild:
        connection.execute("insert into identity.customer_id_history select * from identity_new_events")
    elif events:
        tables.replace(connection, "customer_id_history", "identity_new_events", "false")


def _stage(
    connection: Connection,
    workspace: Workspace,
    events: Sequence[Event],
    *,
    as_of_on: dt.date,
    version: str,
    run_id: str,
) -> None:
    stamp: dict[str, Any] = {"as_of_on": as_of_on, "version": version, "run_id": run_id}
    registry.stage(
        workspace, RECORD_CUSTOMERS, connection,
        "select a.source, a.record_id, a.customer_id, a.attached_by from identity_attached as a "
        "left join identity_prior as p on p.source = a.source and p.record_id = a.record_id "
        "where p.customer_id is distinct from a.customer_id union all "
        "select source, record_id, cast(null as varchar), 'gone' from identity_gone_records order by 1, 2",
        **stamp,
    )  # fmt: skip
    registry.stage(workspace, CUSTOMER_ID_EVENTS, connection, "select * from identity_new_events", **stamp)


def _write_current_ids(connection: Connection) -> None:
    """Every id ever given, and the living id it stands for: itself, a successor, 'erased', or null."""
    connection.execute(
        "create or replace temp table identity_renewed_ids as "
        "select distinct customer_id, customer_id as current_customer_id from identity.record_customers"
    )
    connection.execute(
        "create or replace temp table identity_lost as select distinct customer_id from identity.customer_id_history "
        "anti join identity_renewed_ids using (customer_id)"
    )
    _point_lost_ids(connection)
    connection.execute("delete from identity.current_ids")
    connection.execute("insert into identity.current_ids select * from identity_renewed_ids")


def _renew_current_ids(connection: Connection) -> None:
    """The same, for the ids that this run's events name and those that stood for one of them."""
    connection.execute(
        "create or replace temp table identity_changed_ids as "
        "with named as (select customer_id from identity_new_events union "
        "select successor_id from identity_new_events where successor_id is not null) "
        "select customer_id from named union select customer_id from identity.current_ids "
        "where current_customer_id in (select customer_id from named) or current_customer_id is null"
    )
    connection.execute(
        "create or replace temp table identity_renewed_ids as "
        "select distinct customer_id, customer_id as current_customer_id from identity.record_customers "
        "semi join identity_changed_ids using (customer_id)"
    )
    connection.execute(
        "create or replace temp table identity_lost as select customer_id from identity_changed_ids "
        "anti join identity_renewed_ids using (customer_id)"
    )
    _point_lost_ids(connection)
    tables.replace(
        connection,
        "current_ids",
        "identity_renewed_ids",
        "customer_id in (select customer_id from identity_changed_ids)",
    )


def _point_lost_ids(connection: Connection) -> None:
    """Add to `identity_renewed_ids` those of `identity_lost`, none of which lives, and what they stand for."""
    lost = [old for (old,) in connection.execute("select customer_id from identity_lost order by 1").fetchall()]
    if not lost:
        return
    # A chain of successors runs through lost ids only, until its end.
    rows = connection.execute(
        "select customer_id, event, successor_id from identity.customer_id_history semi join identity_lost using "
        "(customer_id) where event in ('merged', 'retired', 'erased', 'unmerged', 'returned') order by rowid"
    ).fetchall()
    chains = lasting_ids.resolve_chains(
        {"customer_id": old, "event": event, "successor_id": to} for old, event, to in rows
    )
    ends = [chains.get(old) for old in lost]
    connection.execute(
        "create or replace temp table identity_ends as select unnest(?::varchar[]) as customer_id, "
        "unnest(?::varchar[]) as ending",
        [lost, ends],
    )
    connection.execute(
        "insert into identity_renewed_ids select e.customer_id, case when e.ending = 'erased' then 'erased' "
        "when e.ending in (select customer_id from identity.record_customers) then e.ending end "
        "from identity_ends as e order by e.customer_id"
    )


# -- links, review, metrics ---------------------------------------------------------------------------


def write_links_and_review(connection: Connection, matching: Matching, settled: Settled, *, is_rebuild: bool) -> Queue:
    """Fill `identity.match_links` (every kept pair, and stewards' joins) and `identity.match_review`."""
    names = " ".join(
        f"when (l.rules & {1 << number}) > 0 then {literal(rule.rule)}" for number, rule in enumerate(matching.rules)
    )
    rule = f"case {names} end" if names else "cast(null as varchar)"
    stale = "semi join identity_affected as f on f.rid = l.left_rid"
    connection.execute(
        "create or replace temp table identity_fresh_links as select a.source as left_source, a.record_id as "
        "left_record_id, "
        "b.source as right_source, b.record_id as right_record_id, "
        f"case when l.rules > 0 then 'rule' else 'model' end as kind, {rule} as rule, "
        f"1.0 / (1.0 + pow(2.0, -l.weight / {SCALE}.0)) as match_probability, l.weight / {SCALE}.0 as match_weight, "
        "l.field_weights, case when c.cluster = d.cluster then 'automatic' when p.left_rid is not null then 'review' "
        "else 'rejected' end as band, c.cluster = d.cluster as is_within_customer "
        f"from (select * from identity.links as l {stale} where l.weight >= {round(matching.bands.edge * SCALE)}) as l "
        "join identity.records as a on a.rid = l.left_rid join identity.records as b on b.rid = l.right_rid "
        "join identity.clusters as c on c.rid = l.left_rid join identity.clusters as d on d.rid = l.right_rid "
        "left join identity.pending as p on p.left_rid = l.left_rid and p.right_rid = l.right_rid"
    )
    columns = (
        "left_source, left_record_id, right_source, right_record_id, kind, rule, match_probability, match_weight, "
        "field_weights, band, is_within_customer"
    )
    flip = "(left_source, left_record_id) > (right_source, right_record_id)"
    connection.execute("create or replace temp table identity_new_links as from identity.match_links limit 0")
    connection.execute(
        f"insert into identity_new_links select case when {flip} then right_source else left_source end, "
        f"case when {flip} then right_record_id else left_record_id end, "
        f"case when {flip} then left_source else right_source end, "
        f"case when {flip} then left_record_id else right_record_id end, {columns.split(', ', 4)[4]} from "
        "identity_fresh_links"
    )
    if settled.must:
        pairs = settled.must
        connection.execute(
            "insert into identity_new_links select unnest(?::varchar[]), unnest(?::varchar[]), unnest(?::varchar[]), "
            "unnest(?::varchar[]), 'steward', null, 1.0, null, '{}', 'automatic', true",
            [[p[0][0] for p in pairs], [p[0][1] for p in pairs], [p[1][0] for p in pairs], [p[1][1] for p in pairs]],
        )
    if is_rebuild:
        connection.execute("delete from identity.match_links")
        connection.execute("insert into identity.match_links select * from identity_new_links")
    else:
        stale = "(select (source, record_id) from identity_affected union all select (source, record_id) from identity_touched)"
        tables.replace(
            connection,
            "match_links",
            "identity_new_links",
            f"kind = 'steward' or (left_source, left_record_id) in {stale} or (right_source, right_record_id) in {stale}",
        )
    return _write_review(connection, matching, settled)


def _write_review(connection: Connection, matching: Matching, settled: Settled) -> Queue:
    """The pairs that a steward should see, the most valuable first kept: likely ones that join much."""
    connection.execute("create or replace temp table identity_later (ls varchar, lr varchar, rs varchar, rr varchar)")
    if settled.later:
        later = sorted(settled.later)
        connection.execute(
            "insert into identity_later select unnest(?::varchar[]), unnest(?::varchar[]), unnest(?::varchar[]), "
            "unnest(?::varchar[])",
            [[p[0][0] for p in later], [p[0][1] for p in later], [p[1][0] for p in later], [p[1][1] for p in later]],
        )
    connection.execute("delete from identity.match_review")
    connection.execute(
        "create or replace temp table identity_queue as with named as ("
        "select a.source as s1, a.record_id as r1, b.source as s2, b.record_id as r2, p.weight, p.average, p.guard "
        "from identity.pending as p join identity.records as a on a.rid = p.left_rid "
        "join identity.records as b on b.rid = p.right_rid), "
        "turned as (select case when (s1, r1) > (s2, r2) then s2 else s1 end as left_source, "
        "case when (s1, r1) > (s2, r2) then r2 else r1 end as left_record_id, "
        "case when (s1, r1) > (s2, r2) then s1 else s2 end as right_source, "
        "case when (s1, r1) > (s2, r2) then r1 else r2 end as right_record_id, weight, average, guard from named) "
        "select t.*, l.customer_id as left_customer_id, r.customer_id as right_customer_id from turned as t "
        "join identity.record_customers as l on l.source = t.left_source and l.record_id = t.left_record_id "
        "join identity.record_customers as r on r.source = t.right_source and r.record_id = t.right_record_id "
        "anti join identity_later as i on i.ls = t.left_source and i.lr = t.left_record_id and i.rs = t.right_source "
        "and i.rr = t.right_record_id"
    )
    connection.execute(
        "insert into identity.match_review select md5(concat_ws('|', left_source, left_record_id, right_source, "
        "right_record_id)), "
        "left_source, left_record_id, right_source, right_record_id, "
        f"1.0 / (1.0 + pow(2.0, -weight / {SCALE}.0)), "
        "case when guard is not null then 'a guard stopped the join' "
        f"when weight < {round(matching.bands.automatic * SCALE)} then 'between the bands' "
        "else 'the pair is likely, their customers as wholes are not' end, guard, left_customer_id, right_customer_id "
        "from identity_queue order by average desc, weight desc, left_source, left_record_id, right_source, "
        "right_record_id "
        f"limit {matching.review.max_pairs}"
    )
    _write_audit(connection, matching, settled)
    total = _count(connection, "identity_queue")
    return Queue(min(total, matching.review.max_pairs), max(0, total - matching.review.max_pairs))


def _write_audit(connection: Connection, matching: Matching, settled: Settled) -> None:
    """Add automatic joins nobody answered yet to the queue, picked by a digest of their keys: always the same ones."""
    if not matching.review.audit_pairs:
        return
    answered = sorted({*settled.must, *settled.cannot, *settled.later})
    connection.execute(
        "create or replace temp table identity_answered as select unnest(?::varchar[]) as pair_id",
        [["\x1f".join((*left, *right)) for left, right in answered]],
    )
    key = "concat_ws(chr(31), m.left_source, m.left_record_id, m.right_source, m.right_record_id)"
    connection.execute(
        "insert into identity.match_review select md5(concat_ws('|', m.left_source, m.left_record_id, m.right_source, "
        "m.right_record_id)), m.left_source, m.left_record_id, m.right_source, m.right_record_id, m.match_probability, "
        "'joined: is it right?', null, l.customer_id, l.customer_id from identity.match_links as m "
        "join identity.record_customers as l on l.source = m.left_source and l.record_id = m.left_record_id "
        f"where m.is_within_customer and m.kind <> 'steward' and {key} not in (select pair_id from identity_answered) "
        f"order by md5({key}), {key} limit {matching.review.audit_pairs}"
    )


def _write_suspicious(connection: Connection, matching: Matching, *, is_rebuild: bool) -> None:
    """Customers to look at: of many records, or holding what a guard would not have joined (a steward did)."""
    among = "" if is_rebuild else "semi join (select distinct customer_id from identity_attached) using (customer_id)"
    if is_rebuild:
        connection.execute("delete from identity.suspicious_clusters")
    else:
        connection.execute(
            "delete from identity.suspicious_clusters where customer_id in (select customer_id from identity_attached) "
            "or customer_id not in (select customer_id from identity.record_customers)"
        )
    large = max(8, matching.guards.max_records // 2)
    connection.execute(
        "insert into identity.suspicious_clusters select customer_id, 'many records', cast(count(*) as integer) "
        f"from identity.record_customers {among} group by customer_id having count(*) >= {large}"
    )
    for guard in matching.guards.distinct:
        held = connection.execute(
            f"select c.customer_id, list(distinct r.{quote(guard.field)} order by r.{quote(guard.field)}), count(*) "
            f"from (select * from identity.record_customers {among}) as c join identity.records as r "
            "on r.source = c.source and r.record_id = c.record_id group by c.customer_id "
            f"having count(distinct r.{quote(guard.field)}) > {guard.at_most} order by c.customer_id"
        ).fetchall()
        # As the guard counts them: a slip in a date is no second date.
        count = near_dates.count_different if matching.fields[guard.field].kind == "date" else len
        found = [
            (customer_id, record_count)
            for customer_id, values, record_count in held
            if count([value for value in values if value is not None]) > guard.at_most
        ]
        if found:
            connection.execute(
                "insert into identity.suspicious_clusters select unnest(?::varchar[]), "
                f"{literal(f'several values of {guard.field}')}, unnest(?::integer[])",
                [[customer_id for customer_id, _ in found], [record_count for _, record_count in found]],
            )


def write_metrics(
    connection: Connection,
    matching: Matching,
    events: Sequence[Event],
    queue: Queue,
    compared: Compared,
    settled: Settled,
    estimated: Mapping[str, float],
    *,
    is_rebuild: bool,
) -> dict[str, Any]:
    """Fill `identity.metrics` and `identity.suspicious_clusters`; return what the report repeats."""
    _write_suspicious(connection, matching, is_rebuild=is_rebuild)
    sizes = dict(
        connection.execute(
            "select case when n >= 10 then '10+' when n >= 6 then '6-9' else cast(n as varchar) end as size, "
            "count(*) from (select count(*) as n from identity.record_customers group by customer_id) group by 1 "
            "order by 1"
        ).fetchall()
    )
    by_rule = dict(
        connection.execute(
            "select coalesce(rule, kind) as name, count(*) from identity.match_links where is_within_customer "
            "group by 1 order by 1"
        ).fetchall()
    )
    blocks = {
        block_name(matching, number): count
        for number, count in connection.execute(
            "select block, count(*) from identity.capped_blocks group by block order by block"
        ).fetchall()
    }
    counted = {
        kind: sum(event.event == kind for event in events)
        for kind in ("created", "merged", "split", "unmerged", "retired")
    }
    told: dict[str, Any] = {
        "records": _count(connection, "identity.record_customers"),
        "customers": _count(connection, "(select distinct customer_id from identity.record_customers)"),
        "touched_records": _count(connection, "identity_touched"),
        "links_by_rule": by_rule,
        "cluster_sizes": sizes,
        "suspicious_clusters": _count(connection, "identity.suspicious_clusters"),
        "shared_values": _count(connection, "identity.shared_values"),
        "capped_blocks": blocks,
        **counted,
    }
    metrics: dict[str, float] = {name: float(value) for name, value in told.items() if isinstance(value, int)}
    metrics |= {f"links: {name}": float(value) for name, value in by_rule.items()}
    metrics |= {f"customers of {size} records": float(value) for size, value in sizes.items()}
    metrics |= {f"capped blocks: {name}": float(value) for name, value in blocks.items()}
    metrics |= {
        "candidate_pairs": float(compared.candidates),
        "links": float(compared.links),
        "review_pairs": float(queue.kept),
        "review_pairs_left_out": float(queue.left_out),
        "contradictory_decisions": float(settled.contradictory),
        "unknown_decisions": float(settled.unknown),
        "unreadable_decisions": float(settled.unreadable),
        **estimated,
    }
    connection.execute("delete from identity.metrics")
    connection.execute(
        "insert into identity.metrics select unnest(?::varchar[]), unnest(?::double[])",
        [list(metrics), list(metrics.values())],
    )
    return told


def _count(connection: Connection, table: str) -> int:
    row = connection.execute(f"select count(*) from {table}").fetchone()
    return int(row[0]) if row else 0
