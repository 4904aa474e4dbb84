"""Two records side by side: field by field, rule by rule, what speaks for one person and what against.

What belongs here: a comparison made anew from the build's working tables, also of pairs that were never linked. What
does not: what became of the pair in the last run (`explain`), printing.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field

from orchestration.contracts.matching import Matching, RuleSpec
from orchestration.identity import fields
from orchestration.identity.model import Model
from orchestration.identity.records import blocks
from orchestration.identity.scoring import SCALE, asked_fields, needed_columns, scored_query
from orchestration.identity.stored_model import find_model
from orchestration.settings import Workspace
from orchestration.warehouse import Connection, quote

RecordKey = tuple[str, str]


@dataclass(frozen=True)
class FieldTold:
    """How one field compares: the name of the level, and the bits it adds or takes away (None: not in the model)."""

    field: str
    level: str
    bits: float | None


@dataclass(frozen=True)
class Comparison:
    """`rules`: those that hold; `failed`: of each other rule, the first thing that is missing."""

    fields: tuple[FieldTold, ...]
    rules: tuple[str, ...]
    failed: dict[str, str] = field(default_factory=dict)
    veto: str | None = None
    weight: float | None = None
    shared_keys: tuple[str, ...] = ()  # blocking keys in common
    capped_keys: tuple[str, ...] = ()  # of these, those that too many records share to be looked at


def compare_records(
    connection: Connection,
    workspace: Workspace,
    matching: Matching,
    left: RecordKey,
    right: RecordKey,
    *,
    as_of_on: dt.date,
) -> Comparison | None:
    """`compare`, with the model that a run of `as_of_on` would use."""
    return compare(connection, matching, find_model(connection, workspace, matching, as_of_on=as_of_on), left, right)


def compare(
    connection: Connection, matching: Matching, model: Model | None, left: RecordKey, right: RecordKey
) -> Comparison | None:
    """Compare two living records of a build; None when one of them is not there.

    Reads `identity.records`, `block_keys`, `capped_blocks` and `frequencies` as the last run left them; writes only
    temporary tables.
    """
    rids = []
    for source, record_id in (left, right):
        row = connection.execute(
            "select rid from identity.records where source = ? and record_id = ?", [source, record_id]
        ).fetchone()
        if row is None:
            return None
        rids.append(int(row[0]))
    low, high = sorted(rids)
    pair = f"(select cast({low} as bigint) as left_rid, cast({high} as bigint) as right_rid)"
    scored = connection.execute(
        f"select rules, weight, veto, field_weights from ({scored_query(matching, model, pair)})"
    ).fetchone()
    assert scored is not None
    rules, weight, veto, bits = scored
    told_bits = json.loads(bits)
    levels = _levels(connection, matching, pair)
    told = tuple(
        FieldTold(name, _level_name(name, number, matching), told_bits.get(name) if number >= 0 else None)
        for name, number in levels.items()
    )
    holding = tuple(rule.rule for number, rule in enumerate(matching.rules) if rules & (1 << number))
    failed = {rule.rule: _missing(rule, levels, matching) for rule in matching.rules if rule.rule not in holding}
    keys = connection.execute(
        "select distinct a.block, c.block is not null from identity.block_keys as a join identity.block_keys as b "
        "on b.block = a.block and b.value = a.value left join identity.capped_blocks as c on c.block = a.block "
        f"and c.value = a.value where a.rid = {low} and b.rid = {high} order by 1, 2"
    ).fetchall()
    named = [" + ".join(key) for key in blocks(matching)]
    return Comparison(
        told, holding, failed, veto, None if weight is None else weight / SCALE,
        tuple(dict.fromkeys(named[block] for block, _ in keys)),
        tuple(named[block] for block, is_capped in keys if is_capped),
    )  # fmt: skip


def _levels(connection: Connection, matching: Matching, pair: str) -> dict[str, int]:
    """The level of every field that rules, vetoes or the model ask about."""
    asked = asked_fields(matching)
    both = "".join(
        f', l.{quote(name)} as "{name}_l", r.{quote(name)} as "{name}_r"' for name in needed_columns(matching)
    )
    answers = ", ".join(fields.level_expression(name, matching) for name in asked)
    row = connection.execute(
        f"select {answers} from (select p.left_rid{both} from {pair} as p join identity.records as l "
        "on l.rid = p.left_rid join identity.records as r on r.rid = p.right_rid)"
    ).fetchone()
    assert row is not None
    return dict(zip(asked, row, strict=True))


def _level_name(name: str, number: int, matching: Matching) -> str:
    found = fields.levels(name, matching)
    if number < 0:
        return "absent on one side"
    return found[number].name if number < len(found) else "contradicts"


def _missing(rule: RuleSpec, levels: dict[str, int], matching: Matching) -> str:
    """The first condition of a rule that does not hold, in words."""

    def parts(name: str) -> list[str]:
        spec = matching.fields[name]
        return [part for part in (spec.given, spec.family) if part] if spec.kind == "person_name" else [name]

    def level(part: str) -> fields.Level | None:
        found = fields.levels(part, matching)
        return found[levels[part]] if 0 <= levels[part] < len(found) else None

    for name in (*rule.equal, *rule.sole):
        for part in parts(name):
            found = level(part)
            if found is None or found.name not in ("the same", "in common"):
                return f"{part}: {_level_name(part, levels[part], matching)}, should be the same"
    for name in rule.agree:
        for part in parts(name):
            found = level(part)
            if found is None or not (found.agrees or found.name == fields.SWAPPED):
                return f"{part}: {_level_name(part, levels[part], matching)}, should agree"
    for name in rule.no_conflict:
        for part in parts(name):
            found = level(part)
            if levels[part] >= 0 and (found is None or found.contradicts):
                return f"{part} contradicts"
    return f"{', '.join(rule.sole)}: known under more than one given name" if rule.sole else "its fields do not agree"
