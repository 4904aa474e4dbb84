"""What every test may use: where the project is, and where real data lies when it is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent


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
