"""The dbt unit tests that stand beside the models. They need a build's tables, so they run after one."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.pipeline.conftest import History
from tests.pipeline.workspaces import PROJECT, environment


def test_every_dbt_unit_test_passes(history: History, tmp_path: Path) -> None:
    build = tmp_path / "warehouse.duckdb"
    shutil.copy2(history.shop.data / "build" / "warehouse.duckdb", build)
    project = PROJECT / "dbt_project"
    done = subprocess.run(
        [str(Path(sys.executable).parent / "dbt"), "--no-use-colors", "test", "--select", "test_type:unit",
         "--project-dir", str(project), "--profiles-dir", str(project),
         "--target-path", str(tmp_path / "target"), "--log-path", str(tmp_path / "logs")],
        capture_output=True, text=True, check=False, env={**environment(), "RCU_BUILD_FILE": str(build)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
    found = re.search(r"PASS=(\d+)", done.stdout)
    assert found and int(found[1]) > 15, done.stdout[-2000:]
