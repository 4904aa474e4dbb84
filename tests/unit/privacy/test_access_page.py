"""The page of an access request: all that is held is on it, readable, with nothing to load."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from orchestration.privacy import access_html


def answer(**parts: Any) -> dict[str, Any]:
    return {
        "controller": {"name": "Toy <shop>", "contact": "dpo@exemple.example"}, "customer_id": "c1", "known_as": ["c1"],
        "records": [], "as_of_on": "2026-04-01", "delivered": {}, "published": {}, "history": {}, "found_elsewhere": [],
        "on_the_suppression_list": False, "requests": [], "purposes": [], "classes": {}, **parts,
    }  # fmt: skip


def page(**parts: Any) -> str:
    return access_html(answer(**parts), on=dt.date(2026, 4, 1))


def wide(**more: Any) -> dict[str, Any]:
    return {f"column_{n}": f"value {n}" for n in range(12)} | more


def test_every_value_of_a_wide_and_of_a_narrow_table_is_shown() -> None:
    shown = page(
        delivered={"customer": [wide(source="crm", available_on="2026-03-01")]},
        published={"rcu.customers": [{"first_name": "Zoé", "is_active": True}], "marts.x": [{"a": "one", "b": 0}]},
        history={"segment_changes": [{"segment": "vip", "entered_on": "2026-01-01"}]},
    )
    for text in [
        "Zoé",
        "yes",
        "one",
        ">0<",
        "vip",
        "2026-01-01",
        "crm",
        "2026-03-01",
        *(f"value {n}" for n in range(12)),
    ]:
        assert text in shown, text


def test_a_content_that_came_again_and_again_is_shown_once_with_its_days() -> None:
    days = [f"2026-03-{day:02d}" for day in range(1, 6)]
    rows = [wide(source="crm", available_on=day, row_hash=f"h{day}", line_number=7) for day in days]
    rows.append(wide(source="crm", available_on="2026-03-09", column_3="moved"))
    shown = page(delivered={"customer": rows})
    assert shown.count("value 0") == 2
    assert "5 times from 2026-03-01 to 2026-03-05" in shown and "received 2026-03-09" in shown
    assert "h2026" not in shown


def test_what_a_source_delivered_is_text_and_never_markup() -> None:
    shown = page(delivered={"customer": [{"source": "crm", "last_name": "<script>alert(1)</script>"}]})
    assert "<script" not in shown and "&lt;script&gt;" in shown
    assert "Toy &lt;shop&gt;" in shown


def test_nothing_is_loaded_and_every_link_leads_into_the_page() -> None:
    shown = page(published={"marts.x": [{"a": 1}]}, found_elsewhere=["data/copy.csv"], on_the_suppression_list=True,
                 requests=[{"request_id": "R1", "state": "open"}])  # fmt: skip
    assert re.findall(r"(?:src|href)='([^#'][^']*)'", shown) == []
    links, places = set(re.findall(r"href='#(\w+)'", shown)), set(re.findall(r"id='(\w+)'", shown))
    assert links and links == places
    assert "data/copy.csv" in shown and "not contacted" in shown and "R1" in shown
