"""Refusals that no run has read yet: files in the inbox keep activations from leaving."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import pytest

from orchestration.contracts.source import Source
from tests.unit.activation.conftest import Shop, declare


def source(name: str, pattern: str, **delivers: dict[str, object]) -> Source:
    delivered = {
        entity: {"key": "id", "columns": {column: {"from": "x"} for column in ("occurred_at",)} | columns}
        for entity, columns in delivers.items()
    }
    return Source.model_validate(
        {"source": name, "describes": name, "trust_rank": 1, "delivery": "delta", "file": {"pattern": pattern},
         "delivers": delivered}
    )  # fmt: skip


MAPPED = {"open": "email_open", "unsub": "email_unsubscribe"}
SOURCES = {
    one.source: one
    for one in (
        source("choices", "choices_{date}.csv", consent={}),
        source("requests", "requests_*.csv", privacy_request={}),
        source("mailing", "mailing_{date}.csv", event={"event_type": {"from": "kind", "values": MAPPED}}),
        source("anything", "anything_{date}.csv", event={"event_type": {"from": "kind"}}),
        source("visits", "visits_{date}.csv", event={"event_type": {"constant": "store_visit"}}),
        source("people", "people_{date}.csv", customer={}),
    )
}


def put(shop: Shop, name: str, content: bytes = b"id\n1\n") -> Path:
    path = shop.workspace.inbox / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def zipped(shop: Shop, name: str, *members: str) -> None:
    path = put(shop, name)
    with zipfile.ZipFile(path, "w") as archive:
        for member in members:
            archive.writestr(member, "id\n1\n")


@pytest.mark.parametrize(
    ("name", "email", "post"),
    [
        ("choices_2026-03-31.csv", True, True),
        ("CHOICES_2026-03-31.csv.gz", True, True),
        ("from_desk/requests_march.csv", True, True),
        ("mailing_2026-03-31.csv", True, False),
        ("anything_2026-03-31.csv", True, False),
        ("visits_2026-03-31.csv", False, False),
        ("people_2026-03-31.csv", False, False),
        ("choices_of_nobody.csv", False, False),
        (".choices_2026-03-31.csv", False, False),
        ("choices_2026-03-31.csv.done", False, False),
    ],
)
def test_only_a_file_that_may_hold_a_refusal_of_the_channel_stops_it(
    shop: Shop, name: str, email: bool, post: bool
) -> None:
    published = shop.publish()
    put(shop, name, gzip.compress(b"id\n") if name.endswith(".gz") else b"id\n")
    letters = declare("letters", channel="post", columns=["customer_id", "address_line"])
    outcomes = shop.send(published, declare("mails"), letters, sources=SOURCES)
    assert {one.activation: one.status == "refused" for one in outcomes} == {"mails": email, "letters": post}
    for one in outcomes:
        assert one.status == "delivered" or (f"{name} in the inbox" in one.message and "rcu run" in one.message)


def test_a_draft_stops_it_only_where_its_source_delivered_before(shop: Shop) -> None:
    published = shop.publish()
    put(shop, "choices_2026-03-31.csv")
    drafted = {**SOURCES, "choices": SOURCES["choices"].model_copy(update={"todo": {"delivery": "full or delta?"}})}
    assert [one.status for one in shop.send(published, declare("mails"), sources=drafted)] == ["delivered"]
    (shop.workspace.landing / "consent" / "source=choices" / "batch=2026-03-01").mkdir(parents=True)
    assert [one.status for one in shop.send(published, declare("others"), sources=drafted)] == ["refused"]


def test_a_refusal_in_an_archive_stops_it(shop: Shop) -> None:
    published = shop.publish()
    zipped(shop, "night.zip", "people_2026-03-31.csv", "folder/choices_2026-03-31.csv")
    assert shop.send(published, declare(), sources=SOURCES)[0].status == "refused"
    zipped(shop, "night.zip", "people_2026-03-31.csv")
    assert shop.send(published, declare(), sources=SOURCES)[0].status == "delivered"


def test_an_archive_named_like_its_file_stops_it_even_where_it_cannot_be_opened(shop: Shop) -> None:
    published = shop.publish()
    put(shop, "choices_2026-03-31.zip", b"half")
    assert shop.send(published, declare(), sources=SOURCES)[0].status == "refused"


def test_once_the_file_was_taken_the_audience_leaves(shop: Shop) -> None:
    published = shop.publish()
    waiting = put(shop, "choices_2026-03-31.csv")
    put(shop, "choices_2026-04-01.csv")
    refused = shop.send(published, declare(), sources=SOURCES)[0]
    assert "choices_2026-03-31.csv and 1 more" in refused.message
    assert shop.exports("letter") == []
    waiting.unlink()
    (shop.workspace.inbox / "choices_2026-04-01.csv").unlink()
    assert shop.send(published, declare(), sources=SOURCES)[0].status == "delivered"
