"""Deliveries to a real SFTP server on loopback (paramiko's, which speaks the protocol of OpenSSH)."""

from __future__ import annotations

import datetime as dt
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paramiko
import pytest

from orchestration import activation
from orchestration.contracts.subject import Subject
from tests.unit.activation.conftest import Shop, declare

PASSWORD = "only for tests"


class Files(paramiko.SFTPServerInterface):
    """A folder. `most_bytes`: writing more to one file fails as on a full disk."""

    root: Path
    most_bytes: int | None = None
    has_posix_rename = True

    def place(self, path: str) -> Path:
        return self.root / self.canonicalize(path).lstrip("/")

    def stat(self, path: str) -> Any:
        try:
            return paramiko.SFTPAttributes.from_stat(self.place(path).stat())
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)

    lstat = stat

    def open(self, path: str, flags: int, attr: Any) -> Any:
        try:
            handle = os.open(self.place(path), flags, 0o600)
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)
        served = Handle(flags)
        served.most_bytes = self.most_bytes
        served.readfile = served.writefile = os.fdopen(handle, "wb")
        return served

    def rename(self, old: str, new: str) -> int:
        if self.place(new).exists():
            return paramiko.SFTP_FAILURE
        self.place(old).rename(self.place(new))
        return paramiko.SFTP_OK

    def posix_rename(self, old: str, new: str) -> int:
        if not self.has_posix_rename:
            return paramiko.SFTP_OP_UNSUPPORTED
        self.place(old).replace(self.place(new))
        return paramiko.SFTP_OK

    def remove(self, path: str) -> int:
        try:
            self.place(path).unlink()
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)
        return paramiko.SFTP_OK


class Handle(paramiko.SFTPHandle):
    most_bytes: int | None = None

    def write(self, offset: int, data: bytes) -> int:
        if self.most_bytes is not None and offset + len(data) > self.most_bytes:
            return paramiko.SFTP_FAILURE
        return super().write(offset, data)

    def stat(self) -> Any:
        return paramiko.SFTPAttributes.from_stat(os.fstat(self.writefile.fileno()))


class Door(paramiko.ServerInterface):
    def check_auth_password(self, username: str, password: str) -> int:
        is_known = (username, password) == ("rcu", PASSWORD)
        return paramiko.AUTH_SUCCESSFUL if is_known else paramiko.AUTH_FAILED

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.AUTH_SUCCESSFUL if key == self.known else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    known: paramiko.PKey | None = None


@dataclass
class Server:
    folder: Path
    host_key: paramiko.PKey
    port: int = 0
    files: type[Files] = field(default_factory=lambda: type("Folder", (Files,), {}))
    door: type[Door] = field(default_factory=lambda: type("OwnDoor", (Door,), {}))

    def declared(self, **keys: Any) -> dict[str, Any]:
        public = f"{self.host_key.get_name()} {self.host_key.get_base64()}"
        return {"sftp": {"host": "127.0.0.1", "port": self.port, "user": "rcu", "host_key": public, "timeout_seconds": 10,
                         **({} if "key" in keys else {"password": "env:RCU_TEST_SFTP"}), **keys}}  # fmt: skip


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("RCU_TEST_SFTP", PASSWORD)
    folder = tmp_path / "served" / "inbox"
    folder.mkdir(parents=True)
    made = Server(folder, paramiko.ECDSAKey.generate())
    made.files.root = folder.parent
    listening = socket.create_server(("127.0.0.1", 0))
    made.port = listening.getsockname()[1]
    transports: list[paramiko.Transport] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transports.append(transport)
            transport.add_server_key(made.host_key)
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, made.files)
            try:
                transport.start_server(server=made.door())
            except (paramiko.SSHException, EOFError):
                continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield made
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    for transport in transports:
        transport.close()
    thread.join(5)


def test_files_arrive_whole_under_their_own_names(shop: Shop, server: Server) -> None:
    published = shop.publish()
    (outcome,) = shop.send(published, declare(deliver=server.declared(path="inbox")))
    assert outcome.status == "delivered", outcome.message
    assert sorted(path.name for path in server.folder.iterdir()) == [
        "letter-20260331-0001-full.csv", "letter-20260331-0001.manifest.json",
    ]  # fmt: skip
    shop.send(published, declare("local"))
    (here,) = [path for path in shop.exports("local") if path.suffix == ".csv"]
    assert (server.folder / "letter-20260331-0001-full.csv").read_bytes() == here.read_bytes()
    assert not list((shop.workspace.build / "activation").glob("*"))


@pytest.mark.parametrize("has_posix_rename", [True, False])
def test_a_repeated_delivery_takes_the_place_of_the_first(shop: Shop, server: Server, has_posix_rename: bool) -> None:
    server.files.has_posix_rename = has_posix_rename
    published, declared = shop.publish(), declare(deliver=server.declared(path="inbox"))
    shop.send(published, declared)
    before = {path.name: path.read_bytes() for path in server.folder.iterdir()}
    (outcome,) = shop.send(published, declared, again=True)
    assert outcome.status == "delivered", outcome.message
    assert {path.name: path.read_bytes() for path in server.folder.iterdir()} == before


def test_a_key_in_a_file_opens_the_door(shop: Shop, server: Server, tmp_path: Path) -> None:
    own = paramiko.RSAKey.generate(2048)
    server.door.known = own
    file = tmp_path / "id"
    own.write_private_key_file(str(file))
    file.chmod(0o600)
    (outcome,) = shop.send(shop.publish(), declare(deliver=server.declared(path="inbox", key=f"file:{file}")))
    assert outcome.status == "delivered", outcome.message
    file.chmod(0o644)
    (outcome,) = shop.send(
        shop.publish("20260331-0002"), declare(deliver=server.declared(path="inbox", key=f"file:{file}"))
    )
    assert "can be read by others" in outcome.message


def test_a_server_that_shows_another_key_gets_nothing(shop: Shop, server: Server) -> None:
    declared = declare(deliver=server.declared(path="inbox"))
    server.host_key = paramiko.ECDSAKey.generate()
    (outcome,) = shop.send(shop.publish(), declared)
    assert outcome.status == "failed"
    assert "shows another key than host_key; nothing was sent" in outcome.message
    assert list(server.folder.iterdir()) == []


def test_a_wrong_password_is_told_without_the_password(shop: Shop, server: Server, monkeypatch) -> None:
    monkeypatch.setenv("RCU_TEST_SFTP", "quite another")
    (outcome,) = shop.send(shop.publish(), declare(deliver=server.declared(path="inbox")))
    assert "it refused the login" in outcome.message
    assert "quite another" not in outcome.message


def test_a_disk_that_is_full_over_there_leaves_nothing_there(shop: Shop, server: Server) -> None:
    server.files.most_bytes = 60
    published, declared = shop.publish(), declare(deliver=server.declared(path="inbox"))
    (outcome,) = shop.send(published, declared)
    assert outcome.status == "failed"
    assert list(server.folder.iterdir()) == []
    server.files.most_bytes = None
    assert shop.send(published, declared)[0].status == "delivered"


def test_a_server_that_is_not_there_is_a_clear_error(shop: Shop, server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (outcome,) = shop.send(shop.publish(), declare(deliver=server.declared(port=port)))
    assert "cannot be reached" in outcome.message


def test_an_erased_person_is_told_the_way_they_went(shop: Shop, server: Server) -> None:
    letter = declare(columns=["customer_id", "email"], deliver=server.declared(path="inbox"))
    shop.send(shop.publish(), letter)
    anne = Subject(customer_ids=frozenset({"c01"}))
    activation.erase(shop.workspace, anne, request_id="R-1", on=dt.date(2026, 4, 2))
    (server.folder / "erase-letter-2026-04-02-R-1.jsonl").mkdir()
    assert activation.send_removals(shop.workspace, {"letter": letter}).sent == 0, "it was not taken"
    (server.folder / "erase-letter-2026-04-02-R-1.jsonl").rmdir()
    assert activation.send_removals(shop.workspace, {"letter": letter}) == activation.RemovalsSent(1)
    text = next(server.folder.glob("erase-letter-*.jsonl")).read_text(encoding="utf-8")
    assert '"c01"' in text and "eleonore.martin" not in text and text.count("\n") == 1
    assert len(list(server.folder.glob("erase-letter-*.manifest.json"))) == 1
