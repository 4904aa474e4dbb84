"""The nginx example of docs/guide/security.md, started on loopback before a page of our own."""

from __future__ import annotations

import base64
import http.client
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[3] / "docs" / "examples" / "nginx" / "rcu.conf"
NGINX = shutil.which("nginx") or next((p for p in ("/usr/sbin/nginx",) if Path(p).exists()), None)
OPENSSL = shutil.which("openssl")

pytestmark = pytest.mark.skipif(
    not (NGINX and OPENSSL), reason="nginx and openssl are not installed (apt-get install nginx openssl)"
)


class Page(BaseHTTPRequestHandler):
    """Stands for the UI: tells what it was asked."""

    def do_GET(self) -> None:
        told = f"{self.path}|{self.headers.get('Authorization')}|{self.headers.get('Upgrade')}|{self.headers.get('X-Forwarded-Proto')}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told.encode())

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Proxy:
    plain: int
    secure: int
    certificate: Path

    def get(
        self,
        path: str = "/",
        *,
        login: str | None = None,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ):
        context = ssl.create_default_context(cafile=str(self.certificate))
        connection = http.client.HTTPSConnection("localhost", self.secure, context=context, timeout=20)
        sent = dict(headers or {})
        if login:
            sent["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
        connection.request("POST" if body else "GET", path, body=body, headers=sent)
        answer = connection.getresponse()
        return answer, answer.read().decode(errors="replace")


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("nginx")
    ui = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=ui.serve_forever, daemon=True).start()
    certificate, key, users = folder / "certificate.pem", folder / "certificate.key", folder / "users"
    subprocess.run(
        [str(OPENSSL), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    hashed = subprocess.run(
        [str(OPENSSL), "passwd", "-apr1", "open sesame"], check=True, capture_output=True, text=True
    )
    users.write_text(f"anne:{hashed.stdout}", encoding="ascii")
    plain, secure = free_port(), free_port()
    text = EXAMPLE.read_text(encoding="utf-8")
    for old, new in (
        ("rcu.example.org", "localhost"),
        ("listen 80;", f"listen 127.0.0.1:{plain};"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{secure} ssl;"),
        ("127.0.0.1:3000", f"127.0.0.1:{ui.server_port}"),
        ("/etc/nginx/rcu/", f"{folder}/"),
    ):
        assert old in text, f"the example no longer says {old}"
        text = text.replace(old, new)
    user = "user root;" if os.geteuid() == 0 else ""
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"{user} daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ access_log off; {temporary}\n{text}\n}}\n",
        encoding="utf-8",
    )
    server = subprocess.Popen(
        [str(NGINX), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        for _ in range(200):
            assert server.poll() is None, server.stderr.read().decode()  # type: ignore[union-attr]
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", secure)) == 0:
                    break
            time.sleep(0.05)
        yield Proxy(plain, secure, certificate)
    finally:
        server.terminate()
        server.wait(timeout=20)
        ui.shutdown()


def test_nothing_is_shown_without_the_password(proxy: Proxy) -> None:
    for login in (None, "anne:wrong", "bob:open sesame"):
        answer, text = proxy.get("/runs", login=login)
        assert answer.status == 401
        assert "/runs|" not in text


def test_with_the_password_the_ui_answers_and_never_sees_it(proxy: Proxy) -> None:
    answer, text = proxy.get("/runs?cursor=1", login="anne:open sesame")
    assert answer.status == 200
    assert text == "/runs?cursor=1|None|None|https"


def test_plain_http_is_sent_to_https(proxy: Proxy) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.plain, timeout=20)
    connection.request("GET", "/runs", headers={"Host": "localhost"})
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Location")) == (301, "https://localhost/runs")


def test_live_pages_get_their_websocket(proxy: Proxy) -> None:
    _, text = proxy.get("/graphql", login="anne:open sesame", headers={"Upgrade": "websocket", "Connection": "Upgrade"})
    assert "|websocket|" in text


def test_other_sites_cannot_frame_it_and_browsers_are_told_to_stay_on_https(proxy: Proxy) -> None:
    answer, _ = proxy.get("/", login="anne:open sesame")
    assert answer.getheader("X-Frame-Options") == "SAMEORIGIN"
    assert answer.getheader("Strict-Transport-Security")
    assert "nginx/" not in (answer.getheader("Server") or "")


def test_large_requests_are_refused(proxy: Proxy) -> None:
    answer, _ = proxy.get("/graphql", login="anne:open sesame", body=b"x" * (2 << 20))
    assert answer.status == 413


def test_old_tls_is_refused(proxy: Proxy) -> None:
    done = subprocess.run(
        [str(OPENSSL), "s_client", "-connect", f"127.0.0.1:{proxy.secure}", "-tls1_1"],
        input=b"", capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode != 0
