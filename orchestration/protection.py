"""Keys, keyed hashes and tokens: the only module that touches the secret key.

One key file outside the data tree, mode 0600, made at first use. It holds one line per key, newest
last: `<key id> <64 hex digits>`. Subkeys come from it by HKDF (RFC 5869, SHA-256), one per use, so
that a value leaked from one use tells nothing of another. Old keys stay, so that what was hashed
with them can still be looked up after a rotation.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import functools
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from orchestration.errors import UsageError
from orchestration.settings import Workspace


@dataclass(frozen=True)
class Key:
    """One secret key and its public id."""

    key_id: str
    secret: bytes

    def subkey(self, use: str) -> bytes:
        """The 32-byte key for one use (`suppression`, `pseudonym`, `unsubscribe`, ...)."""
        return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"rcu/{use}".encode()).derive(self.secret)

    def token(self, use: str, value: str) -> str:
        """A keyed, irreversible token of `value`: 32 hex digits of HMAC-SHA-256."""
        return hmac.new(self.subkey(use), value.encode(), hashlib.sha256).hexdigest()[:32]

    def tokens(self, use: str, values: Iterable[str]) -> list[str]:
        """The token of each value, in order: the subkey is derived once."""
        subkey = self.subkey(use)
        return [hmac.new(subkey, value.encode(), hashlib.sha256).hexdigest()[:32] for value in values]


def keys(workspace: Workspace) -> list[Key]:
    """All keys of the workspace, newest last. The file is made with one key where there is none."""
    path = workspace.key_file
    if not path.exists():
        _write_new(path)
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise UsageError(f"{path}: this key can be read by others (mode {mode:04o}); run `chmod 600 {path}`")
    found = []
    for number, line in enumerate(path.read_text(encoding="ascii").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = line.split()
        if len(parts) != 2 or len(parts[1]) != 64 or set(parts[1]) - set("0123456789abcdef"):
            raise UsageError(f"{path}:{number}: this line is no key; restore the key file from its backup")
        found.append(Key(parts[0], bytes.fromhex(parts[1])))
    if not found:
        raise UsageError(f"{path}: this file holds no key; restore it from its backup")
    return found


def current_key(workspace: Workspace) -> Key:
    """The key that new values are hashed with."""
    return keys(workspace)[-1]


def tokens(workspace: Workspace, use: str, values: Iterable[str]) -> dict[str, list[tuple[str, str]]]:
    """For each value its `(key id, token)` under every key, so that old lists still match."""
    every = keys(workspace)
    return {value: [(key.key_id, key.token(use, value)) for key in every] for value in values}


# --- unsubscribe tokens --------------------------------------------------------------------------
#
# `u1.<key id>.<channel>.<purpose>.<issued>.<expires>.<pseudonym>.<signature>`, each part as text.
# The pseudonym is "customer id, contact" under AES-SIV (RFC 5297): the same pair gives the same one, and
# only the key leads back. The signature is HMAC-SHA-256 over all that stands before it, compared as text:
# a base64 text that decodes to the same bytes is another text, so every altered character is found.

_TOKEN_FORM = re.compile(r"^u1(\.[A-Za-z0-9_-]+){3}\.\d{8}\.\d{8}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{43}$")
_SEPARATOR = "\x1f"


@dataclass(frozen=True)
class Unsubscription:
    """What a token says: which customer, reached at which address or number, wants no more of what."""

    customer_id: str
    contact: str
    channel: str
    purpose: str
    issued_on: dt.date
    expires_on: dt.date


class BadToken(ValueError):
    """A token that is forged, altered or expired. The message never holds the token."""


def unsubscribe_token(key: Key, told: Unsubscription) -> str:
    """The signed token of one person, channel and purpose; it holds no personal value in clear."""
    sealed = _sealer(key).encrypt(_SEPARATOR.join((told.customer_id, told.contact)).encode(), None)
    days = f"{told.issued_on:%Y%m%d}.{told.expires_on:%Y%m%d}"
    body = f"u1.{key.key_id}.{told.channel}.{told.purpose}.{days}.{_as_text(sealed)}"
    return f"{body}.{_signature(key, body)}"


def read_unsubscribe_token(every: Iterable[Key], token: str, *, on: dt.date) -> Unsubscription:
    """What `token` says on the day `on`. Raises BadToken where it is forged, altered or expired."""
    token = token.strip()
    if not _TOKEN_FORM.match(token):
        raise BadToken("this is no unsubscribe token")
    body, _, signature = token.rpartition(".")
    _, key_id, channel, purpose, issued, expires, sealed = body.split(".")
    key = next((one for one in every if one.key_id == key_id), None)
    if key is None or not hmac.compare_digest(signature, _signature(key, body)):
        raise BadToken("the signature is not ours: the token is forged or altered")
    try:
        padded = sealed + "=" * (-len(sealed) % 4)
        customer_id, _, contact = (
            _sealer(key).decrypt(base64.urlsafe_b64decode(padded), None).decode().partition(_SEPARATOR)
        )
        issued_on, expires_on = (dt.datetime.strptime(day, "%Y%m%d").date() for day in (issued, expires))
    except (InvalidTag, binascii.Error, ValueError):
        raise BadToken("the token cannot be opened") from None
    if expires_on < on:
        raise BadToken("the token has expired")
    return Unsubscription(customer_id, contact, channel, purpose, issued_on, expires_on)


def unsubscribe_reader(workspace: Workspace) -> Callable[[str | None, str, dt.date], str | None]:
    """A function (token, part, day) -> that part of the token; None where the token is bad or says no such part.

    Parts: `channel`, `purpose`, `customer`, `email`, `phone`. The keys are read at the first call, so that a
    workspace without tokens makes no key.
    """

    @functools.cache
    def every() -> tuple[Key, ...]:
        return tuple(keys(workspace))

    @functools.lru_cache(maxsize=4096)
    def read(token: str, on: dt.date) -> Unsubscription | None:
        try:
            return read_unsubscribe_token(every(), token, on=on)
        except BadToken:
            return None

    def part(token: str | None, name: str, on: dt.date) -> str | None:
        told = read(token, on) if token is not None else None
        if told is None:
            return None
        if name == "email":
            return told.contact if told.channel == "email" and told.contact else None
        if name == "phone":
            return told.contact if told.channel in ("sms", "phone") and told.contact else None
        return {"channel": told.channel, "purpose": told.purpose, "customer": told.customer_id}[name]

    return part


@functools.lru_cache(maxsize=16)
def _sealer(key: Key) -> AESSIV:
    return AESSIV(key.subkey("unsubscribe-pseudonym"))


@functools.lru_cache(maxsize=16)
def _signing_key(key: Key) -> bytes:
    return key.subkey("unsubscribe")


def _signature(key: Key, body: str) -> str:
    return _as_text(hmac.new(_signing_key(key), body.encode(), hashlib.sha256).digest())


def _as_text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _write_new(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write("# Secret key of this workspace. Keep a backup apart from the data; never commit it.\n")
        file.write(f"k1 {secrets.token_hex(32)}\n")
