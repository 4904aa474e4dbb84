"""What every test may use: where the project is, and where real data lies when it is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

PROJECT = Path(__file__).resolve().parent.parent


#: Pipeline tests that run on workspaces of their own; all others look at one history of runs, made once.
APART = {"test_bad_purchases.py", "test_cdnow.py", "test_kill.py", "test_online_retail.py"}

#: What takes longest is begun first, so that no processor waits at the end for another.
LONGEST = ["history", "tests/pipeline/test_kill.py"]


class TogetherByGroup(LoadScopeScheduling):
    """Workers share nothing, so what one group of tests prepares is prepared by one worker."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> TogetherByGroup:
    return TogetherByGroup(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _turn(group_of(item.nodeid)))


def group_of(nodeid: str) -> str:
    file = nodeid.partition("::")[0]
    folder, _, name = file.rpartition("/")
    return "history" if folder == "tests/pipeline" and name not in APART else file


def _turn(group: str) -> int:
    if group in LONGEST:
        return LONGEST.index(group)
    return len(LONGEST) + (not group.startswith(("tests/pipeline", "tests/browser")))


@pytest.fixture(scope="session")
def project() -> Path:
    """The root of the repository."""
    return PROJECT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets, which lies outside the repository."""
    folder = Path(os.environ.get("RCU_REAL_DATA", PROJECT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data sets are not here ({folder.name}/ is absent; set RCU_REAL_DATA to their folder)")
    return folder
