"""What every test may use: where the project is, and where real data lies when it is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent


#: What takes longest is begun first, so that no processor waits at the end for another.
LONGEST = ["history", "tests/pipeline/test_kill.py"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Workers share nothing: the tests that look at one history of runs stay together, all others by file."""
    groups = {item.nodeid: _group(item) for item in items}
    for item in items:
        item.add_marker(pytest.mark.xdist_group(groups[item.nodeid]))
    items.sort(key=lambda item: _turn(groups[item.nodeid]))


def _group(item: pytest.Item) -> str:
    return "history" if "history" in getattr(item, "fixturenames", ()) else item.nodeid.partition("::")[0]


def _turn(group: str) -> int:
    if group in LONGEST:
        return LONGEST.index(group)
    return len(LONGEST) + (not group.startswith("tests/pipeline"))


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
