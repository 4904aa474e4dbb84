"""When things are wrong: one line with file, line and remedy, an exit code, and the last publication intact."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestration.settings import Workspace
from orchestration.warehouse import run_lock
from tests.pipeline.conftest import LAST, Extracts, History
from tests.pipeline.workspaces import Shop, contents


@pytest.fixture
def shop(history: History, tmp_path: Path) -> Shop:
    """A copy of the finished shop, to be broken."""
    root = tmp_path / "broken"
    shutil.copytree(history.shop.root, root, symlinks=True)
    pointer = root / "data" / "published" / "current"
    target = Path(pointer.readlink()).name
    pointer.unlink()
    pointer.symlink_to(target)
    return Shop(root)


def is_one_line(stderr: str) -> bool:
    lines = [line for line in stderr.splitlines() if line.strip()]
    return len(lines) == 1 and lines[0].startswith("error: ") and "Traceback" not in stderr


def assert_still_published(shop: Shop, before: dict[str, str]) -> None:
    assert contents(shop.current.resolve()) == before


def test_an_unknown_key_names_file_line_and_what_was_meant(shop: Shop) -> None:
    before = contents(shop.current.resolve())
    file = shop.root / "declarations" / "sources" / "survey.yml"
    file.write_text(file.read_text(encoding="utf-8").replace("trust_rank:", "trust_rnak:"), encoding="utf-8")
    number = next(n for n, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1) if "trust_rnak" in line)
    for command in (["check"], ["run", "--as-of", LAST.isoformat()]):
        done = shop.rcu(*command, code=2)
        assert (
            f'declarations/sources/survey.yml:{number}: unknown key "trust_rnak"; did you mean "trust_rank"?'
            in done.stderr
        )
        assert "Traceback" not in done.stderr
    assert_still_published(shop, before)


def test_a_missing_workspace_folder_is_said(tmp_path: Path) -> None:
    done = Shop(tmp_path / "nowhere").rcu("run", code=2)
    assert is_one_line(done.stderr), done.stderr
    assert "nowhere" in done.stderr


def test_missing_declarations_are_said(tmp_path: Path) -> None:
    done = Shop(tmp_path).rcu("run", code=2)
    assert is_one_line(done.stderr), done.stderr
    assert "rcu init" in done.stderr


def test_a_run_before_the_first_day_is_refused(shop: Shop) -> None:
    done = shop.rcu("run", "--as-of", "1999-01-01", code=2)
    assert is_one_line(done.stderr), done.stderr
    assert "first_day" in done.stderr


def test_a_held_lock_is_said_at_once_and_names_the_holder(shop: Shop) -> None:
    before = contents(shop.current.resolve())
    with run_lock(Workspace(shop.root), "the night run"):
        done = shop.rcu("run", "--as-of", LAST.isoformat(), code=5)
    assert is_one_line(done.stderr), done.stderr
    assert "the night run" in done.stderr
    assert_still_published(shop, before)


def test_a_required_source_without_files_blocks_and_is_named(shop: Shop) -> None:
    before = contents(shop.current.resolve())
    (shop.root / "declarations" / "sources" / "stand_visits.yml").write_text(
        "source: stand_visits\ndescribes: Visitors of a fair\ntrust_rank: 9\nrequired: true\ndelivery: delta\n"
        'file: {pattern: "stand_{date}.csv"}\ndelivers:\n  customer:\n    key: ID\n    columns:\n'
        "      last_name: {from: NOM}\n",
        encoding="utf-8",
    )
    done = shop.rcu("run", "--as-of", LAST.isoformat(), code=4)
    assert is_one_line(done.stderr), done.stderr
    assert "landing gate failed" in done.stderr and "required" in done.stderr
    assert_still_published(shop, before)


def test_a_damaged_file_is_refused_and_the_others_still_land(shop: Shop) -> None:
    inbox = shop.data / "inbox"
    (inbox / "crm_clients_20260331_v2.csv").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\x00" * 50)
    (inbox / "enquete_20260401.csv").write_bytes(b"")
    (inbox / "never_heard_of.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    shop.rcu("run", "--as-of", LAST.isoformat())
    told = dict(shop.query("select file_name, status from audit.files"))
    assert told.get("crm_clients_20260331_v2.csv", "unmatched") != "landed"
    status = shop.rcu("status").stdout
    assert "never_heard_of.csv" in status


def test_a_failing_gate_publishes_nothing_and_says_which_check(shop: Shop) -> None:
    before = contents(shop.current.resolve())
    gate = shop.root / "declarations" / "quality" / "golden.yml"
    gate.write_text(
        gate.read_text(encoding="utf-8").rstrip()
        + "\n  - name: a_million_customers\n    table: rcu.customers\n    severity: error\n"
        "    expect: expect_table_row_count_to_be_between\n    arguments: {min_value: 1000000}\n"
        "    describes: a bound that this shop cannot reach\n",
        encoding="utf-8",
    )
    done = shop.rcu("run", "--as-of", LAST.isoformat(), code=4)
    assert is_one_line(done.stderr), done.stderr
    assert "golden gate failed" in done.stderr and "a_million_customers" in done.stderr
    assert_still_published(shop, before)


def test_a_refused_query_is_one_line(shop: Shop) -> None:
    done = shop.rcu("query", "select nothing from nowhere", code=2)
    assert is_one_line(done.stderr), done.stderr
    done = shop.rcu("query", "delete from rcu.customers", code=2)
    assert is_one_line(done.stderr), done.stderr


def test_rollback_moves_back_and_a_new_run_moves_forward(shop: Shop, extracts: Extracts) -> None:
    latest = shop.current.resolve().name
    told = shop.rcu("rollback").stdout
    assert shop.current.resolve().name != latest
    assert shop.current.resolve().name.removeprefix("rcu-") in told
    shop.rcu("run", "--as-of", LAST.isoformat())
    assert shop.query("select count(*) from rcu.customers")[0][0] > 100
    assert shop.current.resolve().name >= latest
