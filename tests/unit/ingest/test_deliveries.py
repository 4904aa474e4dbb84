"""What happens to a delivery: landed, skipped, superseded, refused, kept; and the manifest that says so."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.ingest import inbox, manifest, readers, source_states
from orchestration.ingest.problems import unreadable
from orchestration.warehouse import connect

from .conftest import CUSTOMERS, DAY, Shop

FILE = "ID,NAME,BORN\n1,Martin,01/02/1980\n2,Durand,\n"


def rows_of(shop: Shop) -> list[manifest.FileRecord]:
    return manifest.read(connect(), shop.workspace)


def test_a_file_lands_leaves_the_inbox_and_is_archived(customers: Shop) -> None:
    customers.drop("shop_20261119.csv", FILE)
    report = customers.receive()
    assert [(r.status, r.rows_read, r.rows_landed) for r in report.files] == [("landed", 2, 2)]
    assert customers.inbox_names() == []
    archived = [path for path in customers.workspace.archive.rglob("*") if path.is_file()]
    assert [path.read_text() for path in archived] == [FILE]
    assert archived[0].parent.relative_to(customers.workspace.archive) == Path("shop/2026-11-19")
    assert customers.landed(columns="record_id, last_name, birth_on, row_key, source, line_number") == [
        ("1", "Martin", dt.date(1980, 2, 1), "1", "shop", 2),
        ("2", "Durand", None, "2", "shop", 3),
    ]


def test_a_second_ingest_changes_nothing(customers: Shop) -> None:
    customers.drop("shop_20261119.csv", FILE)
    customers.receive()
    before = snapshot(customers)
    report = customers.receive()
    assert report.files == ()
    assert snapshot(customers) == before


def snapshot(shop: Shop) -> dict[str, bytes]:
    return {
        str(path.relative_to(shop.workspace.data)): path.read_bytes()
        for path in sorted(shop.workspace.data.rglob("*"))
        if path.is_file()
    }


def test_the_same_content_again_is_skipped_and_said(customers: Shop) -> None:
    customers.drop("shop_20261119.csv", FILE)
    customers.receive()
    customers.drop("again/shop_20261119_bis.csv", FILE)
    report = customers.receive()
    assert [r.status for r in report.files] == ["duplicate"]
    assert "delivered before" in report.warnings[0]
    assert len(customers.landed()) == 2
    assert customers.inbox_names() == []


def test_the_same_content_for_another_date_is_another_delivery(customers: Shop) -> None:
    customers.drop("shop_20261118.csv", FILE)
    customers.drop("shop_20261119.csv", FILE)
    report = customers.receive()
    assert [r.status for r in report.files] == ["landed", "landed"]
    assert len({r.batch_id for r in report.files}) == 2


def test_a_first_load_counts_from_its_business_date_and_later_files_from_their_reception(customers: Shop) -> None:
    customers.drop("shop_20261001.csv", FILE)
    customers.drop("shop_20261002.csv", FILE.replace("Martin", "Petit"))
    first = customers.receive(dt.date(2026, 11, 1))
    assert [r.available_on for r in first.files] == [dt.date(2026, 10, 1), dt.date(2026, 10, 2)]
    customers.drop("shop_20261003.csv", FILE.replace("Martin", "Grand"))
    customers.drop("shop_20261109.csv", FILE.replace("Martin", "Moyen"))
    later = customers.receive(dt.date(2026, 11, 5))
    assert [r.available_on for r in later.files] == [dt.date(2026, 11, 5), dt.date(2026, 11, 9)]


def test_a_name_without_date_takes_the_day_of_reception(shop: Shop) -> None:
    shop.declare(CUSTOMERS.replace('"shop_{date}*.csv", date_format: "%Y%m%d"', '"clients.csv"'))
    shop.drop("clients.csv", FILE)
    report = shop.receive(dt.date(2026, 11, 3))
    assert (report.files[0].business_on, report.files[0].available_on) == (dt.date(2026, 11, 3),) * 2


def test_a_redelivery_supersedes_from_its_own_reception_on_and_nothing_is_deleted(customers: Shop) -> None:
    customers.drop("shop_20261110.csv", FILE)
    customers.receive(dt.date(2026, 11, 10))
    customers.drop("shop_20261110_v2.csv", FILE.replace("Martin", "Petit"))
    customers.receive(dt.date(2026, 11, 12))
    records = rows_of(customers)
    names = {day: [r.file_name for r in manifest.effective(records, dt.date(2026, 11, day))] for day in (9, 10, 11, 12)}
    assert names == {
        9: [],
        10: ["shop_20261110.csv"],
        11: ["shop_20261110.csv"],
        12: ["shop_20261110_v2.csv"],
    }
    assert len(customers.landed()) == 4


def test_a_correction_received_the_same_day_under_the_same_name_wins(customers: Shop) -> None:
    customers.drop("shop_20261110.csv", FILE)
    customers.receive(dt.date(2026, 11, 10))
    customers.drop("shop_20261110.csv", FILE.replace("Martin", "Petit"))
    customers.receive(dt.date(2026, 11, 10))
    connection = customers.build()
    customers.day(dt.date(2026, 11, 10), connection)
    names = connection.execute("select last_name from landing.customers order by record_id").fetchall()
    assert names == [("Petit",), ("Durand",)]


def test_parts_of_one_delivery_count_together(shop: Shop) -> None:
    shop.declare(CUSTOMERS.replace("shop_{date}*.csv", "shop_{date}_{part}.csv"))
    shop.drop("shop_20261110_paris.csv", FILE)
    shop.drop("shop_20261110_lyon.csv", "ID,NAME,BORN\n3,Petit,\n")
    shop.receive()
    assert [r.part for r in manifest.effective(rows_of(shop))] == ["lyon", "paris"]


def test_two_names_for_one_date_without_part_are_told_apart_in_a_warning(customers: Shop) -> None:
    customers.drop("shop_20261110_paris.csv", FILE)
    customers.drop("shop_20261110_lyon.csv", "ID,NAME,BORN\n3,Petit,\n")
    report = customers.receive()
    assert any("superseded" in warning and "{part}" in warning for warning in report.warnings)


def test_a_backfill_leaves_the_inbox_alone(customers: Shop) -> None:
    customers.drop("shop_20261119.csv", FILE)
    report = customers.receive(is_forward=False)
    assert report.files == ()
    assert customers.inbox_names() == ["shop_20261119.csv"]


def test_an_unclaimed_file_stays_and_is_said_each_time_but_noted_once(customers: Shop) -> None:
    customers.drop("unknown.dat", "x")
    for _ in range(2):
        report = customers.receive()
        assert report.warnings == (
            "unknown.dat: no source claims this file; declare one (declarations/sources/) or take the file away",
        )
    assert customers.inbox_names() == ["unknown.dat"]
    assert [r.status for r in rows_of(customers)] == ["unmatched"]


def test_too_many_bad_rows_refuse_the_file_whole(customers: Shop) -> None:
    customers.drop("shop_20261119.csv", "ID,NAME,BORN\n1,Martin,99/99/1980\n2,Petit,1980\n3,Durand,01/01/1980\n")
    report = customers.receive()
    record = report.files[0]
    assert (record.status, record.rows_read, record.rows_landed, record.rows_quarantined) == ("refused", 3, 0, 3)
    assert customers.landed() == []
    assert report.errors == (
        "shop: shop_20261119.csv:2: 2 of 3 rows are bad (66.7%, tolerated 50.0%), most by rule date on column "
        '"BORN" (2); check the format of the dates in the contract; then `rcu replay`',
    )
    kept = [path for path in (customers.workspace.quarantine / "files").rglob("*") if path.is_file()]
    assert len(kept) == 1
    assert customers.quarantined() == [(2, "BORN", "date", "1,Martin,99/99/1980"), (3, "BORN", "date", "2,Petit,1980")]


def test_a_refused_file_does_not_hold_up_the_others(customers: Shop) -> None:
    customers.drop("shop_20261118.csv", "nothing,like,this\n1,2,3\n")
    customers.drop("shop_20261119.csv", FILE)
    report = customers.receive()
    assert sorted(r.status for r in report.files) == ["landed", "refused"]
    assert len(customers.landed()) == 2


def test_a_full_delivery_that_deletes_too_much_is_refused(customers: Shop) -> None:
    customers.drop("shop_20261118.csv", "ID,NAME,BORN\n" + "".join(f"{n},N{n},\n" for n in range(10)))
    customers.receive()
    customers.drop("shop_20261119.csv", "ID,NAME,BORN\n" + "".join(f"{n},N{n},\n" for n in range(6)))
    report = customers.receive()
    assert report.files[0].status == "refused"
    assert "would delete 4 of 10 customers (40%, tolerated 30%)" in report.errors[0]
    assert len(customers.landed()) == 10


def test_a_header_alone_is_a_warning_and_deletes_nothing(customers: Shop) -> None:
    customers.drop("shop_20261118.csv", FILE)
    customers.drop("shop_20261119.csv", "ID,NAME,BORN\n")
    report = customers.receive()
    assert [r.status for r in report.files] == ["landed", "header_only"]
    assert any("header only" in warning for warning in report.warnings)
    connection = customers.build()
    customers.day(DAY, connection)
    assert connection.execute("select count(*) from landing.customers where is_deleted").fetchone() == (0,)


def test_a_file_that_grows_waits_for_the_next_run(customers: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    path = customers.drop("shop_20261119.csv", FILE)

    def write_more(seconds: float) -> None:
        with path.open("a") as handle:
            handle.write("3,Petit,\n")

    monkeypatch.setattr("orchestration.ingest.inbox.time.sleep", write_more)
    assert inbox.look(customers.workspace.inbox, 30.0).growing == (path,)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    assert inbox.look(customers.workspace.inbox, 30.0).whole == (path,)


def test_a_marker_says_that_a_young_file_is_whole(customers: Shop) -> None:
    path = customers.drop("shop_20261119.csv", FILE)
    customers.drop("shop_20261119.csv.done", "")
    assert inbox.look(customers.workspace.inbox, 30.0).whole == (path,)


def test_the_done_marker_goes_with_its_file(customers: Shop) -> None:
    customers.drop("shop_20261119.csv", FILE)
    customers.drop("shop_20261119.csv.done", "")
    customers.receive()
    assert customers.inbox_names() == []


def test_a_symbolic_link_is_never_followed(customers: Shop, tmp_path: Path) -> None:
    outside = tmp_path / "secret.csv"
    outside.write_text(FILE)
    (customers.workspace.inbox / "shop_20261119.csv").symlink_to(outside)
    (customers.workspace.inbox / "folder").symlink_to(tmp_path)
    report = customers.receive()
    assert report.files == ()
    assert len(report.errors) == 2 and all("symbolic link" in error for error in report.errors)
    assert outside.read_text() == FILE


class Killed(BaseException):
    """Stands for SIGKILL: no handler of the code under test may catch it."""


@pytest.mark.parametrize("stage", ["landing_rename", "manifest", "after_manifest", "move"])
def test_a_run_killed_anywhere_and_run_again_gives_the_same(
    customers: Shop, stage: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files = {"shop_20261118.csv": FILE, "shop_20261119.csv": FILE.replace("Martin", "Petit")}
    for name, text in files.items():
        customers.drop(name, text)

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        if stage == "landing_rename":
            patch.setattr("orchestration.ingest.landing._clear_stale", die)
        elif stage == "manifest":
            patch.setattr("orchestration.ingest.manifest.append", die)
        elif stage == "after_manifest":
            patch.setattr("orchestration.ingest.inbox.move", die)
        else:
            moved: list[Path] = []

            def move_once(path: Path, target: Path) -> None:
                if moved:
                    raise Killed
                moved.append(path)
                target.parent.mkdir(parents=True, exist_ok=True)
                path.rename(target)

            patch.setattr("orchestration.ingest.inbox.move", move_once)
        with pytest.raises(Killed):
            customers.receive(dt.date(2026, 11, 20))
    customers.receive(dt.date(2026, 11, 20))
    killed = build_of(customers)

    clean = Shop(type(customers.workspace)(tmp_path / "clean"))
    clean.workspace.prepare()
    clean.sources = customers.sources
    for name, text in files.items():
        clean.drop(name, text)
    clean.receive(dt.date(2026, 11, 20))
    assert killed == build_of(clean)
    assert customers.inbox_names() == []
    assert len(rows_of(customers)) == 2
    assert not list(customers.workspace.landing.rglob("*.tmp*"))


def build_of(shop: Shop) -> list[tuple[object, ...]]:
    connection = shop.build()
    shop.day(dt.date(2026, 11, 30), connection)
    found: list[tuple[object, ...]] = connection.execute("select * from landing.customers order by all").fetchall()
    files = connection.execute("select * exclude (ingested_at) from audit.files order by all").fetchall()
    return found + files


def test_status_says_what_stands_in_for_a_refused_file_and_how_old_it_is(customers: Shop) -> None:
    customers.drop("shop_20261118.csv", "ID,NAME,BORN\n1,a,\n")
    customers.receive(dt.date(2026, 11, 18))
    customers.drop("shop_20261120.csv", "ID,NAME\n1,a\n")
    customers.receive(dt.date(2026, 11, 20))
    (state,) = source_states(customers.workspace, customers.sources, as_of_on=dt.date(2026, 11, 21))
    assert state.state == (
        "3 days old; shop_20261120.csv was refused on 2026-11-20: the data of 2026-11-18 is used, 3 days old"
    )


def test_an_inner_fault_of_the_reader_costs_its_own_file_only(customers: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    read = readers.read_raw

    def faulty(connection: duckdb.DuckDBPyConnection, path: Path, *others: Any) -> Any:
        if path.name.startswith("shop_20261118"):
            connection.close()  # as after a fault: whatever it is asked, it refuses
            raise unreadable("a fault")
        return read(connection, path, *others)

    monkeypatch.setattr(readers, "read_raw", faulty)
    for day in (17, 18, 19):
        customers.drop(f"shop_202611{day}.csv", f"ID,NAME,BORN\n1,day {day},\n")
    report = customers.receive()
    assert [record.status for record in report.files] == ["landed", "unreadable", "landed"]
    assert customers.landed(columns="last_name", order="last_name") == [("day 17",), ("day 19",)]


def test_a_source_that_has_nothing_to_tell_is_not_late(shop: Shop) -> None:
    shop.declare(CUSTOMERS.replace("trust_rank", "cadence_days: 1\ntrust_rank"))
    shop.drop("shop_20261118.csv", "ID,NAME,BORN\n1,a,\n")
    shop.receive(dt.date(2026, 11, 18))
    shop.drop("shop_20261120.csv", "ID,NAME,BORN\n")
    shop.receive(dt.date(2026, 11, 20))
    states = [
        source_states(shop.workspace, shop.sources, as_of_on=dt.date(2026, 11, day))[0].state for day in (20, 21, 22)
    ]
    assert states == ["fresh, nothing new since 2026-11-18"] * 2 + ["late: 2 days old, expected every 1"]
    connection = shop.build()
    for day, is_late in ((21, False), (22, True)):
        shop.day(dt.date(2026, 11, day), connection)
        assert connection.execute("select is_late from audit.freshness").fetchall() == [(is_late,)]
