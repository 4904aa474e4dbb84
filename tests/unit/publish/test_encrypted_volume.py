"""The recipe of docs/adr/0007: a workspace's data on a gocryptfs volume. What a run needs works there, and what
lies on the disk tells nothing."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestration.errors import BusyError
from orchestration.publish.publications import move_pointer, pointed_version, remove_folder
from orchestration.settings import Workspace
from orchestration.warehouse import connect, run_lock

GOCRYPTFS, UNMOUNT = shutil.which("gocryptfs"), shutil.which("fusermount")

pytestmark = pytest.mark.skipif(
    not (GOCRYPTFS and UNMOUNT and os.access("/dev/fuse", os.R_OK | os.W_OK)),
    reason="gocryptfs, fuse or /dev/fuse is not there (apt-get install gocryptfs fuse)",
)

NAME = "Philomène Trouvenot"


@dataclass(frozen=True)
class Volume:
    workspace: Workspace
    cipher: Path


def mount(cipher: Path, key: Path, workspace: Workspace) -> int:
    """Mount the volume on the data folder. Its daemon stays: it must hold none of our pipes."""
    return subprocess.run(
        [str(GOCRYPTFS), "-q", "-nosyslog", "-passfile", str(key), str(cipher), str(workspace.data)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60, check=False,
    ).returncode  # fmt: skip


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Volume]:
    cipher, key, workspace = tmp_path / "cipher", tmp_path / "volume.key", Workspace(tmp_path / "shop")
    cipher.mkdir()
    workspace.data.mkdir(parents=True)
    key.touch(mode=0o600)
    key.write_text(secrets.token_hex(32), encoding="ascii")
    subprocess.run(
        [str(GOCRYPTFS), "-init", "-q", "-passfile", str(key), str(cipher)], check=True, stdout=subprocess.DEVNULL
    )
    if mount(cipher, key, workspace) != 0:
        pytest.skip("this machine does not let us mount")
    try:
        yield Volume(workspace, cipher)
    finally:
        subprocess.run([str(UNMOUNT), "-u", str(workspace.data)], check=True, capture_output=True)


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() + path.name.encode() for path in sorted(folder.rglob("*")) if path.is_file())


def test_a_build_a_lock_a_sealed_folder_and_the_pointer_work_and_nothing_is_on_the_disk(volume: Volume) -> None:
    workspace = volume.workspace
    workspace.prepare()
    with run_lock(workspace, "test"), pytest.raises(BusyError), run_lock(workspace, "another"):
        pass
    connection = connect(workspace.build_file)
    connection.execute(f"create table people as select '{NAME}' || i as name from range(50000) as t(i)")
    connection.execute(
        f"copy people to '{workspace.landing}/people.parquet' (format parquet, compression uncompressed)"
    )
    connection.close()
    sealed = workspace.published / "rcu-20260331-0001"
    sealed.mkdir()
    (sealed / "manifest.json").write_text("{}", encoding="utf-8")
    shutil.copy(workspace.build_file, sealed / "rcu.duckdb")
    for file in sealed.iterdir():
        file.chmod(0o440)
    sealed.chmod(0o550)
    move_pointer(workspace, "20260331-0001")
    assert pointed_version(workspace) == "20260331-0001"
    reader = connect(workspace.published / "current" / "rcu.duckdb", read_only=True)
    assert reader.execute("select count(*) from people").fetchone() == (50000,)
    reader.close()
    first = NAME.split()[0].encode()
    assert first in everything(workspace.data), "the search finds the person in the clear"
    assert first not in everything(volume.cipher)
    assert b"people.parquet" not in everything(volume.cipher)
    remove_folder(sealed)


def test_the_folder_is_empty_when_the_volume_is_not_mounted(volume: Volume) -> None:
    (volume.workspace.data / "note.txt").write_text(NAME, encoding="utf-8")
    subprocess.run([str(UNMOUNT), "-u", str(volume.workspace.data)], check=True, capture_output=True)
    try:
        assert list(volume.workspace.data.iterdir()) == []
    finally:
        assert mount(volume.cipher, volume.cipher.parent / "volume.key", volume.workspace) == 0
    assert (volume.workspace.data / "note.txt").read_text(encoding="utf-8") == NAME
