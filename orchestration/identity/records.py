"""From standardised records to the working tables of matching: fields, shared values, blocking keys.

What belongs here: `identity.records`, `value_holders`, `shared_values`, `block_keys`, `capped_blocks`, for all
records or for the touched ones. What does not: pairs.

Every function replaces the rows of the touched keys only; a rebuild touches all keys. A record also counts
as touched when a value it holds becomes (or stops being) shared, or one of its blocks grows past the cap
(or shrinks below it): so an increment leaves the same rows as a rebuild.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestration.contracts.matching import Matching
from orchestration.errors import DeclarationError
from orchestration.identity import fields
from orchestration.warehouse import Connection, literal, quote

_INPUT = "intermediate.int_identity_records"


def input_columns(connection: Connection) -> set[str]:
    """The columns of the standardised records."""
    found = connection.execute(
        "select column_name from information_schema.columns "
        "where table_schema = 'intermediate' and table_name = 'int_identity_records'"
    ).fetchall()
    return {name for (name,) in found}


def check(connection: Connection, matching: Matching) -> None:
    """Raise DeclarationError when a field or part of a key cannot be read from the records."""
    known = input_columns(connection)
    problems = []
    for name in fields.physical(matching):
        spec = matching.fields[name]
        for column in (
            *fields.source_columns(name, spec),
            *(extra for extra in (spec.placeholder, spec.formal, spec.usual, spec.sound) if extra),
        ):
            try:
                fields.raw_expression(column, known)
            except DeclarationError as error:
                problems.append(str(error))
    if problems:
        raise DeclarationError("\n".join(sorted(set(problems))))
    for key in matching.block_on:
        for item in key:
            fields.key_expression(item, matching)


def write_nicknames(connection: Connection, matching: Matching) -> None:
    """`identity.nicknames`: every name of a group with the group's first name."""
    connection.execute("delete from identity.nicknames")
    rows = [(name, group[0]) for group in matching.nicknames for name in group]
    if rows:
        connection.execute(
            "insert into identity.nicknames select unnest(?::varchar[]), unnest(?::varchar[])",
            [[name for name, _ in rows], [root for _, root in rows]],
        )


def mark_all(connection: Connection) -> None:
    """`identity_touched`: every key of the input and every key known."""
    connection.execute("drop table if exists identity_touched")
    connection.execute(f"create temp table identity_touched as select distinct source, record_id from {_INPUT}")


def mark_touched(connection: Connection) -> None:
    """`identity_touched`: the keys that control says have changed."""
    connection.execute("drop table if exists identity_touched")
    connection.execute(
        "create temp table identity_touched as select distinct source, record_id from control.touched_records"
    )


def refresh(
    connection: Connection, matching: Matching, *, is_rebuild: bool, prepared: Callable[[], None] = lambda: None
) -> None:
    """Bring the working tables up to date with `identity_touched`, which may grow on the way.

    Afterwards `identity_gone` holds the rids that were replaced or deleted, `identity_new` those that
    took their place. `prepared` is called once the records are there, before their blocking keys.
    """
    known = input_columns(connection)
    connection.execute("drop table if exists identity_gone")
    if is_rebuild:
        connection.execute("create temp table identity_gone (rid bigint)")
        _write_holders(connection, matching, known)
        _find_shared(connection, matching)
        _count_names(connection, matching, known)
        connection.execute(f"create or replace table identity.records as {_records_query(matching, known, 0)}")
        connection.execute("drop table if exists identity_new")
        connection.execute("create temp table identity_new as select rid from identity.records")
        prepared()
        _write_blocks(connection, matching)
        connection.execute(
            "insert into identity.capped_blocks select block, value, cast(count(*) as integer) from "
            "identity.block_keys "
            f"group by block, value having count(*) > {matching.max_block}"
        )
        return
    if not connection.execute("select 1 from identity_touched limit 1").fetchall():
        # What is shared, rare or capped follows from the records: with none touched it is what it was.
        connection.execute("create temp table identity_gone (rid bigint)")
        connection.execute("create or replace temp table identity_new (rid bigint)")
        prepared()
        return
    _grow_by_names(connection, matching, known)
    _grow_by_shared(connection, matching, known)
    connection.execute(
        "create temp table identity_gone as select rid from identity.records "
        "semi join identity_touched using (source, record_id)"
    )
    connection.execute(
        "create or replace temp table identity_old_blocks as "
        "select distinct block, value from identity.block_keys semi join identity_gone using (rid)"
    )
    _replace_records(connection, matching, known)
    prepared()
    _write_blocks(connection, matching, "semi join identity_new using (rid)")
    # Blocks that crossed the cap: their records' pairs change, so they are matched anew as well.
    connection.execute(
        "create or replace temp table identity_block_counts as "
        "with changed as (select block, value from identity_old_blocks union "
        "select block, value from identity.block_keys semi join identity_new using (rid)), "
        "counted as (select block, value, count(*) as record_count from identity.block_keys "
        "semi join changed using (block, value) group by block, value) "
        f"select changed.block, changed.value, coalesce(counted.record_count, 0) > {matching.max_block} as is_capped, "
        "capped.block is not null as was_capped, cast(coalesce(counted.record_count, 0) as integer) as record_count "
        "from changed left join counted using (block, value) left join identity.capped_blocks as capped using "
        "(block, value)"
    )
    connection.execute(
        "create or replace temp table identity_crossed as "
        "select distinct source, record_id from identity.records where rid in ("
        "select rid from identity.block_keys semi join "
        "(select block, value from identity_block_counts where is_capped <> was_capped) using (block, value)) "
        "and rid not in (select rid from identity_new)"
    )
    connection.execute("delete from identity.capped_blocks as c using identity_block_counts as n "
                       "where c.block = n.block and c.value = n.value")  # fmt: skip
    connection.execute("insert into identity.capped_blocks select block, value, record_count "
                       "from identity_block_counts where is_capped")  # fmt: skip
    # Their keys are the same as before, so they need no new rid: their pairs alone are done again.
    connection.execute("create or replace temp table identity_again as select rid from identity.records "
                       "semi join identity_crossed using (source, record_id)")  # fmt: skip
    connection.execute("insert into identity_gone select rid from identity_again")
    connection.execute("insert into identity_new select rid from identity_again")


# -- shared values ----------------------------------------------------------------------------------


def _name_column(matching: Matching, known: set[str], kind: str) -> str | None:
    name = next((n for n, spec in matching.fields.items() if spec.kind == kind and not spec.any_of), None)
    return fields.raw_expression(fields.source_columns(name, matching.fields[name])[0], known) if name else None


def _watched(matching: Matching) -> list[str]:
    """The fields whose values are counted: those that may be shared, and those that may be a household's."""
    return sorted({shared.field for shared in matching.shared_values} | set(fields.sole_fields(matching)))


def _write_holders(connection: Connection, matching: Matching, known: set[str]) -> None:
    """Append the watched values of the touched records, with what counts as 'another name'.

    `name_key`: the start of the family name and the initial of the given name. `given`: its first word, the nickname
    undone. `family`: the first three letters. `initial`: of the given name as written.
    """
    given, family = (_name_column(matching, known, kind) for kind in ("given_name", "family_name"))
    parts = [f"coalesce(substr({text}, 1, {length}), '')" for text, length in ((family, 3), (given, 1)) if text]
    key = f"nullif(concat_ws('|', {', '.join(parts)}), '|')" if parts else "concat(source, '|', record_id)"
    token = f"split_part({given}, ' ', 1)" if given else "cast(null as varchar)"
    root = "coalesce(nick.root, token)"
    prefix = f"nullif(substr(replace({family}, ' ', ''), 1, 3), '')" if family else "cast(null as varchar)"
    for name in _watched(matching):
        spec = matching.fields[name]
        void = f"and not coalesce({quote(spec.placeholder)}, false)" if spec.placeholder else ""
        for column in fields.source_columns(name, spec):
            value = fields.raw_expression(column, known)
            connection.execute(
                "insert into identity.value_holders "
                f"select {literal(name)}, value, source, record_id, name_key, nullif({root}, ''), "
                "family, coalesce(substr(token, 1, 1), '') from ("
                f"select {value} as value, source, record_id, {key} as name_key, {token} as token, {prefix} as family "
                f"from {_INPUT} semi join identity_touched using (source, record_id) where {value} is not null "
                f"{void}) as held "
                "left join (select name, min(root) as root from identity.nicknames group by name) as nick on "
                "nick.name = held.token"
            )


def _shared_query(matching: Matching, only: str = "") -> str:
    total = f"(select count(*) from {_INPUT})"
    tests = []
    for shared in matching.shared_values:
        test = (
            f"distinct_names > {shared.distinct_names_over}"
            if shared.distinct_names_over is not None
            else f"record_count >= {shared.at_least} and record_count > {shared.share_over} * {total}"
        )
        tests.append(f"(kind = {literal(shared.field)} and {test})")
    return (
        "select kind, value, distinct_names, record_count from (select kind, value, "
        "cast(count(distinct name_key) as integer) as distinct_names, "
        "cast(count(distinct (source, record_id)) as integer) as record_count "
        f"from identity.value_holders {only} group by kind, value) where {' or '.join(tests) or 'false'}"
    )


def _household_query(matching: Matching, only: str = "") -> str:
    """Values known under more than one given name; with an initial: under more than one that starts with it.

    Names with the same three letters are one. A record whose names are swapped adds a given name that is a family name
    elsewhere, and the reverse: such pairs count once. An initial counts only where no longer name starts with it. Among
    those of one initial, near ones are one as well (a slip in three letters or so): that is likelier than a second such
    person.
    """
    kinds = ", ".join(literal(name) for name in fields.sole_fields(matching)) or "null"
    return (
        "with wholes as (select distinct kind, value, initial, given from identity.value_holders "
        f"{only} where kind in ({kinds}) and length(given) > 1), "
        "firsts as (select *, first(given) over (partition by kind, value, initial "
        "order by length(given) desc, given) as longest from wholes semi join "
        "(select kind, value from wholes group by kind, value having count(*) > 1) using (kind, value)), "
        "held as (select distinct kind, value, substr(given, 1, 3) as given, family from identity.value_holders "
        f"{only} where kind in ({kinds}) and given is not null), "
        "givens as (select distinct kind, value, given as token from held), "
        "families as (select distinct kind, value, family as token from held where family is not null), "
        "told as (select g.kind, g.value, g.token, f.token is not null as is_family from givens as g "
        "left join families as f using (kind, value, token) "
        "anti join (select kind, value, substr(token, 1, 1) as token from givens where length(token) > 1) as longer "
        "on longer.kind = g.kind and longer.value = g.value and longer.token = g.token) "
        "select kind, value, '' as initial from told group by kind, value "
        "having count(*) - sum(case when is_family then 0.5 else 0 end) > 1 union all "
        "select distinct kind, value, initial from firsts where substr(given, 1, 3) <> substr(longest, 1, 3) "
        "and damerau_levenshtein(given, longest) > (length(given) + 1) // 3"
    )


def _find_shared(connection: Connection, matching: Matching) -> None:
    connection.execute(f"insert into identity.shared_values {_shared_query(matching)}")
    connection.execute(f"insert into identity.household_values {_household_query(matching)}")


def _grow_by_shared(connection: Connection, matching: Matching, known: set[str]) -> None:
    """Find shared and household values anew; records that hold one whose state changed become touched."""
    if not _watched(matching):
        return
    connection.execute(
        "create or replace temp table identity_values as select distinct kind, value "
        "from identity.value_holders semi join identity_touched using (source, record_id)"
    )
    connection.execute("delete from identity.value_holders as h using identity_touched as t "
                       "where h.source = t.source and h.record_id = t.record_id")  # fmt: skip
    _write_holders(connection, matching, known)
    connection.execute(
        "insert into identity_values select distinct kind, value "
        "from identity.value_holders semi join identity_touched using (source, record_id)"
    )
    # A share depends on the number of records, so those kinds are looked at whole.
    by_share = [literal(shared.field) for shared in matching.shared_values if shared.share_over is not None]
    if by_share:
        connection.execute(
            "insert into identity_values select distinct kind, value from identity.value_holders "
            f"where kind in ({', '.join(by_share)})"
        )
    only = "semi join identity_values using (kind, value)"
    for table, query, key in (
        ("shared_values", _shared_query(matching, only), "kind, value"),
        ("household_values", _household_query(matching, only), "kind, value, initial"),
    ):
        connection.execute(f"create or replace temp table identity_now as {query}")
        connection.execute(
            "insert into identity_touched select distinct source, record_id from identity.value_holders semi join ("
            f"(select {key} from identity_now except "
            f"select {key} from identity.{table} {only}) union all "
            f"(select {key} from identity.{table} {only} except select {key} from identity_now)"
            ") using (kind, value) anti join identity_touched using (source, record_id)"
        )
        connection.execute(f"delete from identity.{table} as s using identity_values as v "
                           "where s.kind = v.kind and s.value = v.value")  # fmt: skip
        connection.execute(f"insert into identity.{table} select * from identity_now")


# -- rare names -------------------------------------------------------------------------------------


def _half_bits(count: str) -> str:
    """A count as a class: half a bit (a factor of 1.4) wide, so that few classes change from day to day."""
    return f"cast(floor(2 * log2({count})) as integer)"


def _counted_fields(matching: Matching) -> list[str]:
    """The fields of whose values the records are counted."""
    specs = [matching.fields[name] for name in fields.rare_fields(matching)]
    parts = {part for spec in specs for part in (spec.given, spec.family) if part}
    return sorted(parts | set(fields.rarity_fields(matching)) | set(fields.established_fields(matching)))


def _total(connection: Connection) -> int:
    row = connection.execute(f"select count(*) from {_INPUT}").fetchone()
    return int(row[0]) if row else 0


def _names_given(matching: Matching, known: set[str], name: str) -> str:
    """SQL for the value of a name field, as `identity.records` has it."""
    spec = matching.fields[name]
    text = fields.raw_expression(fields.source_columns(name, spec)[0], known)
    if spec.kind in ("given_name", "family_name"):
        return f"lower({text})"
    text = fields.dashed(text) if spec.kind == "date" else text
    return f"case when not coalesce({quote(spec.placeholder)}, false) then {text} end" if spec.placeholder else text


def _count_names(connection: Connection, matching: Matching, known: set[str]) -> None:
    """`identity.name_counts`: the records that hold each value, under the value '' those that hold any.

    Under the field '' all records.
    """
    for name in _counted_fields(matching):
        value = _names_given(matching, known, name)
        connection.execute(
            f"insert into identity.name_counts select {literal(name)}, value, count(*), {_half_bits('count(*)')} "
            f"from (select {value} as value from {_INPUT}) where value is not null group by value"
        )
        connection.execute(
            f"insert into identity.name_counts select field, '', sum(bearers), {_half_bits('sum(bearers)')} "
            f"from identity.name_counts where field = {literal(name)} group by field"
        )
    total = _total(connection)
    if total and _counted_fields(matching):
        connection.execute(f"insert into identity.name_counts select '', '', {total}, {_half_bits(str(total))}")


def _grow_by_names(connection: Connection, matching: Matching, known: set[str]) -> None:
    """Count the names of the touched records anew; who bears a name that changed its class becomes touched."""
    counted = _counted_fields(matching)
    if not counted:
        return
    parts = []
    for name in counted:
        value = _names_given(matching, known, name)
        parts.append(
            f"select {literal(name)} as field, {quote(name)} as value, -1 as n from identity.records "
            "semi join identity_touched using (source, record_id)"
        )
        parts.append(
            f"select {literal(name)} as field, {value} as value, 1 as n from {_INPUT} semi join identity_touched using (source, record_id)"
        )
    total = _total(connection)
    parts += [f"select field, '', n from ({part}) where value is not null" for part in parts]
    parts.append(f"select '', '', {total} - coalesce((select bearers from identity.name_counts where field = ''), 0)")
    connection.execute(
        "create or replace temp table identity_name_changes as "
        f"with told as ({' union all '.join(parts)}), changed as ("
        "select field, value, sum(n) as n from told where value is not null group by field, value having sum(n) <> 0), "
        "summed as (select field, value, coalesce(c.bearers, 0) + changed.n as bearers, c.half_bits as old "
        "from changed left join identity.name_counts as c using (field, value)) "
        f"select field, value, bearers, old, case when bearers > 0 then {_half_bits('bearers')} end as half_bits from summed"
    )
    connection.execute(
        "delete from identity.name_counts as c using identity_name_changes as n "
        "where c.field = n.field and c.value = n.value"
    )
    connection.execute(
        "insert into identity.name_counts select field, value, bearers, half_bits from identity_name_changes "
        "where bearers > 0"
    )
    crossed = "select value from identity_name_changes where old is distinct from half_bits and field = "
    every = "select 1 from identity_name_changes where old is distinct from half_bits and value = ''"
    bearers = " or ".join(f"{quote(name)} in ({crossed}{literal(name)})" for name in counted)
    connection.execute(
        "insert into identity_touched select source, record_id from identity.records "
        f"anti join identity_touched using (source, record_id) where exists ({every}) or {bearers}"
    )


def _name_classes(name: str, matching: Matching) -> str:
    """Joins that bring the classes of both parts of a person_name."""
    spec = matching.fields[name]
    return "".join(
        f" left join (select value, half_bits from identity.name_counts where field = {literal(part)}) as {alias} "
        f"on {alias}.value = raw.{quote(part)}"
        for part, alias in ((spec.given or "", quote(f"{name}_given")), (spec.family or "", quote(f"{name}_family")))
    )


def _homonyms(name: str, matching: Matching) -> str:
    """How many bearers of a name chance alone makes: those of each part, over all records. Null for an initial."""
    spec = matching.fields[name]
    return (
        f"case when length(raw.{quote(spec.given or '')}) > 1 then {quote(f'{name}_given')}.half_bits "
        f"+ {quote(f'{name}_family')}.half_bits - (select half_bits from identity.name_counts where field = '') end"
    )


# -- records ----------------------------------------------------------------------------------------


def _records_query(matching: Matching, known: set[str], start: int) -> str:
    """The rows of `identity.records` for the touched keys, numbered from `start`."""
    raw, cleaned, derived, joins = [], [], [], []
    shared_fields = {shared.field for shared in matching.shared_values}
    sole_fields = set(fields.sole_fields(matching))
    for name in fields.physical(matching):
        spec = matching.fields[name]
        expressions = [fields.raw_expression(column, known) for column in fields.source_columns(name, spec)]
        if spec.kind in ("given_name", "family_name"):
            expressions = [f"lower({text})" for text in expressions]
        column = quote(name)
        if spec.formal:
            raw.append(f"{fields.raw_expression(spec.formal, known)} as {quote(name + '__formal')}")
            cleaned.append(f"raw.{quote(name + '__formal')}")
        if spec.sound:
            raw.append(f"{fields.raw_expression(spec.sound, known)} as {quote(name + '__sound')}")
            cleaned.append(f"raw.{quote(name + '__sound')}")
        if spec.usual:
            raw.append(f"{fields.raw_expression(spec.usual, known)} as {quote(name + '__usual')}")
            cleaned.append(f"raw.{quote(name + '__usual')}")
        if fields.is_list(spec):
            raw.append(
                f"list_sort(list_distinct(list_filter([{', '.join(expressions)}], x -> x is not null))) as {column}"
            )
            kept = f"raw.{column}"
            if name in shared_fields:
                joins.append(_held(name, "shared_values"))
                kept = _without(kept, f"{quote('shared_' + name)}.held")
            cleaned.append(f"case when len({kept}) > 0 then {kept} end as {column}")
            if name in sole_fields:
                joins.append(_of_households(name))
                sole = _without(kept, f"{quote('household_' + name)}.held")
                cleaned.append(f"case when len({sole}) > 0 then {sole} end as {quote(name + '__sole')}")
        else:
            text = expressions[0]
            if spec.kind == "date":
                text = fields.dashed(text)
            if spec.placeholder:
                text = f"case when not coalesce({quote(spec.placeholder)}, false) then {text} end"
            raw.append(f"{text} as {column}")
            cleaned.append(f"{_unless_in(f'raw.{column}', name, 'shared_values', name in shared_fields)} as {column}")
            if name in sole_fields:
                joins.append(_of_households(name))
                kept = _unless_in(f"raw.{column}", name, "shared_values", name in shared_fields)
                cleaned.append(
                    f"case when {quote('household_' + name)}.held is null then {kept} end as {quote(name + '__sole')}"
                )
        derived += [f"{p.sql} as {quote(p.name)}" for p in fields.prepared(name, spec, matching)]
    for name in sorted({*fields.rarity_fields(matching), *fields.established_fields(matching)}):
        counted = quote(f"counted_{name}")
        joins.append(
            f" left join (select value, half_bits from identity.name_counts where field = {literal(name)} and value <> '') "
            f"as {counted} on {counted}.value = raw.{quote(name)}"
        )
        cleaned.append(f"{counted}.half_bits as {quote(name + '__held')}")
        if name in fields.rarity_fields(matching):
            cleaned.append(
                f"(select half_bits from identity.name_counts where field = {literal(name)} and value = '') - "
                f"greatest({counted}.half_bits, {fields.FEW}) as {quote(name + '__rarity')}"
            )
    for name in fields.rare_fields(matching):
        joins.append(_name_classes(name, matching))
        cleaned.append(f"{_homonyms(name, matching)} as {quote(name + '__homonyms')}")
    return (
        "with raw as (select source, record_id, first_seen_on, coalesce(is_active, true) as is_active, "
        f"{', '.join(raw)} from {_INPUT} semi join identity_touched using (source, record_id)), "
        f"cleaned as (select raw.source, raw.record_id, raw.first_seen_on, raw.is_active, {', '.join(cleaned)} "
        f"from raw{''.join(joins)}) "
        # Any number will do: nothing depends on the order of rids, and sorting whole records is dear.
        f"select {start} + row_number() over () as rid, cleaned.*"
        + "".join(f", {text}" for text in derived)
        + f" from cleaned{fields.nickname_joins(matching)}"
    )


def _held(name: str, table: str) -> str:
    """A join that brings the values of a list field that a table names, for the records that hold some."""
    alias = quote(f"{'shared' if table == 'shared_values' else 'household'}_{name}")
    return (
        " left join (select source, record_id, list(value) as held from identity.value_holders "
        f"semi join identity.{table} using (kind, value) where kind = {literal(name)} group by source, record_id) "
        f"as {alias} "
        f"on {alias}.source = raw.source and {alias}.record_id = raw.record_id"
    )


def _of_households(name: str) -> str:
    """A join that brings the values of a record that more than one member of a household could hold."""
    alias = quote(f"household_{name}")
    return (
        " left join (select h.source, h.record_id, list(h.value) as held from identity.value_holders as h "
        "join identity.household_values as s on s.kind = h.kind and s.value = h.value "
        "and s.initial = h.initial "
        f"where h.kind = {literal(name)} group by h.source, h.record_id) as {alias} "
        f"on {alias}.source = raw.source and {alias}.record_id = raw.record_id"
    )


def _without(values: str, unwanted: str) -> str:
    """A list without some values."""
    return f"list_filter({values}, x -> not list_contains(coalesce({unwanted}, []), x))"


def _unless_in(column: str, name: str, table: str, is_asked: bool) -> str:
    """A value, or null where a table names it."""
    if not is_asked:
        return column
    return (
        f"case when {column} not in (select value from identity.{table} where kind = {literal(name)}) then {column} end"
    )


def _replace_records(connection: Connection, matching: Matching, known: set[str]) -> None:
    row = connection.execute("select coalesce(max(rid), 0) from identity.records").fetchone()
    start = int(row[0]) if row else 0
    connection.execute("delete from identity.records where rid in (select rid from identity_gone)")
    connection.execute("delete from identity.block_keys where rid in (select rid from identity_gone)")
    connection.execute(f"create or replace temp table identity_fresh as {_records_query(matching, known, start)}")
    connection.execute("insert into identity.records by name select * from identity_fresh")
    connection.execute("create or replace temp table identity_new as select rid from identity_fresh")


# -- blocking keys ----------------------------------------------------------------------------------


def blocks(matching: Matching) -> list[tuple[str, ...]]:
    """Every blocking key: those of the rules first (each rule is found through its equal fields)."""
    keys: list[tuple[str, ...]] = []
    for rule in matching.rules:
        parts: list[str] = []
        for name in (*rule.equal, *rule.sole):
            spec = matching.fields[name]
            parts += [spec.given, spec.family] if spec.kind == "person_name" and spec.given and spec.family else [name]
        key = tuple(sorted(parts))
        if key not in keys:
            keys.append(key)
    for declared in matching.block_on:
        key = tuple(sorted(declared))
        if key not in keys:
            keys.append(key)
    return keys


def _write_blocks(connection: Connection, matching: Matching, only: str = "") -> None:
    """Append the blocking keys of the records. A key is kept as a number made from its text: a tenth of the memory."""
    for number, key in enumerate(blocks(matching)):
        parts = [fields.key_expression(item, matching) for item in key]
        inner = ", ".join(f"{text} as p{at}" for at, text in enumerate(parts))
        names = [f"p{at}" for at in range(len(parts))]
        held = " and ".join(f"{name} is not null" for name in names)
        # Only a list may hold two values that give one key.
        distinct = "distinct " if any(text.startswith("unnest(") for text in parts) else ""
        connection.execute(
            f"insert into identity.block_keys select {distinct}{number}, hash(concat_ws('|', {', '.join(names)})), rid "
            f"from (select rid, {inner} from identity.records as r {only}) where {held}"
        )
