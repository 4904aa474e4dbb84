"""Keys, keyed hashes and tokens: the only module that touches the secret key.

One key file outside the data tree, mode 0600, made at first use. It holds one line per key, newest
last: `<key id> <64 hex digits>`. Subkeys come from it by HKDF (RFC 5869, SHA-256), one per use, so
that a value leaked from one use tells nothing of another. Old keys stay, so that what was hashed
with them can still be looked up after a rotation.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

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


def _write_new(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write("# Secret key of this workspace. Keep a backup apart from the data; never commit it.\n")
        file.write(f"k1 {secrets.token_hex(32)}\n")
