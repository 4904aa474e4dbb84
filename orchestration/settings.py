"""Where things are and what the environment says: the only module that reads the environment.

A *workspace* is a folder with `declarations/` and `data/`. The repository is one (the demo retailer);
`RCU_WORKSPACE=/path` or `rcu --workspace /path` points everything at another.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from orchestration.errors import UsageError

PROJECT_ROOT = Path(__file__).resolve().parent.parent
DBT_PROJECT_DIR = PROJECT_ROOT / "dbt_project"


@dataclass(frozen=True)
class Workspace:
    """The folders of one workspace. Nothing is created until `prepare` is called."""

    root: Path

    @property
    def declarations(self) -> Path:
        return self.root / "declarations"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def inbox(self) -> Path:
        return self.data / "inbox"

    @property
    def landing(self) -> Path:
        return self.data / "landing"

    @property
    def registry(self) -> Path:
        return self.data / "registry"

    @property
    def archive(self) -> Path:
        return self.data / "archive"

    @property
    def quarantine(self) -> Path:
        return self.data / "quarantine"

    @property
    def build(self) -> Path:
        return self.data / "build"

    @property
    def published(self) -> Path:
        return self.data / "published"

    @property
    def exports(self) -> Path:
        return self.data / "exports"

    @property
    def reports(self) -> Path:
        return self.data / "reports"

    @property
    def dagster_home(self) -> Path:
        return self.data / ".dagster"

    @property
    def dbt_state(self) -> Path:
        """dbt's target and log folder, outside the code."""
        return self.build / "dbt"

    @property
    def build_file(self) -> Path:
        """The build database of runs that go forward in time.

        DuckDB names a catalog after its file, and refuses `rcu.customers` as ambiguous where catalog
        and schema are both called `rcu`: so the file is not called `rcu`.
        """
        return self.build / "warehouse.duckdb"

    @property
    def scratch_file(self) -> Path:
        """The build database of backfills. Same file name: a DuckDB catalog is named after its file."""
        return self.build / "scratch" / "warehouse.duckdb"

    @property
    def lock_file(self) -> Path:
        return self.data / ".run.lock"

    @property
    def key_file(self) -> Path:
        """The secret key: outside the data tree, so that a copy of the data does not carry it."""
        configured = os.environ.get("RCU_KEY_FILE")
        return Path(configured).expanduser() if configured else self.root / ".keys" / "rcu.key"

    def prepare(self) -> None:
        """Create the data folders that are missing, private to their owner."""
        for folder in (
            self.inbox, self.landing, self.registry, self.archive, self.quarantine,
            self.build, self.published, self.exports, self.reports, self.dagster_home, self.dbt_state,
        ):  # fmt: skip
            folder.mkdir(parents=True, exist_ok=True, mode=0o750)


def current_workspace(path: str | Path | None = None) -> Workspace:
    """The workspace to work in: `path`, else `RCU_WORKSPACE`, else the repository itself."""
    chosen = path or os.environ.get("RCU_WORKSPACE") or PROJECT_ROOT
    return Workspace(Path(chosen).expanduser().resolve())


def resolve_secret(reference: str, workspace: Workspace) -> str:
    """The secret behind `env:NAME` or `file:PATH`, read at the moment of use.

    Raises UsageError, which names the reference and never holds the value.
    """
    kind, _, name = reference.partition(":")
    if kind == "env":
        value = os.environ.get(name)
        if not value:
            raise UsageError(f"{reference}: this variable is not set; set {name} where the run is started")
        return value
    path = Path(name).expanduser()
    path = path if path.is_absolute() else workspace.root / path
    try:
        if path.stat().st_mode & 0o077:
            raise UsageError(f"{reference}: this file can be read by others; run `chmod 600` on it")
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UsageError(
            f"{reference}: this file cannot be read ({error.strerror}); make it, or mend the path"
        ) from None


def export_to_environment(workspace: Workspace) -> None:
    """Set what Dagster and dbt read from the environment for this workspace."""
    os.environ["RCU_WORKSPACE"] = str(workspace.root)
    os.environ["DAGSTER_HOME"] = str(workspace.dagster_home)
    os.environ.setdefault("DBT_SEND_ANONYMOUS_USAGE_STATS", "false")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    # What a run is planned to do reaches the event log in one piece, not in four hundred.
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "1000")


def point_dbt_at(build: str) -> None:
    """Set the build database that dbt's profile reads from the environment."""
    os.environ["RCU_BUILD_FILE"] = build
