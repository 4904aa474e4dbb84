"""dbt inside the Dagster process: one preloaded manifest, one call per gate boundary.

A subprocess would cost 6 to 12 seconds per call, most of it start-up; in-process a call costs what
its SQL costs. The manifest is parsed only when it is missing or older than the dbt sources.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtProject
from dagster_dbt.asset_utils import get_asset_check_key_for_test

from orchestration.errors import BuildError
from orchestration.settings import DBT_PROJECT_DIR, Workspace, current_workspace, point_dbt_at
from orchestration.warehouse import connect, dbt_path, is_encrypted

#: What dbt answers for a model that `macros/kept_tables.sql` left as it was.
KEPT = "KEPT"

GROUPS = {"reference": "prepare", "staging": "prepare", "intermediate": "prepare", "rcu": "customers", "marts": "marts"}


class RcuTranslator(DagsterDbtTranslator):
    """Asset keys are `[schema, table]`; groups follow the layers; personal data is tagged."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        return dg.AssetKey([dbt_resource_props["schema"], _table(dbt_resource_props)])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        return GROUPS.get(dbt_resource_props["schema"], dbt_resource_props["schema"])

    def get_tags(self, dbt_resource_props: Mapping[str, Any]) -> Mapping[str, str]:
        columns = dbt_resource_props.get("columns", {}).values()
        metas = (column.get("meta") or column.get("config", {}).get("meta") or {} for column in columns)
        classes = {meta.get("personal") for meta in metas}
        is_personal = bool(classes & {"identity", "contact", "sensitive"})
        return {"layer": dbt_resource_props["schema"], **({"personal_data": "yes"} if is_personal else {})}

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None) -> dg.AssetSpec:
        """Without the `control` tables: declarations as tables are no step of the flow."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        return spec.replace_attributes(deps=[dep for dep in spec.deps if dep.asset_key.path[0] != "control"])

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        return ["team:customer-data"]

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        return dbt_resource_props.get("description") or ""


def _table(props: Mapping[str, Any]) -> str:
    return props.get("alias") or props.get("identifier") or props["name"]


TRANSLATOR = RcuTranslator(settings=DagsterDbtTranslatorSettings(enable_source_tests_as_checks=False))


def manifest_path(workspace: Workspace) -> Path:
    """The parsed dbt project of this workspace; parsed now if missing or older than its sources."""
    path = workspace.dbt_state / "target" / "manifest.json"
    newest = max(
        file.stat().st_mtime
        for file in DBT_PROJECT_DIR.rglob("*")
        if file.is_file() and not {"target", "logs"} & set(file.relative_to(DBT_PROJECT_DIR).parts)
    )
    if not path.exists() or path.stat().st_mtime < newest:
        outcome = _invoke(workspace, workspace.build_file, ["parse"], manifest=None)
        if not outcome.success:
            raise BuildError(f"{DBT_PROJECT_DIR.name}: dbt cannot read the project: {_one_line(outcome.exception)}")
        path.touch()
    return path


def _invoke(workspace: Workspace, build_file: Path, arguments: list[str], manifest: Any) -> Any:
    """Run one dbt command in this process and close what dbt leaves open."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    # dbt is told where an encrypted build is to be found, never the key: this handle has opened it.
    opened = connect(build_file) if is_encrypted(build_file) else None
    point_dbt_at(dbt_path(build_file))
    workspace.dbt_state.mkdir(parents=True, exist_ok=True)
    gc.freeze()  # the collection below then looks at what this call left, not at all of Dagster
    try:
        return dbtRunner(manifest=manifest).invoke(
            [
                "--quiet", "--no-use-colors", "--log-level", "none", "--log-level-file", "none",
                "--no-send-anonymous-usage-stats", "--no-version-check",
                *arguments,
                "--project-dir", str(DBT_PROJECT_DIR), "--profiles-dir", str(DBT_PROJECT_DIR),
                "--target-path", str(workspace.dbt_state / "target"), "--log-path", str(workspace.dbt_state / "logs"),
            ]
        )  # fmt: skip
    finally:
        DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
        if opened is not None:
            opened.close()
        gc.collect()
        gc.unfreeze()


_loaded: dict[tuple[str, float], Any] = {}


def _load_manifest(path: Path) -> Any:
    """The manifest as dbt itself keeps it between runs: the JSON one forgets what a generic test is."""
    from dbt.contracts.graph.manifest import Manifest

    kept = path.with_name("partial_parse.msgpack")
    key = (str(kept), kept.stat().st_mtime)
    if key not in _loaded:
        _loaded.clear()
        _loaded[key] = Manifest.from_msgpack(kept.read_bytes())
        _loaded[key].build_flat_graph()
    return _loaded[key]


@dataclass(frozen=True)
class BuiltModel:
    """A model that was built, and how long it took; kept where what it is made from came out as it was."""

    asset_key: dg.AssetKey
    seconds: float
    is_kept: bool = False


@dataclass(frozen=True)
class JudgedTest:
    """A dbt test that ran, as the asset check it is in the graph."""

    check_key: dg.AssetCheckKey
    is_passed: bool
    is_warning: bool
    failing_rows: int


def build_layer(
    workspace: Workspace, build_file: Path, manifest_file: Path, tag: str, names: Sequence[str] | None = None
) -> Iterator[BuiltModel | JudgedTest]:
    """Build and test the models of one tag, or of it only `names`; yield one result per model and test.

    Raises dg.Failure naming the models and tests that failed, after every result has been yielded.
    """
    outcome = _invoke(
        workspace,
        build_file,
        ["build", "--select", *([f"tag:{tag}"] if names is None else names), "--exclude-resource-type", "unit_test",
         "--indirect-selection", "buildable" if names is None else "empty"],
        manifest=_load_manifest(manifest_file),
    )  # fmt: skip
    if outcome.exception is not None:
        raise dg.Failure(description=f"dbt could not build {tag}: {_one_line(outcome.exception)}", allow_retries=False)
    manifest = json.loads(manifest_file.read_text(encoding="utf-8"))
    failures = []
    for result in outcome.result.results:
        node, status = result.node, str(result.status)
        if node.resource_type in ("model", "seed"):
            if status == "success":
                is_kept = str(result.message) == KEPT
                yield BuiltModel(dg.AssetKey([node.schema, node.alias]), round(result.execution_time, 3), is_kept)
            else:
                failures.append(f"{node.original_file_path}: {node.name} {status}: {_one_line(result.message)}")
        elif node.resource_type == "test":
            key = get_asset_check_key_for_test(manifest, TRANSLATOR, node.unique_id, None)
            if key is not None:
                yield JudgedTest(key, status == "pass", status == "warn", int(result.failures or 0))
            if status not in ("pass", "warn", "skipped"):
                failures.append(f"{node.original_file_path}: test {node.name} {status}: {_one_line(result.message)}")
    if failures:
        raise dg.Failure(description="; ".join(failures[:5]), allow_retries=False)


def _one_line(message: object) -> str:
    return " ".join(str(message).split())[:400]


if __name__ == "__main__":  # `make setup` parses once, so that the first run does not
    manifest_path(current_workspace())
