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
from typing import TYPE_CHECKING

import pytest

from tests.pipeline.workspaces import Shop, environment, new_shop

if TYPE_CHECKING:
    from playwright.sync_api import Page

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


def wait_for_runs(url: str, count: int, seconds: int = 400) -> set[str]:
    """Wait until `count` runs have ended; returns how they ended."""
    deadline = time.monotonic() + seconds
    statuses: list[str] = []
    while time.monotonic() < deadline:
        told = ask(url, "{ runsOrError { ... on Runs { results { status } } } }")
        statuses = [run["status"] for run in told["runsOrError"]["results"]]
        ended = [status for status in statuses if status in ("SUCCESS", "FAILURE", "CANCELED")]
        if len(ended) >= count and len(ended) == len(statuses):
            return set(ended)
        time.sleep(2)
    return {*statuses, "not all ended in time"}


@pytest.fixture(scope="module")
def page(ui: str) -> Iterator[Page]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
                  "--disable-component-update", "--disable-sync", "--no-first-run"],
        )  # fmt: skip
        yield browser.new_page(viewport={"width": 1600, "height": 1000})
        browser.close()


def test_a_run_launched_in_the_ui_for_the_latest_date_succeeds(ui: str, page: Page, shop: Shop) -> None:
    page.goto(f"{ui}/locations/rcu/jobs/today/playground")
    page.get_by_role("button", name="Launch Run").click(timeout=60_000)
    assert wait_for_runs(ui, 2) == {"SUCCESS"}
    assert shop.query("select count(*) from rcu.customers")[0][0] > 100
    page.goto(f"{ui}/runs")
    page.get_by_text("Success").first.wait_for(timeout=60_000)


def test_the_daily_job_launched_for_the_latest_partition_succeeds(ui: str, page: Page) -> None:
    page.goto(f"{ui}/locations/rcu/jobs/daily")
    page.get_by_role("button", name="Materialize all").click(timeout=60_000)
    page.get_by_role("button", name="Latest").click(timeout=60_000)
    page.get_by_role("dialog").get_by_role("button", name="Launch 1 run").click(timeout=60_000)
    assert wait_for_runs(ui, 3) == {"SUCCESS"}


def test_the_asset_graph_shows_every_layer(ui: str, page: Page) -> None:
    page.goto(f"{ui}/asset-groups")
    for group in ("sources", "landing", "prepare", "customers", "marts", "scores", "segments", "publication",
                  "activation"):  # fmt: skip
        page.get_by_text(group, exact=True).first.wait_for(timeout=60_000)


def test_the_ui_shows_the_schedules_and_the_inbox_sensor(ui: str) -> None:
    told = ask(ui, "{ repositoriesOrError { ... on RepositoryConnection { nodes { schedules { name } sensors { name } "
                   "jobs { name } } } } }")  # fmt: skip
    [repository] = told["repositoriesOrError"]["nodes"]
    assert {s["name"] for s in repository["schedules"]} == {"every_day", "every_sunday"}
    assert "inbox" in {s["name"] for s in repository["sensors"]}
    assert {"daily", "today", "backfill"} <= {j["name"] for j in repository["jobs"]}


def test_telemetry_is_off(ui: str, shop: Shop) -> None:
    assert "telemetry:\n  enabled: false" in (shop.data / ".dagster" / "dagster.yaml").read_text(encoding="utf-8")
    told = ask(ui, "{ instance { info } }")["instance"]["info"]
    assert "enabled: false" in told
