"""Keys, keyed hashes and tokens: the only module that touches the secret key.

One key file outside the data tree, mode 0600, made at first use. It holds one line per key, newest
last: `<key id> <64 hex digits>`. Subkeys come from it by HKDF (RFC 5869, SHA-256), one per use, so
that a value leaked from one use tells nothing of another. Old keys stay, so that what was hashed
with them can still be looked up after a rotation. `registry/privacy/keys.json` holds, for each key
that the data need, a check value derived from it: a key that is not the right one is found out before
anything is matched with it.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import functools
import hashlib
import hmac
import json
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
from orchestration.unlocking import KeyHolder, hold_keys

_KEY_ID = re.compile(r"^[A-Za-z0-9_-]{1,16}$")  # it stands in tokens between points


@dataclass(frozen=True)
class Key:
    """One secret key and its public id."""

    key_id: str
    secret: bytes

    def subkey(self, use: str) -> bytes:
        """The 32-byte key for one use (`suppression`, `pseudonym`, `unsubscribe`, ...)."""
        return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"rcu/{use}".encode()).derive(self.secret)

    @property
    def check(self) -> str:
        """What tells this key from another of the same id, and nothing of the key: 16 hex digits."""
        return self.subkey("check").hex()[:16]

    def token(self, use: str, value: str) -> str:
        """A keyed, irreversible token of `value`: 32 hex digits of HMAC-SHA-256."""
        return hmac.new(self.subkey(use), value.encode(), hashlib.sha256).hexdigest()[:32]

    def tokens(self, use: str, values: Iterable[str]) -> list[str]:
        """The token of each value, in order: the subkey is derived once."""
        subkey = self.subkey(use)
        return [hmac.new(subkey, value.encode(), hashlib.sha256).hexdigest()[:32] for value in values]


def keys(workspace: Workspace) -> list[Key]:
    """All keys of the workspace, newest last. The file is made with one key where no data need an older one.

    Raises UsageError for a file that others can read, that is gone, or that holds another key than the one the
    workspace was begun with: its lists of people who said no would match nobody, and nothing else would tell.
    """
    path = workspace.key_file
    known = _known_checks(workspace)
    if not path.exists():
        if known:
            raise UsageError(
                f"{path}: the key file is gone, and {checks_file(workspace)} says that the data need "
                f"{', '.join(sorted(known))}; restore it from its backup"
            )
        _write_new(path)
    found = _read(path)
    by_id = {key.key_id: key for key in found}
    for key_id, check in sorted(known.items()):
        if key_id not in by_id:
            raise UsageError(
                f"{path}: key {key_id} is gone, and data of this workspace were hashed with it; restore the key file "
                "from its backup (nothing runs before: people who said no would be contacted)"
            )
        if by_id[key_id].check != check:
            raise UsageError(
                f"{path}: key {key_id} is not the one that this workspace was begun with; restore the key file from its "
                "backup (nothing runs before: people who said no would be contacted)"
            )
    if set(by_id) - set(known):
        _note_checks(workspace, found)
    return found


def _read(path: Path) -> list[Key]:
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise UsageError(f"{path}: this key can be read by others (mode {mode:04o}); run `chmod 600 {path}`")
    found: list[Key] = []
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except UnicodeDecodeError:
        raise UsageError(f"{path}: this file holds no key; restore it from its backup") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = line.split()
        is_key = len(parts) == 2 and len(parts[1]) == 64 and not set(parts[1]) - set("0123456789abcdef")
        if not is_key or not _KEY_ID.match(parts[0]):
            raise UsageError(f"{path}:{number}: this line is no key; restore the key file from its backup")
        if parts[0] in {key.key_id for key in found}:
            raise UsageError(f"{path}:{number}: key {parts[0]} stands here twice; restore the key file from its backup")
        found.append(Key(parts[0], bytes.fromhex(parts[1])))
    if not found:
        raise UsageError(f"{path}: this file holds no key; restore it from its backup")
    return found


def rotate(workspace: Workspace) -> Key:
    """Add a new key, which counts from now on; old ones stay for what was made with them. Call under the run lock.

    The file is written anew beside the old one and takes its place: a stop leaves one or the other, whole.
    """
    found = keys(workspace)
    numbers = [int(key.key_id[1:]) for key in found if key.key_id[1:].isdigit()]
    key = Key(f"k{max(numbers, default=0) + 1}", secrets.token_bytes(32))
    path = workspace.key_file
    text = path.read_text(encoding="ascii")
    ending = "" if text.endswith("\n") else "\n"
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    _write_private(temporary, f"{text}{ending}{key.key_id} {key.secret.hex()}\n")
    temporary.replace(path)
    _sync(path.parent)
    _note_checks(workspace, [*found, key])
    return key


def database_keys(workspace: Workspace) -> list[str]:
    """The keys that open this workspace's encrypted databases, the one for new ones first."""
    return [key.subkey("database").hex() for key in reversed(keys(workspace))]


def open_databases(workspace: Workspace) -> None:
    """Let this process open the encrypted databases of a workspace; no key is read before one is needed."""
    hold_keys(workspace.data, KeyHolder(workspace.key_file, lambda: database_keys(workspace)))


def write_key_file(path: Path, text: str) -> None:
    """Write a derived key where its owner alone can read it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    _write_private(temporary, text + "\n")
    temporary.replace(path)


def checks_file(workspace: Workspace) -> Path:
    """Where the check values of the keys lie: with the data that need those keys."""
    return workspace.registry / "privacy" / "keys.json"


def _known_checks(workspace: Workspace) -> dict[str, str]:
    path = checks_file(workspace)
    try:
        told = json.loads(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        return {}
    except ValueError:
        raise UsageError(f"{path}: this file cannot be read; restore it, with the registry, from the backup") from None
    return {str(key_id): str(check) for key_id, check in told.items()}


def _note_checks(workspace: Workspace, found: Iterable[Key]) -> None:
    path = checks_file(workspace)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    _write_private(temporary, json.dumps({key.key_id: key.check for key in found}, indent=1, sort_keys=True) + "\n")
    temporary.replace(path)


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
    told = "# Secret key of this workspace. Keep a backup apart from the data; never commit it.\n"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    _write_synced(handle, f"{told}k1 {secrets.token_hex(32)}\n")


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    _write_synced(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), text)


def _write_synced(handle: int, text: str) -> None:
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
