"""Where reports lie: rights, pruning, erasure. What is on the pages: tests/pipeline/test_reports.py."""

from __future__ import annotations

from pathlib import Path

from orchestration import reports
from orchestration.reports.pages import PAGES
from orchestration.settings import Workspace

VERSIONS = ("20260101-0001", "20260102-0001", "20260103-0001")


def workspace_with_reports(root: Path) -> Workspace:
    workspace = Workspace(root)
    workspace.prepare()
    for version in VERSIONS:
        folder = workspace.reports / version
        folder.mkdir()
        for page in PAGES:
            (folder / page.file).write_text("x", encoding="utf-8")
    return workspace


def test_reports_go_with_their_publication(tmp_path: Path) -> None:
    workspace = workspace_with_reports(tmp_path)
    (workspace.reports / f".{VERSIONS[0]}.77.tmp").mkdir()
    (workspace.reports / "mine").mkdir()
    assert reports.prune(workspace, VERSIONS[1:]) == [f".{VERSIONS[0]}.77.tmp", VERSIONS[0]]
    assert sorted(path.name for path in workspace.reports.iterdir()) == [*VERSIONS[1:], "mine"]


def test_an_erasure_takes_the_review_page_of_every_version_and_no_other(tmp_path: Path) -> None:
    workspace = workspace_with_reports(tmp_path)
    assert reports.erase(workspace) == 3
    assert list(workspace.reports.rglob(reports.REVIEW)) == []
    assert len(list(workspace.reports.rglob("*.html"))) == 3 * (len(PAGES) - 1)
    assert reports.erase(workspace) == 0


def test_only_the_review_page_is_personal() -> None:
    assert [page.file for page in PAGES if page.is_personal] == [reports.REVIEW]


def test_reports_are_found_only_when_whole(tmp_path: Path) -> None:
    workspace = workspace_with_reports(tmp_path)
    found = reports.find_reports(workspace, VERSIONS[0])
    assert found is not None and found.index.name == "index.html" and found.size == len(PAGES)
    (found.folder / "value.html").unlink()
    assert reports.find_reports(workspace, VERSIONS[0]) is None
    assert reports.find_reports(workspace, "20270101-0001") is None


def test_a_new_workspace_has_nothing_to_prune(tmp_path: Path) -> None:
    assert reports.prune(Workspace(tmp_path), []) == [] and reports.erase(Workspace(tmp_path)) == 0
