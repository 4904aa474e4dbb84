"""An erased person is nowhere: found everywhere before, by a search of its own, and in no byte of any file after."""

from __future__ import annotations

import datetime as dt
import gzip
import hmac
import io
import json
import os
import re
import shutil
import sqlite3
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import dagster as dg
import duckdb
import pyarrow.parquet as pq
import pytest

from orchestration import privacy, suppression, warehouse
from orchestration.contracts.catalogue import load_catalogue
from orchestration.defs.privacy import retention_job
from orchestration.defs.run_context import WarehouseRun
from orchestration.settings import Workspace
from tests.pipeline.conftest import FIRST, LAST, Extracts, History
from tests.pipeline.workspaces import Shop

pytestmark = pytest.mark.slow

REQUEST = "R-test"


# --- a search that knows nothing of the code it judges -------------------------------------------


def opened(name: str, raw: bytes) -> Iterator[str]:
    """Every text in a file: unpacked, decoded both ways, Parquet and SQLite read as tables too."""
    if raw[:2] == b"\x1f\x8b":
        yield from opened(name[:-3], gzip.decompress(raw))
    elif raw[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            for member in archive.namelist():
                yield from opened(member, archive.read(member))
    elif raw[:4] == b"PAR1":
        table = pq.read_table(io.BytesIO(raw))
        yield "\n".join(repr(list(row.values())) for row in table.to_pylist())
    yield raw.decode("utf-8", "replace")
    yield raw.decode("latin-1")


def database_key(shop_root: Path, use: str = "database") -> str:
    """The key of the databases, from the last line of the key file by HKDF as RFC 5869 writes it."""
    last = (shop_root / ".keys" / "rcu.key").read_text(encoding="ascii").split()[-1]
    extracted = hmac.digest(bytes(32), bytes.fromhex(last), "sha256")
    return hmac.digest(extracted, f"rcu/{use}\x01".encode(), "sha256").hex()


def tables_of(path: Path) -> Iterator[str]:
    with duckdb.connect() as connection:
        root = next(above for above in path.parents if (above / ".keys").exists())
        use = f"role/{path.parent.name}" if path.parent.parent.name == "roles" else "database"
        key = "" if path.read_bytes()[20] == 0 else f", encryption_key '{database_key(root, use)}'"
        connection.execute(f"attach '{path}' as told (read_only{key})")
        connection.execute("use told")
        for schema, table in connection.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = 'told'"
        ).fetchall():
            yield "\n".join(map(repr, connection.execute(f'select * from "{schema}"."{table}"').fetchall()))


def found(root: Path, needles: set[str]) -> dict[str, set[str]]:
    """Where any of the needles stands as a whole word: {file: needles}."""
    listed = "|".join(re.escape(needle) for needle in sorted(needles, key=len, reverse=True))
    pattern = re.compile(rf"(?<![A-Za-z0-9])(?:{listed})(?![A-Za-z0-9])", re.IGNORECASE)
    hits: dict[str, set[str]] = {}
    for path in sorted(root.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        texts = list(opened(path.name, path.read_bytes()))
        if path.suffix == ".duckdb":
            texts += tables_of(path)
        words = {word.lower() for text in texts for word in pattern.findall(text)}
        if words:
            hits[str(path.relative_to(root))] = words
    return hits


def written_uncompressed(path: Path) -> None:
    """A DuckDB file again, with nothing compressed: its bytes can then be searched as text."""
    copy = path.with_name("plain.duckdb")
    path.parent.chmod(0o750)
    with duckdb.connect() as connection:
        connection.execute("set force_compression = 'uncompressed'")
        connection.execute(f"attach '{path}' as old (read_only)")
        connection.execute(f"attach '{copy}' as fresh")
        connection.execute("copy from database old to fresh")
    copy.replace(path)


# --- one shop, one person, erased with two stops on the way ---------------------------------------


@dataclass
class Erased:
    shop: Shop
    customer_id: str
    records: list[tuple[str, str]]
    needles: set[str]
    family: set[str]
    before: dict[str, set[str]]
    amounts: object
    after: dict[str, set[str]] = field(default_factory=dict)
    strays: list[str] = field(default_factory=list)
    left: tuple[str, ...] = ()


class Stopped(RuntimeError):
    """The power went out."""


def stop_at(step: str):
    def on_step(done: str) -> None:
        if done == step:
            raise Stopped(step)

    return on_step


def own_words(shop: Shop, customer_id: str) -> tuple[list[tuple[str, str]], set[str]]:
    """Records, and the words that stand in this person's landed rows and in nobody else's."""
    records = shop.query(f"select source, record_id from rcu.customer_records where customer_id = '{customer_id}'")
    mine: set[str] = {record for _, record in records}
    others: set[str] = set()
    for file in sorted((shop.data / "landing" / "customer").rglob("*.parquet")):
        for row in pq.read_table(file).to_pylist():
            words = {
                str(row[name]).strip().lower()
                for name in ("email", "phone", "phone_other", "card_number", "address_line")
                if row.get(name)
            }
            (mine if (row["source"], row["record_id"]) in records else others).update(words)
    return records, {word.lower() for word in mine if len(word) > 5} - others


LOCKED = "data/old/locked.7z"


def leave_strays(shop: Shop, needles: set[str]) -> list[str]:
    """Copies that somebody made by hand, in many forms, below data/: what RCU knows nothing of."""
    email = next(word for word in sorted(needles) if "@" in word)
    other = "somebody.else@exemple.example"
    shutil.copytree(shop.current.resolve(), shop.data / "my copy of march")
    shutil.copytree(shop.data / "landing" / "customer", shop.data / "landing.bak")
    shutil.copytree(shop.data / "archive", shop.data / "archive" / "again")
    folder = shop.data / "old"
    folder.mkdir()
    (folder / "notes.txt").write_text(f"call {email}\ncall {other}\n", encoding="utf-8")
    (folder / "list.csv.gz").write_bytes(gzip.compress(f"email\n{email}\n{other}\n".encode()))
    with zipfile.ZipFile(folder / "list.zip", "w") as out:
        out.writestr("list.csv", f"email\n{email}\n{other}\n")
    with sqlite3.connect(folder / "crm.db") as connection:
        connection.execute("create table people (email text)")
        connection.executemany("insert into people values (?)", [(email,), (other,)])
    connection.close()
    shutil.copy2(shop.current / "rcu.duckdb", shop.data / "published" / "copy.duckdb")
    written_uncompressed(shop.data / "published" / "copy.duckdb")
    (shop.root / LOCKED).write_bytes(b"7z\xbc\xaf'\x1c" + bytes(100))
    made = [path for path in shop.data.rglob("*") if path.is_file() and not path.is_symlink()]
    tops = ("my copy of march/", "landing.bak/", "archive/again/", "old/", "published/copy.duckdb")
    return sorted(place for path in made if (place := path.relative_to(shop.data).as_posix()).startswith(tops))


@pytest.fixture(scope="module")
def erased(history: History, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Erased]:
    root = tmp_path_factory.mktemp("erased") / "shop"
    shutil.copytree(history.shop.root, root, symlinks=True)
    shop = Shop(root)
    for old in sorted(shop.data.glob("published/rcu-*"))[:-2]:  # two kept publications tell as much as four
        for folder in [old, *(below for below in old.rglob("*") if below.is_dir())]:
            folder.chmod(0o750)
        shutil.rmtree(old)
    chosen = shop.query(
        "select customer_id from rcu.customer_records join marts.orders using (customer_id) "
        "where customer_id in (select customer_id from marts.events) "
        "group by customer_id order by count(distinct customer_records.source) desc, customer_id limit 1"
    )
    customer_id = chosen[0][0]
    records, needles = own_words(shop, customer_id)
    for database in sorted(shop.data.glob("published/rcu-*/rcu.duckdb")):
        written_uncompressed(database)
    # A delivery packed in a zip, a refused file, an export and a log that should never have held anybody.
    some = sorted(needles)[0]
    email = next(word for word in sorted(needles) if "@" in word)
    with zipfile.ZipFile(shop.data / "exports" / "list.zip", "w") as out:
        out.writestr("list.csv", f"email\n{email}\nsomebody.else@exemple.example\n")
    (shop.data / "exports" / "list.csv").write_text(f"customer_id\n{customer_id}\nc000000000000000\n", encoding="utf-8")
    refused = shop.data / "quarantine" / "files" / "unmatched" / "0-notes.txt"
    refused.parent.mkdir(parents=True, exist_ok=True)
    refused.write_text(f"call back {email}\ncall back somebody.else@exemple.example\n", encoding="utf-8")
    (shop.data / "build" / "dbt" / "stray.log").write_text(f"row {some} failed\n", encoding="utf-8")
    with sqlite3.connect(shop.data / ".dagster" / "history" / "runs.db") as connection:
        connection.execute("create table stray (told text)")
        connection.execute("insert into stray values (?)", [f"failed on {email}"])
    connection.close()
    strays = leave_strays(shop, needles)
    amounts = shop.query("select sum(amount_net), count(*) from marts.orders")
    result = Erased(shop, customer_id, records, needles, set(), found(shop.data, needles), amounts, strays=strays)

    workspace = Workspace(root)
    sources = load_catalogue(workspace.declarations).sources
    settings = warehouse._SESSION_SETTINGS
    warehouse._SESSION_SETTINGS = (*settings, "set force_compression = 'uncompressed'")
    try:
        person = privacy.find_person(workspace, [customer_id])
        on = LAST + dt.timedelta(days=1)
        with pytest.raises(Stopped):
            privacy.erase(workspace, sources, person.subject, request_id=REQUEST, on=on, on_step=stop_at("builds"))
        with pytest.raises(Stopped):
            privacy.resume(workspace, sources, stop_at("identity"))
        (report,) = privacy.resume(workspace, sources)
    finally:
        warehouse._SESSION_SETTINGS = settings
    result.left = report.stray_files
    result.after = found(shop.data, needles)
    yield result


def test_the_search_finds_the_person_before(erased: Erased) -> None:
    places = set(erased.before)
    assert len(erased.needles) >= 4
    for part in ("landing/", "archive/", "registry/", "published/", "build/", "exports/list.zip", ".dagster/history/runs.db",
                 "quarantine/files/", "build/dbt/stray.log"):  # fmt: skip
        assert any(place.startswith(part) for place in places), part
    databases = [place for place in places if re.fullmatch(r"published/rcu-[^/]+/rcu\.duckdb", place)]
    assert len(databases) == len(list(erased.shop.data.glob("published/rcu-*")))


def test_nothing_of_the_person_is_left_in_any_byte_of_any_file(erased: Erased) -> None:
    assert erased.after == {}


def test_the_bytes_of_the_databases_can_be_searched_after_too(erased: Erased) -> None:
    other = erased.shop.query("select email from rcu.customers where email is not null order by email limit 1")[0][0]
    raw = (erased.shop.current / "rcu.duckdb").read_bytes()
    assert other.encode() in raw


def test_copies_made_by_hand_are_cleaned_too_and_what_cannot_be_opened_is_named(erased: Erased) -> None:
    held = {place for place in erased.before if place in erased.strays}
    for name in ("my copy of march/rcu.duckdb", "my copy of march/parquet/rcu/customers.parquet", "old/notes.txt",
                 "old/list.csv.gz", "old/list.zip", "old/crm.db", "published/copy.duckdb"):  # fmt: skip
        assert name in held, name
    assert any(place.startswith("archive/again/") for place in held)
    assert any(place.startswith("landing.bak/") for place in held)
    assert erased.left == (LOCKED,)
    data = erased.shop.data
    assert (data / "old" / "notes.txt").read_text(encoding="utf-8") == "\ncall somebody.else@exemple.example\n"
    assert b"somebody.else@exemple.example" in gzip.decompress((data / "old" / "list.csv.gz").read_bytes())
    with duckdb.connect(str(data / "published" / "copy.duckdb"), read_only=True) as connection:
        assert connection.execute("select count(*) from main.customers").fetchall()[0][0] > 150
    told = erased.shop.rcu("requests").stdout
    assert f"{len(erased.strays)} files are no part of RCU" in told


def test_a_workspace_that_nobody_touched_has_no_strays(history: History) -> None:
    assert privacy.stray_files(Workspace(history.shop.root)) == []


def test_others_in_the_same_files_stay(erased: Erased) -> None:
    with zipfile.ZipFile(erased.shop.data / "exports" / "list.zip") as archive:
        assert b"somebody.else@exemple.example" in archive.read("list.csv")
    assert "c000000000000000" in (erased.shop.data / "exports" / "list.csv").read_text(encoding="utf-8")
    assert erased.shop.query("select count(*) from rcu.customers")[0][0] > 150


def test_the_amounts_stay_without_the_person(erased: Erased) -> None:
    assert erased.shop.query("select sum(amount_net), count(*) from marts.orders") == erased.amounts
    assert erased.shop.query(f"select 1 from marts.orders where customer_id = '{erased.customer_id}'") == []


def test_the_id_is_known_as_erased(erased: Erased) -> None:
    told = erased.shop.query(
        f"select event, current_customer_id from rcu.customer_id_history where customer_id = '{erased.customer_id}'"
    )
    assert sorted(told) == [("created", "erased"), ("erased", "erased")]


def test_a_publication_is_sealed_again_and_tells_its_own_counts(erased: Erased) -> None:
    for folder in sorted(erased.shop.data.glob("published/rcu-*")):
        assert folder.stat().st_mode & 0o222 == 0
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        with duckdb.connect(str(folder / "rcu.duckdb"), read_only=True) as connection:
            for name, table in manifest["tables"].items():
                rows = connection.execute(f"select count(*) from {name}").fetchall()[0][0]
                assert rows == table["rows"] == pq.read_metadata(folder / table["file"]).num_rows, name
        assert [path.name for path in folder.rglob(".*")] == []


def test_the_ledger_says_that_it_was_done(erased: Erased) -> None:
    lines = erased.shop.rcu("requests", "--all", "--json").stdout.splitlines()
    (told,) = [json.loads(line) for line in lines if REQUEST in line]
    assert (told["request_type"], told["state"]) == ("erasure", "answered")
    assert list((erased.shop.data / "registry" / "privacy").glob("erasing-*")) == []


def test_asking_for_the_erased_is_answered_in_one_line(erased: Erased) -> None:
    done = erased.shop.rcu("access", erased.customer_id, code=2)
    assert "was erased" in done.stderr


# --- later, in the same shop: encrypted, with requests that arrive as a source ----------------------

#: The day on which the erasures that were delivered on the first day are carried out.
LATER = FIRST + dt.timedelta(days=7)
NEWSLETTER = "newsletter_brevo"


def ask(shop: Shop, sql: str) -> list[dict]:
    return [json.loads(line) for line in shop.rcu("query", sql, "--json").stdout.splitlines()]


def reachable(shop: Shop) -> list[tuple[str, str]]:
    return shop.query(
        "select c.customer_id, c.email from rcu.customers as c join rcu.contactability as k on c.customer_id = k.customer_id "
        "join segments.members as m on m.customer_id = c.customer_id where k.channel = 'email' and k.purpose = 'marketing' "
        "and k.is_contactable and m.segment = 'email_engaged' and not m.is_control and (select count(*) from "
        "rcu.identifiers as i where i.type = 'email' and i.value = c.email) = 1 order by c.customer_id"
    )


@dataclass
class Later:
    shop: Shop
    objector: tuple[str, str]
    others: set[str]
    asked_for_erasure: set[str]


@pytest.fixture(scope="module")
def later(erased: Erased, extracts: Extracts) -> Later:
    """One more run, a week on, of an erased shop that now asks for encryption; old extracts are sent again."""
    shop = erased.shop
    (shop.root / LOCKED).unlink()
    sent = {
        "crm_clients_20260331.csv": "crm_clients_20260404.csv",
        "web_accounts_2026-03-28.jsonl": "web_accounts_2026-04-04.jsonl",
        "newsletter_2026-03-28.csv": "newsletter_2026-04-04.csv",
        "commandes_web_20260328.csv": "commandes_web_20260404.csv",
        "email_events_2026-03-28.csv.gz": "email_events_2026-04-04.csv.gz",
        "CARTES_20260331.txt": "CARTES_20260404.txt",
        "centre_appels_20260328.xlsx": "centre_appels_20260404.xlsx",
    }
    for name, new in sent.items():
        shutil.copy2(extracts.folder / name, shop.data / "inbox" / new)
    assert found(shop.data / "inbox", erased.needles), "the extracts hold the person"
    people = reachable(shop)
    requests = [json.loads(line) for line in shop.rcu("requests", "--json").stdout.splitlines()]
    waiting = {one["request_id"] for one in requests if one["request_type"] == "erasure"}
    head = "NUMERO;RECU_LE;TYPE_DEMANDE;NOM;PRENOM;EMAIL;TELEPHONE;COMPTE_WEB;CODE_CLIENT;DEMANDE;TRAITE_PAR"
    (shop.data / "inbox" / "demandes_rgpd_20260404.csv").write_text(
        f"{head}\nDR-LATE;{LATER:%d/%m/%Y};OPPOSITION;;;{people[0][1]};;;;;dpo\n", encoding="utf-8"
    )
    with (shop.root / "declarations" / "company.yml").open("a", encoding="utf-8") as file:
        file.write("encrypted_at_rest: true\naccess: {roles: [aggregate], encrypted: true}\n")
    with (shop.root / "declarations" / "activations" / f"{NEWSLETTER}.yml").open("a", encoding="utf-8") as file:
        file.write("max_age_hours: 87600\n")
    shop.rcu("run", "--as-of", LATER.isoformat())
    return Later(shop, people[0], {customer for customer, _ in people[1:]}, waiting)


def test_a_re_sent_extract_does_not_revive_the_person(erased: Erased, later: Later) -> None:
    shop = later.shop
    assert found(shop.data, erased.needles) == {}
    assert ask(shop, f"select 1 from rcu.customers where customer_id = '{erased.customer_id}'") == []
    (net,) = ask(shop, "select sum(amount_net) as net from marts.orders")
    assert Decimal(net["net"]) == erased.amounts[0][0]
    assert ask(
        shop,
        f"select distinct current_customer_id as now from rcu.customer_id_history where customer_id = '{erased.customer_id}'",
    ) == [{"now": "erased"}]


def test_an_encrypted_shop_holds_nobody_in_the_bytes_of_its_databases(later: Later) -> None:
    shop = later.shop
    people = [row["email"] for row in ask(shop, "select email from rcu.customers where email is not null order by 1")]
    databases = [shop.data / "build" / "warehouse.duckdb", shop.current / "rcu.duckdb",
                 shop.data / "published" / "roles" / "aggregate" / "rcu.duckdb"]  # fmt: skip
    for database in databases:
        raw = database.read_bytes()
        assert raw[8:12] == b"DUCK" and raw[20] == 1, database
        assert [email for email in people if email.encode() in raw] == []
    assert len(people) > 100
    assert sorted(path.name for path in shop.current.iterdir()) == ["manifest.json", "rcu.duckdb"]
    plain = list(shop.data.glob("published/rcu-20260331-*/rcu.duckdb"))
    assert plain and plain[0].read_bytes()[20] == 0, "what was published before stays as it was"


def test_no_key_is_in_any_file_of_the_data(later: Later) -> None:
    """Logs, dbt's artefacts, Dagster's storage, manifests: neither the secret nor what is derived from it."""
    secret = (later.shop.root / ".keys" / "rcu.key").read_text(encoding="ascii").split()[-1]
    keys = [secret, database_key(later.shop.root), database_key(later.shop.root, "role/aggregate")]
    files = [path for path in later.shop.data.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(files) > 100
    assert [path for path in files if any(key[:20].encode() in path.read_bytes() for key in keys)] == []


def test_reports_and_the_rest_of_the_command_line_read_an_encrypted_publication(later: Later) -> None:
    shop = later.shop
    assert "value.html" in shop.rcu("report").stdout
    assert "published: version 20260404" in shop.rcu("status").stdout
    told = json.loads(shop.rcu("access", later.objector[0]).stdout)
    assert told["published"]["rcu.customers"][0]["email"] == later.objector[1]
    assert told["on_the_suppression_list"]


def test_an_erasure_that_was_delivered_is_carried_out_by_the_run(later: Later) -> None:
    carried_out: list[str] = []
    for line in later.shop.rcu("requests", "--all", "--json").stdout.splitlines():
        one = json.loads(line)
        if one["request_id"] not in later.asked_for_erasure:
            continue
        if one["state"] == "open":
            assert "customers match" in one["reason"] or "nobody is known" in one["reason"]
            continue
        assert (one["state"], one["closed_on"]) == ("answered", LATER.isoformat())
        assert ask(later.shop, f"select 1 from rcu.customers where customer_id = '{one['customer_id']}'") == []
        assert ask(
            later.shop,
            f"select distinct current_customer_id as now from rcu.customer_id_history where customer_id = '{one['customer_id']}'",
        ) == [{"now": "erased"}]
        carried_out.append(one["request_id"])
    assert carried_out, "none was carried out"


def test_an_objection_that_came_later_binds_a_rollback(later: Later) -> None:
    shop = later.shop
    (told,) = ask(shop, f"select reason from rcu.contactability where customer_id = '{later.objector[0]}' and channel = "
                        "'email' and purpose = 'marketing'")  # fmt: skip
    assert told == {"reason": "suppressed"}
    shop.rcu("rollback", "--to", next(shop.data.glob("published/rcu-20260331-*")).name.removeprefix("rcu-"))
    assert later.objector in [tuple(pair) for pair in reachable(shop)], "the old version knows nothing of it"
    shop.rcu("activate", NEWSLETTER)
    (file,) = (shop.data / "exports" / NEWSLETTER).glob("*-20260331-*-full.csv")
    text = file.read_text(encoding="utf-8")
    assert later.objector[0] not in text and later.objector[1] not in text
    assert [one for one in later.others if one in text], "the others are written to"


def test_retention_is_counted_first_then_applied_and_then_over(later: Later) -> None:
    """The dry run of the command, the job of Dagster, and the command again."""
    shop = later.shop
    file = shop.root / "declarations" / "retention.yml"
    file.write_text(
        file.read_text(encoding="utf-8").replace("prospects_after_months: 36", "prospects_after_months: 4"),
        encoding="utf-8",
    )
    old = shop.data / "archive" / "old_original.csv"
    old.write_text("x\n", encoding="utf-8")
    os.utime(old, (0, 0))
    on = LATER.isoformat()
    silent = {
        customer
        for customer, last in shop.query(
            "select c.customer_id, greatest(cast(c.last_contact_at as date), c.first_seen_on) from rcu.customers as c "
            "where c.customer_id not in (select customer_id from marts.orders)"
        )
        if last and last < dt.date(2025, 12, 4)
    }
    dry = json.loads(shop.rcu("retain", "--dry-run", "--on", on, "--json").stdout)
    assert (dry["is_dry"], dry["originals"]) == (True, 1)
    assert 0 < dry["prospects"] <= len(silent)
    assert old.exists()
    before = shop.query("select count(*) from rcu.customers")[0][0]
    amounts = shop.query("select sum(amount_net), count(*) from marts.orders")
    workspace = Workspace(shop.root)
    with dg.DagsterInstance.ephemeral() as instance:
        done = retention_job().execute_in_process(
            instance=instance, resources={"warehouse": WarehouseRun(workspace_root=str(workspace.root))},
            run_config={"ops": {"retain": {"config": {"dry_run": False, "on": on}}}},
        )  # fmt: skip
    assert done.success
    assert not old.exists()
    left = {customer for (customer,) in shop.query("select customer_id from rcu.customers")}
    assert before - len(left) == dry["prospects"] + dry["customers"]
    assert len(silent - left) == dry["prospects"]
    assert shop.query("select sum(amount_net), count(*) from marts.orders") == amounts
    again = json.loads(shop.rcu("retain", "--on", on, "--json").stdout)
    assert {
        name: again[name] for name in ("prospects", "customers", "originals", "exports", "publications")
    } == dict.fromkeys(("prospects", "customers", "originals", "exports", "publications"), 0)


def test_an_objection_made_later_binds_a_backfill(history: History, tmp_path: Path) -> None:
    """The build of the first day's run, as a backfill makes it, with an objection that came weeks after."""
    shutil.copytree(history.shop.data / "registry", tmp_path / "data" / "registry")
    shutil.copytree(history.shop.root / ".keys", tmp_path / ".keys")
    workspace = Workspace(tmp_path)
    build = tmp_path / "data" / "build" / "warehouse.duckdb"
    build.parent.mkdir()
    shutil.copy2(history.shop.data / "build" / "warehouse.duckdb", build)
    customer_id, address = reachable(history.shop)[0]
    suppression.add_objections(
        workspace,
        {"email": {suppression.email_key(address)}},
        since_on=LAST + dt.timedelta(days=60),
        request_id="R-late",
    )
    compiled = history.shop.data / "build" / "dbt" / "target" / "compiled" / "rcu" / "models" / "rcu"
    connection = warehouse.connect(build)
    try:
        connection.execute("update control.as_of set as_of_on = ?", [FIRST])
        privacy.write_suppressed(connection, workspace)
        for model in ("suppressions", "customers", "contactability"):
            sql = (compiled / f"{model}.sql").read_text(encoding="utf-8")
            connection.execute(f"create or replace table rcu.{model} as {sql}")
        told = connection.execute(
            "select distinct is_contactable, reason from rcu.contactability where customer_id = ?", [customer_id]
        ).fetchall()
    finally:
        connection.close()
    assert told == [(False, "suppressed")]


# --- logs -----------------------------------------------------------------------------------------


def test_no_personal_value_is_in_dagster_or_in_a_log(history: History) -> None:
    """Names, addresses, numbers and e-mails of the demo, against the event log, metadata and logs of its runs."""
    shop = history.shop
    needles: set[str] = set()
    for email, phone, line, first, last in shop.query(
        "select email, phone, address_line, first_name, last_name from rcu.customers"
    ):
        needles |= {value.lower() for value in (email, phone, line) if value}
        if first and last:
            needles |= {f"{first} {last}".lower(), f"{last} {first}".lower()}
    assert len(needles) > 500
    printed = "\n".join(history.outputs.values())
    folders = [shop.data / ".dagster", shop.data / "build" / "dbt" / "logs"]
    texts = [printed] + [
        text
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        for text in opened(path.name, path.read_bytes())
    ]
    assert sum(len(text) for text in texts) > 100_000, "the search looks in the wrong place"
    # No needle holds a quote or the end of a line, and most of what stands between them is there many times.
    whole = "\n".join({part for text in texts for part in re.split('["\n]', text.lower())})
    as_json = {json.dumps(needle)[1:-1] for needle in needles}
    assert [needle for needle in sorted(needles | as_json) if needle in whole] == []
