"""All declarations of a workspace, read at once: the company, its sources, and what else is declared.

What belongs here: which files make up the `declarations/` folder, and the checks between them. What
does not: the checks within one file (its own model has them). A new kind of declaration is one `Part`
in `PARTS`; a check across files is one function in `CROSS_CHECKS`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from orchestration.contracts import source as source_contract
from orchestration.contracts.activation import Activation, check_activation, load_activation
from orchestration.contracts.company import Company
from orchestration.contracts.consents import Consents
from orchestration.contracts.freshness import Freshness
from orchestration.contracts.gate import GATES, Gate, load_gate
from orchestration.contracts.loader import (
    Document,
    Problem,
    did_you_mean,
    load,
    raise_problems,
    read_document,
)
from orchestration.contracts.matching import Matching
from orchestration.contracts.plans import Plans
from orchestration.contracts.retention import Retention
from orchestration.contracts.scoring import Scoring
from orchestration.contracts.segment import FieldCatalogue, SegmentSet, load_segments, read_catalogue
from orchestration.contracts.source import Source, load_source, match_name
from orchestration.contracts.survivorship import Survivorship
from orchestration.contracts.trigger import TriggerSet, load_triggers
from orchestration.contracts.unwanted import unwanted
from orchestration.contracts.value import STAGES, Value
from orchestration.errors import DeclarationError

Loader = Callable[[Path, Path], Any]


@dataclass(frozen=True)
class Part:
    """One kind of declaration: `place` is a file (`company.yml`) or a folder (`sources`).

    `load` reads one file: (path, root for messages) -> model. A folder gives {file stem: model}.
    """

    name: str
    place: str
    load: Loader
    is_required: bool = False
    default: Callable[[], Any] | None = None  # what an optional file that is not there stands for

    @property
    def is_folder(self) -> bool:
        return not self.place.endswith(".yml")


PARTS: list[Part] = [
    Part("company", "company.yml", lambda path, root: load(path, Company, root), is_required=True),
    Part("sources", "sources", load_source),
    Part("gates", "quality", load_gate),
    Part("matching", "matching.yml", lambda path, root: load(path, Matching, root), is_required=True),
    Part("survivorship", "survivorship.yml", lambda path, root: load(path, Survivorship, root), is_required=True),
    Part("freshness", "freshness.yml", lambda path, root: load(path, Freshness, root), default=Freshness),
    Part("consents", "consents.yml", lambda path, root: load(path, Consents, root), default=Consents),
    Part("retention", "retention.yml", lambda path, root: load(path, Retention, root), default=Retention),
    Part("value", "value.yml", lambda path, root: load(path, Value, root), is_required=True),
    Part("plans", "plans.yml", lambda path, root: load(path, Plans, root), is_required=True),
    Part("activations", "activations", load_activation),
    Part("scoring", "scores.yml", lambda path, root: load(path, Scoring, root), is_required=True),
]

#: The columns that segments are typed against: the dbt contract of marts.customer_360.
MARTS_CONTRACT = Path(__file__).resolve().parents[2] / "dbt_project" / "models" / "marts" / "customer" / "_customer.yml"

#: Places of the declarations folder that no Part reads (yet); anything else there is a mistake.
OTHER_PLACES = {
    "segments", "triggers", "models", "schemas",
}  # fmt: skip


@dataclass(frozen=True)
class Catalogue:
    """The declarations of a workspace. `parts[name]` is a model, or {stem: model} for a folder."""

    root: Path
    parts: dict[str, Any]
    documents: dict[tuple[str, str], Document] = field(default_factory=dict, repr=False)

    @property
    def company(self) -> Company:
        company: Company = self.parts["company"]
        return company

    @property
    def sources(self) -> dict[str, Source]:
        sources: dict[str, Source] = self.parts["sources"]
        return sources

    @property
    def gates(self) -> dict[str, Gate]:
        gates: dict[str, Gate] = self.parts["gates"]
        return gates

    @property
    def segments(self) -> SegmentSet:
        segments: SegmentSet = self.parts["segments"]
        return segments

    @property
    def triggers(self) -> TriggerSet:
        triggers: TriggerSet = self.parts["triggers"]
        return triggers

    @property
    def fields(self) -> FieldCatalogue:
        """The columns of customer_360 and their types."""
        fields: FieldCatalogue = self.parts["fields"]
        return fields

    @property
    def activations(self) -> dict[str, Activation]:
        activations: dict[str, Activation] = self.parts["activations"]
        return activations

    @property
    def matching(self) -> Matching:
        matching: Matching = self.parts["matching"]
        return matching

    @property
    def freshness(self) -> Freshness:
        freshness: Freshness = self.parts["freshness"]
        return freshness

    @property
    def retention(self) -> Retention:
        retention: Retention = self.parts["retention"]
        return retention

    @property
    def scoring(self) -> Scoring:
        scoring: Scoring = self.parts["scoring"]
        return scoring

    def tables(self) -> dict[str, pa.Table]:
        """Every table that the control schema gets, by name."""
        found: dict[str, pa.Table] = dict(source_contract.tables(self.sources))
        for part in self.parts.values():
            if not isinstance(part, dict) and hasattr(part, "tables"):
                found.update(part.tables())
        return found


CrossCheck = Callable[[Catalogue], list[Problem]]


def _two_sources_want_the_same_file(catalogue: Catalogue) -> list[Problem]:
    problems = []
    # A draft claims no file that a finished contract claims.
    names = sorted(name for name, source in catalogue.sources.items() if not source.is_draft)
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            one, other = catalogue.sources[first].file, catalogue.sources[second].file
            if any(match_name(other, name) for name in _example_names(one)) or any(
                match_name(one, name) for name in _example_names(other)
            ):
                document = catalogue.documents["sources", second]
                problems.append(
                    document.problem(
                        ("file", "pattern"),
                        f'"{other.pattern}" matches files of {first} ("{one.pattern}") too; make the patterns differ',
                    )
                )
    return problems


def _example_names(layout: source_contract.FileLayout) -> list[str]:
    day = dt.datetime(2026, 11, 21, 10, 20, 30).strftime(layout.date_format.replace("%-", "%"))
    plain = layout.pattern.replace("{date}", day).replace("{part}", "part1")
    return [plain.replace("*", ""), plain.replace("*", "x")]


_SOURCE_COLUMNS = ("account_source", "ref_account_source", "left_source", "right_source")


def _named_sources_exist(catalogue: Catalogue) -> list[Problem]:
    """A constant (or value table) that names a source must name a declared one."""
    problems = []
    for name, source in sorted(catalogue.sources.items()):
        if source.is_draft:
            continue
        document = catalogue.documents["sources", name]
        for entity, delivery in source.delivers.items():
            for column in _SOURCE_COLUMNS:
                rule = delivery.columns.get(column)
                named = {rule.constant, *(rule.values or {}).values()} if rule else set()
                for other in sorted(
                    str(name) for name in named - {None, source_contract.OWN_IDS} - set(catalogue.sources)
                ):
                    place = ("delivers", entity, "columns", column)
                    hint = did_you_mean(str(other), catalogue.sources)
                    problems.append(document.problem(place, f'"{column}": no source is called "{other}"{hint}'))
    return problems


def _activations_name_what_exists(catalogue: Catalogue) -> list[Problem]:
    return [
        problem
        for name, activation in sorted(catalogue.activations.items())
        for problem in check_activation(
            activation,
            catalogue.documents["activations", name],
            segments=catalogue.segments.by_name,
            triggers=catalogue.triggers.by_name,
            fields=catalogue.fields,
        )
    ]


def _gates_are_there(catalogue: Catalogue) -> list[Problem]:
    place = catalogue.root / "declarations" / "quality"
    return [
        Problem(
            f"{place.relative_to(catalogue.root)}/{gate}.yml",
            1,
            f"there is no such file, and nothing is published without the {gate} gate; `rcu init` writes one to copy",
        )
        for gate in GATES
        if gate not in catalogue.gates
    ]


CROSS_CHECKS: list[CrossCheck] = [
    _gates_are_there,
    _two_sources_want_the_same_file,
    _named_sources_exist,
    _activations_name_what_exists,
]


def load_catalogue(declarations: Path, *, drafts_pass: bool = True) -> Catalogue:
    """Read the whole `declarations/` folder. Raises one DeclarationError that lists every problem.

    `drafts_pass`: contracts with something to decide are let through as drafts, which the other sources do not wait
    for; without, each question is a problem (`rcu check`).
    Messages name files relative to the folder that holds `declarations/`.
    """
    root = declarations.parent
    if not declarations.is_dir():
        raise DeclarationError(f"{declarations}: there is no such folder; `rcu init` writes a starter")
    messages: list[str] = []
    parts: dict[str, Any] = {}
    documents: dict[tuple[str, str], Document] = {}

    def read(part: Part, path: Path) -> Any:
        try:
            if part.name == "sources":
                model = load_source(path, root, drafts_pass=drafts_pass)
            else:
                model = part.load(path, root)
            documents[part.name, path.stem] = read_document(path, root)
            return model
        except DeclarationError as error:
            messages.append(str(error))
            return None

    for part in PARTS:
        place = declarations / part.place
        if part.is_folder:
            files = sorted(path for path in place.glob("*.yml") if not path.name.startswith("."))
            parts[part.name] = {path.stem: model for path in files if (model := read(part, path)) is not None}
        elif place.exists() or part.is_required:
            parts[part.name] = read(part, place)
        elif part.default is not None:
            parts[part.name] = part.default()
    try:
        fields = replace(read_catalogue(MARTS_CONTRACT), values=_vocabularies(parts))
        parts["fields"] = fields
        parts["segments"] = load_segments(declarations / "segments", fields, root)
        parts["triggers"] = load_triggers(declarations / "triggers", fields, parts["segments"], root)
    except DeclarationError as error:
        messages.append(str(error))
    messages += [str(problem) for problem in _stray_files(declarations, root)]
    if not messages:  # a file that cannot be read has said so
        messages += [str(problem) for problem in unwanted(declarations, root)]
    if messages:
        raise DeclarationError("\n".join(messages))
    catalogue = Catalogue(root, parts, documents)
    raise_problems([problem for check in CROSS_CHECKS for problem in check(catalogue)])
    return catalogue


def _vocabularies(parts: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """Fields of customer_360 whose values declarations settle. A declaration that cannot be read settles none."""
    found: dict[str, tuple[str, ...]] = {"lifecycle_stage": STAGES}
    if parts.get("scoring") is not None:
        found["churn_risk_band"] = tuple(parts["scoring"].tables()["churn_bands"].column("churn_risk_band").to_pylist())
    if parts.get("value") is not None:
        cells = parts["value"].tables()["rfm_grid"].column("segment").to_pylist()
        found["rfm_segment"] = tuple(sorted(set(cells)))
    if parts.get("plans") is not None:
        found["plan"] = tuple(plan.plan for plan in parts["plans"].plans)
    return found


def _stray_files(declarations: Path, root: Path) -> list[Problem]:
    """Files that would silently be left out: a misspelt name is worse than a wrong value."""
    known = {part.place for part in PARTS} | OTHER_PLACES
    problems = []
    for path in sorted(declarations.rglob("*")):
        name = path.relative_to(declarations).parts[0]
        if path.name.startswith(".") or path.suffix in (".md", ".json"):
            continue
        if path.parent == declarations and path.name not in known:
            problems.append(
                Problem(str(path.relative_to(root)), 1, f'"{path.name}" is no declaration{did_you_mean(name, known)}')
            )
        elif path.is_file() and path.suffix == ".yaml":
            hint = f"call it {path.stem}.yml"
            problems.append(Problem(str(path.relative_to(root)), 1, f"declarations end in .yml; {hint}"))
    return problems
