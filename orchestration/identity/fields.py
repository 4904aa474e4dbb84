"""What each kind of field means: how it is prepared, and when two values are equal, near or contrary.

What belongs here: SQL expressions, by kind. What does not: any SQL that reads or writes a table.

Expressions about a pair name their columns as Splink does: `"x_l"` and `"x_r"`. So one text serves a
rule, a level of the model and the explanation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from orchestration.contracts.matching import FieldSpec, Matching, part_of
from orchestration.errors import DeclarationError
from orchestration.warehouse import literal, quote

#: Words that come and go in French family names.
PARTICLES = "de|d|du|des|la|le|les|l|van|von|der|den|di|da|do|dos|el|al|ben|bin"

#: A name is rare where chance gives it fewer bearers more than this, if no veto says otherwise.
_RARE = 1 / 64

#: A value that fewer records hold than this (8, in half bits) counts as held by so many: its owner alone may have them.
FEW = 6

#: The class of a name about which nothing is known: as common as can be.
_COMMON = 99

#: The level of two names whose fields were exchanged.
SWAPPED = "given and family name swapped"


@dataclass(frozen=True)
class Level:
    """One level of a comparison; the first whose `sql` is true is the pair's.

    `agrees`: near enough to be the same; `contradicts`: so far that it speaks against. Neither: undecided.
    """

    name: str
    sql: str
    agrees: bool = False
    contradicts: bool = False
    takes_frequency: bool = False


@dataclass(frozen=True)
class Prepared:
    """A column of the working table `identity.records` and the SQL that makes it."""

    name: str
    sql: str


def is_list(spec: FieldSpec) -> bool:
    """Whether the field holds a list of values (several columns of one kind)."""
    return bool(spec.any_of)


def physical(matching: Matching) -> list[str]:
    """The declared fields that have a value of their own (a person_name is made of others)."""
    return [name for name, spec in matching.fields.items() if spec.kind != "person_name"]


def source_columns(name: str, spec: FieldSpec) -> tuple[str, ...]:
    """The columns of the standardised records that a field reads."""
    return spec.any_of or (spec.column or name,)


def raw_expression(column: str, known: set[str], declared_in: str = "matching.yml") -> str:
    """SQL for one column of the standardised records, or `custom.<name>`; text, blank as null."""
    if column.startswith("custom."):
        path = "$." + '"' + column.removeprefix("custom.").replace('"', "") + '"'
        text = f"lower(strip_accents(json_extract_string(custom, {literal(path)})))"
    elif column == "own_key":
        text = "concat(source, '|', record_id)"
    elif column == "account_key":
        text = (
            "case when account_source is not null and account is not null then concat(account_source, '|', account) end"
        )
    elif column in known:
        text = f"cast({quote(column)} as varchar)"
    else:
        raise DeclarationError(
            f'{declared_in}: column "{column}" is not among the standardised records; known: '
            f"{', '.join(sorted(known))}, own_key, account_key and custom.<name>"
        )
    return f"nullif(trim({text}), '')"


def dashed(text: str) -> str:
    """A date of eight digits (19770501) as 1977-05-01; anything else as it is."""
    return f"regexp_replace({text}, '^([0-9]{{4}})([0-9]{{2}})([0-9]{{2}})$', '\\1-\\2-\\3')"


def sole_fields(matching: Matching) -> list[str]:
    """The fields of which it matters whether a value is known under one given name only."""
    named = {name for veto in matching.vetoes for name in veto.unless_sole}
    return sorted(named | {name for rule in matching.rules for name in rule.sole})


def rare_fields(matching: Matching) -> list[str]:
    """The person_names of which it matters how many people bear them."""
    named = {name for veto in matching.vetoes for name in veto.unless_rare}
    parts = (part_of(item) for key in matching.block_on for item in key)
    return sorted(named | {name for name, part, _ in parts if part == "rare"})


def rarity_fields(matching: Matching) -> list[str]:
    """The fields of the model of which the records of each run tell how common a value is."""
    if not matching.model.enabled or matching.model.frequencies_from != "records":
        return []
    compared = {comparison.field for comparison in matching.model.comparisons if comparison.frequencies}
    return sorted(name for name in compared if not is_list(matching.fields[name]))


def established_fields(matching: Matching) -> list[str]:
    """The fields of which it matters whether many records hold a value."""
    return sorted(name for name, spec in matching.fields.items() if spec.established is not None)


def half_bits(share: float) -> int:
    """A number below 1 as a class of `identity.name_counts`: half a bit wide."""
    return math.floor(2 * math.log2(share))


def homonyms(name: str) -> str:
    """How many bearers more chance gives the names of a pair, as a class; never null."""
    left, right = _lr(name, "__homonyms")
    return f"greatest(coalesce({left}, {_COMMON}), coalesce({right}, {_COMMON}))"


def sole(name: str, matching: Matching) -> str:
    """True where both sides have a value in common that is known under one given name only."""
    left, right = _lr(name, "__sole")
    return f"list_has_any({left}, {right})" if is_list(matching.fields[name]) else f"{left} = {right}"


def _letters(column: str) -> str:
    return f"replace({quote(column)}, ' ', '')"


def _made_of_names(name: str, spec: FieldSpec, matching: Matching) -> list[Prepared]:
    """Whether the local part of an e-mail repeats the names and nothing else (no number); and its digits."""
    if not spec.person:
        return []
    person = matching.fields[spec.person]
    given, family = person.given or "", person.family or ""
    local = f"regexp_replace(split_part({quote(name)}, '@', 1), '[^a-z0-9]', '', 'g')"
    first, last = _letters(given), f"regexp_replace({_letters(family)}, '[^a-z0-9]', '', 'g')"
    token = f"split_part({quote(given)}, ' ', 1)"
    shapes = [f"concat({one}, {other})" for part in (first, token) for one, other in ((part, last), (last, part))]
    initial = f"substr({quote(given)}, 1, 1)"
    shapes += [f"concat({initial}, {last})", f"concat({last}, {initial})", first, last]
    return [
        Prepared(f"{name}__names", f"case when {quote(name)} is not null then coalesce({local} in ({', '.join(shapes)}), "
                 "false) end"),
        Prepared(f"{name}__digits", f"regexp_replace(split_part({quote(name)}, '@', 1), '[^0-9]', '', 'g')"),
    ]  # fmt: skip


def prepared(name: str, spec: FieldSpec, matching: Matching) -> list[Prepared]:
    """The further columns that a field needs, made from its own column `name`."""
    nicknames = bool(matching.nicknames)
    column = quote(name)
    if is_list(spec):
        return []
    if spec.kind == "given_name":
        token = f"split_part({column}, ' ', 1)"
        told = [f"[{token}]"]
        if spec.formal:
            told.append(f"[{quote(name + '__formal')}]")
        if nicknames:
            told += [f"coalesce({quote(name + '__whole')}.roots, [])", f"coalesce({quote(name + '__first')}.roots, [])"]
        roots = told[0]
        for more in told[1:]:
            roots = f"list_concat({roots}, {more})"
        roots = f"list_distinct(list_filter({roots}, x -> x is not null))"
        return [
            Prepared(f"{name}__token", token),
            Prepared(f"{name}__roots", f"case when {column} is not null then {roots} end"),
        ]
    if spec.kind == "family_name":
        bare = f"regexp_replace(regexp_replace({column}, '\\b({PARTICLES})\\b', '', 'g'), '[^a-z0-9]', '', 'g')"
        return [Prepared(f"{name}__bare", f"coalesce(nullif({bare}, ''), {column})")]
    if spec.kind == "date":
        swapped = f"concat(substr({column}, 1, 4), '-', substr({column}, 9, 2), '-', substr({column}, 6, 2))"
        return [Prepared(f"{name}__swapped", f"case when length({column}) = 10 then {swapped} end")]
    if spec.kind == "email":
        local = f"regexp_replace(split_part({column}, '@', 1), '[^a-z0-9]', '', 'g')"
        return [Prepared(f"{name}__local", f"nullif({local}, '')"), *_made_of_names(name, spec, matching)]
    return []


def nickname_joins(matching: Matching) -> str:
    """Joins that bring the nickname groups of a given name, as a whole and by its first word."""
    if not matching.nicknames:
        return ""
    roots = "(select name, list(root order by root) as roots from identity.nicknames group by name)"
    return "".join(
        f" left join {roots} as {quote(name + '__whole')} on {quote(name + '__whole')}.name = {quote(name)}"
        f" left join {roots} as {quote(name + '__first')} on {quote(name + '__first')}.name = "
        f"split_part({quote(name)}, ' ', 1)"
        for name, spec in matching.fields.items()
        if spec.kind == "given_name"
    )


def key_expression(item: str, matching: Matching, alias: str = "r") -> str:
    """The SQL text of one part of a blocking key; null where the record has none. Lists: see `key_list`."""
    name, part, length = part_of(item)
    spec = matching.fields[name]
    if spec.kind == "person_name":
        if part not in ("words", "initials", "rare"):
            raise DeclarationError(
                f'matching.yml: block_on: "{item}": a person_name has only the parts words, initials and rare'
            )
        given, family = f"{alias}.{quote(spec.given or '')}", f"{alias}.{quote(spec.family or '')}"
        if part in ("words", "rare"):
            words = f"list_sort(string_split(concat_ws(' ', {given}, {family}), ' '))"
        else:
            words = f"list_sort([substr({given}, 1, 1), substr({family}, 1, 1)])"
        held = f"{given} is not null and {family} is not null"
        if part == "rare":
            limits = [veto.unless_rare[name] for veto in matching.vetoes if name in veto.unless_rare]
            held = f"{alias}.{quote(name + '__homonyms')} <= {half_bits(max(limits, default=_RARE))}"
        return f"case when {held} then array_to_string({words}, ' ') end"
    column = f"{alias}.{quote(name)}"
    if is_list(spec):
        if part:
            raise DeclarationError(f'matching.yml: block_on: "{item}": a list of values has no part "{part}"')
        return f"unnest({column})"
    expressions: dict[str, str] = {
        "": column,
        "prefix": f"substr({column}, 1, {length or 3})",
        "suffix": f"right({column}, {length or 4})",
        "initial": f"substr({column}, 1, 1)",
        "token": f"split_part({column}, ' ', 1)",
        "last": f"split_part({column}, ' ', -1)",
        "words": f"array_to_string(list_sort(string_split({column}, ' ')), ' ')",
        "year": f"substr({column}, 1, 4)",
        "month": f"substr({column}, 6, 2)",
        "day": f"substr({column}, 9, 2)",
        "monthday": f"least(substr({column}, 6, 5), concat(substr({column}, 9, 2), '-', substr({column}, 6, 2)))",
        "local": f"nullif(regexp_replace(split_part({column}, '@', 1), '[^a-z0-9]', '', 'g'), '')",
    }
    text = expressions[part]
    if part in ("prefix", "suffix") and length:
        return f"case when length({column}) >= {length} then {text} end"
    return f"nullif({text}, '')"


# -- pairs ------------------------------------------------------------------------------------------


def _lr(name: str, suffix: str = "") -> tuple[str, str]:
    return f'"{name}{suffix}_l"', f'"{name}{suffix}_r"'


def present(name: str, matching: Matching) -> str:
    """True where both sides have a value."""
    spec = matching.fields[name]
    if spec.kind == "person_name":
        assert spec.given and spec.family
        return f"({present(spec.given, matching)} and {present(spec.family, matching)})"
    left, right = _lr(name)
    return f"({left} is not null and {right} is not null)"


def _persons(name: str, matching: Matching) -> list[FieldSpec]:
    return [p for p in matching.fields.values() if p.kind == "person_name" and name in (p.given, p.family)]


def _swapped_names(spec: FieldSpec) -> str:
    assert spec.given and spec.family
    given_l, given_r = _lr(spec.given)
    family_l, family_r = _lr(spec.family)
    near = (
        "(jaro_winkler_similarity({0}, {1}) >= 0.9 "
        "or (least(length({0}), length({1})) >= 4 and damerau_levenshtein({0}, {1}) <= 1))"
    )
    return f"({near.format(given_l, family_r)} and {near.format(family_l, given_r)})"


def _swapped_in_part(spec: FieldSpec) -> str:
    """One record's given name is the other's family name, and the other half is an initial of it, or absent.

    Where the other halves differ, it is more likely another member of the family.
    """
    assert spec.given and spec.family
    given_l, given_r = _lr(spec.given)
    family_l, family_r = _lr(spec.family)

    def crossed(one: str, other: str, rest: str, rest_other: str) -> str:
        initial = (
            f"(least(length({rest}), length({rest_other})) = 1 and substr({rest}, 1, 1) = substr({rest_other}, 1, 1))"
        )
        return (
            f"coalesce(length({one}) > 2 and jaro_winkler_similarity({one}, {other}) >= 0.93 "
            f"and ({rest} is null or {rest_other} is null or {initial}), false)"
        )

    return f"({crossed(given_l, family_r, family_l, given_r)} or {crossed(given_r, family_l, family_r, given_l)})"


def _nickname(name: str) -> str:
    left, right = _lr(name, "__roots")
    return f"list_has_any({left}, {right})"


def _contained(left: str, right: str) -> str:
    return (
        f"(contains(concat(' ', {left}, ' '), concat(' ', {right}, ' ')) "
        f"or contains(concat(' ', {right}, ' '), concat(' ', {left}, ' ')))"
    )


def _given_initial(name: str) -> str:
    """One is an initial (`j`, or `j p`) of the other, or of the name that the other is short for."""
    left, right = _lr(name)
    roots_l, roots_r = _lr(name, "__roots")

    def stands_for(short: str, long: str, roots: str) -> str:
        first = f"substr({short}, 1, 1)"
        return (
            f"(regexp_full_match({short}, '[a-z]( [a-z])*') and ({first} = substr({long}, 1, 1) "
            f"or list_contains(list_transform({roots}, x -> substr(x, 1, 1)), {first})))"
        )

    return f"({stands_for(left, right, roots_r)} or {stands_for(right, left, roots_l)})"


def _near_given(name: str, spec: FieldSpec) -> str:
    left, right = _lr(name)
    near = (
        f"({_near_text(name)} or (least(length({left}), length({right})) >= 3 "
        f"and damerau_levenshtein({left}, {right}) <= 1))"
    )
    return _unless_both_usual(name, spec, near)


def _unless_both_usual(name: str, spec: FieldSpec, near: str) -> str:
    """Karin and Karim are near, but nobody who writes one means the other: both are names that many people bear."""
    if not spec.usual:
        return near
    usual_l, usual_r = _lr(name, "__usual")
    return f"({near} and not coalesce({usual_l} <> {usual_r}, false))"


def _date_parts(name: str) -> str:
    """Two of year, month and day are the same."""
    left, right = _lr(name)
    same = " + ".join(
        f"cast(substr({left}, {at}, {length}) = substr({right}, {at}, {length}) as integer)"
        for at, length in ((1, 4), (6, 2), (9, 2))
    )
    return f"({same}) >= 2"


def _near_text(name: str, similarity: float = 0.92) -> str:
    left, right = _lr(name)
    return f"jaro_winkler_similarity({left}, {right}) >= {similarity}"


def _date_swapped(name: str) -> str:
    left, _ = _lr(name)
    _, swapped_r = _lr(name, "__swapped")
    return f"{left} = {swapped_r}"


def _birth_name(name: str, spec: FieldSpec) -> str | None:
    if not spec.birth:
        return None
    left, right = _lr(name)
    birth_l, birth_r = _lr(spec.birth)
    return f"({left} = {birth_r} or {birth_l} = {right} or {birth_l} = {birth_r})"


def levels(name: str, matching: Matching) -> list[Level]:
    """The levels of a field, strongest first, without the last one ("anything else", which contradicts)."""
    spec = matching.fields[name]
    left, right = _lr(name)
    if is_list(spec):
        common = [Level("in common", f"list_has_any({left}, {right})", agrees=True)]
        if spec.kind != "identifier":
            common.append(Level("one sign off", f"levenshtein({left}[1], {right}[1]) <= 1"))
        return common
    person = next(iter(_persons(name, matching)), None)
    same = Level("the same", f"{left} = {right}", agrees=True, takes_frequency=True)
    one_off = f"damerau_levenshtein({left}, {right}) <= 1"
    by_kind: dict[str, Callable[[], list[Level]]] = {
        "given_name": lambda: _given_levels(name, spec, same, person),
        "family_name": lambda: _family_levels(name, spec, same, person),
        "date": lambda: [
            same,
            Level("day and month swapped", _date_swapped(name), agrees=True),
            Level("one digit off", one_off, agrees=True),
            Level("two parts of three the same", _date_parts(name), agrees=True),
            Level("same year", f"substr({left}, 1, 4) = substr({right}, 1, 4)", contradicts=True),
        ],
        "email": lambda: _email_levels(name, spec, same),
        "phone": lambda: [same, Level("one digit off", one_off, agrees=True)],
        "identifier": lambda: [same, Level("one sign off", one_off, agrees=True)],
        "postal_code": lambda: [
            same,
            Level("one sign off", _unless_both_established(name, spec, one_off), agrees=True),
            Level("same area", f"substr({left}, 1, 2) = substr({right}, 1, 2)"),
        ],
        "address": lambda: [
            same,
            Level("near", _near_text(name, 0.93), agrees=True),
            Level("somewhat near", _near_text(name, 0.85)),
        ],
        "text": lambda: [
            same,
            Level("near", _near_text(name, 0.92), agrees=True),
            Level("somewhat near", _near_text(name, 0.8)),
        ],
        "category": lambda: [same],
    }
    return by_kind[spec.kind]()


def _email_levels(name: str, spec: FieldSpec, same: Level) -> list[Level]:
    left, right = _lr(name)
    local_l, local_r = _lr(name, "__local")
    tests = {
        "the same but for punctuation": _same_mailbox(name),
        "same name, another provider": f"{local_l} = {local_r}",
        "near": f"levenshtein({left}, {right}) <= 2",
        "name near": f"jaro_winkler_similarity({local_l}, {local_r}) >= 0.88",
    }
    last: list[Level] = []
    if spec.person:
        # Two homonyms have such addresses as well, or the same with another number behind.
        names_l, names_r = _lr(name, "__names")
        digits_l, digits_r = _lr(name, "__digits")
        last = [Level("made of the names", f"({names_l} and {names_r})")]
        tests = {key: f"({text} and not ({names_l} and {names_r}))" for key, text in tests.items()}
        for key in ("near", "name near"):
            tests[key] = f"({tests[key]} and {digits_l} = {digits_r})"
    agreeing = ("the same but for punctuation", "near")
    return [same, *(Level(key, text, agrees=key in agreeing) for key, text in tests.items()), *last]


def _unless_both_established(name: str, spec: FieldSpec, near: str) -> str:
    """Martin and Martinez are near, but many bear each: nobody who writes one means the other.

    The rarer must not be so rare beside the other that it is what slips make of it (1 in 32).
    """
    if spec.established is None:
        return near
    held_l, held_r = _lr(name, "__held")
    least = math.floor(2 * math.log2(spec.established))
    both = f"least({held_l}, {held_r}) >= {least} and abs({held_l} - {held_r}) <= 10"
    if spec.sound:
        sound_l, sound_r = _lr(name, "__sound")
        both += f" and {sound_l} <> {sound_r}"
    return f"({near} and not coalesce({both}, false))"


def _same_mailbox(name: str) -> str:
    left, right = _lr(name)
    local_l, local_r = _lr(name, "__local")
    return f"({local_l} = {local_r} and split_part({left}, '@', 2) = split_part({right}, '@', 2))"


def _given_levels(name: str, spec: FieldSpec, same: Level, person: FieldSpec | None) -> list[Level]:
    left, right = _lr(name)
    token_l, token_r = _lr(name, "__token")
    apart = _other_second_name(name)
    found = [
        Level("initial", _given_initial(name)),
        same,
        Level("nickname", f"({_nickname(name)} and not {apart})", agrees=True),
        Level("near", f"({_near_given(name, spec)} and not {apart})", agrees=True),
    ]
    if person:
        found.append(Level(SWAPPED, _swapped_names(person)))
        found.append(Level("swapped in part", _swapped_in_part(person)))
    contained = f"(({token_l} = {token_r} or {_contained(left, right)}) and not {apart})"
    found.append(Level("part of a compound name", contained, agrees=True))
    somewhat = f"({_near_text(name, 0.82)} and not {apart})"
    found.append(Level("somewhat near", _unless_both_usual(name, spec, somewhat)))
    return found


def _other_second_name(name: str) -> str:
    """Jean Luc and Jean Pierre: one first word, then words that are neither near nor an initial of each other."""
    left, right = _lr(name)
    token_l, token_r = _lr(name, "__token")
    second_l, second_r = (f"split_part({side}, ' ', 2)" for side in (left, right))
    return (
        f"({token_l} = {token_r} and length({token_l}) > 1 and length({second_l}) > 1 and length({second_r}) > 1 "
        # A column's width may cut the second: marie clai.
        f"and damerau_levenshtein({second_l}, {second_r}) > 1 "
        f"and not starts_with({second_l}, {second_r}) and not starts_with({second_r}, {second_l}))"
    )


def _family_levels(name: str, spec: FieldSpec, same: Level, person: FieldSpec | None) -> list[Level]:
    left, right = _lr(name)
    bare_l, bare_r = _lr(name, "__bare")
    found = [same, Level("same without particles", f"{bare_l} = {bare_r}", agrees=True)]
    birth = _birth_name(name, spec)
    if birth:
        found.append(Level("name at birth", birth, agrees=True))
    near = f"jaro_winkler_similarity({bare_l}, {bare_r}) >= 0.92"
    one_off = f"(least(length({bare_l}), length({bare_r})) >= 5 and damerau_levenshtein({bare_l}, {bare_r}) <= 1)"
    found.append(Level("near", _unless_both_established(name, spec, f"({near} or {one_off})"), agrees=True))
    if person:
        found.append(Level(SWAPPED, _swapped_names(person)))
        found.append(Level("swapped in part", _swapped_in_part(person)))
    found.append(Level("part of a compound name", _contained(left, right), agrees=True))
    somewhat = f"jaro_winkler_similarity({bare_l}, {bare_r}) >= 0.8"
    found.append(Level("somewhat near", _unless_both_established(name, spec, somewhat)))
    return found


def level_expression(name: str, matching: Matching) -> str:
    """The number of a pair's level, strongest 0; the number of levels for "anything else"; -1 where one is absent."""
    found = levels(name, matching)
    cases = " ".join(f"when {level.sql} then {number}" for number, level in enumerate(found))
    return f"case when not {present(name, matching)} then -1 {cases} else {len(found)} end"


def _numbers(name: str, matching: Matching, wanted: Callable[[Level], bool]) -> list[int]:
    return [number for number, level in enumerate(levels(name, matching)) if wanted(level)]


def _is_in(name: str, numbers: list[int]) -> str:
    return f"g_{name} in ({', '.join(map(str, numbers))})" if numbers else "false"


def _is_swapped(spec: FieldSpec, matching: Matching) -> str:
    assert spec.given
    return _is_in(spec.given, _numbers(spec.given, matching, lambda level: level.name == SWAPPED))


def equal(name: str, matching: Matching) -> str:
    """True where both sides have the same value (a list: a value in common). Over level numbers; never null."""
    spec = matching.fields[name]
    if spec.kind == "person_name":
        assert spec.given and spec.family
        return f"({equal(spec.given, matching)} and {equal(spec.family, matching)})"
    return _is_in(name, _numbers(name, matching, lambda level: level.name in ("the same", "in common")))


def agree(name: str, matching: Matching) -> str:
    """True where both sides have a value, the same or near in the sense of the kind. Over level numbers; never null."""
    spec = matching.fields[name]
    if spec.kind == "person_name":
        assert spec.given and spec.family
        both = f"({agree(spec.given, matching)} and {agree(spec.family, matching)})"
        return f"({both} or {_is_swapped(spec, matching)})"
    return _is_in(name, _numbers(name, matching, lambda level: level.agrees))


def told(name: str, matching: Matching) -> str:
    """`agree`, or the two names are exchanged: nothing is left open about them. Over level numbers; never null."""
    spec = matching.fields[name]
    if spec.kind == "person_name":
        return agree(name, matching)
    return _is_in(name, _numbers(name, matching, lambda level: level.agrees or level.name == SWAPPED))


def conflict(name: str, matching: Matching) -> str:
    """True where both sides have a value and the values contradict each other. Over level numbers; never null."""
    spec = matching.fields[name]
    if spec.kind == "person_name":
        assert spec.given and spec.family
        either = f"({conflict(spec.given, matching)} or {conflict(spec.family, matching)})"
        return f"({either} and not {_is_swapped(spec, matching)})"
    return _is_in(name, [*_numbers(name, matching, lambda level: level.contradicts), len(levels(name, matching))])


def asked(names: set[str], matching: Matching) -> list[str]:
    """The fields whose levels answer questions about `names`: a person_name stands for its parts."""
    found = set()
    for name in names:
        spec = matching.fields[name]
        found |= {spec.given, spec.family} if spec.kind == "person_name" else {name}
    return sorted(part for part in found if part)


def pair_columns(names: set[str], matching: Matching) -> list[str]:
    """The working-table columns that expressions about `names` read (before `_l` and `_r`)."""
    found: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        spec = matching.fields[name]
        if spec.kind == "person_name":
            waiting |= {part for part in (spec.given, spec.family, spec.birth) if part} - found
            continue
        if name in found:
            continue
        found.add(name)
        found |= {column.name for column in prepared(name, spec, matching)}
        if spec.established is not None:
            found.add(f"{name}__held")
        if spec.sound:
            found.add(f"{name}__sound")
        if spec.usual:
            found.add(f"{name}__usual")
        if spec.birth:
            waiting.add(spec.birth)
        for other in matching.fields.values():
            if other.kind == "person_name" and name in (other.given, other.family):
                waiting |= {part for part in (other.given, other.family) if part} - found
    return sorted(found)
