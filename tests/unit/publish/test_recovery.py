"""A run killed at any moment leaves a state that the next run mends, and readers never notice."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from orchestration import registry, warehouse
from orchestration.errors import UsageError
from orchestration.publish import current, list_publications, prune, publish, recover, rollback
from orchestration.settings import Workspace
from tests.unit.publish.toy import IDS, customers_seen, day, new_workspace, plan, run

PROJECT = Path(__file__).resolve().parents[3]

# A run of its own process that ends itself as `kill -9` would, right after one step of publishing.
KILLED = """
import os, signal, sys
from pathlib import Path
from orchestration.settings import Workspace
from tests.unit.publish.toy import build, day, plan, publish_plan

workspace, last_step, number = Workspace(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3])
planned = plan(workspace, day(number), run_id="killed", inputs="more")
build(workspace, planned, customers=number)

def end(step):
    if step == last_step:
        os.kill(os.getpid(), signal.SIGKILL)

publish_plan(workspace, planned, on_step=end)
"""


def kill_at(workspace: Workspace, step: str, number: int) -> None:
    command = [sys.executable, "-c", KILLED, str(workspace.root), step, str(number)]
    assert subprocess.run(command, cwd=PROJECT, check=False).returncode == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "is_committed"),
    [
        ("written", False), ("audited", False), ("sealed", False), ("renamed", False),
        ("committed", True), ("pointed", True),
    ],
)  # fmt: skip
def test_a_run_killed_while_publishing_is_wholly_there_or_not_at_all(
    tmp_path: Path, step: str, is_committed: bool
) -> None:
    workspace = new_workspace(tmp_path)
    run(workspace, day(1), run_id="r1", customers=1)
    kill_at(workspace, step, 2)
    assert customers_seen(workspace) == (2 if step == "pointed" else 1)

    recover(workspace)
    assert customers_seen(workspace) == (2 if is_committed else 1)
    assert [p.version for p in list_publications(workspace)] == [
        "20260301-0001", *(["20260302-0001"] if is_committed else []),
    ]  # fmt: skip
    assert list(workspace.published.glob(".*.tmp")) == []
    connection = warehouse.connect()
    ids = connection.execute(f"select count(*) from ({registry.rows(workspace, IDS)})").fetchall()
    connection.close()
    assert ids == [(2 if is_committed else 1,)]
    assert not recover(workspace).is_needed

    planned = plan(workspace, day(2), run_id="r2", inputs="more")
    assert planned.is_nothing_new is is_committed
    assert planned.mode == "rebuild"
    run(workspace, day(3), run_id="r3", customers=7)
    assert customers_seen(workspace) == 7
    assert plan(workspace, day(4), run_id="r4").mode == "increment"


@pytest.mark.slow
@pytest.mark.parametrize("step", ["written", "sealed", "renamed"])
def test_a_backfill_killed_while_publishing_changes_nothing_for_readers(tmp_path: Path, step: str) -> None:
    workspace = new_workspace(tmp_path)
    run(workspace, day(5), run_id="r5", customers=5)
    kill_at(workspace, step, 2)
    recover(workspace)
    assert customers_seen(workspace) == 5
    dated = [p.version for p in list_publications(workspace) if not p.is_forward]
    assert dated == (["20260302-0001"] if step == "renamed" else [])
    assert run(workspace, day(2), run_id="again", customers=2, inputs="more").as_of_on == day(2)


def test_a_first_run_killed_before_its_commit_leaves_nothing_published(tmp_path: Path) -> None:
    workspace = new_workspace(tmp_path)
    kill_at(workspace, "renamed", 1)
    recover(workspace)
    assert current(workspace) is None
    assert list_publications(workspace) == []


def test_publishing_again_takes_up_after_the_commit(tmp_path: Path) -> None:
    """A step that is retried within its run, without recovery in between."""
    workspace = new_workspace(tmp_path)
    run(workspace, day(1), run_id="r1", customers=1)
    kill_at(workspace, "committed", 2)
    planned = plan(workspace, day(2), run_id="killed", inputs="more")
    published = publish(workspace, planned.build_path, as_of_on=day(2), run_id="killed", version="20260302-0001",
                        fingerprint=planned.fingerprint, is_forward=True)  # fmt: skip
    assert published.is_current
    assert customers_seen(workspace) == 2
    assert len(registry.commits(workspace)) == 2


def test_recovery_of_a_workspace_in_order_changes_nothing(tmp_path: Path) -> None:
    workspace = new_workspace(tmp_path)
    assert not recover(workspace).is_needed
    run(workspace, day(1), run_id="r1")
    run(workspace, day(2), run_id="r2")
    before = sorted(path.stat().st_mtime_ns for path in workspace.data.rglob("*"))
    assert not recover(workspace).is_needed
    assert sorted(path.stat().st_mtime_ns for path in workspace.data.rglob("*")) == before


def test_a_lost_publication_falls_back_to_the_newest_kept(tmp_path: Path) -> None:
    workspace = new_workspace(tmp_path)
    run(workspace, day(1), run_id="r1", customers=1)
    lost = run(workspace, day(2), run_id="r2", customers=2)
    for path in [lost.path, *lost.path.rglob("*")]:
        path.chmod(0o750)
    (lost.path / "manifest.json").unlink()
    assert recover(workspace).moved_to == "20260301-0001"
    assert customers_seen(workspace) == 1


@pytest.mark.slow
def test_a_reader_never_fails_while_versions_follow_each_other(tmp_path: Path) -> None:
    workspace = new_workspace(tmp_path)
    run(workspace, day(1), run_id="r1", customers=1)
    seen: list[int] = []
    failures: list[str] = []
    is_over = threading.Event()

    def read() -> None:
        while not is_over.is_set():
            reader = subprocess.run(
                [sys.executable, "-c",
                 "import duckdb, sys\n"
                 "for _ in range(30):\n"
                 "    reader = duckdb.connect(sys.argv[1], read_only=True)\n"
                 "    print(reader.execute('select count(*) from rcu.customers').fetchall()[0][0])\n"
                 "    reader.close()\n",
                 str(workspace.published / "current" / "rcu.duckdb")],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            seen.extend(int(line) for line in reader.stdout.split())
            if reader.returncode:
                failures.append(reader.stderr)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        for number in range(2, 8):
            run(workspace, day(number), run_id=f"r{number}", customers=number)
            if number == 4:
                rollback(workspace)
            prune(workspace, forward_kept=3)
        while len(seen) < 60 and not failures:
            is_over.wait(0.05)
    finally:
        is_over.set()
        thread.join()
    assert failures == []
    assert len(seen) >= 60
    assert set(seen) <= set(range(1, 8))


class TestRollback:
    """Going back, and forward again."""

    def test_it_moves_back_one_forward_version(self, tmp_path: Path) -> None:
        workspace = new_workspace(tmp_path)
        for number in (1, 2, 3):
            run(workspace, day(number), run_id=f"r{number}", customers=number)
        run(workspace, day(2), run_id="backfill", customers=9)
        assert rollback(workspace).as_of_on == day(2)
        assert customers_seen(workspace) == 2
        assert rollback(workspace).as_of_on == day(1)
        assert customers_seen(workspace) == 1

    def test_recovery_does_not_undo_it(self, tmp_path: Path) -> None:
        workspace = new_workspace(tmp_path)
        run(workspace, day(1), run_id="r1", customers=1)
        run(workspace, day(2), run_id="r2", customers=2)
        rollback(workspace)
        assert not recover(workspace).is_needed
        assert customers_seen(workspace) == 1

    def test_the_next_run_forward_publishes_again(self, tmp_path: Path) -> None:
        workspace = new_workspace(tmp_path)
        run(workspace, day(1), run_id="r1", customers=1)
        run(workspace, day(2), run_id="r2", customers=2)
        rollback(workspace)
        run(workspace, day(2), run_id="r2b", customers=3)
        assert customers_seen(workspace) == 3
        assert not recover(workspace).is_needed
        assert customers_seen(workspace) == 3

    def test_a_named_version_can_be_gone_to_and_come_back_from(self, tmp_path: Path) -> None:
        workspace = new_workspace(tmp_path)
        for number in (1, 2, 3):
            run(workspace, day(number), run_id=f"r{number}", customers=number)
        rollback(workspace, "20260301-0001")
        rollback(workspace, "20260303-0001")
        assert customers_seen(workspace) == 3
        assert not recover(workspace).is_needed

    def test_one_that_died_before_the_pointer_moved_is_completed(self, tmp_path: Path) -> None:
        workspace = new_workspace(tmp_path)
        run(workspace, day(1), run_id="r1", customers=1)
        run(workspace, day(2), run_id="r2", customers=2)
        rollback(workspace)
        pointer = workspace.published / "current"
        pointer.unlink()
        pointer.symlink_to("rcu-20260302-0001")
        assert recover(workspace).moved_to == "20260301-0001"

    @pytest.mark.parametrize(
        ("to", "told"),
        [
            (None, "20260301-0001 is the oldest kept"),
            ("20260301-0001", "is the current one already"),
            ("20260301-0002", 'did you mean "20260301-0001"'),
        ],
    )
    def test_where_it_cannot_go_it_says_so(self, tmp_path: Path, to: str | None, told: str) -> None:
        workspace = new_workspace(tmp_path)
        run(workspace, day(1), run_id="r1")
        with pytest.raises(UsageError, match=told):
            rollback(workspace, to)

    def test_nothing_published_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="nothing is published yet"):
            rollback(new_workspace(tmp_path))


class TestRetention:
    """What is kept of old publications."""

    def test_the_newest_forward_ones_and_the_newest_of_each_backfilled_day_stay(self, tmp_path: Path) -> None:
        workspace = new_workspace(tmp_path)
        for number in (5, 6, 7, 8):
            run(workspace, day(number), run_id=f"r{number}")
        run(workspace, day(2), run_id="a", inputs="1")
        run(workspace, day(2), run_id="b", inputs="2")
        run(workspace, day(3), run_id="c")
        assert prune(workspace, forward_kept=2) == ["20260302-0001", "20260305-0001", "20260306-0001"]
        assert [p.version for p in list_publications(workspace)] == [
            "20260302-0002", "20260303-0001", "20260307-0001", "20260308-0001",
        ]  # fmt: skip
        assert prune(workspace, forward_kept=2, backfills_kept=1) == ["20260302-0002"]
        assert prune(workspace, forward_kept=2, backfills_kept=0) == ["20260303-0001"]

    def test_the_current_one_stays_however_old(self, tmp_path: Path) -> None:
        workspace = new_workspace(tmp_path)
        for number in (1, 2, 3):
            run(workspace, day(number), run_id=f"r{number}", customers=number)
        rollback(workspace, "20260301-0001")
        assert prune(workspace, forward_kept=1) == ["20260302-0001"]
        assert customers_seen(workspace) == 1
