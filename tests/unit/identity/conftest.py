"""Records as dbt's `prepare` step would hand them over, for tests of identity."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from orchestration.contracts.matching import Matching
from orchestration.identity import IdentityReport, resolve
from orchestration.identity.model import FORMAT, shape
from orchestration.registry import Commit, commit_version
from orchestration.settings import Workspace
from orchestration.warehouse import Connection, connect

COLUMNS = {
    "source": "varchar", "record_id": "varchar", "trust_rank": "integer", "first_seen_on": "date",
    "is_active": "boolean", "sex": "varchar", "first_name": "varchar", "last_name": "varchar",
    "birth_name": "varchar", "birth_on": "date", "email": "varchar", "phone_mobile": "varchar",
    "phone_landline": "varchar", "phone_other": "varchar", "address_line": "varchar", "postal_code": "varchar",
    "card_number": "varchar", "account_source": "varchar", "account": "varchar", "custom": "varchar",
    "is_birth_on_placeholder": "boolean",
}  # fmt: skip

FIELDS: dict[str, Any] = {
    "first_name": {"kind": "given_name"},
    "last_name": {"kind": "family_name", "birth": "birth_name"},
    "birth_name": {"kind": "family_name"},
    "name": {"kind": "person_name", "given": "first_name", "family": "last_name", "birth": "birth_name"},
    "birth_on": {"kind": "date", "placeholder": "is_birth_on_placeholder"},
    "sex": {"kind": "category"},
    "email": {"kind": "email"},
    "phones": {"kind": "phone", "any_of": ["phone_mobile", "phone_landline", "phone_other"]},
    "postal_code": {"kind": "postal_code"},
}

RULES: list[dict[str, Any]] = [
    {"rule": "email_and_name", "equal": ["email"], "agree": ["name"], "no_conflict": ["birth_on", "sex"]},
    {"rule": "phone_and_name", "equal": ["phones"], "agree": ["name"], "no_conflict": ["birth_on", "sex"]},
    {"rule": "name_and_birth_date", "equal": ["birth_on", "postal_code"], "agree": ["name"]},
]


def matching(**changes: Any) -> Matching:
    told: dict[str, Any] = {
        "fields": FIELDS,
        "rules": RULES,
        "shared_values": [{"field": "email", "distinct_names_over": 3}, {"field": "phones", "distinct_names_over": 3}],
        "max_block": 50,
        "guards": {"distinct": [{"field": "birth_on", "at_most": 1}, {"field": "sex", "at_most": 1}]},
    }
    return Matching.model_validate({**told, **changes})


MODEL: dict[str, Any] = {
    "file": "model.json",
    "comparisons": [
        {"field": "first_name", "frequencies": True},
        {"field": "last_name"},
        {"field": "birth_on"},
        {"field": "email"},
        {"field": "phones"},
        {"field": "postal_code"},
    ],
}


def stored_model(declared: Matching) -> str:
    """A model with invented weights: the same +6 bits, each further level 2 less, anything else -4."""
    comparisons = []
    for asked in shape(declared):
        levels: list[dict[str, Any]] = [{"sql_condition": "absent", "is_null_level": True}]
        for number, level in enumerate(asked["levels"]):
            levels.append(
                {"sql_condition": level["sql"], "m_probability": 0.5, "u_probability": 0.5 / 2 ** (6 - 2 * number)}
            )
        levels.append({"sql_condition": "ELSE", "m_probability": 0.05, "u_probability": 0.8})
        comparisons.append({"output_column_name": asked["field"], "comparison_levels": levels})
    told = {
        "format": FORMAT,
        "splink": {"probability_two_random_records_match": 2**-8, "comparisons": comparisons},
        "frequencies": {"first_name": {"other": 0.001, "values": {"anna": 0.03}}},
    }
    return json.dumps(told)


class World:
    """A workspace and a build database that days pass over."""

    def __init__(self, root: Path, declared: Matching) -> None:
        self.workspace = Workspace(root)
        self.workspace.prepare()
        self.matching = declared
        if declared.model.file:
            self.workspace.declarations.mkdir(parents=True, exist_ok=True)
            (self.workspace.declarations / declared.model.file).write_text(stored_model(declared), encoding="utf-8")
        self.connection: Connection = connect()
        self.records: dict[tuple[str, str], dict[str, Any]] = {}
        self.decisions: list[tuple[Any, ...]] = []
        self._runs = 0
        self._given: dict[tuple[str, str], dict[str, Any]] = {}

    def put(self, source: str, record_id: str, **values: Any) -> None:
        values.setdefault("first_seen_on", dt.date(2026, 1, 1))
        self.records[(source, record_id)] = values

    def remove(self, source: str, record_id: str) -> None:
        del self.records[(source, record_id)]

    def decide(self, left: tuple[str, str], right: tuple[str, str], said: str, day: int = 1) -> None:
        at = dt.datetime(2026, 1, day, 12)
        self.decisions.append((*left, *right, said, "steward", at, f"d{len(self.decisions)}"))

    def load(self, connection: Connection, touched: set[tuple[str, str]], *, order: int = 1) -> None:
        for schema in ("intermediate", "control", "landing"):
            connection.execute(f"create schema if not exists {schema}")
        columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
        connection.execute(f"create or replace table intermediate.int_identity_records ({columns})")
        rows = [
            [source, record_id, *(values.get(name) for name in list(COLUMNS)[2:])]
            for (source, record_id), values in sorted(self.records.items())[::order]
        ]
        if rows:
            marks = ", ".join("?" * len(COLUMNS))
            connection.executemany(f"insert into intermediate.int_identity_records values ({marks})", rows)
        connection.execute("create or replace table control.touched_records (source varchar, record_id varchar)")
        if touched:
            connection.executemany("insert into control.touched_records values (?, ?)", sorted(touched))
        connection.execute(
            "create or replace table landing.steward_decisions (left_source varchar, left_record_id varchar, "
            "right_source varchar, right_record_id varchar, decision varchar, decided_by varchar, "
            "decided_at timestamp, decision_id varchar)"
        )
        if self.decisions:
            connection.executemany(
                "insert into landing.steward_decisions values (?, ?, ?, ?, ?, ?, ?, ?)", self.decisions
            )

    def run(self, day: int, mode: str = "increment", *, order: int = 1, commit: bool = True) -> IdentityReport:
        """One run of 2026-02-`day`; an increment is told what changed since the last one."""
        changed = {key for key in {*self.records, *self._given} if self.records.get(key) != self._given.get(key)}
        self._given = dict(self.records)
        self.load(self.connection, changed, order=order)
        self._runs += 1
        as_of_on, version = dt.date(2026, 2, day), f"202602{day:02d}-{self._runs:04d}"
        report = resolve(
            self.connection, self.workspace, self.matching,
            as_of_on=as_of_on, version=version, run_id=f"run{self._runs}", is_forward=True, mode=mode,
        )  # fmt: skip
        if commit:
            commit_version(self.workspace, Commit(version, as_of_on, f"run{self._runs}", "", ""))
        return report

    def customers(self) -> dict[str, str]:
        """Customer id of each record, keyed `source/record_id`."""
        rows = self.connection.execute(
            "select source || '/' || record_id, customer_id from identity.record_customers"
        ).fetchall()
        assert len(rows) == len(dict(rows)), "a record is listed twice"
        return dict(rows)

    def partition(self) -> set[frozenset[str]]:
        groups: dict[str, set[str]] = {}
        for record, customer in self.customers().items():
            groups.setdefault(customer, set()).add(record)
        return {frozenset(group) for group in groups.values()}

    def current(self, customer_id: str) -> str | None:
        row = self.connection.execute(
            "select current_customer_id from identity.current_ids where customer_id = ?", [customer_id]
        ).fetchone()
        assert row is not None, f"{customer_id} does not resolve"
        return row[0]

    def events(self, day: int) -> list[tuple[str, str, str | None]]:
        return self.connection.execute(
            "select event, customer_id, successor_id from identity.customer_id_history where event_on = ? order by all",
            [dt.date(2026, 2, day)],
        ).fetchall()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, matching())
