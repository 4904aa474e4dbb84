"""Who is in, since when and why; who came and who went: `members`, `changes` and `history` of schema segments.

What belongs here: holding the memberships of a run against the stays that the registry knows. What does not:
who satisfies a rule (`evaluation`), the registry itself, sizes (`materialise`).

Seven million memberships are held against as many stays by row numbers, a segment at a time, and written in a few
large pieces: joins over texts, and two hundred small inserts, cost several times as much as the rules themselves.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from orchestration.segments.compiler import Compiled, member_column
from orchestration.segments.evaluation import Evaluated
from orchestration.warehouse import Connection, literal

#: Memberships that are written at once.
_PIECE_ROWS = 1_000_000
_NEVER = np.iinfo(np.int32).max
_EPOCH = dt.date(1970, 1, 1)


@dataclass
class Moves:
    """Counts by segment of what `write` wrote."""

    entered: dict[str, int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    controls: dict[str, int] = field(default_factory=dict)


def read_stays(connection: Connection, known: str, merged: str, as_of_on: dt.date, chosen: list[str] | None) -> None:
    """temp.stays__: every stay that runs up to this one saw, one row per segment, customer and entry.

    `known`: a select of the registry's changes; `merged`: of (customer_id, current_customer_id) that differ.
    temp.inherited__: stays that go on under another key or day: those of customers who became part of another, and
    those that an earlier run of this very date had closed.
    """
    listing = ", ".join(literal(name) for name in chosen or ()) or "''"
    rows = f"(select * from ({known}){f' where segment in ({listing})' if chosen is not None else ''})"
    keys = "segment, customer_id, entered_on"
    # Most stays were never left: only those that were, ever, have several rows to be counted together.
    connection.execute(
        f"create or replace temp table left__ as select distinct {keys} from {rows} where change = 'left'"
    )
    connection.execute(
        f"""
        create or replace temp table stays__ as
        select {keys}, true as is_open, cast(null as date) as left_on
        from {rows} anti join left__ using ({keys})
        union all
        select
            {keys},
            sum(case when change = 'entered' then 1 else -1 end) > 0 as is_open,
            max(case when change = 'left' then as_of_on end) as left_on
        from {rows} semi join left__ using ({keys})
        group by {keys}
        """
    )
    connection.execute("drop table temp.left__")
    connection.execute(
        f"""
        create or replace temp table inherited__ as
        select segment, customer_id, min(entered_on) as entered_on, max(is_merged) = 1 as is_merged
        from (
            select stays__.segment, merged.current_customer_id as customer_id, stays__.entered_on, 1 as is_merged
            from stays__
            inner join ({merged}) as merged on merged.customer_id = stays__.customer_id
            where stays__.is_open
            union all
            select segment, customer_id, entered_on, 0 from stays__ where not is_open and left_on = date '{as_of_on}'
        )
        group by segment, customer_id
        """
    )


def write(
    connection: Connection, evaluated: Evaluated, compiled: Compiled, chosen: list[str], causes: dict[str, str],
    as_of_on: dt.date, *, is_whole: bool,
) -> Moves:  # fmt: skip
    """Fill segments.members, .changes and .history for `chosen`.

    `causes`: why whoever enters or leaves a segment does so: first, data or rule.
    """
    moves = Moves()
    has_stays = connection.execute("select 1 from temp.stays__ limit 1").fetchone() is not None
    numbers = pa.table({"number": pa.array(range(len(chosen)), pa.int16()), "segment": pa.array(chosen, pa.string())})
    places = pa.table({
        "customer_id": evaluated.table.column("customer_id"),
        "place": pa.array(np.arange(evaluated.count, dtype=np.int32)),
    })  # fmt: skip
    connection.register("numbers__", numbers)
    connection.register("places__", places)
    stays = _by_segment(connection, "select * from temp.stays__ where is_open", len(chosen))
    inherited = _by_segment(connection, "select * from temp.inherited__", len(chosen), more="is_merged")
    pieces = _Pieces(connection, evaluated, compiled, chosen, causes, writes_history=not has_stays)
    today = (as_of_on - _EPOCH).days
    since, heir = (np.full(evaluated.count, _NEVER, np.int32) for _ in range(2))
    is_merged = np.zeros(evaluated.count, np.bool_)
    for number, name in enumerate(chosen):
        holds = evaluated.holds(member_column(name))
        members = np.flatnonzero(holds)
        stay_places, stay_days = stays[number][:2]
        heir_places, heir_days, heir_merged = inherited[number]
        since[stay_places], heir[heir_places], is_merged[heir_places] = stay_days, heir_days, heir_merged
        known = since[members]
        days = np.minimum(known, heir[members])
        days[days == _NEVER] = today
        is_new = known == _NEVER
        gone = ~holds[stay_places]
        moves.entered[name] = int(is_new.sum())
        moves.left[name] = int(gone.sum())
        pieces.add(number, members, days, is_new, is_merged[members] & is_new)
        pieces.add_left(number, stay_places[gone], stay_days[gone])
        since[stay_places], heir[heir_places], is_merged[heir_places] = _NEVER, _NEVER, False
    pieces.finish()
    moves.controls = pieces.controls
    _write_gone(connection, chosen, moves)
    for table in ("numbers__", "places__"):
        connection.unregister(table)
    if has_stays:
        _write_history(connection, chosen, as_of_on, is_whole=is_whole)
    return moves


def _by_segment(connection: Connection, stays: str, count: int, more: str = "true") -> list[tuple[np.ndarray, ...]]:
    """Of each segment: the places of the customers, the days they entered, and `more`."""
    found = connection.execute(
        f"select numbers.number, places.place, stays.entered_on, {more} as more from ({stays}) as stays "
        "inner join numbers__ as numbers on numbers.segment = stays.segment "
        "inner join places__ as places on places.customer_id = stays.customer_id"
    ).to_arrow_table()
    number = found.column("number").to_numpy()
    order = np.argsort(number, kind="stable")
    bounds = np.searchsorted(number[order], np.arange(count + 1))
    day = found.column("entered_on").cast(pa.int32())
    columns = [column.to_numpy()[order] for column in (found.column("place"), day, found.column("more"))]
    return [tuple(column[bounds[n] : bounds[n + 1]] for column in columns) for n in range(count)]


class _Pieces:
    """Memberships gathered until they are worth a statement."""

    def __init__(
        self, connection: Connection, evaluated: Evaluated, compiled: Compiled, chosen: list[str],
        causes: dict[str, str], *, writes_history: bool,
    ) -> None:  # fmt: skip
        self.connection = connection
        self.evaluated = evaluated
        self.compiled = compiled
        self.chosen = pa.array(chosen, pa.string())
        self.names = chosen
        self.causes = causes
        self.writes_history = writes_history
        self.held: list[tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
        self.held_rows = 0
        self.left: list[tuple[int, np.ndarray, np.ndarray]] = []
        self.parts: list[pa.Table] = []
        self.controls: dict[str, int] = {}

    def add(
        self, number: int, members: np.ndarray, days: np.ndarray, is_new: np.ndarray, is_merged: np.ndarray
    ) -> None:
        if len(members):
            self.held.append((number, members, days, is_new, is_merged))
            self.held_rows += len(members)
            if self.held_rows >= _PIECE_ROWS:
                self.write()

    def add_left(self, number: int, places: np.ndarray, days: np.ndarray) -> None:
        if len(places):
            self.left.append((number, places, days))

    def finish(self) -> None:
        self.write()
        if self.left:
            number = np.concatenate([np.full(len(places), n, np.int16) for n, places, _ in self.left])
            ids = self.evaluated.table.column("customer_id").take(
                pa.array(np.concatenate([one[1] for one in self.left]))
            )
            days = np.concatenate([days for *_, days in self.left])
            self._insert_changes(number, ids, days, np.zeros(len(days), np.bool_), "left")

    def write(self) -> None:
        if not self.held:
            return
        told = self._reasons()
        ids = pa.chunked_array([chunk for part in self.parts for chunk in part.column("customer_id").chunks])
        number = np.concatenate([np.full(len(held[1]), held[0], np.int16) for held in self.held])
        days, is_new, is_merged = (np.concatenate([held[place] for held in self.held]) for place in (2, 3, 4))
        members = pa.table({
            "segment": self._named(number), "customer_id": ids, "entered_on": _dates(days),
            "is_control": told.column("is_control"), "reason": told.column("reason"),
        })  # fmt: skip
        self._insert("members", members)
        controls = np.bincount(number[told.column("is_control").to_numpy()], minlength=len(self.names))
        for held in self.held:
            self.controls[self.names[held[0]]] = int(controls[held[0]])
        if is_new.any():
            if not is_new.all():
                ids, number, days, is_merged = (
                    ids.filter(pa.array(is_new)),
                    number[is_new],
                    days[is_new],
                    is_merged[is_new],
                )
            self._insert_changes(number, ids, days, is_merged, "entered")
            if self.writes_history:
                history = {"segment": self._named(number), "customer_id": ids, "entered_on": _dates(days)}
                self._insert("history", pa.table(history))
        self.held, self.held_rows, self.parts = [], 0, []

    def _reasons(self) -> pa.Table:
        """reason, is_control of the memberships held, in their order."""
        self.parts = []
        selects = []
        for index, (number, members, *_) in enumerate(self.held):
            name = self.names[number]
            reason, control = self.compiled.reasons[name], self.compiled.controls.get(name, "false")
            asked = reason + control
            used = [column for column in self.evaluated.table.column_names if column in asked]
            part = self.evaluated.table.select(list(dict.fromkeys(("customer_id", *used)))).take(pa.array(members))
            self.parts.append(part)
            self.connection.register(f"part__{index}", part)
            selects.append(f"select {reason} as reason, {control} as is_control from part__{index}")
        told = self.connection.execute(" union all ".join(selects)).to_arrow_table()
        for index in range(len(self.held)):
            self.connection.unregister(f"part__{index}")
        return told

    def _insert_changes(
        self, number: np.ndarray, ids: pa.ChunkedArray, days: np.ndarray, is_merged: np.ndarray, change: str
    ) -> None:
        words = ("first", "data", "rule", "merged")
        own = np.array([words.index(self.causes[name]) for name in self.names], np.int8)[number]
        cause = np.where(is_merged, np.int8(words.index("merged")), own)
        self._insert("changes", pa.table({
            "segment": self._named(number), "customer_id": ids,
            "change": _worded(np.zeros(len(number), np.int8), pa.array([change])), "entered_on": _dates(days),
            "cause": _worded(cause, pa.array(words)),
        }))  # fmt: skip

    def _insert(self, table: str, rows: pa.Table) -> None:
        self.connection.register("piece__", rows)
        names = ", ".join(rows.column_names)
        self.connection.execute(f"insert into segments.{table} ({names}) select {names} from piece__")
        self.connection.unregister("piece__")

    def _named(self, number: np.ndarray) -> pa.DictionaryArray:
        return _worded(number, self.chosen)


def _worded(number: np.ndarray, words: pa.Array) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(number), words)


def _dates(days: np.ndarray) -> pa.Array:
    return pa.array(days, pa.int32()).cast(pa.date32())


def _write_gone(connection: Connection, chosen: list[str], moves: Moves) -> None:
    """Exits of customers and of segments that are no more."""
    connection.execute(
        """
        insert into segments.changes
        select stays.segment, stays.customer_id, 'left', stays.entered_on,
            case when places.customer_id is null then 'merged' else 'retired' end
        from temp.stays__ as stays
        left join places__ as places on places.customer_id = stays.customer_id
        left join numbers__ as numbers on numbers.segment = stays.segment
        where stays.is_open and (places.customer_id is null or numbers.segment is null)
        """
    )
    for segment, count in connection.execute(
        "select segment, count(*) from segments.changes where change = 'left' and cause = 'merged' group by segment"
    ).fetchall():
        if segment in moves.left:
            moves.left[segment] += count


def _write_history(connection: Connection, chosen: list[str], as_of_on: dt.date, *, is_whole: bool) -> None:
    """segments.history: every stay, open ones with no `left_on`; a stay of no day is none."""
    listing = ", ".join(literal(name) for name in chosen) or "''"
    where = "" if is_whole else f"where segment in ({listing})"
    connection.execute(
        f"""
        insert into segments.history
        with moves as (
            select segment, customer_id, entered_on, case when change = 'entered' then 1 else -1 end as net,
                case when change = 'left' then date '{as_of_on}' end as left_on
            from segments.changes
            {where}
        ),
        -- Few stays are touched by a run: the others are copied as they are.
        touched as (
            select segment, customer_id, entered_on, sum(net) as net, max(left_on) as left_on
            from moves
            group by segment, customer_id, entered_on
        ),
        folded as (
            select
                stays.segment, stays.customer_id, stays.entered_on,
                case when stays.is_open then 1 else 0 end + coalesce(touched.net, 0) > 0 as is_open,
                greatest(stays.left_on, touched.left_on) as left_on
            from stays__ as stays
            left join touched
                on touched.segment = stays.segment and touched.customer_id = stays.customer_id
                and touched.entered_on = stays.entered_on
            union all
            select touched.segment, touched.customer_id, touched.entered_on, touched.net > 0, touched.left_on
            from touched
            left join stays__ as stays
                on stays.segment = touched.segment and stays.customer_id = touched.customer_id
                and stays.entered_on = touched.entered_on
            where stays.segment is null
        )
        select segment, customer_id, entered_on, case when not is_open then left_on end
        from folded
        where is_open or left_on > entered_on
        """
    )
