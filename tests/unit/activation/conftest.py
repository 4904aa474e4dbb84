"""A small shop with a publication of a dozen customers, and declarations made of plain dicts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration import activation
from orchestration.activation import Outcome, Published
from orchestration.contracts.activation import Activation
from orchestration.settings import Workspace

NOW = dt.datetime(2026, 3, 31, 9, 0, tzinfo=dt.UTC)
DAY = dt.date(2026, 3, 31)

#: customer: (first name, last name, e-mail, phone, reason why e-mail is closed)
CUSTOMERS: dict[str, tuple[str, str, str | None, str | None, str | None]] = {
    "c01": ("Éléonore", "Martin", "eleonore.martin@gmail.com", "+33612345601", None),
    "c02": ("Jean-Pierre", "D'Hérouville", "jp+shop@orange.fr", "+33612345602", None),
    "c03": ("Zoé", "Petit", "zoe@free.fr", None, None),
    "c04": ("Ali", "Durand", "ali@free.fr", "+33612345604", "refused"),
    "c05": ("Inès", "Moreau", "ines@free.fr", "+33612345605", "suppressed"),
    "c06": ("Léa", "Roux", None, "+33612345606", "no_contact_point"),
    "c07": ("Tom", "Blanc", "tom@free.fr", "+33612345607", "minor"),
    "c08": ("Paul", "Roux", "zoe@free.fr", None, None),  # shares an address with c03
    "c09": ("Nina", "Faure", "nina@free.fr", "+33142345609", None),
    "c10": ("Hugo", "Noir", "hugo@free.fr", "+33612345610", None),  # in the control group
}
CONTROL = "c10"


class Shop:
    """A workspace, its publications, and what is declared."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace(root)
        self.workspace.prepare()

    def publish(self, version: str = "20260331-0001", *, members: list[str] | None = None, day: dt.date = DAY,
                size_status: str = "ok", events: list[tuple[str, str, str]] = (), failed_gates: tuple[str, ...] = (),
                changed: dict[str, dict[str, str]] | None = None, made_at: dt.datetime | None = None) -> Published:  # fmt: skip
        """A publication; `events`: (event key, customer, version that fired it); `changed`: other e-mails or names."""
        folder = self.workspace.published / f"rcu-{version}"
        folder.mkdir(parents=True)
        write_database(folder / "rcu.duckdb", members or list(CUSTOMERS), day, size_status, list(events), changed or {})
        made_at = made_at or dt.datetime.combine(day, NOW.timetz())
        return Published(version, day, made_at, folder / "rcu.duckdb", failed_gates)

    def send(
        self, published: Published, *declared: Activation, now: dt.datetime = NOW, **options: Any
    ) -> list[Outcome]:
        named = {one.activation: one for one in declared}
        options.setdefault("sources", {})
        return list(activation.activate(self.workspace, named, published, run_id="run", now=now, **options))

    def exports(self, name: str) -> list[Path]:
        return sorted(path for path in (self.workspace.exports / name).rglob("*") if path.is_file())

    def land(self, entity: str, batch: str, **columns: Any) -> None:
        """One landed row of an entity, in a delivery that no publication knows."""
        folder = self.workspace.landing / entity / "source=desk" / "batch=2026-03-31"
        folder.mkdir(parents=True, exist_ok=True)
        references = ("ref_account_source", "ref_account", "ref_card", "ref_email", "ref_phone", "ref_cookie")
        row = {**dict.fromkeys(references), "batch_id": batch, **columns}
        listed = ", ".join(f"cast($v{n} as varchar) as {name}" for n, name in enumerate(row))
        with duckdb.connect() as connection:
            connection.execute(
                f"copy (select {listed}) to '{folder / batch}.parquet' (format parquet)",
                {f"v{n}": value for n, value in enumerate(row.values())},
            )


def write_database(
    path: Path, members: list[str], day: dt.date, size_status: str, events: list[tuple[str, str, str]],
    changed: dict[str, dict[str, str]],
) -> None:  # fmt: skip
    with duckdb.connect(str(path)) as c:
        c.execute("begin")
        for schema in ("marts", "segments", "audit"):
            c.execute(f"create schema {schema}")
        c.execute("create table customers (customer_id varchar, email varchar, phone varchar)")
        c.execute(
            "create table marts.customer_360 (customer_id varchar, civility varchar, first_name varchar, "
            "last_name varchar, email varchar, phone varchar, address_line varchar, postal_code varchar, city varchar, "
            "region varchar, country varchar, language varchar, birth_on date, sex varchar, amount_net decimal(18,4), "
            "order_count integer, is_minor boolean, lifecycle_stage varchar)"
        )
        c.execute(
            "create table contact_points (customer_id varchar, channel varchar, value varchar, kind varchar, "
            "value_given varchar, is_valid boolean, freshness double)"
        )
        c.execute(
            "create table contactability (customer_id varchar, channel varchar, purpose varchar, "
            "is_contactable boolean, reason varchar, basis varchar)"
        )
        c.execute(
            "create table consents (customer_id varchar, channel varchar, purpose varchar, status varchar, "
            "since_at timestamp)"
        )
        c.execute("create table identifiers (type varchar, value varchar, source varchar, customer_id varchar)")
        c.execute("create table customer_records (source varchar, record_id varchar, customer_id varchar)")
        c.execute("create table customer_id_history (customer_id varchar, current_customer_id varchar)")
        c.execute("create table segments.members (segment varchar, customer_id varchar, is_control boolean)")
        c.execute("create table segments.sizes (segment varchar, as_of_on date, status varchar)")
        c.execute(
            "create table segments.trigger_events (event_key varchar, trigger varchar, customer_id varchar, "
            "outcome varchar, happened_on date, due_on date, expires_on date, channel varchar, send_from_at timestamp, "
            "send_until_at timestamp, why varchar, version varchar)"
        )
        c.execute("create table audit.files (source varchar, batch_id varchar)")
        c.execute("insert into audit.files values ('desk', 'published')")
        c.execute("insert into segments.sizes values ('readers', ?, ?), ('readers', ?, 'universal')",
                  [day, size_status, day - dt.timedelta(days=1)])  # fmt: skip
        for customer, (first, last, email, phone, closed) in CUSTOMERS.items():
            email = changed.get(customer, {}).get("email", email)
            first = changed.get(customer, {}).get("first_name", first)
            c.execute("insert into customers values (?, ?, ?)", [customer, email, phone])
            c.execute(
                "insert into marts.customer_360 values (?, 'Mme', ?, ?, ?, ?, '1 RUE DU BAC', '75 007', 'Saint-Étienne', "
                "'Île-de-France', 'FR', 'fr', date '1980-02-29', 'F', 12.5, 3, false, 'loyal')",
                [customer, first, last, email, phone],
            )
            if email:
                c.execute("insert into contact_points values (?, 'email', ?, 'email', ?, true, 0.9)",
                          [customer, email, email])  # fmt: skip
                c.execute("insert into identifiers values ('email', ?, null, ?)", [email.split("+")[0] if "+" not in
                          email else email.split("+")[0] + "@" + email.split("@")[1], customer])  # fmt: skip
            if phone:
                kind = "mobile" if phone.startswith("+336") else "landline"
                c.execute("insert into contact_points values (?, 'phone', ?, ?, ?, true, 0.8)",
                          [customer, phone, kind, phone])  # fmt: skip
                c.execute("insert into identifiers values ('phone', ?, null, ?)", [phone, customer])
            c.execute("insert into customer_records values ('crm', ?, ?)", [f"R-{customer}", customer])
            c.execute("insert into identifiers values ('card', ?, null, ?)", [f"CARD{customer}".upper(), customer])
            for purpose in ("marketing", "partners"):
                # c09 agreed to letters and e-mails but not to be called; nobody but c01 and c02 agreed to partners
                partner = purpose == "marketing" or customer in ("c01", "c02")
                why = closed or (None if partner else "no_consent")
                rows = [("email", why), ("sms", why if phone else "no_contact_point"),
                        ("phone", "refused" if customer == "c09" else why), ("post", why)]  # fmt: skip
                for channel, reason in rows:
                    c.execute("insert into contactability values (?, ?, ?, ?, ?, ?)",
                              [customer, channel, purpose, reason is None, reason, None if reason else "opt_in"])  # fmt: skip
                    if reason is None:
                        c.execute("insert into consents values (?, ?, ?, 'granted', timestamp '2025-05-06 07:08:09')",
                                  [customer, channel, purpose])  # fmt: skip
        c.execute("insert into consents values ('c01', 'email', 'profiling', 'granted', timestamp '2025-01-01')")
        for customer in members:
            c.execute("insert into segments.members values ('readers', ?, ?)", [customer, customer == CONTROL])
        for event, customer, version in events:
            c.execute(
                "insert into segments.trigger_events values (?, 'cart_left', ?, 'fired', ?, ?, ?, 'email', "
                "timestamp '2026-03-31 08:00:00', timestamp '2026-03-31 20:00:00', '{}', ?)",
                [event, customer, day, day, day + dt.timedelta(days=2), version],
            )
        c.execute("commit")


def declare(name: str = "letter", **keys: Any) -> Activation:
    """An activation of the segment `readers`, as CSV by e-mail into a folder unless told otherwise."""
    told = {
        "activation": name,
        "label": {"en": "Letter", "fr": "Lettre"},
        "objective": "write to them",
        "audience": {"segment": "readers"},
        "format": "csv",
        **keys,
    }
    return Activation.model_validate(told)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    yield Shop(tmp_path / "shop")
