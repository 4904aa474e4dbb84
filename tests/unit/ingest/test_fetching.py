"""Sources that are fetched: from a real PostgreSQL, a real S3 server, a real SFTP server; each skipped where absent."""

from __future__ import annotations

import datetime as dt
import gzip
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.errors import DeclarationError

from . import servers
from .conftest import DAY, Shop, contract

DATABASE = """
source: members
describes: members of the club, read from its database
trust_rank: 1
delivery: full
connect: {postgres: {dsn: "env:CLUB_DSN", table: club.members}}
delivers:
  customer:
    key: member_no
    columns:
      last_name: {from: surname}
      birth_on: {from: born}
      created_at: {from: joined_at}
      is_active: {from: active}
    custom: {points: points}
ignored: [secret_note]
"""


@pytest.fixture(scope="module")
def club() -> Iterator[tuple[int, str]]:
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
    with servers.postgres() as (port, password):
        with psycopg.connect(f"host=127.0.0.1 port={port} user=rcu password={password} dbname=postgres") as connection:
            connection.execute("create schema club")
            connection.execute(
                "create table club.people (member_no int, surname text, born date, joined_at timestamptz, "
                "active boolean, points numeric(12, 2), secret_note text)"
            )
            connection.execute(
                "insert into club.people select n, 'Roché ' || n, date '1980-01-31', "
                "timestamptz '2026-01-02 03:04:05+02', n % 2 = 0, n + 0.5, 'x' from generate_series(1, 500) as n"
            )
            connection.execute("create view club.members as select * from club.people where member_no <= 400")
        yield port, password


def dsn(club: tuple[int, str]) -> str:
    port, password = club
    return f"host=127.0.0.1 port={port} user=rcu password={password} dbname=postgres"


def test_a_view_of_postgresql_lands_like_a_file(
    shop: Shop, club: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLUB_DSN", dsn(club))
    shop.declare(DATABASE)
    report = shop.receive()
    (record,) = report.files
    assert report.errors == ()
    assert (record.status, record.rows_read, record.rows_landed) == ("landed", 400, 400)
    assert record.file_name == "members_2026-11-20.parquet"
    assert shop.landed(columns="record_id, last_name, birth_on, created_at, is_active, custom", order="record_id::int")[1] == (
        "2", "Roché 2", dt.date(1980, 1, 31), dt.datetime(2026, 1, 2, 1, 4, 5), True, '{"points":"2.50"}',
    )  # fmt: skip
    assert shop.inbox_names() == []


def test_the_same_rows_of_the_same_day_are_known(
    shop: Shop, club: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLUB_DSN", dsn(club))
    shop.declare(DATABASE)
    shop.receive()
    assert [record.status for record in shop.receive().files] == ["duplicate"]
    assert [record.status for record in shop.receive(DAY + dt.timedelta(days=1)).files] == ["landed"]


def test_a_database_that_fails_is_an_error_of_its_source_alone(
    customers: Shop, club: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, _ = club
    monkeypatch.setenv("CLUB_DSN", f"host=127.0.0.1 port={port} user=rcu password=Wrong-Secret dbname=postgres")
    customers.declare(DATABASE)
    customers.drop("shop_20261120.csv", "ID,NAME,BORN\n1,Good,\n")
    report = customers.receive()
    assert sorted(record.status for record in report.files) == ["landed", "not_fetched"]
    (error,) = report.errors
    assert error.startswith("members: postgres could not be read") and len(error.splitlines()) == 1
    assert "Wrong-Secret" not in error


def test_a_table_that_is_not_there_is_named(shop: Shop, club: tuple[int, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUB_DSN", dsn(club))
    shop.declare(DATABASE.replace("club.members", "club.nobody"))
    (error,) = shop.receive().errors
    assert "nobody" in error


def test_a_dsn_that_is_not_set_is_named(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLUB_DSN", raising=False)
    shop.declare(DATABASE)
    assert shop.receive().errors == (
        "members: env:CLUB_DSN: this variable is not set; set CLUB_DSN where the run is started",
    )


def test_a_view_of_mysql_lands_like_a_file(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    statements = """
        create database club character set utf8mb4; use club;
        create table club.people (member_no int primary key, surname varchar(80), born date, joined_at datetime,
            active tinyint(1), points decimal(12, 2), secret_note text);
        insert into club.people
        select seq, concat('Roché ', seq), '1980-01-31', '2026-01-02 03:04:05', seq % 2 = 0, seq + 0.5, 'x'
        from seq_1_to_50;
        insert into club.people (member_no) values (51);
        create view club.members as select * from club.people where member_no <> 7;
    """
    with servers.mysql(statements) as (port, password):
        monkeypatch.setenv("CLUB_DSN", f"host=127.0.0.1 port={port} user=rcu password={password} database=club")
        shop.declare(DATABASE.replace("postgres:", "mysql:"))
        report = shop.receive()
        again = shop.receive()
    assert report.errors == ()
    assert [(r.status, r.rows_read, r.rows_landed) for r in report.files] == [("landed", 50, 50)]
    rows = shop.landed(columns="record_id, last_name, birth_on, created_at, is_active, custom", order="record_id::int")
    assert rows[1] == (
        "2", "Roché 2", dt.date(1980, 1, 31), dt.datetime(2026, 1, 2, 2, 4, 5), True, '{"points":"2.50"}',
    )  # fmt: skip
    assert rows[-1] == ("51", None, None, None, None, None)
    assert [record.status for record in again.files] == ["duplicate"]


def test_a_mysql_server_that_does_not_answer_is_told(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "CLUB_DSN", f"host=127.0.0.1 port={servers.free_port()} user=rcu password=Hidden-1 database=club"
    )
    shop.declare(DATABASE.replace("postgres:", "mysql:"))
    (error,) = shop.receive().errors
    assert error.startswith("members: mysql could not be read") and "Hidden-1" not in error


BUCKET = """
source: shop
describes: extracts in a bucket
trust_rank: 1
connect: {s3: {bucket: extracts, folder: out, endpoint: "ENDPOINT", access_key: "env:S3_KEY", secret_key: "env:S3_SECRET"}}
file: {pattern: "shop_{date}.csv", date_format: "%Y%m%d"}
delivers: {customer: {key: ID, columns: {last_name: {from: NAME}}}}
"""


def test_new_files_of_a_bucket_are_fetched_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    boto3 = pytest.importorskip("boto3", reason="boto3 is not installed")
    monkeypatch.setenv("S3_KEY", "invented")
    monkeypatch.setenv("S3_SECRET", "invented-too")
    with servers.s3() as endpoint:
        client = boto3.client(
            "s3", endpoint_url=endpoint, aws_access_key_id="invented", aws_secret_access_key="invented-too",
            region_name="us-east-1",
        )  # fmt: skip
        client.create_bucket(Bucket="extracts")
        client.put_object(Bucket="extracts", Key="out/shop_20261118.csv", Body=b"ID,NAME\n1,One\n")
        client.put_object(
            Bucket="extracts", Key="out/shop_20261119.csv.gz", Body=gzip.compress(b"ID,NAME\n1,One\n2,Two\n")
        )
        client.put_object(Bucket="extracts", Key="out/other.csv", Body=b"x\n")
        client.put_object(Bucket="extracts", Key="out/deeper/shop_20261117.csv", Body=b"ID,NAME\n9,Nine\n")
        shop.declare(BUCKET.replace("ENDPOINT", endpoint))
        first = shop.receive()
        assert first.errors == ()
        assert [(r.file_name, r.status) for r in first.files] == [
            ("shop_20261118.csv", "landed"), ("shop_20261119.csv", "landed"),
        ]  # fmt: skip
        assert shop.receive().files == (), "nothing new: nothing fetched"
        client.put_object(
            Bucket="extracts", Key="out/shop_20261119.csv.gz", Body=gzip.compress(b"ID,NAME\n1,One\n2,Dos\n")
        )
        assert [r.status for r in shop.receive(DAY + dt.timedelta(days=1)).files] == ["landed"]
    assert shop.inbox_names() == []
    (error,) = shop.receive(DAY + dt.timedelta(days=2)).errors
    assert error.startswith("shop: s3 could not be read") and "invented-too" not in error


FOLDER = """
source: shop
describes: extracts on a server
trust_rank: 1
connect:
  sftp: {host: 127.0.0.1, port: PORT, folder: /out, user: rcu, password: "file:secrets/sftp", host_key: "HOST_KEY"}
file: {pattern: "shop_{date}.csv", date_format: "%Y%m%d"}
delivers: {customer: {key: ID, columns: {last_name: {from: NAME}}}}
"""


def test_new_files_of_an_sftp_folder_are_fetched_once(shop: Shop, tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    (remote / "out").mkdir(parents=True)
    (remote / "out" / "shop_20261119.csv").write_text("ID,NAME\n1,One\n2,Two\n")
    (remote / "out" / "shop_20261119.csv.done").touch()
    (remote / "out" / "note.txt").write_text("not ours")
    secrets = shop.workspace.root / "secrets"
    secrets.mkdir()
    (secrets / "sftp").write_text("Invented-2\n")
    with servers.sftp(remote, "rcu", "Invented-2") as (port, host_key):
        told = FOLDER.replace("PORT", str(port))
        shop.declare(told.replace("HOST_KEY", host_key))
        (error,) = shop.receive().errors
        assert "chmod 600" in error
        (secrets / "sftp").chmod(0o600)
        report = shop.receive()
        assert report.errors == ()
        assert [(r.file_name, r.status, r.rows_landed) for r in report.files] == [("shop_20261119.csv", "landed", 2)]
        assert shop.receive().files == ()

        other = importlib.import_module("paramiko").RSAKey.generate(2048)
        shop.declare(told.replace("HOST_KEY", f"{other.get_name()} {other.get_base64()}"))
        (remote / "out" / "shop_20261120.csv").write_text("ID,NAME\n3,Three\n")
        report = shop.receive()
        assert [r.status for r in report.files] == ["not_fetched"], "a server that shows another key is not read"
        assert "sftp could not be read" in report.errors[0] and "Invented-2" not in report.errors[0]


@pytest.mark.parametrize(
    ("before", "after", "line", "told"),
    [
        ('"env:CLUB_DSN"', '"host=db password=Secret-9"', 6, "a secret is never written here"),
        ("club.members", '"members; drop"', 6, "names no table or view"),
        ("postgres: {", "postgress: {", 6, 'did you mean "postgres"?'),
        ("ignored:", "file: {format: csv}\nignored:", 16, "Parquet; leave format out"),
    ],
)
def test_a_wrong_connection_is_named_with_its_line(before: str, after: str, line: int, told: str) -> None:
    with pytest.raises(DeclarationError) as refused:
        contract(DATABASE.replace(before, after))
    assert any(m.startswith(f"test.yml:{line}: ") and told in m for m in str(refused.value).splitlines())
    assert "Secret-9" not in str(refused.value)


def test_a_missing_package_is_one_line(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.import_module

    def without(name: str, package: str | None = None) -> object:
        if name == "s3fs":
            raise ImportError(name)
        return found(name, package)

    monkeypatch.setattr("orchestration.ingest.fetching.importlib.import_module", without)
    shop.declare(BUCKET.replace("ENDPOINT", "http://127.0.0.1:1"))
    assert shop.receive().errors == (
        "shop: s3fs is not installed; add it to pyproject.toml and run `make setup`",
    )  # fmt: skip
