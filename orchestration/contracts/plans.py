"""`plans.yml`: the marketing plans, whom each is for, and what it offers.

Here: the plans and the rules that propose them for a customer. Not here: the choice itself
(`marts.customer_plans`) and the files that are sent (`activations/`).
"""

from __future__ import annotations

from typing import Literal

import pyarrow as pa
from pydantic import Field, model_validator

from orchestration.contracts.loader import Declaration
from orchestration.contracts.value import Label, Stage

Channel = Literal["email", "sms", "phone", "post"]


class PlanRule(Declaration):
    """Proposes a plan for customers that satisfy every given condition; the heaviest proposal wins."""

    stages: tuple[Stage, ...] = ()
    churn_risk_bands: tuple[Literal["low", "medium", "high", "lost"], ...] = ()
    rfm_segments: tuple[str, ...] = ()
    weight: int = Field(ge=1, le=1000)
    why: str = Field(min_length=1, description="Reason shown beside the customer")

    @model_validator(mode="after")
    def _says_something(self) -> PlanRule:
        if not (self.stages or self.churn_risk_bands or self.rfm_segments):
            raise ValueError("this rule has no condition: give stages, churn_risk_bands or rfm_segments")
        return self


class Plan(Declaration):
    """One plan: for whom, with which offer, on which channels in order of preference, how often."""

    plan: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    label: Label
    objective: Label
    offer: Label
    channels: tuple[Channel, ...] = Field(min_length=1)
    every_days: int = Field(ge=1, description="Least number of days between two messages of the plan")
    for_: tuple[PlanRule, ...] = Field(alias="for", min_length=1)


class Plans(Declaration):
    """`plans.yml`. At equal weight the plan that stands first wins."""

    plans: tuple[Plan, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _named_once(self) -> Plans:
        names = [plan.plan for plan in self.plans]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f'plan "{name}" is given twice')
        return self

    def tables(self) -> dict[str, pa.Table]:
        """`plans` (one row per plan), `plan_channels` (in order), `plan_rules` (one row per combination)."""
        plans, channels, rules = [], [], []
        for position, plan in enumerate(self.plans, start=1):
            plans.append(
                {
                    "plan": plan.plan,
                    "position": position,
                    "label_en": plan.label.en,
                    "label_fr": plan.label.fr,
                    "objective_en": plan.objective.en,
                    "objective_fr": plan.objective.fr,
                    "offer_en": plan.offer.en,
                    "offer_fr": plan.offer.fr,
                    "every_days": plan.every_days,
                }
            )
            channels += [
                {"plan": plan.plan, "preference": preference, "channel": channel}
                for preference, channel in enumerate(plan.channels, start=1)
            ]
            for number, rule in enumerate(plan.for_, start=1):
                rules += [
                    {
                        "plan": plan.plan,
                        "position": position,
                        "rule_number": number,
                        "weight": rule.weight,
                        "why": rule.why,
                        "stage": stage,
                        "churn_risk_band": band,
                        "rfm_segment": segment,
                    }
                    for stage in rule.stages or (None,)
                    for band in rule.churn_risk_bands or (None,)
                    for segment in rule.rfm_segments or (None,)
                ]
        text, number_type = pa.string(), pa.int32()
        return {
            "plans": pa.Table.from_pylist(
                plans,
                schema=pa.schema([(n, number_type if n in ("position", "every_days") else text) for n in plans[0]]),
            ),
            "plan_channels": pa.Table.from_pylist(
                channels, schema=pa.schema([("plan", text), ("preference", number_type), ("channel", text)])
            ),
            "plan_rules": pa.Table.from_pylist(
                rules,
                schema=pa.schema(
                    [(n, number_type if n in ("position", "rule_number", "weight") else text) for n in rules[0]]
                ),
            ),
        }
