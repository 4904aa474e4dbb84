"""Where a source's extracts are fetched from, when nobody drops them into the inbox.

What belongs here: the typed model of `connect:` in a source contract. What does not: fetching
(`orchestration.ingest.fetching`). Secrets stand by reference only: a literal one is an error with its line, and
its text is never repeated.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from orchestration.contracts.loader import Declaration

_REFERENCE = re.compile(r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:\S.*)$")
_TABLE = re.compile(r"^[^\s.\"';]+(\.[^\s.\"';]+)?$")


def _is_reference(value: str) -> str:
    if not _REFERENCE.match(value):
        # The value is never repeated: a message may end in a log.
        raise ValueError("a secret is never written here; write env:NAME or file:PATH and keep it there")
    return value


Secret = Annotated[
    str, AfterValidator(_is_reference), WithJsonSchema({"type": "string", "pattern": _REFERENCE.pattern})
]


def _is_table(value: str) -> str:
    if not _TABLE.match(value):
        raise ValueError(f'"{value}" names no table or view; write schema.table or table')
    return value


Table = Annotated[str, AfterValidator(_is_table), WithJsonSchema({"type": "string", "pattern": _TABLE.pattern})]


class Database(Declaration):
    """A table or view, read whole by each run."""

    dsn: Secret = Field(description="Connection string, as env:NAME or file:PATH")
    table: Table = Field(description="schema.table or schema.view")


class Bucket(Declaration):
    """A folder of an S3-compatible bucket. Without keys, those of the machine's role are used."""

    bucket: str
    folder: str = Field(default="", description="Prefix; the files right below it are looked at")
    endpoint: str | None = Field(default=None, description="https://... of another provider than AWS")
    region: str | None = None
    access_key: Secret | None = None
    secret_key: Secret | None = None

    @model_validator(mode="after")
    def _keys_go_together(self) -> Bucket:
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("access_key and secret_key go together")
        return self


class Sftp(Declaration):
    """A folder of an SFTP server. The server's key is declared: an unknown one is refused."""

    host: str
    port: int = Field(default=22, ge=1, le=65535)
    folder: str = Field(default=".", description="The files right in it are looked at")
    user: str
    host_key: str = Field(
        pattern=r"^(ssh|ecdsa)-\S+ \S+$",
        description="The server's public key, as ssh-keyscan prints it without the host",
    )
    password: Secret | None = None
    private_key: Secret | None = Field(default=None, description="An OpenSSH private key without passphrase")

    @model_validator(mode="after")
    def _one_proof(self) -> Sftp:
        if (self.password is None) == (self.private_key is None):
            raise ValueError("give either password or private_key, by reference")
        return self


class Connection(Declaration):
    """One place to fetch from."""

    postgres: Database | None = None
    mysql: Database | None = None
    s3: Bucket | None = None
    sftp: Sftp | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Connection:
        if sum(place is not None for place in (self.postgres, self.mysql, self.s3, self.sftp)) != 1:
            raise ValueError("give exactly one of postgres, mysql, s3, sftp")
        return self

    @property
    def kind(self) -> str:
        return next(name for name in ("postgres", "mysql", "s3", "sftp") if getattr(self, name) is not None)

    @property
    def database(self) -> Database | None:
        return self.postgres or self.mysql
