"""Read one YAML declaration into its model, or say which line is wrong and what was probably meant.

YAML is read by its 1.2 core rules where 1.1 bites: only `true` and `false` are booleans (`NO` is a
country, `on` a word), numbers with a leading zero stay text (postal codes), `12:30` is text. A key
given twice is an error.
"""

from __future__ import annotations

import datetime as dt
import difflib
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from orchestration.errors import DeclarationError


class Declaration(BaseModel):
    """Parent of every declaration model: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


Model = TypeVar("Model", bound=BaseModel)
Location = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """One thing wrong in one declaration. `line` counts from 1."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


@dataclass(frozen=True)
class Document:
    """A parsed YAML file: its data, and the line where each key or item stands."""

    file: str
    data: Any
    lines: dict[Location, int]

    def line_of(self, location: Location) -> int:
        """The line of the nearest enclosing part of `location` that is in the file."""
        for length in range(len(location), -1, -1):
            line = self.lines.get(location[:length])
            if line is not None:
                return line
        return 1

    def problem(self, location: Location, message: str) -> Problem:
        return Problem(self.file, self.line_of(location), message)


def raise_problems(problems: list[Problem]) -> None:
    """Raise one DeclarationError that lists all problems, in file and line order; none: return."""
    if problems:
        ordered = sorted(set(problems), key=lambda p: (p.file, p.line, p.message))
        raise DeclarationError("\n".join(str(problem) for problem in ordered))


class _CoreLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """libyaml where the wheel carries it: ten times as fast, the same nodes and marks."""


_CoreLoader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("tag:yaml.org,2002:bool", r"^(?:true|false)$", "tf"),
    ("tag:yaml.org,2002:null", r"^(?:null|~|)$", ["n", "~", ""]),
    ("tag:yaml.org,2002:int", r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
    ("tag:yaml.org,2002:float", r"^[-+]?(?:0|[1-9][0-9]*)?\.[0-9]+(?:[eE][-+]?[0-9]+)?$", "-+0123456789."),
    ("tag:yaml.org,2002:timestamp", r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "0123456789"),
):
    _CoreLoader.add_implicit_resolver(_tag, re.compile(_pattern), list(_first))


def parse(text: str, file: str) -> Document:
    """Parse YAML text. `file` is the name that messages use. Raises DeclarationError."""
    loader = _CoreLoader(text)
    node: yaml.Node | None = None
    try:
        try:
            node = loader.get_single_node()
            lines: dict[Location, int] = {}
            problems: list[Problem] = []
            if node is not None:
                _note_lines(node, (), node.start_mark.line + 1, lines, problems, file)
            raise_problems(problems)
            data = loader.construct_document(node) if node is not None else None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else 1
            raise DeclarationError(
                f"{file}:{line}: this is not valid YAML: {error.problem}; check indentation and quotes"
            ) from None
        except (yaml.YAMLError, ValueError) as error:
            reason = " ".join(str(error).split())
            line = _line_of_no_date(node) if isinstance(error, ValueError) else 1
            raise DeclarationError(f"{file}:{line}: this is not valid YAML: {reason}") from None
    finally:
        loader.dispose()
    return Document(file, data, lines)


def _line_of_no_date(node: yaml.Node | None) -> int:
    """The line of the first date that is none, such as 2026-02-30; 1 where there is no such."""
    waiting = [node] if node is not None else []
    while waiting:
        here = waiting.pop(0)
        if isinstance(here, yaml.MappingNode):
            waiting[:0] = [part for pair in here.value for part in pair]
        elif isinstance(here, yaml.SequenceNode):
            waiting[:0] = here.value
        elif here.tag == "tag:yaml.org,2002:timestamp":
            try:
                dt.date.fromisoformat(here.value)
            except ValueError:
                return int(here.start_mark.line) + 1
    return 1


def _note_lines(
    node: yaml.Node,
    location: Location,
    line: int,
    lines: dict[Location, int],
    problems: list[Problem],
    file: str,
) -> None:
    lines[location] = line
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            name = str(key.value)
            here = key.start_mark.line + 1
            if name in seen:
                problems.append(Problem(file, here, f'"{name}" is given twice (first on line {seen[name]})'))
            seen[name] = here
            _note_lines(value, (*location, name), here, lines, problems, file)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _note_lines(value, (*location, index), value.start_mark.line + 1, lines, problems, file)


def read_document(path: Path, root: Path | None = None) -> Document:
    """Read and parse a YAML file. Messages name it relative to `root` where given."""
    name = str(path.relative_to(root)) if root and path.is_relative_to(root) else str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DeclarationError(f"{name}:1: there is no such file; create it (`rcu init` shows one)") from None
    except IsADirectoryError:
        raise DeclarationError(f"{name}:1: this is a folder, not a file") from None
    except PermissionError:
        raise DeclarationError(f"{name}:1: this file cannot be read; check its permissions") from None
    except UnicodeDecodeError as error:
        raise DeclarationError(f"{name}:1: this file is not UTF-8 (byte {error.start}); save it as UTF-8") from None
    return parse(text, name)


def load(path: Path, model: type[Model], root: Path | None = None) -> Model:
    """Read the YAML file `path` as a `model`. Raises DeclarationError with every problem found."""
    return validate(read_document(path, root), model)


def validate(document: Document, model: type[Model]) -> Model:
    """Turn a parsed document into a `model`. Raises DeclarationError with every problem found."""
    if document.data is None:
        raise DeclarationError(f"{document.file}:1: this file is empty; it should describe a {model.__name__}")
    if not isinstance(document.data, dict):
        raise DeclarationError(f"{document.file}:1: this file should hold keys and values, not a list or a text")
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        raise_problems(_explain(error, document, model))
        raise


def _explain(error: ValidationError, document: Document, model: type[BaseModel]) -> list[Problem]:
    problems = []
    for detail in error.errors(include_url=False):
        location = _in_document(detail["loc"], document.data)
        kind, name = detail["type"], str(detail["loc"][-1]) if detail["loc"] else ""
        if kind == "extra_forbidden":
            known = _keys_at(model, detail["loc"][:-1])
            message = f'unknown key "{name}"{did_you_mean(name, known)}'
        elif kind == "missing":
            message = f'"{name}" is missing'
            location = _in_document(detail["loc"][:-1], document.data)
        else:
            text = detail["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
            if kind in ("literal_error", "enum") and isinstance(detail["input"], str):
                allowed = re.findall(r"'([^']*)'", str(detail["ctx"]["expected"]))
                text += did_you_mean(detail["input"], allowed) if _near(detail["input"], allowed) else ""
            label = ".".join(str(part) for part in location)
            message = f'"{label}": {text}' if label and kind != "value_error" else text
        problems.append(document.problem(location, message))
    return problems


def did_you_mean(name: str, known: typing.Iterable[str]) -> str:
    """The end of a message: `; did you mean "x"?`, else the known names, else nothing."""
    choices = sorted(set(known))
    near = _near(name, choices)
    if near:
        return f'; did you mean "{near[0]}"?'
    return f"; known: {', '.join(choices)}" if 0 < len(choices) <= 40 else ""


def _near(name: str, choices: typing.Sequence[str]) -> list[str]:
    return difflib.get_close_matches(name, choices, n=1, cutoff=0.6)


def _in_document(loc: tuple[Any, ...], data: Any) -> Location:
    """The part of a pydantic location that exists in the data (it also names union branches)."""
    here: list[str | int] = []
    for part in loc:
        if (isinstance(data, dict) and part in data) or (
            isinstance(data, list) and isinstance(part, int) and part < len(data)
        ):
            data = data[part]
        else:
            continue
        here.append(part)
    return tuple(here)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated or origin in (typing.Union, types.UnionType, list, tuple, dict, set):
        for argument in typing.get_args(annotation):
            yield from _models_in(argument)


def _keys_at(model: type[BaseModel], loc: tuple[Any, ...]) -> set[str]:
    """The keys that the models reachable at `loc` accept."""
    at: set[type[BaseModel]] = {model}
    for part in loc:
        following: set[type[BaseModel]] = set()
        for candidate in at:
            for field_name, field in candidate.model_fields.items():
                if part in (field_name, field.alias):
                    following.update(_models_in(field.annotation))
        at = following or at
    return {field.alias or name for candidate in at for name, field in candidate.model_fields.items()}
