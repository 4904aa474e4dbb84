"""An erased person is nowhere: found everywhere before, by a search of its own, and in no byte of any file after."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
import re
import shutil
import sqlite3
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from orchestration import privacy, warehouse
from orchestration.contracts.catalogue import load_catalogue
from orchestration.settings import Workspace
from tests.pipeline.conftest import LAST, Extracts, History
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


def tables_of(path: Path) -> Iterator[str]:
    with duckdb.connect(str(path), read_only=True) as connection:
        for schema, table in connection.execute("select schema_name, table_name from duckdb_tables()").fetchall():
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
                if row[name]
            }
            (mine if (row["source"], row["record_id"]) in records else others).update(words)
    return records, {word.lower() for word in mine if len(word) > 5} - others


@pytest.fixture(scope="module")
def erased(history: History, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Erased]:
    root = tmp_path_factory.mktemp("erased") / "shop"
    shutil.copytree(history.shop.root, root, symlinks=True)
    shop = Shop(root)
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
    amounts = shop.query("select sum(amount_net), count(*) from marts.orders")
    result = Erased(shop, customer_id, records, needles, set(), found(shop.data, needles), amounts)

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
        privacy.resume(workspace, sources)
    finally:
        warehouse._SESSION_SETTINGS = settings
    result.after = found(shop.data, needles)
    yield result


def test_the_search_finds_the_person_before(erased: Erased) -> None:
    places = set(erased.before)
    assert len(erased.needles) >= 4
    for part in ("landing/", "archive/", "registry/", "published/", "build/", "exports/list.zip", ".dagster/history/runs.db",
                 "quarantine/files/", "build/dbt/stray.log"):  # fmt: skip
        assert any(place.startswith(part) for place in places), part
    databases = [place for place in places if place.endswith("rcu.duckdb")]
    assert len(databases) == len(list(erased.shop.data.glob("published/rcu-*")))


def test_nothing_of_the_person_is_left_in_any_byte_of_any_file(erased: Erased) -> None:
    assert erased.after == {}


def test_the_bytes_of_the_databases_can_be_searched_after_too(erased: Erased) -> None:
    other = erased.shop.query("select email from rcu.customers where email is not null order by email limit 1")[0][0]
    raw = (erased.shop.current / "rcu.duckdb").read_bytes()
    assert other.encode() in raw


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


def test_a_re_sent_extract_does_not_revive_the_person(erased: Erased, extracts: Extracts) -> None:
    shop = erased.shop
    day = LAST + dt.timedelta(days=1)
    sent = {
        "crm_clients_20260331.csv": "crm_clients_20260401.csv",
        "web_accounts_2026-03-28.jsonl": "web_accounts_2026-04-01.jsonl",
        "newsletter_2026-03-28.csv": "newsletter_2026-04-01.csv",
        "commandes_web_20260328.csv": "commandes_web_20260401.csv",
        "email_events_2026-03-28.csv.gz": "email_events_2026-04-01.csv.gz",
        "CARTES_20260331.txt": "CARTES_20260401.txt",
        "centre_appels_20260328.xlsx": "centre_appels_20260401.xlsx",
    }
    for name, new in sent.items():
        shutil.copy2(extracts.folder / name, shop.data / "inbox" / new)
    assert found(shop.data / "inbox", erased.needles), "the extracts hold the person"
    shop.rcu("run", "--as-of", day.isoformat())
    assert found(shop.data, erased.needles) == {}
    assert shop.query(f"select 1 from rcu.customers where customer_id = '{erased.customer_id}'") == []
    net = shop.query("select sum(amount_net) from marts.orders")[0][0]
    assert net == erased.amounts[0][0]
    states = shop.query(
        f"select distinct current_customer_id from rcu.customer_id_history where customer_id = '{erased.customer_id}'"
    )
    assert states == [("erased",)]


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
    whole = "\n".join(texts).lower()
    assert [needle for needle in sorted(needles) if needle in whole] == []
