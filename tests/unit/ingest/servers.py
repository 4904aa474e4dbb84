"""Real servers on loopback, for as long as a test needs them: PostgreSQL, MySQL, S3, SFTP."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _postgres_programs() -> Path:
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")


@contextmanager
def postgres() -> Iterator[tuple[int, str]]:
    """(port, password) of a PostgreSQL server of its own, whose user is `rcu`."""
    programs = _postgres_programs()
    # PostgreSQL refuses to run as root, and its user must reach the folder.
    folder = Path(tempfile.mkdtemp(prefix="rcu-postgres-"))
    as_user: list[str] = []
    if os.geteuid() == 0:
        try:
            account = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        os.chown(folder, account.pw_uid, account.pw_gid)
        as_user = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    password, port = "Invented-1", free_port()
    (folder / "password").write_text(password)
    (folder / "password").chmod(0o644)
    cluster = folder / "cluster"
    try:
        subprocess.run(
            [*as_user, str(programs / "initdb"), "-D", str(cluster), "-U", "rcu", "--auth=scram-sha-256",
             "--pwfile", str(folder / "password"), "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"],
            check=True, capture_output=True, cwd=folder,
        )  # fmt: skip
        options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder} -c fsync=off"
        subprocess.run(
            [*as_user, str(programs / "pg_ctl"), "-D", str(cluster), "-l", str(folder / "log"), "-w", "-o", options, "start"],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder,
        )  # fmt: skip
        try:
            yield port, password
        finally:
            subprocess.run(
                [*as_user, str(programs / "pg_ctl"), "-D", str(cluster), "-m", "immediate", "-w", "stop"],
                check=False, capture_output=True, cwd=folder,
            )  # fmt: skip
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def mysql(statements: str) -> Iterator[tuple[int, str]]:
    """(port, password) of a MariaDB or MySQL server of its own, whose user is `rcu`, after some statements."""
    programs = {name: shutil.which(name) for name in ("mariadbd", "mariadb-install-db", "mariadb")}
    if not all(programs.values()):
        pytest.skip("MariaDB is not installed (apt-get install mariadb-server)")
    folder = Path(tempfile.mkdtemp(prefix="rcu-mysql-"))
    port, password = free_port(), "Invented-3"
    data, socket_at = folder / "data", folder / "socket"
    account = "root" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    server: subprocess.Popen[bytes] | None = None
    try:
        subprocess.run(
            [str(programs["mariadb-install-db"]), "--no-defaults", f"--datadir={data}", f"--user={account}",
             "--auth-root-authentication-method=normal", "--skip-test-db"],
            check=True, capture_output=True,
        )  # fmt: skip
        server = subprocess.Popen(
            [str(programs["mariadbd"]), "--no-defaults", f"--datadir={data}", f"--user={account}", f"--port={port}",
             "--bind-address=127.0.0.1", f"--socket={socket_at}", f"--pid-file={folder / 'pid'}", "--skip-log-bin",
             "--innodb-flush-log-at-trx-commit=0", f"--log-error={folder / 'log'}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        client = [
            str(programs["mariadb"]),
            "--no-defaults",
            "--default-character-set=utf8mb4",
            f"--socket={socket_at}",
            "-u",
            "root",
        ]
        for _ in range(600):
            if server.poll() is not None:
                pytest.skip("MariaDB does not start here")
            if subprocess.run([*client, "-e", "select 1"], capture_output=True, check=False).returncode == 0:
                break
            threading.Event().wait(0.1)
        grant = f"create user rcu@'127.0.0.1' identified by '{password}'; grant select on *.* to rcu@'127.0.0.1';"
        subprocess.run(client, input=(statements + grant).encode(), check=True, capture_output=True)
        yield port, password
    finally:
        if server is not None and server.poll() is None:
            server.terminate()
            server.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def s3() -> Iterator[str]:
    """The endpoint of an S3 server."""
    server = pytest.importorskip("moto.server", reason="moto is not installed").ThreadedMotoServer(
        ip_address="127.0.0.1", port=0, verbose=False
    )
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@contextmanager
def sftp(root: Path, user: str, password: str) -> Iterator[tuple[int, str]]:
    """(port, host key as ssh-keyscan prints it) of an SFTP server that shows `root`."""
    paramiko = pytest.importorskip("paramiko", reason="paramiko is not installed")
    host_key = paramiko.RSAKey.generate(2048)

    class Door(paramiko.ServerInterface):
        def check_auth_password(self, username: str, given: str) -> int:
            is_known = (username, given) == (user, password)
            return int(paramiko.AUTH_SUCCESSFUL if is_known else paramiko.AUTH_FAILED)

        def check_channel_request(self, kind: str, chanid: int) -> int:
            return int(paramiko.OPEN_SUCCEEDED)

        def get_allowed_auths(self, username: str) -> str:
            return "password"

    class Files(paramiko.SFTPServerInterface):
        def _real(self, path: str) -> Path:
            return root / self.canonicalize(path).lstrip("/")

        def list_folder(self, path: str) -> Any:
            return [self._told(entry) for entry in sorted(self._real(path).iterdir())]

        def _told(self, entry: Path) -> Any:
            told = paramiko.SFTPAttributes.from_stat(entry.stat())
            told.filename = entry.name
            return told

        def stat(self, path: str) -> Any:
            real = self._real(path)
            return paramiko.SFTPAttributes.from_stat(real.stat()) if real.exists() else paramiko.SFTP_NO_SUCH_FILE

        lstat = stat

        def open(self, path: str, flags: int, attr: Any) -> Any:
            handle = paramiko.SFTPHandle(flags)
            handle.readfile = self._real(path).open("rb")
            return handle

    listener = socket.create_server(("127.0.0.1", 0))
    transports: list[Any] = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                transport = paramiko.Transport(connection)
                transports.append(transport)
                transport.add_server_key(host_key)
                transport.set_subsystem_handler("sftp", paramiko.SFTPServer, Files)
                with suppress(paramiko.SSHException, EOFError):
                    transport.start_server(server=Door())

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1], f"{host_key.get_name()} {host_key.get_base64()}"
    finally:
        listener.close()
        for transport in transports:
            transport.close()
