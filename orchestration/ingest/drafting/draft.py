"""The draft of a contract, as YAML that a person finishes.

What belongs here: the name of the source, the pattern of its files, the text. What does not: the decisions
(`mapping`). Everything the draft is not sure of carries a `todo`, which `rcu check` names with its line until it
is taken out. No value of a person is ever written: only the words of short lists.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestration.contracts.loader import parse
from orchestration.errors import DeclarationError
from orchestration.ingest.drafting.content import look_at
from orchestration.ingest.drafting.mapping import EntityDraft, MappingDraft, RuleDraft, map_columns
from orchestration.ingest.drafting.sampling import Sample, take_sample
from orchestration.ingest.drafting.vocabulary import slug

SCHEMA_LINE = "# yaml-language-server: $schema=../schemas/source.schema.json"


@dataclass(frozen=True)
class Draft:
    """A contract draft. `columns`: of the file; `doubts`: what a person still has to decide."""

    source: str
    text: str
    columns: int
    doubts: int


def draft_contract(path: Path, name: str | None = None) -> Draft:
    """Look at a file and write the contract it seems to have. Raises UsageError for what is no extract."""
    sample = take_sample(path)
    pattern, date_format = pattern_of(sample.file_name)
    source = name or _source_name(pattern)
    mapping = map_columns(sample, source)
    for key, doubt in sample.doubts:
        mapping.todo.setdefault(key, doubt)
    _ask_of_the_source(mapping)
    text = _write(sample, mapping, source, pattern, date_format)
    doubts = len(mapping.todo) + len(re.findall(r"(?m)(?:^|[ {,])todo: \"", text.split("\ntodo:\n")[0]))
    return Draft(source, text, len(sample.columns), doubts)


def _ask_of_the_source(mapping: MappingDraft) -> None:
    """What no file says of itself."""
    if set(mapping.entities) & {"customer", "product"}:
        mapping.todo.setdefault(
            "delivery", "does each file hold everything (full), or what is new and changed (delta)?"
        )
    mapping.todo.setdefault("trust_rank", "how much is this source to be trusted beside the others? 1 is the most")


# --- names -------------------------------------------------------------------------------------

_DATED = (
    (r"(?<!\d)\d{4}-\d\d-\d\d(?!\d)", "%Y-%m-%d"), (r"(?<!\d)\d{4}_\d\d_\d\d(?!\d)", "%Y_%m_%d"),
    (r"(?<!\d)\d{14}(?!\d)", "%Y%m%d%H%M%S"), (r"(?<!\d)\d{8}[-_T]\d{6}(?!\d)", "%Y%m%d{}%H%M%S"),
    (r"(?<!\d)\d{8}(?!\d)", "%Y%m%d"), (r"(?<!\d)\d{8}(?!\d)", "%d%m%Y"), (r"(?<!\d)\d\d-\d\d-\d{4}(?!\d)", "%d-%m-%Y"),
    (r"(?<!\d)\d{6}(?!\d)", "%y%m%d"), (r"(?<!\d)\d{6}(?!\d)", "%d%m%y"),
)  # fmt: skip


def pattern_of(file_name: str) -> tuple[str, str | None]:
    """(the pattern of a file name, how its date is written; None: the name has no date)."""
    name = re.sub(r"\.(gz|zip)$", "", file_name, flags=re.IGNORECASE)
    for expression, date_format in _DATED:
        for found in re.finditer(expression, name):
            shown = found.group()
            written = date_format.replace("{}", shown[8:9])
            try:
                moment = dt.datetime.strptime(shown, written)
            except ValueError:
                continue
            if 1990 <= moment.year <= 2100:
                return name[: found.start()] + "{date}" + name[found.end() :], written
    return name, None


def _source_name(pattern: str) -> str:
    stem = pattern.rsplit(".", 1)[0].replace("{date}", " ")
    return slug(stem) or "new_source"


# --- text --------------------------------------------------------------------------------------


def _write(sample: Sample, mapping: MappingDraft, source: str, pattern: str, date_format: str | None) -> str:
    lines = [
        SCHEMA_LINE,
        f"# Draft made from {sample.rows:,} rows of a file. Decide each todo, and take it out; `rcu check` names those left.",
        f"source: {source}",
        "describes: " + _scalar(f"{source.replace('_', ' ').capitalize()}, as delivered by its system"),
        "trust_rank: 3",
        "delivery: delta",
        "file:",
        f"  pattern: {_quoted(pattern)}",
    ]
    layout: dict[str, Any] = {}
    if date_format and date_format != "%Y-%m-%d":
        layout["date_format"] = date_format
    if sample.format != "csv":
        layout["format"] = sample.format
    layout.update(sample.layout)
    layout.update(_separators(sample))
    for key, value in layout.items():
        if isinstance(value, dict):
            lines += [f"  {key}:", *(f"    {_scalar(name)}: {json.dumps(place)}" for name, place in value.items())]
        elif isinstance(value, list):
            lines += [f"  {key}: [{', '.join(_scalar(item) for item in value)}]"]
        else:
            lines.append(f"  {key}: {_plain_key(key, value)}")
    if sample.totals:
        column, word = sample.totals
        lines += [
            "filter:",
            f"  - {{column: {_scalar(column)}, matches: {_quoted('(?i)^' + word)}, reason: lines of totals}}",
        ]
    lines.append("delivers:")
    for name, entity in mapping.entities.items():
        lines += _entity(name, entity)
    if mapping.ignored:
        lines.append(f"ignored: [{', '.join(_scalar(column) for column in dict.fromkeys(mapping.ignored))}]")
    if mapping.todo:
        lines.append("todo:")
        lines += [f"  {_scalar(key)}: {_quoted(question)}" for key, question in mapping.todo.items()]
    return "\n".join(lines) + "\n"


def _plain_key(key: str, value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool | int):
        return str(value).lower()
    return (
        _quoted(value)
        if key in ("delimiter", "quote", "escape", "decimal", "thousands", "date_format")
        else _scalar(value)
    )


def _separators(sample: Sample) -> dict[str, Any]:
    """The decimal sign, units, and what stands for no value, by the columns that show them."""
    found: dict[str, Any] = {}
    signs: Counter[str] = Counter()
    groups: Counter[str] = Counter()
    nulls: set[str] = set()
    units: set[str] = set()
    for column in sample.columns:
        content = look_at(column)
        if content.decimal and content.mostly("number", 0.8):
            signs[content.decimal] += 1
        if content.thousands:
            groups[content.thousands] += 1
        if content.unit and content.mostly("number", 0.8):
            units.add(content.unit)
        nulls |= set(content.nulls)
    if signs and max(sorted(signs), key=lambda sign: signs[sign]) == ",":
        found["decimal"] = ","
    if groups:
        chosen = max(sorted(groups), key=lambda sign: groups[sign])
        if chosen != found.get("decimal", "."):
            found["thousands"] = chosen
    if units:
        found["unit"] = sorted(units)
    if nulls:
        found["nulls"] = ["", *sorted(nulls)]
    return found


def _entity(name: str, entity: EntityDraft) -> list[str]:
    lines = [f"  {name}:"]
    if entity.each:
        lines.append(f"    each: {_scalar(entity.each)}")
    if entity.when:
        lines.append(f"    when: {{column: {_scalar(entity.when['column'])}, exists: true}}")
    if entity.key:
        shown = [_scalar(column) for column in entity.key]
        lines.append(f"    key: {shown[0]}" if len(shown) == 1 else f"    key: [{', '.join(shown)}]")
    if entity.columns:
        lines.append("    columns:")
    for canonical, rule in entity.columns.items():
        lines += _rule(canonical, rule)
    if entity.custom:
        pairs = ", ".join(f"{attribute}: {_scalar(column)}" for attribute, column in entity.custom.items())
        lines.append(f"    custom: {{{pairs}}}")
    if entity.tags:
        lines.append(f"    tags: [{', '.join(_scalar(column) for column in entity.tags)}]")
    return lines


def _rule(canonical: str, rule: RuleDraft) -> list[str]:
    parts = [f"{key}: {_value(key, value)}" for key, value in rule.keys.items()]
    if rule.todo:
        parts.append(f"todo: {_quoted(rule.todo)}")
    line = f"      {canonical}: {{{', '.join(parts)}}}"
    if len(line) <= 120:
        return [line]
    return [f"      {canonical}:", *(f"        {part}" for part in parts)]


def _value(key: str, value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(_quoted(item) if key == "format" else _scalar(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(word)}: {_scalar(found)}" for word, found in value.items()) + "}"
    if key == "extract":
        return "'" + value.replace("'", "''") + "'"
    return _quoted(value) if key in ("format", "split") else _scalar(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _scalar(text: str) -> str:
    """A text that YAML reads back as that text: bare where it can be, else in quotes."""
    if re.fullmatch(r"[^\W_][\w .°()/+-]*[\w.)]|\w", text):
        try:
            if parse(f"{{k: {text}}}", "draft").data == {"k": text} and parse(f"{{{text}: k}}", "draft").data == {
                text: "k"
            }:
                return text
        except DeclarationError:
            pass
    return _quoted(text)
