"""Deliveries to an address that takes JSON, signed, repeated until it answers.

What belongs here: requests, their signature, when one is repeated, the dead letter. What does not: the rows.

Every request carries `Idempotency-Key`, which is the same whenever it is repeated, and
`X-Rcu-Signature: t=<unix seconds>,v1=<hex>`: HMAC-SHA-256 of `<t>.<idempotency key>.<body>`. The last request
holds the manifest: what came before is whole then. A request is repeated after a timeout, a broken
connection, 408, 425, 429 and 5xx; another answer is final. What could not be delivered is written beside the
exports as a dead letter, without its people: they are selected afresh, and checked again, by the next attempt.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from orchestration.activation.destinations import DeliveryFailed, Parcel
from orchestration.activation.files import records
from orchestration.contracts.activation import Webhook
from orchestration.settings import resolve_secret

_REPEATED = {408, 425, 429}
_LONGEST_WAIT_SECONDS = 120.0


def to_webhook(parcel: Parcel, declared: Webhook) -> str:
    """Send every request in order. Raises DeliveryFailed with the first that was given up."""
    secret = resolve_secret(declared.secret, parcel.workspace).encode()
    for key, body in _requests(parcel, declared):
        tries = _send_one(declared, secret, key, body)
        if tries[-1] != "ok":
            _write_dead_letter(parcel, key, body, tries)
            raise DeliveryFailed(
                f"{parcel.activation.activation}: the webhook did not take the delivery after {len(tries)} attempts "
                f"(last: {tries[-1]}); it is sent again by the next run or `rcu activate`"
            )
    dead_letter_of(parcel).unlink(missing_ok=True)
    return declared.url


def _requests(parcel: Parcel, declared: Webhook) -> Iterator[tuple[str, bytes]]:
    """(idempotency key, body) of each request."""
    head: dict[str, Any] = {"activation": parcel.activation.activation, "version": parcel.version}
    for action, table in parcel.tables.items():
        parts = max(1, -(-table.num_rows // declared.batch_rows))
        for number in range(parts):
            rows = list(records(table.slice(number * declared.batch_rows, declared.batch_rows)))
            told = {**head, "action": action, "part": number + 1, "parts": parts, "rows": rows}
            yield f"{parcel.key}:{action}:{number + 1}", _body(told)
    manifest = json.loads(parcel.manifest.path.read_text(encoding="utf-8"))
    yield f"{parcel.key}:manifest", _body({**head, "action": "manifest", "manifest": manifest})


def _body(told: dict[str, Any]) -> bytes:
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def signature(secret: bytes, seconds: int, key: str, body: bytes) -> str:
    """The value of X-Rcu-Signature."""
    digest = hmac.new(secret, f"{seconds}.{key}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


def _send_one(declared: Webhook, secret: bytes, key: str, body: bytes) -> list[str]:
    """What came of each attempt; the last is `ok` where the request was taken."""
    tries: list[str] = []
    for attempt in range(declared.attempts):
        if attempt:
            time.sleep(min(declared.wait_seconds * 2 ** (attempt - 1), _LONGEST_WAIT_SECONDS))
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Idempotency-Key": key,
            "X-Rcu-Signature": signature(secret, int(time.time()), key, body),
        }
        try:
            status = _status_of(declared, body, headers)
        except (httpx.TimeoutException, TimeoutError):
            tries.append(f"no answer within {declared.timeout_seconds:g} s")
            continue
        except httpx.HTTPError as error:
            tries.append(f"the connection failed ({type(error).__name__})")
            continue
        if 200 <= status < 300:
            return [*tries, "ok"]
        tries.append(f"it answered {status}")
        if status not in _REPEATED and status < 500:
            return tries
    return tries


def _status_of(declared: Webhook, body: bytes, headers: dict[str, str]) -> int:
    """The status that one attempt is answered with, within its time as a whole.

    httpx counts its time anew for every byte that comes; a server that drips would hold a run for ever. So the
    attempt has a thread of its own, and a client that is closed under it when its time is over.
    """
    timeout = httpx.Timeout(declared.timeout_seconds)
    # Neither redirects nor proxies of the environment: personal data go where the declaration says.
    client = httpx.Client(timeout=timeout, follow_redirects=False, trust_env=False)
    answers: queue.SimpleQueue[int | httpx.HTTPError] = queue.SimpleQueue()

    def attempt() -> None:
        try:
            # The answer's text is not read: its status is all that counts.
            with client.stream("POST", declared.url, content=body, headers=headers) as answer:
                answers.put(answer.status_code)
        except httpx.HTTPError as error:
            answers.put(error)

    threading.Thread(target=attempt, daemon=True).start()
    try:
        told = answers.get(timeout=declared.timeout_seconds)
    except queue.Empty:
        raise TimeoutError from None
    finally:
        client.close()
    if isinstance(told, httpx.HTTPError):
        raise told
    return told


def dead_letter_of(parcel: Parcel) -> Path:
    """Where the dead letter of a delivery lies."""
    return parcel.workspace.exports / "dead_letters" / f"{parcel.stem}.json"


def _write_dead_letter(parcel: Parcel, key: str, body: bytes, tries: list[str]) -> None:
    path = dead_letter_of(parcel)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    told = {
        "activation": parcel.activation.activation,
        "idempotency_key": key,
        "body_sha256": hashlib.sha256(body).hexdigest(),
        "body_bytes": len(body),
        "attempts": tries,
        "manifest": json.loads(parcel.manifest.path.read_text(encoding="utf-8")),
        "remedy": "the next run, or `rcu activate`, selects the people afresh and sends under the same key",
    }
    part = path.with_name(f".{path.name}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    part.replace(path)
