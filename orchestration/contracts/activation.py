"""`activations/*.yml`: which people leave in which format, for which use, and where to.

What belongs here: one activation and every check that needs no data (unknown segments and fields, a secret
written out, keys that contradict each other). What does not: who may be contacted at the moment of sending,
the files and the sending (`orchestration.activation`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from orchestration.contracts.connection import Secret
from orchestration.contracts.loader import (
    Declaration,
    Document,
    Location,
    Problem,
    did_you_mean,
    raise_problems,
    read_document,
    validate,
)
from orchestration.contracts.segment import Channel, FieldCatalogue, Label

_NAME = r"^[a-z][a-z0-9_]{0,62}$"
_TABLE = re.compile(r"^([A-Za-z_][A-Za-z0-9_]*\.)?[A-Za-z_][A-Za-z0-9_]*$")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

Format = Literal["brevo", "klaviyo", "mailchimp", "meta", "google", "csv", "parquet", "json", "jsonl"]
Purpose = Literal["marketing", "partners"]

#: Formats whose columns the platform dictates; the others take those of `columns`.
PLATFORMS = ("brevo", "klaviyo", "mailchimp", "meta", "google")

#: Advertising platforms: what they get is hashed and compared with their own customers.
HASHED = ("meta", "google")

#: What a plain file holds where `columns` says nothing.
PLAIN_COLUMNS = ("customer_id", "email", "phone", "first_name", "last_name", "language")


class Audience(Declaration):
    """Who is meant: the members of one segment, of any of several, or the events that a trigger fired."""

    segment: str | None = None
    segments: tuple[str, ...] = Field(default=(), description="Members of any of these")
    trigger: str | None = Field(default=None, description="One row per event that fired")

    @model_validator(mode="after")
    def _is_one_thing(self) -> Audience:
        if sum(bool(given) for given in (self.segment, self.segments, self.trigger)) != 1:
            raise ValueError("an audience is one of segment, segments, trigger")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The segments, in the order of the declaration; empty for a trigger."""
        return (self.segment,) if self.segment else self.segments


class Unsubscribe(Declaration):
    """A signed link of one's own for each person, in a column of the export (RFC 8058 style)."""

    url: str = Field(description="Where the link leads; {token} stands for the token")
    days: int = Field(default=400, ge=30, le=3650, description="How long the link works")
    column: str | None = Field(default=None, description="Name of the column; default: that of the platform")

    @field_validator("url")
    @classmethod
    def _is_a_link(cls, value: str) -> str:
        if urlsplit(value).scheme != "https" or "{token}" not in value:
            raise ValueError(
                'the link is an https address with {token} in it, such as "https://shop.example/u?t={token}"'
            )
        return value


class Folder(Declaration):
    """A folder of this machine."""

    path: str | None = Field(
        default=None, description="Absolute, or below data/exports; default: the activation's name"
    )
    keep: int = Field(default=7, ge=1, le=1000, description="Deliveries kept below data/exports; older ones go")

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, value: str | None) -> str | None:
        if value is not None and ".." in Path(value).parts:
            raise ValueError('".." leads out of the folder; write the whole path')
        return value


class Sftp(Declaration):
    """A folder of an SFTP server. The server must show the key that is declared."""

    host: str
    port: int = Field(default=22, ge=1, le=65535)
    user: str
    password: Secret | None = None
    key: Secret | None = Field(default=None, description="Private key: file:PATH, or the variable that holds it")
    host_key: str = Field(description='Public key of the server: "ssh-ed25519 AAAA..."')
    path: str = "."
    timeout_seconds: float = Field(default=20, gt=0, le=600)

    @model_validator(mode="after")
    def _can_log_in(self) -> Sftp:
        if (self.password is None) == (self.key is None):
            raise ValueError("sftp logs in with one of password and key")
        return self

    @field_validator("host_key")
    @classmethod
    def _is_a_public_key(cls, value: str) -> str:
        if len(value.split()) < 2:
            raise ValueError('host_key is the public key of the server, as in known_hosts: "ssh-ed25519 AAAA..."')
        return value


class S3(Declaration):
    """A bucket of an S3-compatible store. Without keys, those of the machine's role are used."""

    bucket: str
    prefix: str = ""
    region: str | None = None
    endpoint: str | None = Field(default=None, description="Address of a store other than AWS")
    access_key: Secret | None = None
    secret_key: Secret | None = None

    @model_validator(mode="after")
    def _keys_go_together(self) -> S3:
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("access_key and secret_key go together")
        return self

    @field_validator("endpoint")
    @classmethod
    def _is_safe(cls, value: str | None) -> str | None:
        return _safe_address(value) if value is not None else None


class Webhook(Declaration):
    """An address that takes JSON, signed with HMAC-SHA-256."""

    url: str
    secret: Secret
    timeout_seconds: float = Field(default=15, gt=0, le=300, description="For one attempt, its answer included")
    attempts: int = Field(default=4, ge=1, le=10)
    wait_seconds: float = Field(default=1, ge=0, le=60, description="Before the second attempt; doubles each time")
    batch_rows: int = Field(default=1000, ge=1, le=10_000, description="People in one request")

    @field_validator("url")
    @classmethod
    def _is_safe(cls, value: str) -> str:
        return _safe_address(value)


class Postgres(Declaration):
    """A table of a PostgreSQL database, made where it is missing."""

    dsn: Secret = Field(description="Connection string: env:NAME or file:PATH")
    table: str = Field(description="schema.table")

    @field_validator("table")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if not _TABLE.match(value):
            raise ValueError(f'"{value}" is no table; write schema.table, in letters, digits and _')
        return value


def _safe_address(value: str) -> str:
    told = urlsplit(value)
    if told.username or told.password:
        raise ValueError("an address holds no user and no password; they belong in a secret")
    if not told.hostname or told.scheme not in ("https", "http"):
        raise ValueError("this is no web address; write https://...")
    if told.scheme == "http" and told.hostname not in _LOOPBACK:
        raise ValueError("personal data leave over https only; http is for localhost")
    return value


class Deliver(Declaration):
    """Where to: exactly one of these."""

    folder: Folder | None = None
    sftp: Sftp | None = None
    s3: S3 | None = None
    webhook: Webhook | None = None
    postgres: Postgres | None = None

    @field_validator("folder", mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _is_one_place(self) -> Deliver:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            said = f", not {len(given)} ({', '.join(given)})" if given else ""
            raise ValueError(f"an activation delivers to one of {', '.join(type(self).model_fields)}{said}")
        return self

    @property
    def kind(self) -> str:
        return next(name for name in type(self).model_fields if getattr(self, name) is not None)


class Activation(Declaration):
    """One activation: an audience, a format and a destination."""

    activation: str = Field(pattern=_NAME, description="Name; that of the file")
    label: Label
    objective: str = Field(min_length=1)
    audience: Audience
    format: Format
    channel: Channel = Field(default="email", description="On which the people are contacted")
    purpose: Purpose | None = Field(
        default=None, description="What their consent must cover; default: partners for meta and google, else marketing"
    )
    mode: Literal["full", "delta"] = Field(default="full", description="The whole list, or what changed since the last")
    columns: dict[str, str] | tuple[str, ...] | None = Field(
        default=None, description="Plain formats: fields of customer_360, or name in the file -> field"
    )
    attributes: dict[str, str] = Field(
        default_factory=dict, description="More columns: name in the file -> field of customer_360"
    )
    unsubscribe: Unsubscribe | None = None
    most_rows: int | None = Field(default=None, ge=1, description="At most so many people, drawn once for ever")
    max_age_hours: float = Field(default=36, gt=0, le=24 * 3650, description="Older publications are not sent")
    refuse_sizes: tuple[Literal["empty", "universal", "below", "above"], ...] = Field(
        default=("empty", "universal"),
        description="Nothing leaves when a segment's size is so (empty: when all its segments are)",
    )
    deliver: Deliver = Field(default_factory=lambda: Deliver(folder=Folder()))
    owner: str | None = Field(default=None, pattern=r"^(team:[\w.-]+|[^@\s]+@[^@\s]+)$", description="team:x or e-mail")

    @field_validator("activation")
    @classmethod
    def _is_no_command(cls, value: str) -> str:
        if value == "status":
            raise ValueError('"status" is a word of `rcu activate`; choose another name')
        return value

    @model_validator(mode="after")
    def _keys_fit(self) -> Activation:
        if self.columns is not None and self.format in PLATFORMS:
            raise ValueError(f"{self.format} dictates its columns; add others under attributes")
        if self.format in HASHED and (self.attributes or self.unsubscribe):
            raise ValueError(f"{self.format} takes hashed identifiers only: drop attributes and unsubscribe")
        if self.format in HASHED and self.channel not in ("email", "sms"):
            raise ValueError(f"{self.format} finds people by e-mail or mobile: channel is email or sms")
        if self.audience.trigger and self.mode == "delta":
            raise ValueError("events of a trigger are sent once each; mode: delta is for segments")
        if self.audience.trigger and self.format in HASHED:
            raise ValueError(f"{self.format} takes lists of people, not the events of a trigger")
        if self.unsubscribe and self.channel == "post":
            raise ValueError("a letter has no link: drop unsubscribe, or choose another channel")
        return self

    @property
    def needed_purpose(self) -> str:
        return self.purpose or ("partners" if self.format in HASHED else "marketing")

    @property
    def named_columns(self) -> dict[str, str]:
        """Name in the file -> field, of a plain format."""
        given = self.columns if self.columns is not None else PLAIN_COLUMNS
        return dict(given) if isinstance(given, Mapping) else {name: name for name in given}


def load_activation(path: Path, root: Path | None = None) -> Activation:
    """Read one activation. Raises DeclarationError with every problem found."""
    document = read_document(path, root)
    activation = validate(document, Activation)
    if activation.activation != path.stem:
        raise_problems(
            [document.problem(("activation",), f'"{activation.activation}" should be named as its file, "{path.stem}"')]
        )
    return activation


def check_activation(
    activation: Activation,
    document: Document,
    *,
    segments: Mapping[str, Any],
    triggers: Mapping[str, Any],
    fields: FieldCatalogue,
) -> list[Problem]:
    """The names that an activation uses and nobody declares, each with its line."""
    return [
        document.problem(location, message)
        for location, message in _unknown_names(activation, segments, triggers, fields)
    ]


def _unknown_names(
    activation: Activation, segments: Mapping[str, Any], triggers: Mapping[str, Any], fields: FieldCatalogue
) -> Iterator[tuple[Location, str]]:
    audience = activation.audience
    for index, name in enumerate(audience.names):
        if name not in segments:
            where: Location = ("audience", "segment") if audience.segment else ("audience", "segments", index)
            yield where, f'no segment "{name}"{did_you_mean(name, segments)}'
    trigger = audience.trigger
    if trigger is not None and trigger not in triggers:
        yield ("audience", "trigger"), f'no trigger "{trigger}"{did_you_mean(trigger, triggers)}'
    elif trigger is not None and activation.channel not in triggers[trigger].channels:
        told = ", ".join(triggers[trigger].channels)
        yield ("channel",), f'trigger "{trigger}" has no channel {activation.channel}; it has {told}'
    for key, names in (("columns", activation.named_columns), ("attributes", activation.attributes)):
        for shown, name in names.items():
            if fields.type_of(name) is None:
                yield (key, shown), f'customer_360 has no field "{name}"{did_you_mean(name, fields.fields)}'
