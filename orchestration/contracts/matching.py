"""`matching.yml`: which fields tell who a person is, and how records are joined into customers.

What belongs here: the fields with their kinds, shared values, named rules, blocking, the model, the
bands and the guards. How each kind is compared is `orchestration/identity/fields.py`.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from orchestration.contracts.loader import Declaration, did_you_mean

Kind = Literal[
    "given_name", "family_name", "person_name", "date", "email", "phone", "postal_code", "address",
    "text", "category", "identifier",
]  # fmt: skip

_NAME = re.compile(r"^[a-z][a-z0-9_]*$")
_PART = re.compile(r"^(?P<field>[a-z][a-z0-9_]*)(?:\.(?P<part>[a-z]+)(?P<length>[0-9]*))?$")

#: What may follow a field's name in `block_on`, by kind of field ("" is every text-like kind).
PARTS = (
    "prefix",
    "suffix",
    "initial",
    "year",
    "month",
    "day",
    "monthday",
    "local",
    "token",
    "words",
    "initials",
    "last",
    "rare",
)


class FieldSpec(Declaration):
    """One field that the matching reads: a column of the standardised records, or a custom attribute."""

    kind: Kind
    column: str | None = Field(default=None, description="Column, or custom.<name>; default: the field's own name")
    any_of: tuple[str, ...] = Field(default=(), description="Several columns that hold the same kind of value")
    given: str | None = Field(default=None, description="person_name: the given_name field")
    family: str | None = Field(default=None, description="person_name: the family_name field")
    birth: str | None = Field(default=None, description="person_name, family_name: the field with the name at birth")
    formal: str | None = Field(default=None, description="given_name: column with the full form of a nickname")
    usual: str | None = Field(
        default=None, description="given_name: column with the sound of a name that many people bear, else null"
    )
    person: str | None = Field(
        default=None, description="email: the person_name; an address made of nothing but the names says nothing more"
    )
    established: int | None = Field(
        default=None,
        ge=2,
        description="family_name, postal_code: two values that so many records hold each are two, not a slip of one",
    )
    sound: str | None = Field(
        default=None,
        description="family_name, with established: column with the sound; two that sound alike may be one",
    )
    placeholder: str | None = Field(default=None, description="Boolean column that voids the value where true")

    @model_validator(mode="after")
    def _shape(self) -> FieldSpec:
        if self.kind == "person_name" and not (self.given and self.family):
            raise ValueError('a person_name needs "given" and "family", the fields it is made of')
        if self.kind != "person_name" and (self.given or self.family):
            raise ValueError('"given" and "family" belong to a person_name')
        if self.any_of and self.column:
            raise ValueError('give "column" or "any_of", not both')
        if self.person and self.kind != "email":
            raise ValueError('"person" belongs to an email')
        if self.established is not None and (self.kind not in ("family_name", "postal_code") or self.any_of):
            raise ValueError('"established" is for the kinds family_name and postal_code')
        if self.sound and self.established is None:
            raise ValueError('"sound" goes with "established"')
        if self.any_of and self.kind not in ("phone", "identifier", "email"):
            raise ValueError('"any_of" is for the kinds phone, email and identifier')
        return self


class SharedSpec(Declaration):
    """When a value is held by too many different people to tell anything."""

    field: str
    distinct_names_over: int | None = Field(default=None, ge=1, description="More different names than this: shared")
    share_over: float | None = Field(default=None, gt=0, lt=1, description="Held by more than this share of records")
    at_least: int = Field(default=20, ge=2, description="share_over never condemns a value held by fewer records")

    @model_validator(mode="after")
    def _one_test(self) -> SharedSpec:
        if (self.distinct_names_over is None) == (self.share_over is None):
            raise ValueError('give one of "distinct_names_over" and "share_over"')
        return self


class RuleSpec(Declaration):
    """A named deterministic rule: all of `equal` and `agree`, none of `no_conflict` contradicting."""

    rule: str
    equal: tuple[str, ...] = Field(default=(), description="Fields with the same value on both sides")
    sole: tuple[str, ...] = Field(
        default=(), description="Fields with the same value, known under one given name only in all the records"
    )
    agree: tuple[str, ...] = Field(default=(), description="Fields present on both sides and near")
    no_conflict: tuple[str, ...] = Field(default=(), description="Fields absent on one side, or near")
    weight: float = Field(default=12.0, gt=0, le=60, description="Least match weight (bits) of a pair the rule joins")

    @model_validator(mode="after")
    def _joins_on_something(self) -> RuleSpec:
        if not (self.equal or self.sole):
            raise ValueError(f'rule "{self.rule}": give the fields that must be the same in "equal" or "sole"')
        return self


class VetoSpec(Declaration):
    """Evidence that no sum of other weights may outvote: members of one household agree on everything else."""

    veto: str
    conflict: tuple[str, ...] = Field(default=(), description="Fields that contradict each other")
    unsure: tuple[str, ...] = Field(default=(), description="Fields that are absent on one side, or do not agree")
    unless_equal: tuple[str, ...] = Field(default=(), description="Any of these being the same lifts the veto")
    unless_sole: tuple[str, ...] = Field(
        default=(), description="Any of these being the same, and known under one given name only, lifts the veto"
    )
    unless_rare: dict[str, float] = Field(
        default_factory=dict,
        description="The same name on both sides lifts the veto where chance gives it fewer bearers more than this",
    )
    weight: float = Field(description="The pair weighs no more than this")

    @model_validator(mode="after")
    def _says_something(self) -> VetoSpec:
        if not (self.conflict or self.unsure):
            raise ValueError(f'veto "{self.veto}": give fields in "conflict" or "unsure"')
        return self


class ComparisonSpec(Declaration):
    """One comparison of the model: a field, with term frequencies where common values say less."""

    field: str
    frequencies: bool = False
    at_most: dict[str, float] = Field(
        default_factory=dict, description="Most that a level may weigh, where it repeats what other fields say"
    )
    damping: float = Field(
        default=1.0, gt=0, le=1, description="Multiplies the weights: below 1 for fields that repeat what others say"
    )


class TrainingSpec(Declaration):
    """How the model is trained, when it is."""

    seed: int = 7
    max_pairs: float = Field(default=2e6, ge=1e4, description="Random pairs for the u probabilities")
    expectation_on: tuple[tuple[str, ...], ...] = Field(default=(), description="Blocking of each EM session")
    deterministic_recall: float = Field(default=0.7, gt=0, le=1, description="Share of true pairs that the rules find")
    max_frequencies: int = Field(default=3000, ge=0, description="Values per field whose frequency is stored")
    max_records: int = Field(default=250_000, ge=100, description="A sample of this many records is enough")


class ModelSpec(Declaration):
    """The probabilistic tier."""

    enabled: bool = True
    file: str | None = Field(default=None, description="Stored model, relative to declarations/; else the registry's")
    comparisons: tuple[ComparisonSpec, ...] = ()
    frequencies_from: Literal["model", "records"] = Field(
        default="model",
        description="How common a value is, and how likely two records are one person: as when the model was trained, "
        "or counted in the records of each run",
    )
    training: TrainingSpec = TrainingSpec()


class BandsSpec(Declaration):
    """Match weights (log2 of the odds) that part automatic, review and rejected."""

    automatic: float = Field(default=0.0, description="Average weight between two clusters from which they are joined")
    review: float = Field(default=-2.0, description="Weight of the best pair from which a steward is asked")
    edge: float = Field(default=-4.0, description="Pairs below this are as if not compared")
    absent: float = Field(default=-8.0, description="Least weight of a pair without a link, between two clusters")
    complete: int = Field(
        default=60, ge=0, description="In components up to this size, pairs without a link are compared as well"
    )

    follow_answers: int = Field(
        default=200,
        ge=0,
        description="From this many steward answers on, the thresholds move to where they are right; 0: never",
    )

    @model_validator(mode="after")
    def _ordered(self) -> BandsSpec:
        if not self.absent <= self.edge <= self.review:
            raise ValueError("weights must rise: absent <= edge <= review")
        return self


class DistinctGuard(Declaration):
    """No more than `at_most` different values of a field in one customer (near values count once)."""

    field: str
    at_most: int = Field(ge=1)


class GuardsSpec(Declaration):
    """What no automatic join may produce; what a guard stops goes to the review queue."""

    max_records: int = Field(default=60, ge=2)
    distinct: tuple[DistinctGuard, ...] = ()
    one_active_account: tuple[str, ...] = Field(
        default=(), description="Sources in which a person has only one active account"
    )


class ReviewSpec(Declaration):
    """The steward's queue."""

    max_pairs: int = Field(default=2000, ge=0, description="The most valuable pairs are kept; the rest is counted")
    audit_pairs: int = Field(
        default=0, ge=0, description="Automatic joins shown as well: from the answers the precision is estimated"
    )


class Matching(Declaration):
    """How records become customers."""

    fields: dict[str, FieldSpec] = Field(min_length=1)
    nicknames: tuple[tuple[str, ...], ...] = Field(default=(), description="Groups of given names that stand for one")
    shared_values: tuple[SharedSpec, ...] = ()
    rules: tuple[RuleSpec, ...] = ()
    vetoes: tuple[VetoSpec, ...] = ()
    block_on: tuple[tuple[str, ...], ...] = ()
    max_block: int = Field(
        default=120, ge=2, description="Records with the same blocking key; larger blocks are left out and reported"
    )
    model: ModelSpec = ModelSpec(enabled=False)
    bands: BandsSpec = BandsSpec()
    guards: GuardsSpec = GuardsSpec()
    review: ReviewSpec = ReviewSpec()

    @field_validator("fields")
    @classmethod
    def _field_names(cls, value: dict[str, FieldSpec]) -> dict[str, FieldSpec]:
        for name in value:
            if not _NAME.match(name) or "__" in name:
                raise ValueError(f'field "{name}": use lower case letters, digits and single underscores')
        return value

    @model_validator(mode="after")
    def _references(self) -> Matching:
        known = set(self.fields)

        def need(name: str, where: str) -> None:
            if name not in known:
                raise ValueError(f'{where}: unknown field "{name}"{did_you_mean(name, known)}')

        for name, spec in self.fields.items():
            for part in (spec.given, spec.family, spec.birth, spec.person):
                if part:
                    need(part, f'field "{name}"')
            if spec.person and self.fields[spec.person].kind != "person_name":
                raise ValueError(f'field "{name}": person: "{spec.person}" is no person_name')
        for shared in self.shared_values:
            need(shared.field, "shared_values")
        names = [rule.rule for rule in self.rules]
        for name in sorted(set(names)):
            if names.count(name) > 1:
                raise ValueError(f'rules: "{name}" is given {names.count(name)} times; name each rule once')
        for rule in self.rules:
            for name in (*rule.equal, *rule.sole, *rule.agree, *rule.no_conflict):
                need(name, f'rule "{rule.rule}"')
            name_fields = {
                n for n, spec in self.fields.items() if spec.kind in ("given_name", "family_name", "person_name")
            }
            is_checked = rule.agree or (rule.sole and name_fields & set(rule.no_conflict))
            if not is_checked and len({*rule.equal, *rule.sole}) < 2:
                raise ValueError(
                    f'rule "{rule.rule}" joins on the single field "{(rule.equal or rule.sole)[0]}": '
                    'add a name to "agree", two people of one household share an e-mail or a phone'
                )
        for veto in self.vetoes:
            for name in (*veto.conflict, *veto.unsure, *veto.unless_equal, *veto.unless_sole, *veto.unless_rare):
                need(name, f'veto "{veto.veto}"')
            for name, limit in veto.unless_rare.items():
                if self.fields[name].kind != "person_name":
                    raise ValueError(f'veto "{veto.veto}": unless_rare: "{name}" is no person_name')
                if not 0 < limit <= 1:
                    raise ValueError(f'veto "{veto.veto}": unless_rare: {name}: {limit} is not above 0 and at most 1')
        for index, key in enumerate(self.block_on):
            for part in key:
                found = _PART.match(part)
                if not found or (found["part"] and found["part"] not in PARTS):
                    raise ValueError(f'block_on: "{part}" is not a field or field.part (parts: {", ".join(PARTS)})')
                need(found["field"], f"block_on, item {index + 1}")
        for comparison in self.model.comparisons:
            need(comparison.field, "model.comparisons")
            if self.fields[comparison.field].kind == "person_name":
                raise ValueError(f'model.comparisons: "{comparison.field}" is a person_name; compare its parts')
        shared_fields = {shared.field for shared in self.shared_values}
        for name in sorted(shared_fields):
            frequent = self.model.frequencies_from == "records" and any(
                comparison.field == name and comparison.frequencies for comparison in self.model.comparisons
            )
            if frequent or self.fields[name].established is not None:
                raise ValueError(f'shared_values: "{name}" is counted in the records; leave it out here')
        for guard in self.guards.distinct:
            need(guard.field, "guards.distinct")
        if self.model.enabled and not self.model.comparisons:
            raise ValueError('model: "comparisons" is empty; list fields to compare, or set "enabled: false"')
        return self


def part_of(item: str) -> tuple[str, str, int]:
    """`last_name.prefix3` -> ("last_name", "prefix", 3); a whole field has the part "" and 0."""
    found = _PART.match(item)
    assert found is not None, item
    return found["field"], found["part"] or "", int(found["length"] or 0)


def review_priority(amount: str, probability: str) -> str:
    """SQL: how much a pair is worth a steward's look, value times uncertainty; the first pair has the highest.

    `amount`: what both customers bought, net, null where nothing; it counts by its logarithm, so that one large
    customer does not fill the page. `probability`: of the pair being one person, null where no model judged it.
    """
    sure = f"coalesce({probability}, 0.5)"
    return f"((1 + ln(1 + greatest(coalesce({amount}, 0), 0))) * (0.05 + 4 * {sure} * (1 - {sure})))"
