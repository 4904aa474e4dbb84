"""Which value and which consent hold, against oracles in plain Python, on random small customers.

The SQL is what dbt compiles from the models; it runs on tables that the test fills.
"""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.pipeline.workspaces import PROJECT, environment

pytestmark = pytest.mark.slow

TODAY = dt.date(2026, 11, 22)
RECORD_COLUMNS = {
    **dict.fromkeys(("source", "record_id", "civility", "birth_name", "sex", "language", "national_number", "preferred_contact_channel", "contact_frequency", "custom", "first_name_shown", "last_name_shown", "first_name", "last_name", "company_name", "company_number", "email", "phone_mobile", "phone_landline", "phone_other", "address_line", "address_line_given", "street_number", "commune_code", "address_extra", "postal_code", "city_key"), "varchar"),
    "trust_rank": "integer", "observed_on": "date", "birth_on": "date",
    "is_name_swapped": "boolean", "is_birth_on_placeholder": "boolean",
}  # fmt: skip
TABLES = {
    "identity.record_customers": {"source": "varchar", "record_id": "varchar", "customer_id": "varchar"},
    "intermediate.int_customer_records": RECORD_COLUMNS,
    "rcu.contact_points": {"customer_id": "varchar", "channel": "varchar", "kind": "varchar", "value": "varchar",
                           "is_valid": "boolean", "reason": "varchar", "last_confirmed_on": "date"},
    "rcu.customers": {"customer_id": "varchar", "birth_on": "date", "is_suppressed": "boolean", "company_name": "varchar",
                      "company_number": "varchar"},
    "marts.orders": {"customer_id": "varchar", "is_purchase": "boolean", "ordered_on": "date"},
    "control.consent_settings": {"soft_opt_in_days": "integer", "minor_under": "integer", "unknown_age_is_minor": "boolean",
                                 "parental_consent": "boolean", "professionals": "boolean", "calls_need_yes_from": "date"},
    "control.survivorship_rules": {"attribute": "varchar", "position": "integer", "strategy": "varchar"},
    "control.survivorship_sources": {"attribute": "varchar", "source": "varchar", "preference": "integer"},
    "landing.steward_decisions": {"decision_id": "varchar", "left_source": "varchar", "left_record_id": "varchar",
                                  "decision": "varchar", "attribute": "varchar", "decided_at": "timestamp"},
    "control.as_of": {"as_of_on": "date"},
    "control.consent_channels": {"channel": "varchar", "needs_double_opt_in": "boolean", "expires_after_days": "integer",
                                 "allows_soft_opt_in": "boolean", "needs_proof": "boolean"},
    "rcu.consent_ledger": {"statement_id": "varchar", "customer_id": "varchar", "origin": "varchar", "channel": "varchar",
                           "purpose": "varchar", "status": "varchar", "basis": "varchar", "occurred_at": "timestamp",
                           "source": "varchar", "proof": "varchar", "text_version": "varchar"},
}  # fmt: skip


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SQL of the models, as dbt compiles it for a build file called `warehouse`."""
    folder = tmp_path_factory.mktemp("compiled")
    project = PROJECT / "dbt_project"
    done = subprocess.run(
        [str(Path(sys.executable).parent / "dbt"), "--no-use-colors", "compile", "--no-introspect",
         "--select", "customer_attributes", "consents", "contactability", "--project-dir", str(project), "--profiles-dir", str(project),
         "--target-path", str(folder / "target"), "--log-path", str(folder / "logs")],
        capture_output=True, text=True, check=False,
        env={**environment(), "RCU_BUILD_FILE": str(folder / "warehouse.duckdb")},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    return folder / "target" / "compiled" / "rcu" / "models" / "rcu"


Fill = Callable[[dict[str, list[dict[str, Any]]]], None]


@pytest.fixture(scope="module")
def build() -> tuple[duckdb.DuckDBPyConnection, Fill]:
    connection = duckdb.connect()
    connection.execute("set default_null_order = 'nulls_first_on_asc_last_on_desc'")
    connection.execute("attach ':memory:' as warehouse")
    for table, columns in TABLES.items():
        connection.execute(f"create schema if not exists warehouse.{table.split('.')[0]}")
        listed = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
        connection.execute(f"create table warehouse.{table} ({listed})")

    def fill(rows: dict[str, list[dict[str, Any]]]) -> None:
        for table in TABLES:
            connection.execute(f"delete from warehouse.{table}")
            for row in rows.get(table, []):
                names = ", ".join(f'"{name}"' for name in row)
                marks = ", ".join("?" for _ in row)
                connection.execute(f"insert into warehouse.{table} ({names}) values ({marks})", list(row.values()))

    return connection, fill


# --- the golden value --------------------------------------------------------------------------

STRATEGIES = ["valid_first", "most_trusted", "most_recent", "most_frequent", "most_complete", "last_confirmed"]
SOURCES = ["crm", "web", "till"]
DAYS = st.integers(0, 3).map(lambda n: TODAY - dt.timedelta(days=n))

records_drawn = st.lists(
    st.fixed_dictionaries(
        {
            "source": st.sampled_from(SOURCES),
            "observed_on": DAYS,
            "language": st.sampled_from([None, "fr", "en", "EN"]),
            "email": st.sampled_from([None, "a@free.fr", "bb@free.fr", "c@free.fr"]),
            "size": st.sampled_from([None, "38", "9"]),
        }
    ),
    min_size=1,
    max_size=5,
)
rules_drawn = st.fixed_dictionaries(
    {name: st.lists(st.sampled_from(STRATEGIES), max_size=3, unique=True) for name in ("language", "email", "custom")}
)
sources_drawn = st.dictionaries(st.sampled_from(["language", "email", "custom"]), st.permutations(SOURCES), max_size=2)
points_drawn = st.fixed_dictionaries(
    {value: st.tuples(st.booleans(), DAYS) for value in ("a@free.fr", "bb@free.fr", "c@free.fr")}
)
pins_drawn = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(["pin", "unpin"]), st.sampled_from(["language", "email", "custom.size"]),
              st.integers(0, 3)),
    max_size=3,
)  # fmt: skip


def golden(records: list[dict], rules: dict, sources: dict, points: dict, pins: list) -> dict[str, tuple]:
    """attribute -> (value, source, record_id, rule, values beaten in order)."""
    trust = {"crm": 1, "web": 2, "till": 2}
    found = {}
    for attribute in ("language", "email", "custom.size"):
        column, rule = ("size", "custom") if attribute == "custom.size" else (attribute, attribute)
        held = [record for record in records if record[column] is not None]
        last = sorted(
            (number, 0 if word == "unpin" else -1, index)
            for index, (record, word, what, number) in enumerate(pins)
            if what == attribute and record < len(records)
        )
        # the last decision; of one moment, taking back before pinning
        moment = max((number for number, _, _ in last), default=None)
        same = [index for number, _, index in last if number == moment]
        unpinned = [index for index in same if pins[index][1] == "unpin"]
        decisive = min(unpinned or same, default=None, key=lambda index: f"d{index}")
        pinned = None
        if decisive is not None and pins[decisive][1] == "pin":
            pinned = records[pins[decisive][0]]["record_id"]

        def keys(record: dict, column=column, rule=rule, attribute=attribute, held=held, pinned=pinned) -> list:
            value = record[column]
            is_valid, confirmed = points[value] if attribute == "email" else (True, record["observed_on"])
            order = sources.get(rule, [])
            weights = {
                "valid_first": not is_valid,
                "most_trusted": order.index(record["source"]) - 1000 if order else trust[record["source"]],
                "most_recent": -record["observed_on"].toordinal(),
                "last_confirmed": -confirmed.toordinal(),
                "most_frequent": -sum(other[column].lower() == value.lower() for other in held),
                "most_complete": -(1 if attribute == "email" else len(value)),
            }
            return [record["record_id"] != pinned, *(weights[name] for name in rules[rule])]

        def whole(record: dict, column=column, rule=rule, keys=keys) -> list:
            order = sources.get(rule, [])
            rank = order.index(record["source"]) - 1000 if order else trust[record["source"]]
            return [
                *keys(record),
                rank,
                -record["observed_on"].toordinal(),
                record["source"],
                record["record_id"],
                record[column],
            ]

        best: dict[str, dict] = {}
        for record in sorted(held, key=whole):
            best.setdefault(record[column].lower(), record)
        ranked = sorted(best.values(), key=whole)
        if not ranked:
            continue
        first, *others = ranked
        told = "only_value"
        if others:
            differing = [n for n, (a, b) in enumerate(zip(keys(first), keys(others[0]), strict=True)) if a != b]
            told = "tie_break" if not differing else ["pinned", *rules[rule]][differing[0]]
        beaten = [other[column] for other in others]
        found[attribute] = (first[column], first["source"], first["record_id"], told, beaten)
    return found


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records_drawn, rules_drawn, sources_drawn, points_drawn, pins_drawn)
def test_the_golden_value_is_the_one_that_the_declared_rules_choose(
    compiled: Path, build: tuple, drawn: list[dict], rules: dict, sources: dict, points: dict, pins: list
) -> None:
    connection, fill = build
    records = [{**record, "record_id": str(number)} for number, record in enumerate(drawn)]
    trust = {"crm": 1, "web": 2, "till": 2}
    moment = dt.datetime(2026, 1, 1)
    fill(
        {
            "identity.record_customers": [
                {"source": r["source"], "record_id": r["record_id"], "customer_id": "c"} for r in records
            ],
            "intermediate.int_customer_records": [
                {
                    "source": r["source"], "record_id": r["record_id"], "trust_rank": trust[r["source"]],
                    "observed_on": r["observed_on"], "language": r["language"], "email": r["email"],
                    "custom": json.dumps({"size": r["size"]}) if r["size"] else None,
                }
                for r in records
            ],
            "rcu.contact_points": [
                {"customer_id": "c", "channel": "email", "value": value, "is_valid": valid, "last_confirmed_on": day}
                for value, (valid, day) in points.items()
            ],
            "control.survivorship_rules": [
                {"attribute": attribute, "position": place, "strategy": strategy}
                for attribute, names in rules.items()
                for place, strategy in enumerate(names, start=1)
            ],
            "control.survivorship_sources": [
                {"attribute": attribute, "source": source, "preference": place}
                for attribute, names in sources.items()
                for place, source in enumerate(names, start=1)
            ],
            "landing.steward_decisions": [
                {
                    "decision_id": f"d{index}", "left_source": records[record]["source"],
                    "left_record_id": records[record]["record_id"], "decision": word, "attribute": what,
                    "decided_at": moment + dt.timedelta(hours=hours),
                }
                for index, (record, word, what, hours) in enumerate(pins)
                if record < len(records)
            ],
        }
    )  # fmt: skip
    rows = connection.execute((compiled / "customer_attributes.sql").read_text(encoding="utf-8")).fetchall()
    names = [column[0] for column in connection.description]
    told = [dict(zip(names, row, strict=True)) for row in rows]
    sql = {
        row["attribute"]: (
            row["value"], row["source"], row["record_id"], row["rule"],
            [item["value"] for item in json.loads(row["values_beaten"] or "[]")],
        )
        for row in told
    }  # fmt: skip
    assert len(told) == len(sql)
    assert sql == golden(records, rules, sources, points, pins)


# --- the consent that holds --------------------------------------------------------------------

CHANNELS = ["email", "sms", "phone", "post", "push"]
PURPOSES = ["marketing", "profiling", "open_tracking", "partners"]
statements_drawn = st.lists(
    st.fixed_dictionaries(
        {
            "channel": st.sampled_from(["email", "sms", "all"]),
            "purpose": st.sampled_from(["marketing", "partners", "all"]),
            "status": st.sampled_from(["granted", "pending", "refused", "withdrawn"]),
            "basis": st.sampled_from(
                [None, "opt_in", "double_opt_in", "soft_opt_in", "legitimate_interest", "parental"]
            ),
            "tenths": st.integers(0, 35),
            "days": st.sampled_from([-400, -50, 0, 40]),
        }
    ),
    max_size=6,
)


def binding(statements: list[dict], doubles: set[str], terms: dict[str, int]) -> dict[tuple[str, str], str]:
    """(channel, purpose) -> status."""
    found = {}
    for channel in CHANNELS:
        for purpose in PURPOSES:
            about = [
                s for s in statements
                if s["channel"] in (channel, "all") and s["purpose"] in (purpose, "all")
                and (s["status"] in ("refused", "withdrawn") or s["at"].date() <= TODAY + dt.timedelta(days=1))
            ]  # fmt: skip
            if not about:
                continue
            plain = (None, "opt_in")

            def is_yes(s: dict, plain=plain, channel=channel) -> bool:
                return s["status"] == "granted" and not (channel in doubles and s["basis"] in plain)

            def is_plain_yes(s: dict, is_yes=is_yes, channel=channel, purpose=purpose) -> bool:
                is_opt_in = s["basis"] in (None, "opt_in", "double_opt_in", "parental")
                return is_yes(s) and is_opt_in and (s["channel"], s["purpose"]) == (channel, purpose)

            noes = [s["at"].replace(microsecond=0) for s in about if s["status"] in ("refused", "withdrawn")]
            lifting = [s for s in about if is_plain_yes(s) and (not noes or s["at"].replace(microsecond=0) > max(noes))]
            if noes and not lifting:
                last = max(
                    (s for s in about if s["status"] in ("refused", "withdrawn")), key=lambda s: (s["at"], s["key"])
                )
                found[channel, purpose] = {
                    s["status"] for s in about if s["status"] in ("refused", "withdrawn") and s["at"] == last["at"]
                }
            elif any(is_yes(s) for s in about):
                counting = [s for s in about if (is_plain_yes(s) if noes else is_yes(s))]
                given = max(s["at"] for s in counting).date()
                over = channel in terms and given + dt.timedelta(days=terms[channel]) <= TODAY
                found[channel, purpose] = {"expired" if over else "granted"}
            else:
                found[channel, purpose] = {"pending"}
    return found


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(statements_drawn, st.sets(st.sampled_from(["email", "sms"])), st.dictionaries(st.just("email"), st.just(365)))
def test_the_most_restrictive_statement_binds(
    compiled: Path, build: tuple, drawn: list[dict], doubles: set[str], terms: dict[str, int]
) -> None:
    connection, fill = build
    noon = dt.datetime.combine(TODAY, dt.time(12))
    statements = [
        {**s, "key": f"s{n}", "at": noon + dt.timedelta(days=s["days"], milliseconds=100 * s["tenths"])}
        for n, s in enumerate(drawn)
    ]
    fill(
        {
            "control.as_of": [{"as_of_on": TODAY}],
            "control.consent_channels": [
                {"channel": channel, "needs_double_opt_in": channel in doubles, "expires_after_days": terms.get(channel)}
                for channel in CHANNELS
            ],
            "rcu.consent_ledger": [
                {
                    "statement_id": s["key"], "customer_id": "c", "origin": "consent", "channel": s["channel"],
                    "purpose": s["purpose"], "status": s["status"], "basis": s["basis"], "occurred_at": s["at"],
                    "source": "crm",
                }
                for s in statements
            ],
        }
    )  # fmt: skip
    sql = (compiled / "consents.sql").read_text(encoding="utf-8")
    found = {
        (channel, purpose): status
        for channel, purpose, status in connection.execute(f"select channel, purpose, status from ({sql})").fetchall()
    }
    expected = binding(statements, doubles, terms)
    assert found.keys() == expected.keys()
    assert [key for key in found if found[key] not in expected[key]] == []


BIRTHS = st.sampled_from(
    [None, *(dt.date(TODAY.year - 15, TODAY.month, TODAY.day + n) for n in (1, 2, 1, 2, -1, 0)), dt.date(1980, 5, 5)]
)


family_statements_drawn = st.lists(
    st.fixed_dictionaries(
        {
            "channel": st.sampled_from(["email", "sms", "all"]),
            "purpose": st.sampled_from(["marketing", "marketing", "all"]),
            "status": st.sampled_from(["granted", "granted", "granted", "withdrawn"]),
            "basis": st.sampled_from(["parental", "parental", "opt_in", None]),
            "tenths": st.integers(0, 35),
            "days": st.sampled_from([-400, -50, 0, 40]),
        }
    ),
    min_size=1,
    max_size=5,
)
PARENTS_YES = {
    "channel": "email",
    "purpose": "marketing",
    "status": "granted",
    "basis": "parental",
    "tenths": 0,
    "days": 0,
}
A_NO = {**PARENTS_YES, "status": "withdrawn", "basis": None}
CHILD, GROWN = dt.date(2015, 5, 5), dt.date(TODAY.year - 15, TODAY.month, TODAY.day)


def old_enough(born: dt.date | None, unknown_is_minor: bool) -> bool:
    if born is None:
        return not unknown_is_minor
    return (TODAY.year - born.year - ((TODAY.month, TODAY.day) < (born.month, born.day))) >= 15


def parent_agrees(statements: list[dict], channel: str, purpose: str, term: int | None) -> bool:
    """A parent's yes for this very channel and purpose, after every no, within its term."""
    about = [s for s in statements if s["channel"] in (channel, "all") and s["purpose"] in (purpose, "all")]
    noes = [s["at"].replace(microsecond=0) for s in about if s["status"] in ("refused", "withdrawn")]
    yeses = [
        s["at"].replace(microsecond=0)
        for s in about
        if (s["status"], s["basis"], s["channel"], s["purpose"]) == ("granted", "parental", channel, purpose)
        and s["at"].date() <= TODAY + dt.timedelta(days=1)
    ]
    if not yeses or (noes and max(noes) >= max(yeses)):
        return False
    return term is None or max(yeses).date() + dt.timedelta(days=term) > TODAY


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    family_statements_drawn,
    BIRTHS,
    st.booleans(),
    st.sampled_from([True, True, True, False]),
    st.sets(st.just("email")),
    st.sampled_from([None, 365]),
)
@example([PARENTS_YES], CHILD, False, True, {"email"}, 365)
@example([PARENTS_YES], CHILD, False, False, set(), None)
@example([PARENTS_YES], GROWN, False, True, set(), None)
@example([PARENTS_YES, {**PARENTS_YES, "basis": "opt_in", "tenths": 30}], CHILD, False, True, set(), None)
@example([PARENTS_YES, A_NO], CHILD, False, True, set(), None)
@example([A_NO, {**PARENTS_YES, "tenths": 30}], None, True, True, set(), None)
@example([{**PARENTS_YES, "days": -400}], CHILD, False, True, set(), 365)
def test_a_minor_is_contacted_only_where_a_parent_agreed(
    compiled: Path, build: tuple, drawn: list[dict], born: dt.date | None, unknown_is_minor: bool, counts: bool,
    doubles: set[str], term: int | None,
) -> None:  # fmt: skip
    connection, fill = build
    noon = dt.datetime.combine(TODAY, dt.time(12))
    statements = [
        {**s, "key": f"s{n}", "at": noon + dt.timedelta(days=s["days"], milliseconds=100 * s["tenths"])}
        for n, s in enumerate(drawn)
    ]
    fill(
        {
            "control.as_of": [{"as_of_on": TODAY}],
            "control.consent_settings": [
                {"soft_opt_in_days": 1095, "minor_under": 15, "unknown_age_is_minor": unknown_is_minor,
                 "parental_consent": counts, "calls_need_yes_from": TODAY}
            ],
            "control.consent_channels": [
                {"channel": channel, "needs_double_opt_in": channel in doubles, "expires_after_days": term,
                 "allows_soft_opt_in": channel in ("email", "sms")}
                for channel in CHANNELS
            ],
            "rcu.customers": [{"customer_id": "c", "birth_on": born, "is_suppressed": False}],
            "rcu.contact_points": [
                {"customer_id": "c", "channel": channel, "kind": kind, "is_valid": True}
                for channel, kind in (("email", "email"), ("phone", "mobile"))
            ],
            "marts.orders": [{"customer_id": "c", "is_purchase": True, "ordered_on": TODAY}],
            "rcu.consent_ledger": [
                {"statement_id": s["key"], "customer_id": "c", "origin": "consent", "channel": s["channel"],
                 "purpose": s["purpose"], "status": s["status"], "basis": s["basis"], "occurred_at": s["at"], "source": "crm"}
                for s in statements
            ],
        }
    )  # fmt: skip
    sql = (compiled / "consents.sql").read_text(encoding="utf-8")
    connection.execute(f"create or replace table warehouse.rcu.consents as {sql}")
    found = connection.execute((compiled / "contactability.sql").read_text(encoding="utf-8")).fetchall()
    bound = binding(statements, doubles, {channel: term for channel in CHANNELS if term})
    seen = 0
    for _, channel, purpose, is_contactable, reason, basis in found:
        if channel == "post":
            continue
        status = bound.get((channel, purpose), set())
        if old_enough(born, unknown_is_minor):
            assert reason != "minor" and basis != "parental"
            if status & {"refused", "withdrawn"}:
                assert not is_contactable
            continue
        seen += 1
        agreed = counts and parent_agrees(statements, channel, purpose, term)
        assert (is_contactable, basis) == (agreed, "parental" if agreed else None), (channel, purpose, reason)
        if not agreed:
            assert reason == "minor"
    assert seen in (0, 6)
