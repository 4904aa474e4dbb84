"""Who is in a list at the moment of sending, and why others are not."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import json

import pytest

from orchestration import suppression
from tests.unit.activation.conftest import CUSTOMERS, Shop, declare

MAY = {"c01", "c02", "c03", "c09"}


def rows(shop: Shop, name: str = "letter", delimiter: str = ",") -> list[dict[str, str]]:
    (file,) = [path for path in shop.exports(name) if path.suffix == ".csv"]
    with file.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle, delimiter=delimiter))


def manifest(shop: Shop, name: str = "letter") -> dict:
    (file,) = [path for path in shop.exports(name) if path.name.endswith(".manifest.json")]
    return json.loads(file.read_text(encoding="utf-8"))


def test_only_people_who_may_be_contacted_leave_and_each_other_is_counted_once(shop: Shop) -> None:
    (outcome,) = shop.send(shop.publish(), declare())
    assert {row["customer_id"] for row in rows(shop)} == MAY
    assert outcome.left_out == {
        "control_group": 1, "duplicate": 1, "minor": 1, "no_consent": 1, "suppressed": 1, "unreachable": 1,
    }  # fmt: skip
    assert outcome.audience == len(CUSTOMERS) == outcome.sent + outcome.left_out_count


def test_the_manifest_tells_rows_checksums_and_why_people_were_left_out(shop: Shop) -> None:
    shop.send(shop.publish(), declare())
    told = manifest(shop)
    (listed,) = told["files"]
    (file,) = [path for path in shop.exports("letter") if path.name == listed["name"]]
    content = file.read_bytes()
    assert (listed["sha256"], listed["bytes"], listed["rows"]) == (hashlib.sha256(content).hexdigest(), len(content), 4)
    assert told["audience_count"] == told["list_count"] + sum(told["left_out"].values())
    assert told["left_out_details"]["refused"] == 1
    assert (told["version"], told["as_of_on"], told["audience"]) == (
        "20260331-0001", "2026-03-31", {"segments": ["readers"]},
    )  # fmt: skip


def test_a_number_leaves_only_where_its_own_channel_is_open(shop: Shop) -> None:
    shop.send(shop.publish(), declare(format="brevo"))
    by_id = {row["EXT_ID"]: row for row in rows(shop, delimiter=";")}
    assert by_id["c01"]["SMS"] == "+33612345601"
    assert (by_id["c09"]["EMAIL"], by_id["c09"]["LANDLINE_NUMBER"]) == ("nina@free.fr", "")


def test_partners_get_nobody_who_agreed_to_marketing_alone(shop: Shop) -> None:
    (outcome,) = shop.send(shop.publish(), declare(format="meta"))
    assert outcome.sent == 2
    assert outcome.left_out["no_consent"] == 5  # c03, c04, c08, c09 and c10
    hashes = {row["email"] for row in rows(shop)}
    assert hashlib.sha256(b"eleonore.martin@gmail.com").hexdigest() in hashes
    assert not any("@" in value for row in rows(shop) for value in row.values())


def test_most_rows_draws_the_same_people_every_time(shop: Shop) -> None:
    first = shop.publish("20260331-0001")
    second = shop.publish("20260401-0001", day=dt.date(2026, 4, 1))
    (outcome,) = shop.send(first, declare("one", most_rows=2))
    assert (outcome.sent, outcome.left_out["capped"]) == (2, 2)
    before = {row["customer_id"] for row in rows(shop, "one")}
    shop.send(second, declare("one", most_rows=2), now=dt.datetime(2026, 4, 1, 9, tzinfo=dt.UTC))
    (newest,) = [path for path in shop.exports("one") if path.name == "one-20260401-0001-full.csv"]
    assert {row["customer_id"] for row in csv.DictReader(newest.open(encoding="utf-8"))} == before


@pytest.mark.parametrize(
    ("entity", "columns"),
    [
        ("consent", {"status": "withdrawn", "channel": "email", "purpose": "marketing", "ref_email": "Zoe+Ads@free.fr "}),
        ("consent", {"status": "something new", "channel": None, "purpose": None, "ref_email": "zoe@free.fr"}),
        ("consent", {"status": "refused", "channel": "all", "purpose": "all", "ref_account_source": "crm",
                     "ref_account": "R-c03"}),
        ("consent", {"status": "withdrawn", "channel": "email", "purpose": "marketing", "ref_account_source": "rcu",
                     "ref_account": "c03"}),
        ("consent", {"status": "refused", "channel": "email", "purpose": "marketing", "ref_card": "card-c03"}),
        ("event", {"event_type": "email_unsubscribe", "ref_email": "zoe@free.fr"}),
        ("event", {"event_type": "email_complaint", "ref_email": "ZOE@FREE.FR"}),
        ("privacy_request", {"request_type": "erasure", "ref_email": "zoe@free.fr"}),
        ("privacy_request", {"request_type": "objection", "ref_account_source": "crm", "ref_account": "R-c03"}),
    ],
    ids=["spelling", "unknown words", "account", "own id", "card", "unsubscribe", "complaint", "erasure", "objection"],
)  # fmt: skip
def test_a_refusal_that_landed_after_the_publication_binds(shop: Shop, entity: str, columns: dict) -> None:
    published = shop.publish()
    shop.land(entity, "since", **columns)
    (outcome,) = shop.send(published, declare())
    sent = {row["customer_id"] for row in rows(shop)}
    assert "c03" not in sent
    assert MAY - {"c03"} <= sent
    reason = "suppressed" if entity == "privacy_request" else "no_consent"
    assert outcome.left_out[reason] >= 2


def test_a_refusal_by_address_binds_everyone_who_holds_it(shop: Shop) -> None:
    published = shop.publish()
    shop.land("event", "since", event_type="email_unsubscribe", ref_email="zoe@free.fr")
    shop.send(published, declare())
    assert not {"c03", "c08"} & {row["customer_id"] for row in rows(shop)}


@pytest.mark.parametrize(
    ("entity", "columns"),
    [
        ("consent", {"status": "granted", "channel": "email", "purpose": "marketing", "ref_email": "zoe@free.fr"}),
        ("consent", {"status": "refused", "channel": "sms", "purpose": "marketing", "ref_email": "zoe@free.fr"}),
        ("consent", {"status": "refused", "channel": "email", "purpose": "open_tracking", "ref_email": "zoe@free.fr"}),
        ("event", {"event_type": "email_open", "ref_email": "zoe@free.fr"}),
        ("privacy_request", {"request_type": "access", "ref_email": "zoe@free.fr"}),
        ("event", {"event_type": "email_unsubscribe", "ref_email": "someone.else@free.fr"}),
    ],
    ids=["a yes", "another channel", "another purpose", "an open", "an access request", "someone else"],
)  # fmt: skip
def test_what_is_no_refusal_of_this_changes_nothing(shop: Shop, entity: str, columns: dict) -> None:
    published = shop.publish()
    shop.land(entity, "since", **columns)
    shop.send(published, declare())
    assert {row["customer_id"] for row in rows(shop)} == MAY


def test_a_delivery_that_the_publication_knows_is_not_judged_again(shop: Shop) -> None:
    published = shop.publish()
    shop.land("consent", "published", status="refused", channel="email", purpose="marketing", ref_email="zoe@free.fr")
    shop.send(published, declare())
    assert {row["customer_id"] for row in rows(shop)} == MAY


def test_a_refusal_does_not_bring_back_someone_who_was_closed_before(shop: Shop) -> None:
    published = shop.publish()
    shop.land("consent", "since", status="granted", channel="email", purpose="marketing", ref_email="ali@free.fr")
    shop.send(published, declare())
    assert "c04" not in {row["customer_id"] for row in rows(shop)}


@pytest.mark.parametrize(
    ("kind", "key", "gone"),
    [
        ("email", "zoe@free.fr", {"c03", "c08"}),
        ("phone", "142345609", {"c09"}),
        ("record", "crm\x1fR-c01", {"c01"}),
    ],
)
def test_whoever_is_on_the_suppression_list_now_is_left_out(shop: Shop, kind: str, key: str, gone: set[str]) -> None:
    published = shop.publish()
    suppression.add_objections(shop.workspace, {kind: [key]}, since_on=dt.date(2026, 3, 31), request_id="R1")
    (outcome,) = shop.send(published, declare())
    assert {row["customer_id"] for row in rows(shop)} == MAY - gone
    assert outcome.left_out["suppressed"] == 1 + len(gone)
