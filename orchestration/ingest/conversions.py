"""From the texts of a file to canonical columns: the SQL that a contract stands for.

What belongs here: pure functions that turn contract rules into DuckDB expressions, with the checks
that send a row to quarantine. What does not: reading files, running the SQL. Every expression works
on text; a value that cannot be read becomes null and its check tells which rule it broke. No reason
ever holds a value of the file: reasons are shown, raw text is not.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from orchestration.contracts.entities import LANDING_COLUMNS, SQL_TYPES, Column, Entity
from orchestration.contracts.source import (
    TOKEN_PARTS,
    ColumnRule,
    Condition,
    Delivery,
    FileLayout,
    Source,
    extra_column,
    reading,
)
from orchestration.ingest.zones import local_to_utc, utc
from orchestration.warehouse import literal, quote

#: Finds the text of a column of the file, as SQL. The path `@...` and `$...` are those of `each`.
Lookup = Callable[[str], str]

_SPACES = " \t\r\n\u00a0\u202f\u200b\ufeff"
_TRUE = ("1", "true", "t", "yes", "y", "oui", "o", "vrai", "x")
_FALSE = ("0", "false", "f", "no", "n", "non", "faux")
_FIXED_WIDTHS = {"%Y": 4, "%y": 2, "%m": 2, "%d": 2, "%j": 3, "%H": 2, "%M": 2, "%S": 2, "%I": 2}


@dataclass(frozen=True)
class Check:
    """Why a row goes to quarantine: the column of the contract, the rule, and a reason without values."""

    column: str
    rule: str
    reason: str


@dataclass(frozen=True)
class EntityQuery:
    """The SQL of one entity of one source.

    `rows`: a select over the raw rows with `r` (the source row), `line_number`, the canonical columns that the
    contract fills, `row_key`, `row_hash` and `failure`: null, or the index in `checks` of the first check that
    failed. `columns`: those canonical columns. `is_row_by_row`: no row's values depend on another row.
    `is_own_key`: the entity's one key column is the `row_key`.
    """

    entity: Entity
    rows: str
    checks: tuple[Check, ...]
    columns: tuple[str, ...]
    is_row_by_row: bool
    is_own_key: bool


@dataclass(frozen=True)
class RowSource:
    """Where raw rows come from: a table, the SQL of a row's line number, and how columns are found.

    `is_typed`: values were typed in the file (xlsx, parquet, JSON), so that dates may also be ISO and
    numbers use a point whatever the contract says of texts.
    """

    table: str
    line_number: str
    lookup: Lookup
    is_nested: bool = False
    is_typed: bool = False
    paths: JsonPaths | None = None
    blanks: Blanks = "any"
    row: str = "rowid"

    def text(self, name: str, nulls: tuple[str, ...]) -> str:
        """The trimmed text of a column; null where it stands for "no value"."""
        return clean(self.lookup(name), nulls, self.blanks)

    def test(self, condition: Condition, nulls: tuple[str, ...]) -> str:
        return condition_sql(condition, self.lookup, nulls, self.blanks)


def sql_list(texts: tuple[str, ...] | list[str]) -> str:
    return ", ".join(literal(text) for text in texts)


#: What stands around values: nothing at all (and empty values are null already), spaces, any blank.
#: Trimming is what reading costs most, so a file is looked at once for what it needs.
Blanks = Literal["none", "spaces", "any"]


def clean(expression: str, nulls: tuple[str, ...], blanks: Blanks = "any") -> str:
    """Trim a text; what stands for "no value" becomes null."""
    if blanks == "none":
        kept = [text for text in nulls if text.strip(_SPACES)]
        return f"case when {expression} in ({sql_list(kept)}) then null else {expression} end" if kept else expression
    trimmed = f"trim({expression})" if blanks == "spaces" else f"trim({expression}, {literal(_SPACES)})"
    others = [text for text in nulls if text.strip(_SPACES)]
    if not others:
        return f"nullif({trimmed}, '')"
    return f"case when {trimmed} in ('', {sql_list(others)}) then null else {trimmed} end"


def condition_sql(condition: Condition, lookup: Lookup, nulls: tuple[str, ...], blanks: Blanks = "any") -> str:
    """A contract condition as a boolean that is never null."""
    text = clean(lookup(condition.column), nulls, blanks)
    if condition.exists is not None:
        return f"({text} is {'not ' if condition.exists else ''}null)"
    if condition.equals is not None:
        test = f"{text} = {literal(condition.equals)}"
    elif condition.one_of is not None:
        test = f"{text} in ({sql_list(condition.one_of)})"
    elif condition.matches is not None:
        test = f"regexp_matches({text}, {literal(condition.matches)})"
    else:
        return f"coalesce({text} <> {literal(condition.not_equals or '')}, true)"
    return f"coalesce({test}, false)"


def filter_sql(source: Source, rows: RowSource) -> str:
    """True for the rows that the contract ignores on purpose; empty when it filters nothing."""
    # Rows are filtered, not the elements of their arrays: these are not there yet.
    lookup = rows.paths.find_in_row if rows.paths else rows.lookup
    return " or ".join(condition_sql(test, lookup, source.file.nulls, rows.blanks) for test in source.filter)


# --- reading texts -----------------------------------------------------------------------------


def read_number(
    text: str, decimal: str, thousands: str | None, *, is_typed: bool, unit: tuple[str, ...] | None = None
) -> str:
    """A text as decimal(18,4). A separator that was not declared, or stands where none belongs, makes it unreadable.

    `unit`: what may stand before or after the number, such as a currency sign.
    """
    bare = _without_unit(text, unit) if unit else text
    plain = bare
    guards = [f"contains({bare}, '_')"]
    if thousands:
        mark = f"[{_NUMBER_SPACES}]" if thousands == " " else f"[{thousands}]"
        # Groups have three digits: 1.23 is not 123 in another spelling.
        guards.append(f"regexp_matches({bare}, {literal(f'[0-9]{mark}([0-9]{{0,2}}([^0-9]|$)|[0-9]{{4}})')})")
        if thousands == " ":
            plain = f"regexp_replace({plain}, {literal(mark)}, '', 'g')"
        else:
            plain = f"replace({plain}, {literal(thousands)}, '')"
    number = plain
    if decimal == ",":
        guards.append(f"contains({plain}, '.')")
        number = f"replace({plain}, ',', '.')"
    value = f"case when {' or '.join(guards)} then null else try_cast({number} as decimal(18,4)) end"
    if is_typed and (decimal == "," or thousands):
        # What was a number in the file has a point, whatever its texts are written like.
        value = f"case when regexp_full_match({bare}, '[-+]?[0-9]*[.]?[0-9]+') then try_cast({bare} as decimal(18,4)) else {value} end"
    return value


_NUMBER_SPACES = " \u00a0\u202f"


def _without_unit(text: str, unit: tuple[str, ...]) -> str:
    words = "|".join(re.escape(word) for word in sorted(unit, key=lambda word: (-len(word), word)))
    before = literal(f"^([-+]?)[{_NUMBER_SPACES}]*(?:{words})[{_NUMBER_SPACES}]*")
    after = literal(f"[{_NUMBER_SPACES}]*(?:{words})$")
    return f"regexp_replace(regexp_replace({text}, {before}, '\\1'), {after}, '')"


def read_boolean(text: str, true_values: tuple[str, ...] | None, false_values: tuple[str, ...] | None) -> str:
    """A text as boolean. Declared words are compared as written, the usual ones whatever their case."""
    if true_values is None and false_values is None:
        # Lists of more than five words would be made a join.
        letters = " ".join(
            f"when contains({literal(''.join(w + w.upper() for w in words if len(w) == 1))}, {text}) then {value}"
            for words, value in ((_TRUE, "true"), (_FALSE, "false"))
        )
        longer = " ".join(
            f"when lower({text}) in ({sql_list([word for word in words if len(word) > 1])}) then {value}"
            for words, value in ((_TRUE, "true"), (_FALSE, "false"))
        )
        return f"case when length({text}) = 1 then case {letters} end else case {longer} end end"
    branches = ""
    if true_values:
        branches += f" when {text} in ({sql_list(true_values)}) then true"
    if false_values:
        branches += f" when {text} in ({sql_list(false_values)}) then false"
    if true_values is None:
        branches += f" when {text} is not null then true"
    if false_values is None:
        branches += f" when {text} is not null then false"
    return f"case{branches} end"


class Parsed:
    """Texts read as times, each in a column of its own: the conversions around it use it several times."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.columns: dict[str, str] = {}

    def column(self, expression: str) -> str:
        return self.columns.setdefault(expression, f"{self.prefix}{len(self.columns)}")


def _guarded(text: str, date_format: str, parsed: str, value: str) -> str:
    """`value`, but for what try_strptime misreads: short years, missing leading zeros."""
    directives = re.findall(r"%-?[A-Za-z]", date_format)
    rest = re.sub(r"%-?[A-Za-z]", "", date_format)
    guards = []
    if not rest.strip() and all(directive in _FIXED_WIDTHS for directive in directives):
        # Without separators a lost leading zero shifts every digit: 10245 is not the 10th of 24.
        width = len(rest) + sum(_FIXED_WIDTHS[directive] for directive in directives)
        guards.append(f"length({text}) = {width}")
    if "%Y" in directives:
        guards.append(f"{parsed} >= timestamp '1000-01-01'")
    return f"case when {' and '.join(guards)} then {value} end" if guards else value


def _parsed(text: str, date_format: str, apart: Parsed | None = None) -> str:
    """A text as local timestamp."""
    parsed = f"try_strptime({text}, {literal(date_format)})"
    if apart is not None:
        parsed = apart.column(parsed)
    return _guarded(text, date_format, parsed, parsed)


def _iso_date(text: str) -> str:
    # A plain cast would take "1985-02-01 anything" for a date.
    return (
        f"case when length({text}) = 10 then cast({_parsed(text, '%Y-%m-%d')} as date) "
        f"when length({text}) > 10 then cast(try_cast({text} as timestamp) as date) end"
    )


def read_date(
    text: str,
    formats: tuple[str, ...] | None,
    *,
    is_typed: bool,
    not_after: dt.date | None = None,
    apart: Parsed | None = None,
) -> str:
    """A text as date: the first format that fits; ISO where none is declared.

    `not_after`: a year of two digits that would lead past this day (a birth date) means a century less.
    `apart`: takes what the first format reads, which most rows are in; the others are tried where it fails.
    """
    tried: list[str] = []
    for date_format in formats or ("iso",):
        if date_format == "iso":
            tried.append(_iso_date(text))
        elif date_format.startswith("unix"):
            tried.append(f"cast({_from_unix(text, date_format)} as date)")
        else:
            value = f"cast({_parsed(text, date_format, None if tried else apart)} as date)"
            if not_after and "%y" in date_format:
                value = (
                    f"case when {value} > date '{not_after}' "
                    f"then cast({value} - interval 100 year as date) else {value} end"
                )
            tried.append(value)
    if is_typed and formats and "iso" not in formats:
        tried.append(_iso_date(text))
    return tried[0] if len(tried) == 1 else f"coalesce({', '.join(tried)})"


def _from_unix(text: str, date_format: str) -> str:
    scale = 1000 if date_format == "unix_ms" else 1_000_000
    number = f"try_cast({text} as double)"
    last = 253_402_300_799 * (1_000_000 // scale)  # the end of the year 9999
    return (
        f"case when {number} between {-last // 4} and {last} "
        f"then make_timestamp(cast(round({number} * {scale}) as bigint)) end"
    )


def _iso_timestamp(text: str, zone: str, apart: Parsed | None = None) -> str:
    local = f"try_cast({text} as timestamp)"
    here = local_to_utc(apart.column(local), zone) if apart else utc(local, zone)
    # Casting "...+02:00" to timestamp would drop the offset without a word: parse it apart.
    has_zone = (
        f"(length({text}) > 16 and "
        f"(right({text}, 1) in ('Z', 'z') or regexp_matches({text}, '[+-][0-9]{{2}}(:?[0-9]{{2}})?$')))"
    )
    return (
        f"case when not {text}[1] between '0' and '9' then null "
        f"when {has_zone} then {utc(f'try_cast({text} as timestamptz)', '')} else {here} end"
    )


def _local_time(text: str, date_format: str, zone: str, apart: Parsed | None) -> str:
    if apart is None:
        return utc(_parsed(text, date_format), zone)
    parsed = apart.column(f"try_strptime({text}, {literal(date_format)})")
    return _guarded(text, date_format, parsed, local_to_utc(parsed, zone))


def read_timestamp(
    text: str, formats: tuple[str, ...] | None, zone: str, *, is_typed: bool, apart: Parsed | None = None
) -> str:
    """A text as UTC timestamp; without zone in the text, it is a time of `zone`. `apart`: as in `read_date`."""
    tried: list[str] = []
    for date_format in formats or ("iso",):
        if date_format == "iso":
            tried.append(_iso_timestamp(text, zone, None if tried else apart))
        elif date_format.startswith("unix"):
            tried.append(_from_unix(text, date_format))
        elif "%z" in date_format:
            tried.append(f"timezone('UTC', try_strptime({text}, {literal(date_format)}))")
        else:
            tried.append(_local_time(text, date_format, zone, None if tried else apart))
    if is_typed and formats and "iso" not in formats:
        tried.append(_iso_timestamp(text, zone))
    return tried[0] if len(tried) == 1 else f"coalesce({', '.join(tried)})"


def token_part(text: str, part: str, on: dt.date) -> str:
    """A part of an unsubscribe token; null where it is forged, altered, or expired before `on`.

    `unsubscribe_part` is a function that ingest gives to its connection (see `protection`).
    """
    return f"unsubscribe_part({text}, {literal(part)}, date '{on}')"


def _texts_of(text: str, *, is_nested: bool) -> str:
    """A text, or a JSON array, as a list of texts."""
    one = f"when {text} is null then cast([] as varchar[])"
    if is_nested:
        one += f" when left({text}, 1) = '[' and json_valid({text}) then json_extract_string({text}, '$[*]')"
    return f"case {one} else [{text}] end"


def _json_texts(lists: list[str]) -> str:
    joined = lists[0] if len(lists) == 1 else "list_concat(" + ", ".join(lists) + ")"
    kept = f"list_filter({joined}, lambda item: item is not null and item <> '')"
    return f"nullif(cast(to_json({kept}) as varchar), '[]')"


# --- one canonical column ----------------------------------------------------------------------


@dataclass(frozen=True)
class _Plan:
    """The steps of one canonical column.

    `text` over the raw row; `read` over the text's alias and what was parsed apart (empty: nothing to read);
    `value` and `checks` over the aliases of both.
    """

    column: Column
    alias: str
    text: str
    read: str
    value: str
    checks: tuple[tuple[str, Check], ...]


def _plan(
    index: int,
    column: Column,
    rule: ColumnRule,
    source: Source,
    rows: RowSource,
    zone: str,
    business_on: dt.date,
    apart: Parsed,
) -> _Plan:
    layout = source.file
    alias = f"t{index}"
    if rule.constant is not None:
        return _Plan(column, alias, "", "", _constant(rule.constant, column, zone), ())
    names = rule.columns or ()
    texts = [rows.text(name, layout.nulls) for name in names]
    text = texts[0]
    if len(texts) > 1:
        text = f"nullif(concat_ws({literal(' ' if rule.join is None else rule.join)}, {', '.join(texts)}), '')"
    if rule.extract is not None:
        group = 1 if re.compile(rule.extract).groups else 0
        text = clean(f"regexp_extract({text}, {literal(rule.extract)}, {group})", ("",))
    if rule.split is not None and rule.part is not None:
        text = clean(f"string_split({text}, {literal(rule.split)})[{rule.part}]", ("",))
    shown = " + ".join(names)
    checks: list[tuple[str, Check]] = []
    is_strict = rule.on_error == "quarantine"
    read_from = alias
    if rule.values is not None:
        read_from, unknown = _through_table(alias, rule, rule.values)
        if is_strict and not rule.answers_otherwise:
            checks.append((unknown, Check(shown, "values", f"not one of the {len(rule.values)} known values")))
    read, reason = _read(read_from, column, rule, layout, rows, zone, business_on, apart)
    value = alias if read == alias else f"v{index}"
    if reason and is_strict:
        # A good token may lack this part (an address has no phone): the part that every token has decides.
        proof = token_part(read_from, "channel", business_on) if rule.read == "unsubscribe_token" else value
        checks.append((f"({read_from}) is not null and ({proof}) is null", Check(shown, reading(rule, column), reason)))
    if rule.default is not None:
        value = f"coalesce({value}, {_constant(rule.default, column, zone)})"
    if rule.required:
        checks.append((f"({value}) is null", Check(shown, "required", "no value, and the contract requires one")))
    return _Plan(column, alias, text, "" if read == alias else read, value, tuple(checks))


def _through_table(text: str, rule: ColumnRule, table: dict[str, str | None]) -> tuple[str, str]:
    """(the value found for a text, the test that it is unknown)."""
    branches = " ".join(
        f"when {literal(key)} then {'null' if found is None else literal(found)}" for key, found in table.items()
    )
    other = "null" if rule.otherwise is None else literal(rule.otherwise)
    found = f"case when {text} is null then null else case {text} {branches} else {other} end end"
    return found, f"{text} is not null and {text} not in ({sql_list(list(table))})"


def _read(
    text: str,
    column: Column,
    rule: ColumnRule,
    layout: FileLayout,
    rows: RowSource,
    zone: str,
    business_on: dt.date,
    apart: Parsed,
) -> tuple[str, str]:
    """(the value as SQL, the reason when it cannot be read; empty: it always can)."""
    read = reading(rule, column)
    if read == "unsubscribe_token":
        reason = "not a valid unsubscribe token: forged, altered or expired"
        return token_part(text, TOKEN_PARTS[column.name], business_on), reason
    decimal = rule.decimal or layout.decimal
    if read == "number":
        thousands = rule.thousands or layout.thousands
        unit = rule.unit or layout.unit
        value = read_number(text, decimal, thousands, is_typed=rows.is_typed, unit=unit)
        if column.kind == "integer":
            value = f"case when ({value}) = floor({value}) then cast({value} as bigint) end"
        return value, f'not a number written with "{decimal}"'
    if read == "boolean":
        words = f"one of {', '.join((rule.true_values or ()) + (rule.false_values or ()))}"
        declared = rule.true_values is not None or rule.false_values is not None
        return (
            read_boolean(text, rule.true_values, rule.false_values),
            f"not {words if declared else 'yes or no'}",
        )
    if read in ("date", "timestamp"):
        wanted = " or ".join("ISO 8601" if item == "iso" else item for item in rule.format or ("iso",))
        if column.kind == "date":
            limit = business_on if column.name == "birth_on" else None
            value = read_date(text, rule.format, is_typed=rows.is_typed, not_after=limit, apart=apart)
        elif read == "date":
            day = f"cast({read_date(text, rule.format, is_typed=rows.is_typed, apart=apart)} as timestamp)"
            value = utc(day, zone)
        else:
            value = read_timestamp(text, rule.format, zone, is_typed=rows.is_typed, apart=apart)
        return value, f"not a {read} as {wanted}"
    if column.kind == "json":
        return _json_value(text, column, rule, rows), ""
    return text, ""


def _json_value(text: str, column: Column, rule: ColumnRule, rows: RowSource) -> str:
    if column.name in ("interests", "tags"):
        if rule.split is not None and rule.part is None:
            parts = f"list_transform(string_split({text}, {literal(rule.split)}), lambda item: trim(item))"
            return f"case when {text} is null then null else {_json_texts([parts])} end"
        return _json_texts([_texts_of(text, is_nested=rows.is_nested)])
    wrapped = f"cast(json_object('value', {text}) as varchar)"
    return (
        f"case when {text} is null then null when left({text}, 1) = '{{' and json_valid({text}) "
        f"then {text} else {wrapped} end"
    )


def _constant(text: str, column: Column, zone: str) -> str:
    if column.kind == "timestamp":
        return f"timezone('UTC', timezone({literal(zone)}, timestamp {literal(text)}))"
    return f"cast({literal(text)} as {SQL_TYPES[column.kind]})"


# --- one entity --------------------------------------------------------------------------------


def entity_query(
    source: Source,
    entity: Entity,
    delivery: Delivery,
    rows: RowSource,
    *,
    zone: str,
    business_on: dt.date,
    kept: tuple[str, ...] = (),
    has_nul: bool = False,
    unknown: str = "",
) -> EntityQuery:
    """The SQL that turns raw rows into rows of one entity.

    `kept`: columns that the contract does not know, kept as custom attributes. `has_nul`: the file holds
    NUL bytes somewhere; rows with one in a mapped column are refused. So are those with `unknown`, which stands for
    bytes of another encoding (empty: there are none).
    """
    nulls = source.file.nulls
    apart = Parsed("p")
    plans = [
        _plan(index, column, delivery.columns[column.name], source, rows, zone, business_on, apart)
        for index, column in enumerate(entity.columns)
        if column.name in delivery.columns
    ]
    values = {plan.column.name: plan.value for plan in plans}
    texts = {plan.alias: plan.text for plan in plans if plan.text}
    checks: list[tuple[str, Check]] = []
    keys = _keys(entity, delivery, rows, nulls, texts, values, checks)
    checks += [check for plan in plans for check in plan.checks]
    if unknown and texts:
        found = " or ".join(f"contains({alias}, {literal(unknown)})" for alias in texts)
        reason = "bytes that are not text in the declared encoding"
        # Before all others: what else is wrong with such a row follows from it.
        checks.insert(0, (f"coalesce({found}, false)", Check("", "encoding", reason)))
    if has_nul and texts:
        found = " or ".join(f"contains({alias}, chr(0))" for alias in texts)
        checks.append((f"coalesce({found}, false)", Check("", "nul_byte", "a NUL byte in a value")))
    extra = _extra(entity, delivery, rows, nulls, kept)
    if extra and (name := extra_column(entity)):
        texts["x"] = extra
        values[name] = "x"
    if delivery.tags:
        lists = [_texts_of(rows.text(name, nulls), is_nested=rows.is_nested) for name in delivery.tags]
        texts["g"] = _json_texts(lists)
        values["tags"] = "g"
    reads = {plan.value: plan.read for plan in plans if plan.read}
    columns = tuple(c.name for c in entity.columns if c.name in values or c.name in entity.keys)
    query = _select(source, entity, delivery, rows, texts, apart, reads, values, columns, keys, checks)
    is_row_by_row = not any(" over (" in value for value in values.values())
    is_own_key = len(entity.keys) == 1 and keys == quote(entity.keys[0])
    return EntityQuery(entity, query, tuple(check for _, check in checks), columns, is_row_by_row, is_own_key)


def _keys(
    entity: Entity,
    delivery: Delivery,
    rows: RowSource,
    nulls: tuple[str, ...],
    texts: dict[str, str],
    values: dict[str, str],
    checks: list[tuple[str, Check]],
) -> str:
    """Fill the entity's key columns; returns what `row_key` is made of (empty: a hash of the row)."""
    if delivery.key:
        parts = []
        for index, name in enumerate(delivery.key):
            texts[f"k{index}"] = rows.text(name, nulls)
            parts.append(f"k{index}")
            checks.append((f"k{index} is null", Check(name, "key", "the key is empty")))
        if len(entity.keys) == 1:
            values[entity.keys[0]] = parts[0] if len(parts) == 1 else f"concat_ws('|', {', '.join(parts)})"
        else:
            values.update(zip(entity.keys, parts, strict=False))
    for name in entity.keys:
        if name in values and name in delivery.columns:
            checks.append((f"({values[name]}) is null", Check(name, "key", "the key is empty")))
    missing = [name for name in entity.keys if name not in values]
    if entity.name == "order_line" and missing == ["line_id"]:
        sequence = "r, position" if delivery.each else "r"
        number = f"row_number() over (partition by {values['order_id']} order by {sequence})"
        values["line_id"] = f"cast({number} as varchar)"
        missing = []
    if missing:
        return ""
    if len(entity.keys) == 1:
        return quote(entity.keys[0])
    return "concat_ws('|', " + ", ".join(quote(name) for name in entity.keys) + ")"


def _extra(entity: Entity, delivery: Delivery, rows: RowSource, nulls: tuple[str, ...], kept: tuple[str, ...]) -> str:
    """The JSON object of the attributes that have no canonical column; empty: there are none."""
    attributes = {**{name: name for name in kept}, **delivery.custom}
    if not attributes or extra_column(entity) is None:
        return ""
    pairs = ", ".join(f"{literal(name)}, {rows.text(column, nulls)}" for name, column in sorted(attributes.items()))
    # A merge patch onto nothing drops the attributes without value.
    return f"nullif(cast(json_merge_patch('{{}}', json_object({pairs})) as varchar), '{{}}')"


def _select(
    source: Source,
    entity: Entity,
    delivery: Delivery,
    rows: RowSource,
    texts: dict[str, str],
    apart: Parsed,
    reads: dict[str, str],
    values: dict[str, str],
    names: tuple[str, ...],
    key: str,
    checks: list[tuple[str, Check]],
) -> str:
    """One select within the other: texts, what is read from them, canonical columns with what failed, hash, key.

    What a later step uses twice is a column of an earlier one: within one select it would be worked out twice.
    """
    carried = "r, line_number" + (", position" if delivery.each else "")
    ignored = filter_sql(source, rows)
    where = [f"not ({ignored})"] if ignored else []
    applies = [rows.test(delivery.when, source.file.nulls)] if delivery.when else []
    parsed = rows.paths.texts("row", "line") if rows.paths else ""
    base = f"select {rows.row} as r, {rows.line_number} as line_number, *{parsed} from {rows.table}"
    if delivery.each and rows.paths:
        inside = f"select *, [line] as elements, cast(0 as bigint) as position from ({base})"
        if where:
            inside += f" where {where.pop()}"
        base = inside
        for name, array in zip(rows.paths.levels, delivery.array_steps, strict=True):
            # The array of one level lies in each element of the level above.
            above = "line" if name == rows.paths.levels[0] else "element"
            found = f"json_extract({above}, {literal(json_path(array) + '[*]')})"
            base = f"select * replace ({found} as elements) from ({base})"
            base = (
                f"select * {'exclude (element)' if above == 'element' else ''}, unnest(elements) as element, "
                f"position * {MOST_ELEMENTS} + unnest(range(1, len(elements) + 1)) as place from ({base})"
            )
            base = f"select * exclude (position, place), place as position{rows.paths.texts(name, 'element')} from ({base})"
    condition = f" where {' and '.join([*where, *applies])}" if where or applies else ""
    named = "".join(f", {expression} as {alias}" for alias, expression in texts.items())
    first = f"select {carried}{named} from ({base}){condition}"
    for step in ({alias: text for text, alias in apart.columns.items()}, reads):
        if step:
            first = f"select *, {', '.join(f'{value} as {alias}' for alias, value in step.items())} from ({first})"

    columns = [
        f"cast({values.get(column.name, 'null')} as {SQL_TYPES[column.kind]}) as {quote(column.name)}"
        for column in entity.columns
        if column.name in names
    ]
    cases = " ".join(f"when {test} then {index}" for index, (test, _) in enumerate(checks))
    failure = f"case {cases} end" if cases else "cast(null as integer)"
    second = f"select r, line_number, {', '.join(columns)}, {failure} as failure from ({first})"

    digest = _digest(entity, values)
    third = f"select *, {digest} as row_hash from ({second})"
    if key:
        return f"select *, {key} as row_key from ({third})"
    name = entity.keys[-1]
    others = [quote(other) for other in entity.keys[:-1]]
    row_key = f"concat_ws('|', {', '.join([*others, 'row_hash'])})" if others else "row_hash"
    return f"select * replace (row_hash as {quote(name)}), {row_key} as row_key from ({third})"


def _digest(entity: Entity, values: dict[str, str]) -> str:
    """A hash of the canonical values, which does not depend on what the contract leaves out.

    The columns stand in their order, each followed by a separator; an absent value is an empty one.
    """
    parts, separators = [], 0
    for column in entity.columns:
        if column.name in values:
            if separators:
                parts.append(f"repeat(chr(31), {separators})")
            parts.append(quote(column.name) if column.kind in ("string", "json") else _as_varchar(column.name))
            separators = 0
        separators += 1
    return f"md5(concat({', '.join(parts)}))"


def _as_varchar(name: str) -> str:
    return f"cast({quote(name)} as varchar)"


def landing_select(
    query: EntityQuery, source: str, batch_id: str, business_on: dt.date, available_on: str, line_number: str = ""
) -> str:
    """The columns of a landing file, in order, over rows that have those of `query.rows`.

    `available_on`, `line_number`: SQL; a `line_number` left empty is not written, nor is a `row_key` that is a column
    of the entity already.
    """
    fixed = {
        "source": literal(source),
        "batch_id": literal(batch_id),
        "business_on": f"date '{business_on}'",
        "available_on": available_on,
        "line_number": line_number,
        "row_key": "" if query.is_own_key else "row_key",
    }
    names = [quote(name) for name in query.columns]
    for column in LANDING_COLUMNS:
        value = fixed.get(column.name, quote(column.name))
        if not value:
            continue
        names.append(f"cast({value} as {SQL_TYPES[column.kind]}) as {quote(column.name)}")
    return ", ".join(names)


# --- names of columns --------------------------------------------------------------------------

#: Elements of one array; the place of an element within several arrays is counted in these.
MOST_ELEMENTS = 1_000_000

_PATH_STEP = re.compile(r"([^.\[\]]+)|\[(\d+|-\d+)\]")


def json_path(path: str) -> str:
    """`a.b[0].c` as a JSON path of DuckDB. Each name is quoted: it may hold spaces or accents."""
    steps = ""
    for name, index in _PATH_STEP.findall(path):
        if index:
            steps += f"[#{index}]" if index.startswith("-") else f"[{index}]"
        else:
            steps += '."' + name.replace('"', "") + '"'
    return "$" + steps


@dataclass
class JsonPaths:
    """The columns of JSON rows: each document is parsed once for all the paths that are asked of it.

    With `each`, a plain name is a path in the element, else in those of the arrays around it, else in the row.
    """

    depth: int = 0  # of the arrays whose elements are rows
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    asked: dict[str, list[str]] = field(default_factory=dict)

    @property
    def levels(self) -> list[str]:
        """The elements of each array, the outermost first."""
        return [f"element{level}" for level in range(1, self.depth + 1)]

    def find(self, name: str) -> str:
        others = self.aliases.get(name, ())
        if others:
            return f"coalesce({', '.join(self._find(tried) for tried in (name, *others))})"
        return self._find(name)

    def find_in_row(self, name: str) -> str:
        """As `find`, whatever the elements hold."""
        found = [self._of("row", tried.removeprefix("$.")) for tried in (name, *self.aliases.get(name, ()))]
        return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"

    def _find(self, name: str) -> str:
        if not self.depth:
            return self._of("row", name.removeprefix("$."))
        if name == "@":
            return "json_extract_string(element, '$')"
        if name.startswith("@."):
            return self._of(self.levels[-1], name[2:])
        if name.startswith("$."):
            return self._of("row", name[2:])
        return f"coalesce({', '.join(self._of(document, name) for document in (*self.levels[::-1], 'row'))})"

    def _of(self, document: str, name: str) -> str:
        paths = self.asked.setdefault(document, [])
        path = json_path(name)
        if path not in paths:
            paths.append(path)
        return f"{document}_texts[{paths.index(path) + 1}]"

    def texts(self, document: str, expression: str) -> str:
        """The column that holds the texts of all paths asked of a document; empty: none was."""
        paths = self.asked.get(document, [])
        if not paths:
            return ""
        return f", json_extract_string({expression}, [{sql_list(paths)}]) as {document}_texts"
