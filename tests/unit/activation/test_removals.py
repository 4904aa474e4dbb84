"""An erased person's destinations are told: by the way the person went there, until it worked."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from pathlib import Path

import pyarrow.parquet as pq

from orchestration import activation, protection
from orchestration.contracts.subject import Subject
from orchestration.privacy import traces
from orchestration.publish.planning import input_fingerprint
from tests.unit.activation.conftest import Shop, declare
from tests.unit.activation.test_webhook import SECRET, Receiver, serving

ERASED_ON = dt.date(2026, 4, 2)
ANNE = Subject(customer_ids=frozenset({"c01"}), texts=frozenset({"somebody@exemple.example"}))


def erase(shop: Shop, request_id: str = "R-1") -> None:
    activation.erase(shop.workspace, ANNE, request_id=request_id, on=ERASED_ON)
    traces.erase(shop.workspace, ANNE)


def waiting(shop: Shop) -> list[Path]:
    return activation.waiting_removals(shop.workspace)


def test_a_folder_gets_a_removal_file_that_names_nobody_in_clear(shop: Shop, tmp_path: Path) -> None:
    there = tmp_path / "theirs"
    letter = declare(columns=["email", "first_name"], deliver={"folder": {"path": str(there)}})
    shop.send(shop.publish(), letter)
    address = "eleonore.martin@gmail.com"
    assert address in next(there.glob("*.csv")).read_text(encoding="utf-8")
    erase(shop)
    (file,) = waiting(shop)
    assert file.stat().st_mode & 0o007 == 0
    assert activation.send_removals(shop.workspace, {"letter": letter}) == activation.RemovalsSent(1)
    (removal,) = there.glob("erase-letter-*.jsonl")
    (line,) = [json.loads(text) for text in removal.read_text(encoding="utf-8").splitlines()]
    assert line["customer_id"] == "c01"
    assert hashlib.sha256(address.lower().encode()).hexdigest() in line["sha256"].values()
    assert address not in removal.read_text(encoding="utf-8")
    told = json.loads(next(there.glob("erase-letter-*.manifest.json")).read_text(encoding="utf-8"))
    assert told["files"][0]["sha256"] == hashlib.sha256(removal.read_bytes()).hexdigest()
    assert waiting(shop) == [], "it is the last trace of whom it names"
    assert activation.send_removals(shop.workspace, {"letter": letter}) == activation.RemovalsSent()


def test_removal_files_push_no_list_out_of_its_folder(shop: Shop) -> None:
    letter = declare(columns=["customer_id"], deliver={"folder": {"keep": 2}})
    for number in (1, 2):
        shop.send(shop.publish(f"20260330-000{number}"), letter)
    lists = [path.name for path in shop.exports("letter") if path.suffix == ".csv"]
    for number in range(3):
        erase(shop, f"R-{number}")
        shop.send(shop.publish(f"20260331-000{number + 1}"), letter)
        activation.send_removals(shop.workspace, {"letter": letter})
    left = {path.name for path in shop.exports("letter") if path.suffix == ".csv"}
    assert len(lists) == 2 and len(left) == 2
    assert left == {"letter-20260331-0002-full.csv", "letter-20260331-0003-full.csv"}


def test_a_webhook_that_fails_is_told_again_later_under_the_same_key(shop: Shop, monkeypatch) -> None:
    monkeypatch.setenv("RCU_TEST_HOOK", SECRET)
    receiver = Receiver([200])
    with serving(receiver) as url:
        hook = {"url": url, "secret": "env:RCU_TEST_HOOK", "attempts": 1, "wait_seconds": 0.01, "timeout_seconds": 5}
        letter = declare(columns=["customer_id", "email"], deliver={"webhook": hook})
        shop.send(shop.publish(), letter)
        erase(shop)
        receiver.received.clear()
        receiver.answers = [500, 200]
        first = activation.send_removals(shop.workspace, {"letter": letter})
        assert first.sent == 0 and len(first.waiting) == 1 and "c01" not in first.waiting[0]
        assert len(waiting(shop)) == 1
        assert activation.send_removals(shop.workspace, {"letter": letter}).sent == 1
    assert receiver.keys[0] == receiver.keys[1] == f"letter:erase:{ERASED_ON}-R-1:erase:1"
    assert receiver.people == ["c01", "c01"]
    assert receiver.received[-1][1]["manifest"]["rows"] == 1
    assert receiver.wrong_signatures == 0
    assert waiting(shop) == []


def test_an_activation_that_is_no_longer_declared_leaves_its_file_to_a_person(shop: Shop) -> None:
    shop.send(shop.publish(), declare(columns=["customer_id", "email"]))
    erase(shop)
    told = activation.send_removals(shop.workspace, {})
    assert told.sent == 0 and "no longer declared" in told.waiting[0]
    assert len(waiting(shop)) == 1


def test_who_was_never_delivered_is_told_to_nobody(shop: Shop) -> None:
    shop.send(shop.publish(members=["c02", "c03"]), declare(columns=["customer_id"]))
    erase(shop)
    assert waiting(shop) == []


def test_who_was_only_in_lists_that_are_no_longer_kept_is_told_too(shop: Shop, tmp_path: Path) -> None:
    there = tmp_path / "theirs"
    letter = declare(columns=["customer_id", "email"], deliver={"folder": {"path": str(there)}})
    shop.send(shop.publish("20260331-0001", members=["c01", "c02"]), letter)
    for number in (2, 3):
        shop.send(shop.publish(f"20260331-000{number}", members=["c02"]), letter)
    registry = "".join(repr(pq.read_table(file).to_pylist()) for file in shop.workspace.registry.rglob("*.parquet"))
    assert "c02" in registry, "the lists that are kept"
    assert "c01" not in registry and "eleonore" not in registry, "who left them is not readable"
    protection.rotate(shop.workspace)
    erase(shop, "R-9")
    (file,) = waiting(shop)
    (line,) = [json.loads(text) for text in file.read_text(encoding="utf-8").splitlines()]
    own = hashlib.sha256(b"somebody@exemple.example").hexdigest()
    assert line == {"customer_id": "c01", "sha256": {"email": own}}
    assert activation.send_removals(shop.workspace, {"letter": letter}).sent == 1
    assert len(list(there.glob("erase-letter-*.jsonl"))) == 1
    erase(shop, "R-10")
    assert waiting(shop) == [], "nothing is remembered of them any more"


def test_what_a_platform_took_as_a_hash_is_taken_away_by_that_hash(shop: Shop) -> None:
    ads = declare("ads", format="meta", purpose="marketing")
    shop.send(shop.publish(), ads)
    erase(shop)
    (file,) = waiting(shop)
    (line,) = [json.loads(text) for text in file.read_text(encoding="utf-8").splitlines()]
    assert line["sha256"]["email"] == hashlib.sha256(b"eleonore.martin@gmail.com").hexdigest()
    assert line["sha256"]["phone"] == hashlib.sha256(b"33612345601").hexdigest()


def test_remembering_who_received_a_list_gives_a_run_nothing_new_to_do(shop: Shop) -> None:
    before = input_fingerprint(shop.workspace, as_of_on=ERASED_ON)
    letter = declare(columns=["customer_id"])
    for number, members in enumerate((["c01"], ["c02"], ["c02"]), start=1):
        shop.send(shop.publish(f"20260331-000{number}", members=members), letter)
    assert activation.received(shop.workspace, ["c01", "c02"]) == {"letter": {"c01"}}
    assert input_fingerprint(shop.workspace, as_of_on=ERASED_ON) == before
