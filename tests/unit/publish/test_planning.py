"""Forward or backfill, increment or rebuild, or nothing new."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestration import registry, warehouse
from orchestration.errors import UsageError
from orchestration.publish import code_fingerprint, input_fingerprint, is_forward, rollback
from orchestration.settings import Workspace
from tests.unit.publish.toy import TODAY, build, day, new_workspace, plan, run

FILES = registry.RegistryTable(
    "files",
    {"source": "varchar", "sha256": "varchar", "available_on": "date", "ingested_at": "timestamp"},
    is_versioned=False,
)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return new_workspace(tmp_path)


def test_the_first_run_rebuilds_and_goes_forward(workspace: Workspace) -> None:
    planned = plan(workspace, day(4), run_id="r")
    assert (planned.is_forward, planned.mode, planned.is_nothing_new) == (True, "rebuild", False)
    assert (planned.version, planned.build_path) == ("20260304-0001", workspace.build_file)
    assert planned.reason == "there is no build yet"


def test_the_next_day_goes_on_from_the_build(workspace: Workspace) -> None:
    run(workspace, day(4), run_id="r4")
    planned = plan(workspace, day(5), run_id="r5")
    assert (planned.mode, planned.reason) == ("increment", "goes on from the build of 2026-03-04")


def test_the_same_day_with_new_deliveries_gets_the_next_number(workspace: Workspace) -> None:
    run(workspace, day(4), run_id="r4")
    planned = plan(workspace, day(4), run_id="r5", inputs="more")
    assert (planned.version, planned.mode, planned.is_nothing_new) == ("20260304-0002", "increment", False)


def test_the_same_deliveries_are_nothing_new(workspace: Workspace) -> None:
    run(workspace, day(4), run_id="r4")
    assert plan(workspace, day(4), run_id="r5").is_nothing_new
    assert not plan(workspace, day(4), run_id="r5", code="other").is_nothing_new
    assert not plan(workspace, day(5), run_id="r5").is_nothing_new


def test_a_backfill_rebuilds_in_a_scratch_file(workspace: Workspace) -> None:
    run(workspace, day(4), run_id="r4")
    planned = plan(workspace, day(3), run_id="r3")
    assert (planned.is_forward, planned.mode, planned.build_path) == (False, "rebuild", workspace.scratch_file)
    assert not is_forward(workspace, day(3))
    assert is_forward(workspace, day(4))


def test_a_backfilled_day_is_nothing_new_the_second_time(workspace: Workspace) -> None:
    run(workspace, day(4), run_id="r4")
    run(workspace, day(3), run_id="r3")
    assert plan(workspace, day(3), run_id="again").is_nothing_new
    assert not plan(workspace, day(3), run_id="again", inputs="more").is_nothing_new


def test_changed_code_rebuilds(workspace: Workspace) -> None:
    run(workspace, day(4), run_id="r4")
    planned = plan(workspace, day(5), run_id="r5", code="other")
    assert (planned.mode, planned.reason) == ("rebuild", "code or declarations changed since the last build")


def test_an_unfinished_build_is_not_gone_on_from(workspace: Workspace) -> None:
    run(workspace, day(4), run_id="r4")
    build(workspace, plan(workspace, day(5), run_id="r5"), customers=1)
    planned = plan(workspace, day(6), run_id="r6")
    assert (planned.mode, planned.reason) == ("rebuild", "the build of 2026-03-05 was not finished")


def test_a_build_that_is_not_of_the_last_commit_is_not_gone_on_from(workspace: Workspace) -> None:
    run(workspace, day(4), run_id="r4")
    before = workspace.build_file.read_bytes()
    run(workspace, day(5), run_id="r5")
    workspace.build_file.write_bytes(before)
    assert plan(workspace, day(6), run_id="r6").reason == "the build is not of the last committed run"


def test_a_file_that_is_no_database_is_rebuilt(workspace: Workspace) -> None:
    run(workspace, day(4), run_id="r4")
    workspace.build_file.write_bytes(b"torn" * 5000)
    planned = plan(workspace, day(5), run_id="r5")
    assert (planned.mode, planned.reason) == ("rebuild", "the build file cannot be read")
    build(workspace, planned, customers=1)
    assert warehouse.read_stamp(workspace.build_file).run_id == "r5"


def test_the_future_is_refused(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="2026-04-01 is in the future; today is 2026-03-31"):
        plan(workspace, TODAY.replace(month=4, day=1), run_id="r")


def test_after_a_rollback_the_registry_decides_what_is_forward_and_the_next_run_publishes(workspace: Workspace) -> None:
    run(workspace, day(3), run_id="r3")
    run(workspace, day(4), run_id="r4")
    rollback(workspace)
    assert not plan(workspace, day(3), run_id="x").is_forward
    again = plan(workspace, day(4), run_id="r4b")
    assert (again.is_forward, again.is_nothing_new) == (True, False)


def _deliver(workspace: Workspace, sha: str, available: int, *, run_id: str = "r", hour: int = 1) -> None:
    connection = warehouse.connect()
    registry.stage(
        workspace, FILES, connection,
        f"select 'crm' as source, '{sha}' as sha256, date '{day(available)}' as available_on, "
        f"timestamp '2026-03-01 {hour:02d}:00:00' as ingested_at",
        as_of_on=day(available), version="20260301-0000", run_id=run_id,
    )  # fmt: skip
    connection.close()


def test_inputs_are_the_deliveries_up_to_the_date(workspace: Workspace) -> None:
    _deliver(workspace, "a", 1)
    first = input_fingerprint(workspace, as_of_on=day(2))
    _deliver(workspace, "b", 3)
    assert input_fingerprint(workspace, as_of_on=day(2)) == first
    assert input_fingerprint(workspace, as_of_on=day(3)) != first


def test_inputs_do_not_depend_on_order_run_or_hour(tmp_path: Path) -> None:
    one, other = new_workspace(tmp_path / "one"), new_workspace(tmp_path / "other")
    _deliver(one, "a", 1)
    _deliver(one, "b", 1)
    _deliver(other, "b", 1, run_id="another", hour=9)
    _deliver(other, "a", 1, run_id="another", hour=8)
    assert input_fingerprint(one, as_of_on=day(2)) == input_fingerprint(other, as_of_on=day(2))


def test_what_runs_write_is_no_input(workspace: Workspace) -> None:
    _deliver(workspace, "a", 1)
    before = input_fingerprint(workspace, as_of_on=day(2))
    run(workspace, day(1), run_id="r1")
    run(workspace, day(2), run_id="r2")
    rollback(workspace)
    assert input_fingerprint(workspace, as_of_on=day(2)) == before


def test_a_changed_declaration_changes_the_code_and_so_does_a_new_one(tmp_path: Path) -> None:
    workspace = new_workspace(tmp_path / "one")
    workspace.declarations.mkdir()
    declared = workspace.declarations / "company.yml"
    declared.write_text("name: A\n", encoding="utf-8")
    before = code_fingerprint(workspace)
    copy = Workspace(tmp_path / "copy")
    shutil.copytree(workspace.root, copy.root)
    assert code_fingerprint(copy) == before
    declared.write_text("name: B\n", encoding="utf-8")
    assert code_fingerprint(workspace) != before
    (copy.declarations / "value.yml").write_text("", encoding="utf-8")
    assert code_fingerprint(copy) != before
