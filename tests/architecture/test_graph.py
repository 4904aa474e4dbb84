"""What the asset graph promises: nothing declared is lost on the way to Dagster."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from orchestration.contracts.catalogue import load_catalogue
from orchestration.definitions import build_definitions
from orchestration.defs.gates import asset_of
from orchestration.settings import Workspace

SOURCE = """\
source: stand_visits
describes: Visitors who left their card at a fair
trust_rank: 9
delivery: delta
file: {pattern: "stand_{date}.csv", delimiter: ";"}
delivers:
  customer:
    key: ID
    columns:
      last_name: {from: NOM, required: true}
      email: {from: MAIL}
"""

SEGMENT = """\
segment: lives_in_lyon
label: {en: Lives in Lyon, fr: Habite Lyon}
objective: invite them to the opening of the shop
where:
  all:
    - {field: city, equals: LYON}
"""

ACTIVATION = """\
activation: letters_to_lyon
label: {en: Letters to Lyon, fr: Lettres à Lyon}
objective: the invitation to the opening
audience: {segment: lives_in_lyon}
format: csv
channel: post
columns: [first_name, last_name, address_line, postal_code, city]
"""


@pytest.fixture(scope="module")
def workspace(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("graph")
    shutil.copytree(project / "declarations", root / "declarations")
    (root / "declarations" / "sources" / "stand_visits.yml").write_text(SOURCE, encoding="utf-8")
    (root / "declarations" / "segments" / "lives_in_lyon.yml").write_text(SEGMENT, encoding="utf-8")
    (root / "declarations" / "activations" / "letters_to_lyon.yml").write_text(ACTIVATION, encoding="utf-8")
    return Workspace(root)


@pytest.fixture(scope="module")
def graph(workspace: Workspace):
    return build_definitions(workspace).resolve_asset_graph()


def test_one_yaml_makes_a_source_appear(graph) -> None:
    assert "sources/stand_visits" in {key.to_user_string() for key in graph.materializable_asset_keys}


def test_one_yaml_makes_a_segment_appear(graph) -> None:
    assert "segment/lives_in_lyon" in {key.to_user_string() for key in graph.materializable_asset_keys}


def test_one_yaml_makes_an_activation_appear_after_the_publication_with_a_check(graph) -> None:
    (key,) = [key for key in graph.materializable_asset_keys if key.path == ["activation", "letters_to_lyon"]]
    assert {parent.to_user_string() for parent in graph.get(key).parent_keys} == {"published/rcu"}
    assert ("activation/letters_to_lyon", "arrived") in {
        (check.asset_key.to_user_string(), check.name) for check in graph.asset_check_keys
    }


def test_every_check_names_an_existing_asset(graph) -> None:
    made = graph.materializable_asset_keys
    lost = [key for key in graph.asset_check_keys if key.asset_key not in made]
    assert lost == []
    assert len(graph.asset_check_keys) > 50


def test_every_declared_gate_check_is_in_the_graph_and_errors_block(graph, workspace: Workspace) -> None:
    in_graph = {(key.asset_key.to_user_string(), key.name) for key in graph.asset_check_keys}
    for gate in load_catalogue(workspace.declarations).gates.values():
        for check in gate.checks:
            assert (asset_of(gate, check.table).to_user_string(), check.name) in in_graph


def test_every_asset_has_a_group_an_owner_a_kind_and_a_description(graph) -> None:
    poor = []
    for key in sorted(graph.materializable_asset_keys):
        node = graph.get(key)
        if not (node.group_name and node.group_name != "default" and node.owners and node.kinds and node.description):
            poor.append(key.to_user_string())
    assert poor == []


def test_every_published_column_says_whether_it_is_personal(workspace: Workspace) -> None:
    manifest = json.loads((workspace.dbt_state / "target" / "manifest.json").read_text(encoding="utf-8"))
    models = [
        n for n in manifest["nodes"].values() if n["resource_type"] == "model" and n["schema"] in ("rcu", "marts")
    ]
    assert len(models) > 15
    classes = {"identity", "contact", "reference", "trait", "sensitive", "none"}
    unclassified = [
        f"{model['schema']}.{model['name']}.{column['name']}"
        for model in models
        for column in model["columns"].values()
        if (column.get("meta") or column.get("config", {}).get("meta") or {}).get("personal") not in classes
    ]
    assert unclassified == []


def test_every_published_model_enforces_its_contract(workspace: Workspace) -> None:
    manifest = json.loads((workspace.dbt_state / "target" / "manifest.json").read_text(encoding="utf-8"))
    loose = [
        f"{n['schema']}.{n['name']}"
        for n in manifest["nodes"].values()
        if n["resource_type"] == "model" and n["schema"] in ("rcu", "marts") and not n["config"]["contract"]["enforced"]
    ]
    assert loose == []
