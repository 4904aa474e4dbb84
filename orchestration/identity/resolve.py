"""The step itself: from standardised records to customers with lasting ids.

What belongs here: the order of things, and what of the cache is replaced. What does not: how each part
works (`records`, `scoring`, `linkage`, `lasting_ids`, `outputs`).

Rebuild and increment run the same code; they differ in which records are touched. Nothing in the
partition depends on the last run: only ids do.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa

from orchestration.contracts.matching import Matching
from orchestration.errors import BuildError
from orchestration.identity import decisions, estimates, fields, linkage, near_dates, outputs, records, scoring, tables
from orchestration.identity.model import Model
from orchestration.identity.stored_model import find_model
from orchestration.settings import Workspace
from orchestration.warehouse import Connection, quote

#: Raised when a change of code gives other results from the same input: the cache is then made anew.
_CODE = "3"

_NO_PAIRS = (np.empty(0, np.int64), np.empty(0, np.int64))


@dataclass(frozen=True)
class IdentityReport:
    """Counts of one run. Never a personal value."""

    mode: str
    records: int
    customers: int
    touched_records: int
    candidate_pairs: int
    links: int
    links_by_rule: dict[str, int]
    cluster_sizes: dict[str, int]
    suspicious_clusters: int
    review_pairs: int
    review_pairs_left_out: int
    created: int
    merged: int
    split: int
    unmerged: int
    retired: int
    shared_values: int
    capped_blocks: dict[str, int]
    contradictory_decisions: int
    unknown_decisions: int
    unreadable_decisions: int
    notes: tuple[str, ...] = ()
    model: str | None = None
    answered_pairs: int = 0
    threshold_offset: float = 0.0
    estimated_precision: float | None = None
    estimated_precision_low: float | None = None
    estimated_precision_high: float | None = None
    estimated_recall: float | None = None
    estimated_recall_low: float | None = None
    estimated_recall_high: float | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    cpu_seconds: dict[str, float] = field(default_factory=dict)


def resolve(
    connection: Connection,
    workspace: Workspace,
    matching: Matching,
    *,
    as_of_on: dt.date,
    version: str,
    run_id: str,
    is_forward: bool,
    mode: Literal["increment", "rebuild"],
) -> IdentityReport:
    """Group the records of `intermediate.int_identity_records` into customers; write `identity.*`.

    In forward runs the changes are staged in the registry (`record_customers`, `customer_id_events`, and a
    model trained on the way). An increment needs the tables that the last complete run left in this
    database and `control.touched_records`; where they are missing or were made under another
    configuration, everything is matched anew, with the same result.
    Raises DeclarationError when matching.yml asks for what is not there, or its model does not fit.
    """
    clock = _Clock()
    tables_there = _has_table(connection, "intermediate", "int_identity_records")
    if not tables_there:
        raise BuildError("intermediate.int_identity_records is not there: run dbt's `prepare` step first")
    records.check(connection, matching)
    tables.create_missing(connection)
    prior_mode = mode
    fingerprint = hashlib.sha256((matching.model_dump_json() + _CODE + _engine(connection)).encode()).hexdigest()[:16]
    stored = find_model(connection, workspace, matching, as_of_on=as_of_on)
    is_rebuild = mode == "rebuild" or not _is_current(connection, fingerprint, stored.fingerprint if stored else "")
    outputs.load_prior(
        connection, workspace, as_of_on=as_of_on, from_build=prior_mode == "increment" and not is_rebuild
    )
    if is_rebuild:
        tables.clear(connection)
        records.mark_all(connection)
    else:
        records.mark_touched(connection)
    records.write_nicknames(connection, matching)
    records.refresh(connection, matching, is_rebuild=is_rebuild, prepared=lambda: clock.lap("records"))
    clock.lap("blocking")
    model: Model | None = stored
    notes: list[str] = []
    if matching.model.enabled and model is None:
        from orchestration.identity.training import train_first_model

        model, said = train_first_model(
            connection, workspace, matching, as_of_on=as_of_on, version=version, run_id=run_id, is_forward=is_forward
        )
        notes += said
        clock.lap("training")
    compared = scoring.score(connection, matching, model, is_rebuild=is_rebuild)
    clock.lap("scoring")
    settled = _settle(connection, workspace, as_of_on)
    notes += decisions.write_set_aside(connection, settled)
    labels = estimates.read_labels(connection, settled)
    least = matching.bands.follow_answers
    offset = estimates.offset(labels, least) if least else 0.0
    matching = estimates.shifted(matching, offset)
    if offset:
        notes.append(f"the thresholds are {-offset:+g} bits from those declared: {len(labels)} steward answers say so")
    # Thresholds that moved concern every group of records, those without a change as well.
    is_moved = not is_rebuild and offset != _last_offset(connection)
    _cluster(connection, matching, model, settled, is_everything=is_rebuild or is_moved)
    clock.lap("clustering")
    events = outputs.write_customers(
        connection, workspace, settled,
        as_of_on=as_of_on, version=version, run_id=run_id, is_forward=is_forward, matching=matching, is_rebuild=is_rebuild,
    )  # fmt: skip
    clock.lap("ids")
    queue = outputs.write_links_and_review(connection, matching, settled, is_rebuild=is_rebuild)
    connection.execute("delete from identity.state")
    connection.execute("insert into identity.state values (?, ?)", [_state(fingerprint, model), offset])
    found = estimates.of_run(connection, matching, labels)
    told = outputs.write_metrics(
        connection, matching, events, queue, compared, settled,
        {"answered_pairs": float(found.labels), "threshold_offset": offset, **found.named()}, is_rebuild=is_rebuild,
    )  # fmt: skip

    tables.note(connection, is_rebuild=is_rebuild)
    clock.lap("outputs")
    _drop_scratch(connection)
    return IdentityReport(
        mode="rebuild" if is_rebuild else "increment",
        candidate_pairs=compared.candidates,
        links=compared.links,
        review_pairs=queue.kept,
        review_pairs_left_out=queue.left_out,
        contradictory_decisions=settled.contradictory,
        unknown_decisions=settled.unknown,
        unreadable_decisions=settled.unreadable,
        notes=tuple(notes),
        model=model.fingerprint if model else None,
        answered_pairs=found.labels,
        threshold_offset=offset,
        estimated_precision=found.precision,
        estimated_precision_low=found.precision_low,
        estimated_precision_high=found.precision_high,
        estimated_recall=found.recall,
        estimated_recall_low=found.recall_low,
        estimated_recall_high=found.recall_high,
        seconds=clock.laps,
        cpu_seconds=clock.worked,
        **told,
    )


class _Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self.worked: dict[str, float] = {}
        self._last = time.perf_counter()
        self._last_worked = time.process_time()

    def lap(self, name: str) -> None:
        now, worked = time.perf_counter(), time.process_time()
        self.laps[name] = round(now - self._last, 3)
        self.worked[name] = round(worked - self._last_worked, 3)
        self._last, self._last_worked = now, worked


def _engine(connection: Connection) -> str:
    """DuckDB's version: the numbers that stand for blocking keys are its own."""
    row = connection.execute("select version()").fetchone()
    return str(row[0]) if row else ""


def _state(fingerprint: str, model: Model | None) -> str:
    return f"{fingerprint}/{model.fingerprint if model else ''}"


def _is_current(connection: Connection, fingerprint: str, model: str) -> bool:
    """Whether the cache was made under this configuration and model."""
    row = connection.execute("select fingerprint from identity.state").fetchone()
    return row is not None and row[0] == f"{fingerprint}/{model}" and _has_table(connection, "identity", "records")


def _last_offset(connection: Connection) -> float:
    row = connection.execute("select threshold_offset from identity.state").fetchone()
    return float(row[0]) if row and row[0] is not None else 0.0


def _has_table(connection: Connection, schema: str, name: str) -> bool:
    found = connection.execute(
        "select 1 from information_schema.tables where table_schema = ? and table_name = ?", [schema, name]
    ).fetchone()
    return found is not None


def _settle(connection: Connection, workspace: Workspace, as_of_on: dt.date) -> decisions.Settled:
    told = decisions.read(connection, workspace, as_of_on)
    keys = sorted({key for decision in told for key in (decision.left, decision.right)})
    connection.execute("create or replace temp table identity_decided (source varchar, record_id varchar)")
    if keys:
        connection.execute(
            "insert into identity_decided select unnest(?::varchar[]), unnest(?::varchar[])",
            [[key[0] for key in keys], [key[1] for key in keys]],
        )
    living = connection.execute(
        "select source, record_id from identity.records semi join identity_decided using (source, record_id)"
    ).fetchall()
    return decisions.settle(told, set(living))


def _cluster(
    connection: Connection, matching: Matching, model: Model | None, settled: decisions.Settled, *, is_everything: bool
) -> None:
    """Cluster the components that changed; `identity_affected` holds their records, in canonical order."""
    rids = connection.execute("select rid from identity.records order by rid").fetchnumpy()["rid"].astype(np.int64)
    told = connection.execute(
        "select left_rid, right_rid, weight from identity.links where not is_completed"
    ).fetchnumpy()
    left = np.searchsorted(rids, told["left_rid"].astype(np.int64))
    right = np.searchsorted(rids, told["right_rid"].astype(np.int64))
    weight = told["weight"].astype(np.int64)
    decided = _decided_rids(connection, settled)
    must = tuple(np.searchsorted(rids, side) for side in decided["must"])
    cannot = tuple(np.searchsorted(rids, side) for side in decided["cannot"])
    component = linkage.components(len(rids), np.concatenate([left, must[0]]), np.concatenate([right, must[1]]))
    if is_everything:
        chosen = np.ones(len(rids), bool)
    else:
        seeds = connection.execute(
            "select rid from identity_loose union select left_rid from identity.decisions union "
            "select right_rid from identity.decisions"
        ).fetchnumpy()["rid"].astype(np.int64)  # fmt: skip
        at = np.searchsorted(rids, seeds)
        at = at[(at < len(rids)) & (rids[np.minimum(at, len(rids) - 1)] == seeds)] if len(rids) else at[:0]
        at = np.concatenate([at, *must, *cannot]).astype(np.int64)
        hit = np.zeros(len(rids), bool)
        hit[component[at]] = True
        chosen = hit[component] if len(rids) else np.zeros(0, bool)
    _remember_decisions(connection, decided)
    affected = rids[chosen]
    connection.register("identity_affected_rids", _frame(rid=affected))
    guard_fields = [guard.field for guard in matching.guards.distinct]
    values = "".join(f", {quote(name)} as g{number}" for number, name in enumerate(guard_fields))
    connection.execute(
        "create or replace temp table identity_affected as select rid, source, record_id, first_seen_on, is_active"
        f"{values}, row_number() over (order by first_seen_on, source, record_id) - 1 as position "
        "from identity.records semi join identity_affected_rids using (rid)"
    )
    connection.unregister("identity_affected_rids")
    wanted = ["rid", *(f"g{number}" for number in range(len(guard_fields)))]
    if matching.guards.one_active_account:
        wanted += ["source", "is_active"]
    told_columns = ", ".join(wanted)
    ordered = connection.execute(f"select {told_columns} from identity_affected order by position").to_arrow_table()
    n = len(affected)
    place = np.full(len(rids), -1, np.int64)
    nodes = ordered["rid"].to_numpy().astype(np.int64)
    place[np.searchsorted(rids, nodes)] = np.arange(n)
    inside = chosen[left]
    left, right, weight = left[inside], right[inside], weight[inside]
    if model is not None and matching.bands.complete:
        more = _complete(connection, matching, model, rids, component, chosen)
        left, right, weight = (np.concatenate([old, new]) for old, new in zip((left, right, weight), more, strict=True))
    a, b = place[left], place[right]
    links = linkage.Links(np.minimum(a, b), np.maximum(a, b), weight)
    limits = linkage.Limits(
        absent=round(matching.bands.absent * scoring.SCALE),
        join=round(matching.bands.automatic * scoring.SCALE),
        max_records=matching.guards.max_records,
        distinct=_limits(ordered, matching),
    )
    found = linkage.cluster(
        n, links, limits, must=(place[must[0]], place[must[1]]), cannot=(place[cannot[0]], place[cannot[1]])
    )
    _store_clusters(connection, nodes, found, links, matching, limits)


def _complete(
    connection: Connection,
    matching: Matching,
    model: Model,
    rids: np.ndarray,
    component: np.ndarray,
    chosen: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs inside small affected components that have no link of their own: positions and weights."""
    size = np.bincount(component, minlength=len(rids))[component]
    small = chosen & (size >= 3) & (size <= matching.bands.complete)
    connection.register("identity_component_rids", _frame(rid=rids[small], component=component[small]))
    connection.execute("create or replace temp table identity_component as select * from identity_component_rids")
    connection.unregister("identity_component_rids")
    connection.register("identity_chosen_rids", _frame(rid=rids[chosen]))
    connection.execute(
        # What was compared while two records shared a component says nothing once they don't.
        "delete from identity.links where is_completed and left_rid in (select rid from identity_chosen_rids) "
        "and (left_rid, right_rid) not in (select (l.rid, r.rid) from identity_component as l "
        "join identity_component as r on l.component = r.component and l.rid < r.rid)"
    )
    connection.unregister("identity_chosen_rids")
    scoring.complete(connection, matching, model, "identity_component")
    found = connection.execute(
        "select k.left_rid, k.right_rid, k.weight from identity.links as k "
        "join identity_component as l on l.rid = k.left_rid join identity_component as r on r.rid = k.right_rid "
        "where k.is_completed and l.component = r.component"
    ).fetchnumpy()
    left, right = (np.searchsorted(rids, found[name].astype(np.int64)) for name in ("left_rid", "right_rid"))
    return left, right, found["weight"].astype(np.int64)


def _limits(ordered: pa.Table, matching: Matching) -> tuple[linkage.DistinctLimit, ...]:
    """The guards as codes per node: one for each distinct value, and one for the sources with one account."""
    limits = []
    for number, guard in enumerate(matching.guards.distinct):
        spec = matching.fields[guard.field]
        codes, values = _codes(ordered[f"g{number}"].to_pandas().to_numpy())
        counter = _count_dates(values) if spec.kind == "date" else len
        limits.append(linkage.DistinctLimit(codes, guard.at_most, counter))
    if matching.guards.one_active_account:
        sources, active = ordered["source"].to_pandas().to_numpy(), ordered["is_active"].to_numpy().astype(bool)
        for name in matching.guards.one_active_account:
            held = (np.asarray(sources, dtype=object) == name) & active
            codes = np.where(held, np.arange(len(held)), -1).astype(np.int64)
            limits.append(linkage.DistinctLimit(codes, 1, len))
    return tuple(limits)


def guard_name(code: int, matching: Matching) -> str | None:
    """What a guard's code stands for, for people."""
    if code == linkage.NO_GUARD:
        return None
    if code == linkage.STEWARD:
        return "steward"
    if code == linkage.SIZE:
        return "max_records"
    number = code - linkage.FIRST_DISTINCT
    if number < len(matching.guards.distinct):
        return f"distinct {matching.guards.distinct[number].field}"
    return f"one_active_account {matching.guards.one_active_account[number - len(matching.guards.distinct)]}"


def _codes(values: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """A number per distinct value, -1 for none; and the values."""
    import pandas as pd

    numbers, names = pd.factorize(pd.array(values, dtype="string"), use_na_sentinel=True)
    return numbers.astype(np.int64), [str(name) for name in names]


def _count_dates(values: list[str]) -> Callable[[Sequence[int]], int]:
    return lambda codes: near_dates.count_different(values[code] for code in codes)


def _decided_rids(connection: Connection, settled: decisions.Settled) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    found = {}
    for kind, pairs in (("must", settled.must), ("cannot", settled.cannot)):
        if not pairs:
            found[kind] = _NO_PAIRS
            continue
        connection.execute(
            "create or replace temp table identity_pairs_decided as select unnest(?::varchar[]) as ls, "
            "unnest(?::varchar[]) as lr, unnest(?::varchar[]) as rs, unnest(?::varchar[]) as rr",
            [[p[0][0] for p in pairs], [p[0][1] for p in pairs], [p[1][0] for p in pairs], [p[1][1] for p in pairs]],
        )
        rows = connection.execute(
            "select l.rid as l, r.rid as r from identity_pairs_decided join identity.records as l on l.source = ls "
            "and l.record_id = lr join identity.records as r on r.source = rs and r.record_id = rr order by 1, 2"
        ).fetchnumpy()
        found[kind] = (rows["l"].astype(np.int64), rows["r"].astype(np.int64))
    return found


def _remember_decisions(connection: Connection, decided: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    connection.execute("delete from identity.decisions")
    for kind, (left, right) in decided.items():
        if len(left):
            connection.register("identity_decided_rids", _frame(left_rid=left, right_rid=right))
            connection.execute(
                "insert into identity.decisions select left_rid, right_rid, ? from identity_decided_rids", [kind]
            )
            connection.unregister("identity_decided_rids")


def _store_clusters(
    connection: Connection, nodes: np.ndarray, found: linkage.Clustering, links: linkage.Links, matching: Matching,
    limits: linkage.Limits,
) -> None:  # fmt: skip
    stale = "select rid from identity_gone union all select rid from identity_affected"
    connection.execute(f"delete from identity.clusters where rid in ({stale})")
    connection.execute(f"delete from identity.pending where left_rid in ({stale}) or right_rid in ({stale})")
    connection.register("identity_found", _frame(rid=nodes, cluster=nodes[found.label] if len(nodes) else nodes))
    connection.execute("insert into identity.clusters select rid, cluster from identity_found")
    connection.unregister("identity_found")
    between = found.between
    best = between.best
    if not len(best):
        return
    review = round(matching.bands.review * scoring.SCALE)
    keep = (links.weight[best] >= review) & (between.guard != linkage.STEWARD)
    guards = [guard_name(int(code), matching) for code in between.guard[keep]]
    connection.register(
        "identity_between",
        _frame(
            left_rid=nodes[links.left[best[keep]]],
            right_rid=nodes[links.right[best[keep]]],
            weight=links.weight[best[keep]],
            average=between.average[keep],
            guard=np.array(guards, dtype=object),
        ),
    )
    connection.execute(
        "insert into identity.pending select least(left_rid, right_rid), greatest(left_rid, right_rid), "
        "cast(weight as integer), cast(average as integer), "
        "cast(guard as varchar) from identity_between"
    )
    connection.unregister("identity_between")


def _frame(**columns: np.ndarray) -> pa.Table:
    return pa.table(
        {
            name: pa.array(values.tolist(), pa.string()) if values.dtype == object else pa.array(values)
            for name, values in columns.items()
        }
    )


def _drop_scratch(connection: Connection) -> None:
    """Temporary tables and views would outlive the step on a shared connection."""
    for kind in ("view", "table"):
        found = connection.execute(
            f"select {kind}_name from duckdb_{kind}s() where temporary and {kind}_name like 'identity\\_%' escape '\\'"
        ).fetchall()
        for (name,) in found:
            connection.execute(f"drop {kind} if exists temp.main.{quote(name)}")


__all__ = ["IdentityReport", "fields", "guard_name", "resolve"]
