"""Fixtures of the tests of segments."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.segments.small_warehouse import SmallWarehouse


@pytest.fixture
def warehouse(tmp_path: Path) -> SmallWarehouse:
    return SmallWarehouse(tmp_path)
