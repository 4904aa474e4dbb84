"""Increments of identity equal rebuilds: records, decisions, deletions in any sequence."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.identity.conftest import FIELDS, MODEL, World, matching

#: Small pools, so that values are shared, blocks cross their cap and clusters merge and split.
values = st.fixed_dictionaries(
    {
        "first_name": st.sampled_from(["anna", "ann", "paul", "p", None]),
        "last_name": st.sampled_from(["martin", "martins", "petit", None]),
        "birth_on": st.sampled_from(["1980-05-04", "1980-04-05", "1951-01-30", None]),
        "sex": st.sampled_from(["M", "F", None, None]),
        "email": st.sampled_from(["a@example.org", "b@example.org", "c@example.org", None]),
        "phone_mobile": st.sampled_from(["+33600000001", "+33600000002", None]),
        "phone_other": st.sampled_from(["+33600000001", "+33100000003", None]),
        "postal_code": st.sampled_from(["75011", "69001"]),
    }
)
keys = st.tuples(st.sampled_from(["crm", "web"]), st.sampled_from([str(n) for n in range(9)]))
step = st.one_of(
    st.tuples(st.just("put"), keys, values),
    st.tuples(st.just("put"), keys, values),
    st.tuples(st.just("remove"), keys, st.none()),
    st.tuples(st.just("decide"), st.tuples(keys, keys), st.sampled_from(["same", "different", "later"])),
)
days = st.lists(st.lists(step, max_size=7), min_size=2, max_size=6)


def _apply(world: World, steps: list[tuple[str, Any, Any]]) -> None:
    for what, where, told in steps:
        if what == "put":
            world.put(*where, **told)
        elif what == "remove" and where in world.records:
            world.remove(*where)
        elif what == "decide":
            world.decide(*where, told)


def _everything(world: World) -> dict[str, Any]:
    tables = {
        "record_customers": "*",
        "match_links": "* exclude (field_weights)",
        "match_review": "*",
        "shared_values": "*",
        "capped_blocks": "*",
        "current_ids": "*",
        "customer_id_history": "*",
        "suspicious_clusters": "*",
        "set_aside_decisions": "*",
        "household_values": "*",
        "name_counts": "*",
    }
    return {
        name: sorted(map(repr, world.connection.execute(f"select {columns} from identity.{name}").fetchall()))
        for name, columns in tables.items()
    }


@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(days=days)
def test_increments_leave_what_daily_rebuilds_leave(days: list[list[tuple[str, Any, Any]]]) -> None:
    declared = matching(
        shared_values=[
            {"field": "email", "distinct_names_over": 2},
            {"field": "phones", "distinct_names_over": 3},
            {"field": "birth_on", "share_over": 0.4, "at_least": 4},
        ],
        max_block=5,
        fields={
            **FIELDS,
            "last_name": {"kind": "family_name", "birth": "birth_name", "established": 2},
            "email": {"kind": "email", "person": "name"},
            "postal_code": {"kind": "postal_code", "established": 2},
        },
        model={
            **MODEL,
            "frequencies_from": "records",
            "comparisons": [
                {"field": "first_name", "frequencies": True},
                {"field": "last_name"},
                {"field": "birth_on"},
                {"field": "email"},
                {"field": "phones"},
                {"field": "postal_code", "frequencies": True},
            ],
        },
        vetoes=[
            {"veto": "another_given_name", "conflict": ["first_name"], "weight": -12},
            {"veto": "given_name_not_told", "unsure": ["first_name"], "unless_sole": ["email", "phones"], "weight": 0},
            {"veto": "names_alone", "unsure": ["birth_on", "email"], "unless_rare": {"name": 0.7}, "weight": -1},
        ],
        block_on=[["last_name.prefix4"], ["birth_on", "first_name.initial"], ["name.rare"]],
        bands={"follow_answers": 3},
        review={"audit_pairs": 2},
        guards={
            "max_records": 5,
            "distinct": [{"field": "birth_on", "at_most": 1}, {"field": "sex", "at_most": 1}],
            "one_active_account": ["web"],
        },
    )
    with tempfile.TemporaryDirectory() as folder:
        step_by_step = World(Path(folder) / "a", declared)
        anew = World(Path(folder) / "b", declared)
        for number, steps in enumerate(days, start=1):
            for world in (step_by_step, anew):
                _apply(world, steps)
            report = step_by_step.run(number)
            assert report.mode == ("rebuild" if number == 1 else "increment")
            anew.run(number, "rebuild", order=-1)
            assert _everything(step_by_step) == _everything(anew)
