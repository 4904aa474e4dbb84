"""Deliveries to a real HTTP server on loopback: taken, refused, failing, hanging."""

from __future__ import annotations

import hashlib
import hmac
import json
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from orchestration import activation
from tests.unit.activation.conftest import Shop, declare

SECRET = "a secret of the tests"


class Receiver:
    """What arrived, and what is answered: a status each, the last one for ever. None: no answer at all."""

    def __init__(self, answers: list[int | None]) -> None:
        self.answers = answers
        self.received: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.wrong_signatures = 0
        self.release = threading.Event()

    def take(self, headers: Any, body: bytes) -> int | None:
        key = headers["Idempotency-Key"]
        parts = dict(part.split("=") for part in headers["X-Rcu-Signature"].split(","))
        expected = hmac.new(SECRET.encode(), f"{parts['t']}.{key}.".encode() + body, hashlib.sha256).hexdigest()
        self.wrong_signatures += not hmac.compare_digest(expected, parts["v1"])
        self.received.append((dict(headers), json.loads(body)))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    @property
    def keys(self) -> list[str]:
        return [headers["Idempotency-Key"] for headers, _ in self.received]

    @property
    def people(self) -> list[str]:
        return [row["customer_id"] for _, body in self.received for row in body.get("rows", [])]


@contextmanager
def serving(receiver: Receiver) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status = receiver.take(self.headers, self.rfile.read(int(self.headers["Content-Length"])))
            if status is None:
                receiver.release.wait(30)
                return
            self.send_response(status)
            if status in (301, 302):
                self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook"
    finally:
        receiver.release.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.fixture
def hooked(shop: Shop, tmp_path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("RCU_TEST_HOOK", SECRET)

    def made(url: str, **keys: Any) -> Any:
        keys = {"attempts": 3, "wait_seconds": 0.01, "timeout_seconds": 5, **keys}
        return declare(
            deliver={"webhook": {"url": url, "secret": "env:RCU_TEST_HOOK", **keys}}, columns=["customer_id", "email"]
        )

    return made


def dead_letters(shop: Shop) -> list[dict[str, Any]]:
    return [json.loads(p.read_text(encoding="utf-8")) for p in (shop.workspace.exports / "dead_letters").glob("*.json")]


def test_people_arrive_signed_in_parts_and_the_manifest_last(shop: Shop, hooked) -> None:
    receiver = Receiver([200])
    with serving(receiver) as url:
        (outcome,) = shop.send(shop.publish(), hooked(url, batch_rows=3))
    assert outcome.status == "delivered"
    assert receiver.wrong_signatures == 0
    assert receiver.people == ["c01", "c02", "c03", "c09"]
    key = "letter:20260331-0001"
    assert receiver.keys == [f"{key}:full:1", f"{key}:full:2", f"{key}:manifest"]
    assert [(body["part"], body["parts"]) for _, body in receiver.received[:2]] == [(1, 2), (2, 2)]
    assert receiver.received[-1][1]["manifest"]["list_count"] == 4
    assert dead_letters(shop) == []


def test_a_delivery_that_was_refused_with_500_is_repeated_under_the_same_key(shop: Shop, hooked) -> None:
    receiver = Receiver([500, 503, 200])
    with serving(receiver) as url:
        (outcome,) = shop.send(shop.publish(), hooked(url))
    assert outcome.status == "delivered"
    assert receiver.keys[0] == receiver.keys[1] == receiver.keys[2]
    assert receiver.received[0][1] == receiver.received[2][1]


def test_a_webhook_that_always_answers_500_is_given_up_and_leaves_a_dead_letter(shop: Shop, hooked) -> None:
    receiver, published = Receiver([500]), shop.publish()
    with serving(receiver) as url:
        (outcome,) = shop.send(published, hooked(url))
        assert outcome.status == "failed"
        assert "after 3 attempts (last: it answered 500)" in outcome.message
        assert len(receiver.received) == 3
        (letter,) = dead_letters(shop)
        assert letter["idempotency_key"] == "letter:20260331-0001:full:1"
        assert letter["attempts"] == ["it answered 500"] * 3
        assert "zoe@free.fr" not in json.dumps(letter)
        (kept,) = activation.deliveries(shop.workspace)
        assert kept.status == "failed"

        receiver.answers = [200]
        (outcome,) = shop.send(published, hooked(url))
    assert outcome.status == "delivered"
    assert set(receiver.keys[3:]) == {"letter:20260331-0001:full:1", "letter:20260331-0001:manifest"}
    assert dead_letters(shop) == []


def test_a_refusal_of_the_other_side_is_final(shop: Shop, hooked) -> None:
    receiver = Receiver([422])
    with serving(receiver) as url:
        (outcome,) = shop.send(shop.publish(), hooked(url))
    assert (outcome.status, len(receiver.received)) == ("failed", 1)
    assert "it answered 422" in outcome.message


def test_a_redirect_is_not_followed(shop: Shop, hooked) -> None:
    receiver = Receiver([302])
    with serving(receiver) as url:
        (outcome,) = shop.send(shop.publish(), hooked(url))
    assert (outcome.status, len(receiver.received)) == ("failed", 1)


def test_a_webhook_that_hangs_is_left_after_its_timeout(shop: Shop, hooked) -> None:
    receiver = Receiver([None])
    with serving(receiver) as url:
        (outcome,) = shop.send(shop.publish(), hooked(url, timeout_seconds=0.3, attempts=2))
    assert outcome.status == "failed"
    assert outcome.message.startswith("letter: the webhook did not take the delivery after 2 attempts")
    assert len(receiver.received) == 2


def test_a_webhook_that_drips_its_answer_is_left_after_its_timeout(shop: Shop, hooked) -> None:
    """A byte now and then keeps a connection busy; the time of an attempt is counted as a whole."""

    class Dripping(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            for _ in range(100):
                try:
                    self.request.sendall(b"H")
                except OSError:
                    return
                if stop.wait(0.1):
                    return

    stop = threading.Event()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Dripping) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/hook"
        (outcome,) = shop.send(shop.publish(), hooked(url, timeout_seconds=0.5, attempts=1))
        stop.set()
        server.shutdown()
    assert outcome.status == "failed"
    assert "no answer within 0.5 s" in outcome.message


def test_a_server_that_is_not_there_is_a_clear_error(shop: Shop, hooked) -> None:
    with serving(Receiver([200])) as url:
        pass
    (outcome,) = shop.send(shop.publish(), hooked(url))
    assert outcome.status == "failed"
    assert "the connection failed (ConnectError)" in outcome.message


def test_a_secret_that_is_not_set_is_named_and_nothing_is_sent(shop: Shop, hooked, monkeypatch) -> None:
    monkeypatch.delenv("RCU_TEST_HOOK")
    receiver = Receiver([200])
    with serving(receiver) as url:
        (outcome,) = shop.send(shop.publish(), hooked(url))
    assert outcome.status == "failed"
    assert "env:RCU_TEST_HOOK: this variable is not set" in outcome.message
    assert receiver.received == []


def test_who_refuses_between_two_attempts_is_not_in_the_second(shop: Shop, hooked) -> None:
    receiver, published = Receiver([500]), shop.publish()
    with serving(receiver) as url:
        shop.send(published, hooked(url, attempts=1))
        assert "c03" in receiver.people
        shop.land("event", "since", event_type="email_unsubscribe", ref_email="zoe@free.fr")
        receiver.answers, receiver.received = [200], []
        (outcome,) = shop.send(published, hooked(url))
    assert outcome.status == "delivered"
    assert "c03" not in receiver.people
    assert "letter:20260331-0001:full:1" in receiver.keys


def test_waits_double_from_one_attempt_to_the_next(shop: Shop, hooked, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    with serving(Receiver([500])) as url:
        shop.send(shop.publish(), hooked(url, attempts=5, wait_seconds=0.5))
    assert waited == [0.5, 1.0, 2.0, 4.0]
