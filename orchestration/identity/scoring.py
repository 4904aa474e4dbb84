"""Candidate pairs and their scores: one SQL pass that evaluates every rule and every comparison.

What belongs here: SQL over `identity.records`, `block_keys` and a model. What does not: how a model is made
(`training`), what becomes of the scores (`linkage`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from orchestration.contracts.matching import Matching, RuleSpec, VetoSpec
from orchestration.identity import fields
from orchestration.identity.model import Model
from orchestration.identity.records import blocks
from orchestration.warehouse import Connection, literal, quote

#: Weights are kept as whole thousandths of a bit: sums are exact in any order.
SCALE = 1000


@dataclass(frozen=True)
class Compared:
    """How many pairs were looked at, and how many were kept as links."""

    candidates: int
    links: int


def _rule_condition(rule: RuleSpec, matching: Matching) -> str:
    tests = [fields.equal(name, matching) for name in rule.equal]
    tests += [f"s_{name}" for name in rule.sole]
    tests += [fields.agree(name, matching) for name in rule.agree]
    tests += [f"not {fields.conflict(name, matching)}" for name in rule.no_conflict]
    return " and ".join(tests)


def _veto_condition(veto: VetoSpec, matching: Matching) -> str:
    tests = [fields.conflict(name, matching) for name in veto.conflict]
    tests += [f"not {fields.told(name, matching)}" for name in veto.unsure]
    tests += [f"not {fields.equal(name, matching)}" for name in veto.unless_equal]
    tests += [f"not s_{name}" for name in veto.unless_sole]
    tests += [f"not (h_{name} <= {fields.half_bits(limit)} and {fields.equal(name, matching)})"
              for name, limit in veto.unless_rare.items()]  # fmt: skip
    return " and ".join(tests)


def asked_fields(matching: Matching) -> list[str]:
    """The fields that rules, vetoes and comparisons ask about."""
    names = {name for rule in matching.rules for name in (*rule.equal, *rule.sole, *rule.agree, *rule.no_conflict)}
    names |= {comparison.field for comparison in matching.model.comparisons}
    for veto in matching.vetoes:
        names |= {*veto.conflict, *veto.unsure, *veto.unless_equal, *veto.unless_sole, *veto.unless_rare}
    return fields.asked(names, matching)


def needed_columns(matching: Matching) -> list[str]:
    """The columns of `identity.records` that rules, vetoes and comparisons read."""
    sole = {f"{name}__sole" for name in fields.sole_fields(matching)}
    rare = {f"{name}__homonyms" for name in fields.rare_fields(matching)}
    rare |= {f"{name}__rarity" for name in fields.rarity_fields(matching)}
    return sorted({*fields.pair_columns(set(asked_fields(matching)), matching), *sole, *rare})


def _weight_expression(name: str, model: Model, matching: Matching) -> str:
    """The weight of one comparison, in thousandths of a bit, over the numbers of the levels."""
    comparison = model.comparison(name)
    counted = fields.rarity_fields(matching)
    cases = ["when -1 then 0"]
    for number, level in enumerate(comparison.levels):
        weight = str(level.weight)
        if name in counted and level.takes_frequency:
            weight = f"{level.certain} + {SCALE // 2} * r_{name}"
        elif name in counted and level.name == fields.SWAPPED:
            # As if the names were the same, but for the exchange, which the given name's comparison takes into account.
            certain = level.certain if matching.fields[name].kind == "given_name" else 0
            weight = f"least({level.weight}, {certain} + {SCALE // 2} * r_{name})"
        elif name in counted and level.agrees:
            # Near values of a common one are found by chance more often than it is itself.
            weight = f"least({level.weight}, {SCALE // 2} * r_{name} - {SCALE})"
        elif level.takes_frequency and comparison.frequencies is not None:
            weight = f"{level.weight} + coalesce(f_{name}, {comparison.frequencies.default})"
        cases.append(f"when {number} then {weight}")
    return f"case g_{name} {' '.join(cases)} else {comparison.otherwise} end"


def scored_query(matching: Matching, model: Model | None, pairs: str, records: str = "identity.records") -> str:
    """A select of left_rid, right_rid, rules (a bit per rule), weight, evidence, veto, field_weights.

    `pairs`: a table or query with left_rid and right_rid; `records`: a table that holds their records. A pair that a rule joins weighs at least what the rule says,
    one that a veto concerns at most what the veto says; without a model, pairs that no rule joins weigh nothing (null).
    `evidence`: the weight without that of two random records.
    """
    columns = needed_columns(matching)
    both = "".join(f', l.{quote(name)} as "{name}_l", r.{quote(name)} as "{name}_r"' for name in columns)
    bits = " + ".join(
        f"case when {_rule_condition(rule, matching)} then {1 << number} else 0 end"
        for number, rule in enumerate(matching.rules)
    )
    floors = [
        f"case when (rules & {1 << number}) > 0 then {round(rule.weight * SCALE)} end"
        for number, rule in enumerate(matching.rules)
    ]
    vetoes = " ".join(
        f"when {_veto_condition(veto, matching)} then {number}" for number, veto in enumerate(matching.vetoes)
    )
    caps = " ".join(f"when {number} then {round(veto.weight * SCALE)}" for number, veto in enumerate(matching.vetoes))
    names = " ".join(f"when {number} then {literal(veto.veto)}" for number, veto in enumerate(matching.vetoes))
    compared = [comparison.field for comparison in matching.model.comparisons] if model else []
    weights = "".join(f", {_weight_expression(name, model, matching)} as w_{name}" for name in compared if model)
    counted = fields.rarity_fields(matching)
    frequent = [
        name for name in compared if model and name not in counted and model.comparison(name).frequencies is not None
    ]
    both += "".join(f", f_{name}.adjustment as f_{name}" for name in frequent)
    joins = "".join(
        f" left join (select value, adjustment from identity.frequencies where field = {literal(name)}) as f_{name} "
        f"on f_{name}.value = l.{quote(name)}"
        for name in frequent
    )
    asked = asked_fields(matching)
    answers = "".join(f", {fields.level_expression(name, matching)} as g_{name}" for name in asked)
    answers += "".join(
        f", coalesce({fields.sole(name, matching)}, false) as s_{name}" for name in fields.sole_fields(matching)
    )
    answers += "".join(f", {fields.homonyms(name)} as h_{name}" for name in fields.rare_fields(matching))
    answers += "".join(f", f_{name}" for name in frequent)
    # Where the values differ, that of the commoner one.
    answers += "".join(f', least("{name}__rarity_l", "{name}__rarity_r") as r_{name}' for name in counted if model)
    evidence = " + ".join(f"w_{name}" for name in compared) if compared else "cast(null as integer)"
    prior = f"{_prior(matching, model)}" if model else "0"
    told = (
        "concat('{', concat_ws(', ', "
        + ", ".join(f"'\"{name}\": ' || round(w_{name} / {SCALE}.0, 2)" for name in compared)
        + "), '}')"
        if compared
        else "'{}'"
    )
    cap = f"case vetoed {caps} else {1 << 30} end" if caps else f"{1 << 30}"
    return (
        f"with pair as (select p.left_rid, p.right_rid{both} from {pairs} as p "
        f"join {records} as l on l.rid = p.left_rid join {records} as r on r.rid = p.right_rid{joins}), "
        f"facts as (select left_rid, right_rid{answers} from pair), "
        # Materialised: else a filter on the weight is pushed below, and every comparison is made twice.
        f"judged as materialized (select left_rid, right_rid, {bits or '0'} as rules, "
        f"{f'case {vetoes} else -1 end' if vetoes else '-1'} as vetoed{weights} from facts), "
        f"summed as (select *, {evidence} as told, greatest({', '.join([*floors, 'null', 'null'])}) as floor, "
        f"{cap} as cap from judged) "
        "select left_rid, right_rid, cast(rules as ubigint) as rules, "
        f"cast(case when told is null and floor is null then null else least(greatest(told + ({prior}), floor), "
        "cap) end as integer) as weight, "
        "cast(least(told, cap) as integer) as evidence, "
        f"{f'case vetoed {names} end' if names else 'cast(null as varchar)'} as veto, {told} as field_weights "
        "from summed"
    )


def _prior(matching: Matching, model: Model) -> str:
    """The weight of two random records: each record has so many of its own person, among ever more of others."""
    if matching.model.frequencies_from != "records" or not model.records:
        return str(model.prior)
    then = math.floor(2 * math.log2(model.records))
    now = "(select half_bits from identity.name_counts where field = '')"
    return f"{model.prior} + {SCALE // 2} * ({then} - coalesce({now}, {then}))"


def score(connection: Connection, matching: Matching, model: Model | None, *, is_rebuild: bool) -> Compared:
    """Bring `identity.links` up to date with `identity_gone` and `identity_new`.

    `identity_loose` afterwards holds the rids that lost or gained a link: their components change.
    """
    load_frequencies(connection, model)
    if not is_rebuild and not _count(connection, "identity_new") and not _count(connection, "identity_gone"):
        connection.execute("create or replace temp table identity_loose (rid bigint)")
        return Compared(0, _count(connection, "identity.links"))
    connection.execute(
        "create or replace temp view identity_usable as select block, value, rid from identity.block_keys "
        "anti join identity.capped_blocks using (block, value)"
    )
    if is_rebuild:
        connection.execute("delete from identity.links")
        connection.execute("create or replace temp table identity_loose as select rid from identity.records")
        query = (
            "select distinct l.rid as left_rid, r.rid as right_rid from identity_usable as l "
            "join identity_usable as r on l.block = r.block and l.value = r.value and l.rid < r.rid"
        )
    else:
        connection.execute(
            "create or replace temp table identity_loose as select rid from identity_new union "
            "select left_rid from identity.links where right_rid in (select rid from identity_gone) union "
            "select right_rid from identity.links where left_rid in (select rid from identity_gone)"
        )
        connection.execute(
            "delete from identity.links where left_rid in (select rid from identity_gone) "
            "or right_rid in (select rid from identity_gone)"
        )
        query = (
            "select distinct least(l.rid, r.rid) as left_rid, greatest(l.rid, r.rid) as right_rid "
            "from (select * from identity_usable semi join identity_new using (rid)) as l "
            "join identity_usable as r on l.block = r.block and l.value = r.value and l.rid <> r.rid"
        )
    connection.execute(f"create or replace temp table identity_pairs as {query}")
    edge = round(matching.bands.edge * SCALE)
    records = "identity.records" if is_rebuild else _sides(connection, matching, "identity_pairs")
    connection.execute(
        "insert into identity.links select left_rid, right_rid, rules, weight, veto, field_weights, false "
        f"from ({scored_query(matching, model, 'identity_pairs', records)}) where weight >= {edge}"
    )
    candidates = _count(connection, "identity_pairs")
    links = _count(connection, "identity.links")
    connection.execute("drop view identity_usable")
    connection.execute("drop table identity_pairs")
    return Compared(candidates, links)


def _sides(connection: Connection, matching: Matching, pairs: str) -> str:
    """A table with what comparisons read of the records of few pairs: one reading of all records, not two."""
    columns = "".join(f", {quote(name)}" for name in needed_columns(matching))
    connection.execute(
        f"create or replace temp table identity_sides as select rid{columns} from identity.records "
        f"semi join (select left_rid as rid from {pairs} union all select right_rid from {pairs}) using (rid)"
    )
    return "identity_sides"


def complete(connection: Connection, matching: Matching, model: Model, components: str) -> int:
    """Compare the pairs inside small components that blocking did not bring together.

    `components`: a table of rid and component, of the affected records. Such a pair counts by its evidence alone, at
    most nothing and at least `absent`: that two records have no field in common does not speak against them.
    """
    edge, absent = round(matching.bands.edge * SCALE), round(matching.bands.absent * SCALE)
    connection.execute(
        "create or replace temp table identity_missing as with sized as ("
        f"select component from {components} group by component having count(*) between 3 and "
        f"{matching.bands.complete}), "
        f"inside as (select rid, component from {components} semi join sized using (component)) "
        "select l.rid as left_rid, r.rid as right_rid from inside as l join inside as r "
        "on l.component = r.component and l.rid < r.rid "
        "anti join identity.links as k on k.left_rid = l.rid and k.right_rid = r.rid"
    )
    connection.execute(
        "insert into identity.links select left_rid, right_rid, rules, "
        f"case when weight >= {edge} then weight else greatest(least(evidence, 0), {absent}) end, veto, "
        "field_weights, true "
        f"from ({scored_query(matching, model, 'identity_missing', _sides(connection, matching, 'identity_missing'))})"
    )
    found = _count(connection, "identity_missing")
    connection.execute("drop table identity_missing")
    return found


def load_frequencies(connection: Connection, model: Model | None) -> None:
    """`identity.frequencies`: what the rarity of a common value adds to a match, from the model."""
    connection.execute(
        "create or replace table identity.frequencies (field varchar, value varchar, adjustment integer)"
    )
    if model is None:
        return
    found = [
        (comparison.field, value, adjustment)
        for comparison in model.comparisons
        if comparison.frequencies is not None
        for value, adjustment in sorted(comparison.frequencies.adjustments.items())
    ]
    if found:
        columns: list[list[object]] = [list(column) for column in zip(*found, strict=True)]
        connection.execute(
            "insert into identity.frequencies select unnest(?::varchar[]), unnest(?::varchar[]), unnest(?::integer[])",
            columns,
        )


def block_name(matching: Matching, number: int) -> str:
    """A blocking key as a person reads it."""
    return " + ".join(blocks(matching)[number])


def _count(connection: Connection, table: str) -> int:
    row = connection.execute(f"select count(*) from {table}").fetchone()
    return int(row[0]) if row else 0
