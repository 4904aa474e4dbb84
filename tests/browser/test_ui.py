"""The Dagster UI as a data engineer uses it: open, look, launch, see it succeed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.workspaces import Shop, environment, new_shop

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (on Debian: apt-get install chromium)"),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(url: str, query: str) -> dict:
    request = urllib.request.Request(
        f"{url}/graphql", json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)["data"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    shop = new_shop(tmp_path_factory.mktemp("ui"))
    shop.rcu("samples", "--customers", "200", "--seed", "11")
    return shop


@pytest.fixture(scope="module")
def ui(shop: Shop) -> Iterator[str]:
    """`rcu ui` on a free port of the loopback, ended with all its children by process id."""
    port = free_port()
    log = (shop.root / "ui.log").open("w", encoding="utf-8")
    server = subprocess.Popen(
        shop.command("ui", "--port", str(port)), stdout=log, stderr=log, env=environment(), start_new_session=True
    )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 180
        while True:
            try:
                if ask(url, "{ workspaceOrError { ... on Workspace { locationEntries { loadStatus } } } }"):
                    break
            except OSError:
                told = (shop.root / "ui.log").read_text(encoding="utf-8")[-3000:]
                assert server.poll() is None, f"the server ended\n{told}"
                assert time.monotonic() < deadline, f"the server did not answer\n{told}"
                time.sleep(1)
        yield url
    finally:
        os.killpg(server.pid, signal.SIGINT)
        try:
            server.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
        log.close()


def wait_for_run(url: str, seconds: int = 300) -> str:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        runs = ask(url, "{ runsOrError { ... on Runs { results { status } } } }")["runsOrError"]["results"]
        if runs and runs[0]["status"] in ("SUCCESS", "FAILURE", "CANCELED"):
            return runs[0]["status"]
        time.sleep(2)
    return "no run ended in time"


def test_the_job_launched_in_the_ui_for_the_latest_date_succeeds(ui: str, shop: Shop, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
                  "--disable-component-update", "--disable-sync", "--no-first-run"],
        )  # fmt: skip
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.goto(f"{ui}/locations/rcu/jobs/daily")
        page.get_by_role("button", name="Materialize all").click(timeout=60_000)
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("button", name="Launch run").click(timeout=60_000)
        status = wait_for_run(ui)
        page.goto(f"{ui}/runs")
        page.get_by_text("Success").first.wait_for(timeout=60_000)
        page.screenshot(path=str(tmp_path / "runs.png"))
        browser.close()
    assert status == "SUCCESS"
    assert shop.query("select count(*) from rcu.customers")[0][0] > 100


def test_the_ui_shows_the_daily_schedule_and_the_inbox_sensor(ui: str) -> None:
    told = ask(ui, "{ repositoriesOrError { ... on RepositoryConnection { nodes { schedules { name } sensors { name } "
                   "jobs { name } } } } }")  # fmt: skip
    [repository] = told["repositoriesOrError"]["nodes"]
    assert {s["name"] for s in repository["schedules"]} == {"every_day"}
    assert "inbox" in {s["name"] for s in repository["sensors"]}
    assert {"daily", "backfill"} <= {j["name"] for j in repository["jobs"]}


def test_telemetry_is_off(ui: str, shop: Shop) -> None:
    assert "telemetry:\n  enabled: false" in (shop.data / ".dagster" / "dagster.yaml").read_text(encoding="utf-8")
    told = ask(ui, "{ instance { info } }")["instance"]["info"]
    assert "enabled: false" in told
