"""The columns of each format, and what each is made of.

What belongs here: names and order of columns, what identifies a person at the platform, limits of size. What
does not: who is in the list (`audience`), how a file is written (`files`).

A source field is a column of customer_360 or one that `audience` adds: `contact_email`, `contact_mobile`,
`contact_landline` (each only where the person may be contacted so), `consent_basis`, `consent_since_at`,
`is_profiling_granted`, `segments`, `unsubscribe_url`, and for triggers those of `EVENT_FIELDS`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestration.activation import normalise as n
from orchestration.contracts.activation import PLATFORMS, Activation

Make = Callable[..., Any]

#: What an event of a trigger carries beside the person, in this order.
EVENT_FIELDS = ("event_key", "trigger", "happened_on", "due_on", "send_from_at", "send_until_at", "why")

#: Where a plain column would reach a person, the value that may be used.
_PERMITTED = {"email": "contact_email", "phone": "contact_phone", "address_line": "contact_address_line"}

_UNSUBSCRIBE_NAMES = {"brevo": "UNSUBSCRIBE_URL", "klaviyo": "Unsubscribe URL", "mailchimp": "UNSUB_URL"}

#: Platforms whose lists only know who is in: whose attributes changed is added again.
_WITHOUT_UPDATE = ("meta", "google")

_MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Column:
    """One column of a file. Without `make` the value of the one field is taken as it is, with its type."""

    name: str
    fields: tuple[str, ...]
    make: Make | None = None
    is_identity: bool = False


@dataclass(frozen=True)
class Layout:
    """How one activation's rows look. `most_bytes`: larger files are split.

    `knows_update`: a delta tells changed attributes apart from new people.
    """

    columns: tuple[Column, ...]
    extension: str
    delimiter: str = ","
    most_bytes: int | None = None
    knows_update: bool = True

    @property
    def identity(self) -> tuple[str, ...]:
        """The columns by which the destination knows a row again."""
        return tuple(column.name for column in self.columns if column.is_identity)

    @property
    def content(self) -> tuple[int, ...]:
        """The places of the columns whose change is worth telling: a link is a new one every day."""
        return tuple(
            place
            for place, column in enumerate(self.columns)
            if not column.is_identity and column.fields != ("unsubscribe_url",)
        )

    @property
    def fields(self) -> tuple[str, ...]:
        """Every field that the columns are made of, once, in order."""
        return tuple(dict.fromkeys(name for column in self.columns for name in column.fields))


def layout_of(activation: Activation) -> Layout:
    """The columns of an activation's rows."""
    columns = list(_platform(activation) if activation.format in PLATFORMS else _plain(activation))
    if activation.audience.trigger:
        named = {column.name for column in columns}
        events = [Column(name, (name,), is_identity=name == "event_key") for name in EVENT_FIELDS if name not in named]
        columns = [*events, *(_without_identity(column) for column in columns)]
        if activation.format in PLATFORMS:  # their importers look for the person first
            columns = [*columns[len(events) :], *columns[: len(events)]]
    columns += [Column(name, (_PERMITTED.get(field, field),)) for name, field in activation.attributes.items()]
    if activation.unsubscribe:
        name = activation.unsubscribe.column or _UNSUBSCRIBE_NAMES.get(activation.format, "unsubscribe_url")
        columns.append(Column(name, ("unsubscribe_url",)))
    extension = activation.format if activation.format in ("parquet", "json", "jsonl") else "csv"
    return Layout(
        tuple(columns),
        extension,
        delimiter=";" if activation.format == "brevo" else ",",
        most_bytes={"brevo": 250 * _MEGABYTE, "klaviyo": 50 * _MEGABYTE}.get(activation.format),
        knows_update=activation.format not in _WITHOUT_UPDATE,
    )


def _without_identity(column: Column) -> Column:
    return Column(column.name, column.fields, column.make)


def _plain(activation: Activation) -> list[Column]:
    given = activation.named_columns
    known = next((kind for kind in ("customer_id", "email", "phone") if kind in given.values()), None)
    return [
        Column(name, (_PERMITTED.get(field, field),), is_identity=known is None or field == known)
        for name, field in given.items()
    ]


def _platform(activation: Activation) -> list[Column]:
    makers: Mapping[str, Callable[[Activation], list[Column]]] = {
        "brevo": _brevo, "klaviyo": _klaviyo, "mailchimp": _mailchimp, "meta": _meta, "google": _google,
    }  # fmt: skip
    return makers[activation.format](activation)


def _brevo(activation: Activation) -> list[Column]:
    return [
        Column("EMAIL", ("contact_email",), is_identity=True),
        Column("FIRSTNAME", ("first_name",)),
        Column("LASTNAME", ("last_name",)),
        Column("SMS", ("contact_mobile",)),
        Column("WHATSAPP", ("contact_mobile",)),
        Column("LANDLINE_NUMBER", ("contact_landline",)),
        Column("EXT_ID", ("customer_id",), is_identity=True),
    ]


def _klaviyo(activation: Activation) -> list[Column]:
    email = Column("Email", ("contact_email",), is_identity=activation.channel != "sms")
    phone = Column("Phone Number", ("contact_mobile",), is_identity=activation.channel == "sms")
    # The first column says whose consent the file tells of.
    return [
        *((phone, email) if activation.channel == "sms" else (email, phone)),
        Column("First Name", ("first_name",)),
        Column("Last Name", ("last_name",)),
        Column("City", ("city",)),
        Column("Region", ("region",)),
        Column("Country", ("country",)),
        Column("Zip Code", ("postal_code",)),
        Column("External ID", ("customer_id",)),
        Column("Consent Timestamp", ("consent_since_at",), _with_zone),
    ]


def _mailchimp(activation: Activation) -> list[Column]:
    return [
        Column("Email Address", ("contact_email",), is_identity=True),
        Column("First Name", ("first_name",)),
        Column("Last Name", ("last_name",)),
        Column("Phone", ("contact_phone",)),
        Column("Birthday", ("birth_on",), lambda day: f"{day:%m/%d}" if day else None),
        Column("Tags", ("segments",)),
    ]


def _hashed(rule: Make) -> Make:
    return lambda value: n.sha256(rule(value))


def _meta(activation: Activation) -> list[Column]:
    return [
        Column("email", ("contact_email",), _hashed(n.trimmed), is_identity=True),
        Column("phone", ("contact_mobile",), _hashed(n.meta_phone), is_identity=True),
        Column("fn", ("first_name",), _hashed(n.trimmed)),
        Column("ln", ("last_name",), _hashed(n.trimmed)),
        Column("ct", ("city",), _hashed(n.meta_city)),
        Column("zip", ("postal_code",), _hashed(n.meta_postal_code)),
        Column("country", ("country",), _hashed(n.trimmed)),
        Column("dob", ("birth_on",), _hashed(n.meta_birth)),
        Column("gen", ("sex",), _hashed(n.meta_sex)),
        Column("consent", ("consent_basis",)),
        Column("customer_file_source", (), lambda: "USER_PROVIDED_ONLY"),
    ]


def _google(activation: Activation) -> list[Column]:
    return [
        Column("Email", ("contact_email",), _hashed(n.google_email), is_identity=True),
        Column("Phone", ("contact_mobile",), _hashed(n.google_phone), is_identity=True),
        Column("First Name", ("first_name",), _hashed(n.trimmed)),
        Column("Last Name", ("last_name",), _hashed(n.trimmed)),
        Column("Country", ("country",), n.google_country),
        Column("Zip", ("postal_code",), n.google_postal_code),
        # Whoever is in the list agreed to the purpose; using it for personal ads is another question.
        Column("ad_user_data", (), lambda: "GRANTED"),
        Column("ad_personalization", ("is_profiling_granted",), lambda told: "GRANTED" if told else "DENIED"),
    ]


def _with_zone(moment: dt.datetime | None) -> str | None:
    """ISO 8601 with its zone: timestamps of the warehouse are UTC."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}+00:00" if moment else None
