"""The key file: a rotation that loses nobody, a wrong key that is found out, and no key where it can be seen."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import secrets
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestration import protection, suppression
from orchestration.cli import cli
from orchestration.errors import UsageError
from orchestration.settings import Workspace

DAY = dt.date(2026, 4, 1)
PEOPLE = [f"person{n}@exemple.example" for n in range(5)]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "data").mkdir()
    return Workspace(tmp_path)


def object_to(workspace: Workspace, address: str) -> None:
    suppression.add_objections(workspace, {"email": {address}}, since_on=DAY, request_id=f"R-{address}")


def on_the_list(workspace: Workspace) -> set[str]:
    return set(suppression.objected_among(workspace, "email", [*PEOPLE, "nobody@exemple.example"]))


def lines(workspace: Workspace) -> list[str]:
    return [line for line in workspace.key_file.read_text(encoding="ascii").splitlines() if not line.startswith("#")]


def test_a_subkey_is_hkdf_as_rfc_5869_writes_it(workspace: Workspace) -> None:
    (key,) = protection.keys(workspace)
    extracted = hmac.digest(bytes(32), key.secret, hashlib.sha256)
    assert key.subkey("suppression") == hmac.digest(extracted, b"rcu/suppression\x01", hashlib.sha256)


def test_everybody_who_said_no_is_known_after_each_of_many_rotations(workspace: Workspace) -> None:
    for number, address in enumerate(PEOPLE):
        object_to(workspace, address)
        protection.rotate(workspace)
        assert on_the_list(workspace) == set(PEOPLE[: number + 1])
    assert [line.split()[0] for line in lines(workspace)] == ["k1", "k2", "k3", "k4", "k5", "k6"]
    assert len({line.split()[1] for line in lines(workspace)}) == 6
    assert suppression.entries_by_key(workspace) == dict.fromkeys(("k1", "k2", "k3", "k4", "k5"), 1)
    assert workspace.key_file.stat().st_mode & 0o777 == 0o600


def test_a_token_made_before_a_rotation_is_read_after_it(workspace: Workspace) -> None:
    told = protection.Unsubscription("c1", PEOPLE[0], "email", "marketing", DAY, DAY + dt.timedelta(days=30))
    token = protection.unsubscribe_token(protection.current_key(workspace), told)
    protection.rotate(workspace)
    assert protection.read_unsubscribe_token(protection.keys(workspace), token, on=DAY) == told


def test_another_key_of_the_same_name_is_refused_in_one_line(workspace: Workspace) -> None:
    object_to(workspace, PEOPLE[0])
    workspace.key_file.write_text(f"k1 {secrets.token_hex(32)}\n", encoding="ascii")
    for ask in (lambda: on_the_list(workspace), lambda: protection.current_key(workspace)):
        with pytest.raises(UsageError, match=r"key k1 is not the one .* backup") as told:
            ask()
        assert "\n" not in str(told.value)


def test_a_key_file_that_is_gone_is_not_made_anew(workspace: Workspace) -> None:
    object_to(workspace, PEOPLE[0])
    kept = workspace.key_file.read_bytes()
    workspace.key_file.unlink()
    with pytest.raises(UsageError, match=r"the key file is gone.*k1"):
        protection.keys(workspace)
    assert not workspace.key_file.exists()
    workspace.key_file.write_bytes(kept)
    workspace.key_file.chmod(0o600)
    assert on_the_list(workspace) == {PEOPLE[0]}


@pytest.mark.parametrize(
    ("text", "why"),
    [("k1 zz\n", "this line is no key"), ("", "holds no key"), ("clé\n", "holds no key"),
     ("k1 " + "ab" * 32 + "\nk1 " + "cd" * 32 + "\n", "stands here twice"), ("k.1 " + "ab" * 32 + "\n", "no key")],
)  # fmt: skip
def test_a_file_that_is_no_key_file_is_refused(workspace: Workspace, text: str, why: str) -> None:
    workspace.key_file.parent.mkdir()
    workspace.key_file.write_text(text, encoding="utf-8")
    workspace.key_file.chmod(0o600)
    with pytest.raises(UsageError, match=why):
        protection.keys(workspace)


def test_a_key_that_others_can_read_is_refused(workspace: Workspace) -> None:
    protection.keys(workspace)
    workspace.key_file.chmod(0o640)
    with pytest.raises(UsageError, match="chmod 600"):
        protection.keys(workspace)


def test_the_commands_show_places_and_never_a_key(workspace: Workspace, project: Path) -> None:
    shutil.copytree(project / "declarations", workspace.declarations)
    with (workspace.declarations / "company.yml").open("a", encoding="utf-8") as file:
        file.write("access: {roles: [aggregate], encrypted: true}\n")
    run = CliRunner()
    shown = ""
    for arguments in (["show"], ["rotate", "--yes"], ["role", "aggregate"], ["show", "--json"], ["show"]):
        done = run.invoke(cli, ["--workspace", str(workspace.root), "keys", *arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        shown += done.output
    role_file = workspace.key_file.parent / "roles" / "aggregate.key"
    assert role_file.stat().st_mode & 0o777 == 0o600
    secrets_of = [line.split()[1] for line in lines(workspace)] + [role_file.read_text(encoding="ascii").strip()]
    assert len(secrets_of) == 3
    assert str(role_file) in shown.replace("\n", "")
    everything = shown.encode() + b"".join(p.read_bytes() for p in workspace.data.rglob("*") if p.is_file())
    assert not [secret for secret in secrets_of if secret[:16].encode() in everything]
