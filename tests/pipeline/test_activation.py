"""Audiences leave after the publication, for people who may be contacted; their unsubscribe links come back."""

from __future__ import annotations

import csv
import datetime as dt
import json
import shutil
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.pipeline.conftest import LAST, History
from tests.pipeline.workspaces import Shop

NEXT = LAST + dt.timedelta(days=1)
NEWSLETTER = "newsletter_brevo"


def outcomes(shop: Shop, *arguments: str) -> dict[str, dict]:
    lines = shop.rcu("activate", *arguments, "--json").stdout.splitlines()
    return {told["activation"]: told for told in map(json.loads, lines)}


def exported(shop: Shop) -> list[Path]:
    return sorted(path for path in (shop.data / "exports").rglob("*") if path.is_file())


def newsletter(shop: Shop, version: str) -> dict[str, dict[str, str]]:
    file = shop.data / "exports" / NEWSLETTER / f"{NEWSLETTER}-{version}-full.csv"
    with file.open(encoding="utf-8", newline="") as handle:
        return {row["EXT_ID"]: row for row in csv.DictReader(handle, delimiter=";")}


def version_of(shop: Shop) -> str:
    return shop.current.resolve().name.removeprefix("rcu-")


def test_runs_over_past_days_publish_and_send_nothing(history: History) -> None:
    """Their data are of months ago: every activation of theirs was refused, and no run failed for it."""
    told = outcomes(history.shop, "status")
    assert len(told) >= 9
    assert {one["status"] for one in told.values()} == {"refused"}
    assert all("max_age_hours" in one["message"] for one in told.values())
    assert exported(history.shop) == []


@pytest.fixture(scope="module")
def shop(history: History, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A copy of the shop in which publications of any age may be sent."""
    root = tmp_path_factory.mktemp("activation") / "shop"
    shutil.copytree(history.shop.root, root, symlinks=True)
    for file in (root / "declarations" / "activations").glob("*.yml"):
        file.write_text(file.read_text(encoding="utf-8") + "max_age_hours: 87600\n", encoding="utf-8")
    return Shop(root)


@pytest.fixture(scope="module")
def sent(shop: Shop) -> dict[str, dict]:
    dry = outcomes(shop, "--dry-run")
    assert exported(shop) == []
    real = outcomes(shop)
    assert {name: (one["sent"], one["left_out"]) for name, one in dry.items()} == {
        name: (one["sent"], one["left_out"]) for name, one in real.items()
    }
    return real


def test_everyone_meant_is_sent_or_left_out_for_one_reason(shop: Shop, sent: dict[str, dict]) -> None:
    assert {one["status"] for one in sent.values()} <= {"delivered", "unchanged"}
    for name, one in sent.items():
        assert one["audience"] == one["sent"] + sum(one["left_out"].values()), name
    assert sent[NEWSLETTER]["sent"] > 0
    size = shop.query("select size from segments.sizes where segment = 'email_engaged' order by as_of_on desc limit 1")
    assert sent[NEWSLETTER]["audience"] == size[0][0]


def test_only_contactable_people_outside_the_control_group_are_in_a_list(shop: Shop, sent: dict[str, dict]) -> None:
    rows = newsletter(shop, version_of(shop))
    may = dict(shop.query(
        "select customer_id, email from marts.customer_360 join segments.members using (customer_id) "
        "where segment = 'email_engaged' and is_contactable_email and not is_control"))  # fmt: skip
    assert set(rows) <= set(may)
    assert len({row["EMAIL"] for row in rows.values()}) == len(rows)
    texted = {
        customer for (customer,) in shop.query("select customer_id from marts.customer_360 where is_contactable_sms")
    }
    assert all(customer in texted for customer, row in rows.items() if row["SMS"])


def test_a_version_is_sent_once(shop: Shop, sent: dict[str, dict]) -> None:
    before = {path: path.stat().st_mtime_ns for path in exported(shop)}
    assert {one["status"] for one in outcomes(shop).values()} == {"already"}
    assert {path: path.stat().st_mtime_ns for path in exported(shop)} == before


def test_a_list_of_who_was_sent_does_not_make_the_next_run_something_new(shop: Shop, sent: dict[str, dict]) -> None:
    """What activations write into the registry is no input of a run."""
    from orchestration import publish
    from orchestration.settings import Workspace

    before = publish.input_fingerprint(Workspace(shop.root), as_of_on=LAST)
    aside = shop.data / "registry" / "activation_deliveries"
    hidden = aside.rename(shop.data / "activation_deliveries")
    try:
        assert publish.input_fingerprint(Workspace(shop.root), as_of_on=LAST) == before
    finally:
        hidden.rename(aside)


def test_an_unsubscribe_link_is_honoured_by_the_next_run_and_a_forged_one_is_not(
    shop: Shop, sent: dict[str, dict]
) -> None:
    first = version_of(shop)
    rows = newsletter(shop, first)
    tokens = {customer: parse_qs(urlsplit(row["UNSUBSCRIBE_URL"]).query)["t"][0] for customer, row in rows.items()}
    leaving, staying = sorted(tokens)[:2]
    with (shop.data / "inbox" / f"unsubscribe_clicks_{NEXT}.csv").open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["token", "clicked_at", "clicked_from"])
        writer.writerow([tokens[leaving], f"{NEXT}T08:00:00Z", "mail"])
        writer.writerow([tokens[staying].replace(".email.", ".sms."), f"{NEXT}T08:01:00Z", "mail"])

    shop.rcu("run", "--as-of", NEXT.isoformat())
    second = version_of(shop)
    assert second > first
    assert shop.query(
        f"select status, source from rcu.consents where customer_id = '{leaving}' and channel = 'email' "
        "and purpose = 'marketing'"
    ) == [("withdrawn", "unsubscribe_clicks")]
    held = shop.query(
        f"select customer_id, is_contactable_email from marts.customer_360 where customer_id in ('{leaving}', '{staying}')"
    )
    assert dict(held) == {leaving: False, staying: True}
    assert shop.query("select line_number, rule from audit.quarantine where source = 'unsubscribe_clicks'") == [
        (3, "unsubscribe_token")
    ]
    # the run itself sent the next list, without them
    again = newsletter(shop, second)
    assert leaving not in again
    assert staying in again


def test_plans_cover_every_customer_or_say_why_not(history: History) -> None:
    shop = history.shop
    by_stage = dict(shop.query("select lifecycle_stage, sum(customer_count) from marts.plan_coverage group by all"))
    counted = dict(shop.query("select lifecycle_stage, count(*) from marts.customer_360 group by all"))
    assert by_stage == counted
    without = shop.query("select count(*) from marts.customer_360 where plan is null")[0][0]
    assert shop.query(
        "select coalesce(sum(customer_count), 0) from marts.plan_coverage where coverage = 'no_plan'"
    ) == [(without,)]
    assert shop.query(
        "select count(*) from marts.plan_coverage where coverage <> 'covered' and length(reason) < 3"
    ) == [(0,)]
