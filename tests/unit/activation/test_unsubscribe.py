"""Unsubscribe tokens: only ours, unaltered and in time, are read; and they come back as a source."""

from __future__ import annotations

import base64
import csv
import datetime as dt
import hashlib
import hmac
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration import ingest
from orchestration.contracts.company import Company
from orchestration.contracts.source import load_source
from orchestration.protection import BadToken, Key, Unsubscription, keys, read_unsubscribe_token, unsubscribe_token
from tests.unit.activation.conftest import Shop, declare

OLD, NEW = Key("k1", bytes(range(32))), Key("k2", bytes(range(1, 33)))
ISSUED, EXPIRES = dt.date(2026, 3, 31), dt.date(2027, 3, 31)
TOLD = Unsubscription("c03", "zoe@free.fr", "email", "marketing", ISSUED, EXPIRES)
TOKEN = unsubscribe_token(OLD, TOLD)
URL = {"url": "https://shop.example/u?t={token}", "days": 365}


# --- tokens --------------------------------------------------------------------------------------


def test_a_token_is_read_as_it_was_written_until_its_last_day() -> None:
    assert read_unsubscribe_token([OLD], TOKEN, on=ISSUED) == TOLD
    assert read_unsubscribe_token([OLD], f" {TOKEN}\n", on=EXPIRES) == TOLD


def test_a_token_has_expired_the_day_after() -> None:
    with pytest.raises(BadToken, match="expired"):
        read_unsubscribe_token([OLD], TOKEN, on=EXPIRES + dt.timedelta(days=1))


def test_a_token_outlives_a_rotation_of_keys_but_not_the_loss_of_its_own() -> None:
    assert read_unsubscribe_token([OLD, NEW], TOKEN, on=ISSUED) == TOLD
    with pytest.raises(BadToken):
        read_unsubscribe_token([NEW], TOKEN, on=ISSUED)


def test_a_token_holds_no_personal_value_in_clear() -> None:
    decoded = b"".join(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in TOKEN.split(".")[-2:])
    for personal in (b"zoe", b"free.fr", b"c03"):
        assert personal not in TOKEN.encode()
        assert personal not in decoded


def test_the_same_person_channel_and_days_give_the_same_token() -> None:
    assert unsubscribe_token(OLD, TOLD) == TOKEN
    assert re.fullmatch(r"[A-Za-z0-9._-]+", TOKEN), "a token needs no escaping in an address"


@settings(max_examples=400, deadline=None)
@given(
    st.integers(0, len(TOKEN) - 1), st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
)
def test_no_character_of_a_token_can_be_changed(at: int, character: str) -> None:
    altered = TOKEN[:at] + character + TOKEN[at + 1 :]
    if altered == TOKEN:
        return
    with pytest.raises(BadToken):
        read_unsubscribe_token([OLD, NEW], altered, on=ISSUED)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_no_text_is_a_token_by_chance(text: str) -> None:
    with pytest.raises(BadToken):
        read_unsubscribe_token([OLD], text, on=ISSUED)


def test_a_signature_by_another_secret_is_a_forgery() -> None:
    body = TOKEN.rpartition(".")[0].replace("20270331", "29990331")
    digest = hmac.new(b"guessed", body.encode(), hashlib.sha256).digest()
    forged = f"{body}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"
    with pytest.raises(BadToken, match="forged or altered"):
        read_unsubscribe_token([OLD], forged, on=ISSUED)


# --- in an export, and back ------------------------------------------------------------------------


def exported_tokens(shop: Shop, **keys: object) -> dict[str, str]:
    shop.send(shop.publish(), declare(unsubscribe=URL, **keys))
    (file,) = [path for path in shop.exports("letter") if path.suffix == ".csv"]
    with file.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    return {row["customer_id"]: parse_qs(urlsplit(row["unsubscribe_url"]).query)["t"][0] for row in rows}


def come_back(shop: Shop, project: Path, tokens: list[str], on: dt.date) -> ingest.IngestReport:
    source = load_source(project / "declarations" / "sources" / "unsubscribe_clicks.yml")
    shop.workspace.prepare()
    with (shop.workspace.inbox / f"unsubscribe_clicks_{on}.csv").open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["token", "clicked_at", "clicked_from"])
        writer.writerows([token, f"{on}T10:11:12Z", "web"] for token in tokens)
    company = Company.model_validate({"name": "Shop", "currency": "EUR", "country": "FR", "time_zone": "Europe/Paris",
                                      "first_day": "2023-01-01", "languages": ["fr"]})  # fmt: skip
    return ingest.ingest(shop.workspace, {source.source: source}, company, received_on=on, is_forward=True, run_id="r",
                         settle_seconds=0)  # fmt: skip


def landed(shop: Shop) -> list[tuple]:
    with duckdb.connect() as connection:
        return connection.execute(
            "select ref_account_source, ref_account, ref_email, ref_phone, channel, purpose, status "
            f"from read_parquet('{shop.workspace.landing}/consent/source=unsubscribe_clicks/*/*.parquet', "
            "hive_partitioning = false) order by ref_account"
        ).fetchall()


def quarantined(shop: Shop) -> list[tuple]:
    with duckdb.connect() as connection:
        return connection.execute(
            "select line_number, rule, reason "
            f"from read_parquet('{shop.workspace.quarantine}/rows/source=unsubscribe_clicks/*.parquet', "
            "hive_partitioning = false) order by line_number"
        ).fetchall()


def test_a_token_that_comes_back_is_a_withdrawal_by_address_and_by_customer(shop: Shop, project: Path) -> None:
    tokens = exported_tokens(shop)
    assert read_unsubscribe_token(keys(shop.workspace), tokens["c03"], on=ISSUED).contact == "zoe@free.fr"
    come_back(shop, project, [tokens["c03"]], ISSUED)
    assert landed(shop) == [("rcu", "c03", "zoe@free.fr", None, "email", "marketing", "withdrawn")]


def test_a_token_of_a_text_message_withdraws_the_number(shop: Shop, project: Path) -> None:
    tokens = exported_tokens(shop, channel="sms")
    come_back(shop, project, [tokens["c01"]], ISSUED)
    assert landed(shop) == [("rcu", "c01", None, "+33612345601", "sms", "marketing", "withdrawn")]


def test_forged_altered_and_expired_tokens_are_quarantined_and_hold_nobody_back(shop: Shop, project: Path) -> None:
    tokens = exported_tokens(shop)
    altered = tokens["c01"].replace("marketing", "partners")
    forged = unsubscribe_token(NEW, TOLD)
    late = EXPIRES + dt.timedelta(days=1)
    current = unsubscribe_token(keys(shop.workspace)[-1], Unsubscription("c09", "nina@free.fr", "email", "marketing",
                                                                         ISSUED, late))  # fmt: skip
    report = come_back(shop, project, [altered, tokens["c02"], forged, "", current, "nonsense"], late)
    assert [row[1] for row in landed(shop)] == ["c09"]
    assert [line for line, *_ in quarantined(shop)] == [2, 3, 4, 5, 7]
    rules = {line: rule for line, rule, _ in quarantined(shop)}
    assert (rules[2], rules[3], rules[4], rules[5]) == (
        "unsubscribe_token", "unsubscribe_token", "unsubscribe_token", "required",
    )  # fmt: skip
    assert all(reason.startswith("not a valid unsubscribe token") for line, _, reason in quarantined(shop) if line != 5)
    assert (report.rows_read, report.rows_landed, report.rows_quarantined) == (6, 1, 5)


def test_a_token_that_came_back_keeps_everyone_at_that_address_out_of_the_next_list(shop: Shop, project: Path) -> None:
    tokens = exported_tokens(shop)
    come_back(shop, project, [tokens["c03"]], ISSUED)
    shop.send(shop.publish("20260331-0002"), declare("next"))
    (file,) = [path for path in shop.exports("next") if path.suffix == ".csv"]
    with file.open(encoding="utf-8", newline="") as handle:
        assert [row["customer_id"] for row in csv.DictReader(handle)] == ["c01", "c02", "c09"]


def test_a_workspace_without_tokens_gets_no_key_from_ingest(shop: Shop, project: Path) -> None:
    come_back(shop, project, [], ISSUED)
    assert not shop.workspace.key_file.exists()
