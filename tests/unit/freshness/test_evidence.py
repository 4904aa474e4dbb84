"""From histories and signs to evidence, and from evidence to the tables that the golden record reads."""

from __future__ import annotations

import datetime as dt
import itertools
from pathlib import Path

import numpy as np
import pytest

from orchestration import registry
from orchestration.contracts.freshness import Freshness
from orchestration.freshness import estimate
from orchestration.freshness.estimate import CONTACT_CURVES
from orchestration.freshness.evidence import gather
from orchestration.freshness.survival import Evidence
from orchestration.settings import Workspace
from orchestration.warehouse import Connection, connect

TODAY = dt.date(2026, 1, 1)
YEAR = 365.25


def day(days_ago: int) -> dt.date:
    return TODAY - dt.timedelta(days=days_ago)


@pytest.fixture
def build() -> Connection:
    connection = connect()
    for schema in ("identity", "intermediate"):
        connection.execute(f"create schema {schema}")
    connection.execute(
        "create table identity.record_customers (source varchar, record_id varchar, customer_id varchar)"
    )
    connection.execute(
        "create table intermediate.int_contact_history (source varchar, record_id varchar, kind varchar, channel varchar, "
        "value varchar, moved_key varchar, said_on date, last_said_on date, until_on date)"
    )
    connection.execute(
        "create table intermediate.int_contact_signs (channel varchar, value varchar, sign varchar, is_good boolean, happened_on date)"
    )
    return connection


def record(connection: Connection, source: str, record_id: str, customer: str) -> None:
    connection.execute("insert into identity.record_customers values (?, ?, ?)", [source, record_id, customer])


def said(
    connection: Connection,
    source: str,
    record_id: str,
    kind: str,
    value: str,
    first: int,
    last: int,
    until: int | None = None,
) -> None:
    channel = {"mobile": "phone", "landline": "phone"}.get(kind, kind)
    connection.execute(
        "insert into intermediate.int_contact_history values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [source, record_id, kind, channel, value, value, day(first), day(last), None if until is None else day(until)],
    )


def sign(connection: Connection, channel: str, value: str, name: str, days_ago: int) -> None:
    is_good = name in ("click", "delivery", "purchase", "call", "survey")
    connection.execute(
        "insert into intermediate.int_contact_signs values (?, ?, ?, ?, ?)",
        [channel, value, name, is_good, day(days_ago)],
    )


def told(connection: Connection, kind: str, source: str = "crm") -> Evidence:
    return gather(connection, Freshness(), (0.0, 1.0, 3.0), as_of_on=TODAY)[kind][source]


def test_silence_runs_from_the_last_proof_to_today(build: Connection) -> None:
    record(build, "crm", "1", "c1")
    said(build, "crm", "1", "email", "a@free.fr", 1000, 1000)
    sign(build, "email", "a@free.fr", "click", 400)
    found = told(build, "email")
    assert found.losses == 0
    assert found.proved == pytest.approx([365 / YEAR, (600 - 365) / YEAR, 0])
    assert found.silent == pytest.approx([365 / YEAR, (400 - 365) / YEAR, 0])


def test_a_changed_value_is_lost_between_its_last_proof_and_the_change(build: Connection) -> None:
    record(build, "crm", "1", "c1")
    said(build, "crm", "1", "email", "old@free.fr", 900, 900, until=100)
    said(build, "crm", "1", "email", "new@free.fr", 100, 100)
    sign(build, "email", "old@free.fr", "click", 500)
    found = told(build, "email")
    assert found.waits * YEAR == pytest.approx([400])
    assert found.counts.tolist() == [1]
    assert found.silent == pytest.approx([100 / YEAR, 0, 0])


def test_a_bounce_is_a_loss_and_a_later_click_takes_it_back(build: Connection) -> None:
    record(build, "crm", "1", "c1")
    record(build, "crm", "2", "c2")
    said(build, "crm", "1", "email", "dead@free.fr", 300, 300)
    said(build, "crm", "2", "email", "back@free.fr", 300, 300)
    for value in ("dead@free.fr", "back@free.fr"):
        sign(build, "email", value, "hard_bounce", 200)
    sign(build, "email", "back@free.fr", "click", 50)
    sign(build, "email", "back@free.fr", "soft_bounce", 20)
    found = told(build, "email")
    assert found.waits * YEAR == pytest.approx([100])
    assert found.silent == pytest.approx([50 / YEAR, 0, 0])


def test_a_newer_home_in_another_record_ends_the_older_one_but_a_second_mailbox_does_not(build: Connection) -> None:
    for source in ("crm", "web"):
        record(build, source, "1", "c1")
    said(build, "crm", "1", "post", "1 rue haute", 800, 800)
    said(build, "web", "1", "post", "9 rue basse", 300, 300)
    said(build, "crm", "1", "email", "a@free.fr", 800, 800)
    said(build, "web", "1", "email", "b@free.fr", 300, 300)
    assert told(build, "post").waits * YEAR == pytest.approx([500])
    assert told(build, "post", "web").losses == 0
    assert told(build, "email").losses == 0


def test_the_same_home_said_again_by_another_record_proves_it(build: Connection) -> None:
    for source in ("crm", "web"):
        record(build, source, "1", "c1")
        said(
            build, source, "1", "post", "1 rue haute", 800 if source == "crm" else 100, 800 if source == "crm" else 100
        )
    found = told(build, "post")
    assert (found.losses, found.silent[0] * YEAR) == (0, pytest.approx(100))


def test_what_is_not_known_yet_does_not_count(build: Connection) -> None:
    record(build, "crm", "1", "c1")
    said(build, "crm", "1", "email", "a@free.fr", 200, 200, until=-10)
    said(build, "crm", "1", "email", "b@free.fr", -10, -10)
    sign(build, "email", "a@free.fr", "hard_bounce", -5)
    found = told(build, "email")
    assert (found.losses, found.silent[0] * YEAR) == (0, pytest.approx(200))


def test_the_estimate_finds_the_rate_at_which_people_moved(build: Connection, tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    records, history, signs = [], [], []
    for number in range(1500):
        # once a year everybody is asked whether the address is right; the answer dates what the record says
        records.append(("crm", str(number), f"c{number}"))
        begun, home = 3650, 0
        leaves = begun - random.exponential(1 / 0.16) * YEAR
        for asked in range(3650 - 365, -1, -365):
            value = f"{number} home {home}"
            if leaves > asked:
                history.append(("crm", str(number), "post", "post", value, value, day(begun), day(begun), day(asked)))
                begun, home = asked, home + 1
                leaves = begun - random.exponential(1 / 0.16) * YEAR
            else:
                signs.append(("post", value, "delivery", True, day(asked)))
        value = f"{number} home {home}"
        history.append(("crm", str(number), "post", "post", value, value, day(begun), day(begun), None))
    build.executemany("insert into identity.record_customers values (?, ?, ?)", records)
    build.executemany("insert into intermediate.int_contact_history values (?, ?, ?, ?, ?, ?, ?, ?, ?)", history)
    build.executemany("insert into intermediate.int_contact_signs values (?, ?, ?, ?, ?)", signs)
    report = estimate(build, Workspace(tmp_path), Freshness(), as_of_on=TODAY, version="20260101-0001", run_id="r",
                      is_forward=False)  # fmt: skip
    assert report.post_yearly_loss == pytest.approx(1 - np.exp(-0.16), abs=0.012)
    assert report.email_yearly_loss == pytest.approx(0.11)


def test_a_forward_run_keeps_its_curves_in_the_registry_and_a_backfill_does_not(
    build: Connection, tmp_path: Path
) -> None:
    workspace = Workspace(tmp_path)
    workspace.prepare()
    record(build, "crm", "1", "c1")
    said(build, "crm", "1", "email", "a@free.fr", 1000, 1000)
    for is_forward in (False, True):
        estimate(
            build, workspace, Freshness(), as_of_on=TODAY, version="20260101-0001", run_id="r", is_forward=is_forward
        )
        staged = list((workspace.registry / CONTACT_CURVES.name).glob("*.parquet"))
        assert bool(staged) is is_forward
    columns = [row[0] for row in build.execute(f"describe ({registry.rows(workspace, CONTACT_CURVES)})").fetchall()]
    assert not {"customer_id", "value", "record_id"} & set(columns)


def test_curves_begin_at_one_and_every_source_and_the_whole_have_one(build: Connection, tmp_path: Path) -> None:
    record(build, "crm", "1", "c1")
    record(build, "web", "2", "c2")
    said(build, "crm", "1", "email", "a@free.fr", 1000, 1000)
    estimate(
        build, Workspace(tmp_path), Freshness(), as_of_on=TODAY, version="20260101-0001", run_id="r", is_forward=False
    )
    started = build.execute(
        "select kind, source, still_good_rate from freshness.decay where age_days = 0 order by all"
    ).fetchall()
    assert {(kind, source) for kind, source, _ in started} == {
        (kind, source) for kind in ("email", "mobile", "landline", "post") for source in ("", "crm", "web")
    }
    assert {rate for _, _, rate in started} == {1.0}
    rising = build.execute(
        "select count(*) from freshness.decay as a join freshness.decay as b on a.kind = b.kind and a.source = b.source "
        "and b.age_days = a.age_days + 1 where b.still_good_rate > a.still_good_rate"
    ).fetchone()
    assert rising == (0,)


def test_the_same_data_give_the_same_estimate_whatever_their_order(build: Connection, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    rows = [("crm", str(n), f"c{n}") for n in range(200)]
    history = [("crm", str(n), "email", "email", f"{n}@free.fr", f"{n}@free.fr", day(int(random.integers(30, 900))),
                day(20), None) for n in range(200)]  # fmt: skip
    found = []
    for order in (slice(None), slice(None, None, -1)):
        build.execute("delete from identity.record_customers")
        build.execute("delete from intermediate.int_contact_history")
        build.executemany("insert into identity.record_customers values (?, ?, ?)", rows[order])
        build.executemany(
            "insert into intermediate.int_contact_history values (?, ?, ?, ?, ?, ?, ?, ?, ?)", history[order]
        )
        estimate(
            build,
            Workspace(tmp_path),
            Freshness(),
            as_of_on=TODAY,
            version="20260101-0001",
            run_id="r",
            is_forward=False,
        )
        found.append(build.execute("select * from freshness.curves order by kind, source, band").fetchall())
    assert found[0] == found[1]


def sampled_days(connection: Connection, customers: int) -> int:
    """The days of silence that an estimate on 100 of so many customers sees: each has been silent for 300."""
    connection.execute("delete from identity.record_customers")
    connection.execute("delete from intermediate.int_contact_history")
    connection.execute(
        f"insert into identity.record_customers select 'crm', 'r' || n, 'c' || n from range({customers}) as t(n)"
    )
    connection.execute(
        "insert into intermediate.int_contact_history select source, record_id, 'email', 'email', record_id, record_id, "
        f"date '{day(300)}', date '{day(300)}', null from identity.record_customers"
    )
    found = gather(connection, Freshness(fit_on_at_most=100), (0.0,), as_of_on=TODAY)["email"]["crm"]
    return round(float(found.silent.sum()) * YEAR)


def test_a_customer_more_changes_the_sample_by_few(build: Connection) -> None:
    """A sample drawn anew for each number of customers would have others altogether."""
    sizes = [sampled_days(build, customers) / 300 for customers in range(150, 158)]
    assert all(80 <= size <= 120 for size in sizes)
    assert max(abs(after - before) for before, after in itertools.pairwise(sizes)) <= 3


@pytest.fixture
def twenty_records(build: Connection) -> Connection:
    for number in range(20):
        record(build, "crm", str(number), f"c{number}")
        said(build, "crm", str(number), "email", f"{number}@free.fr", 1000, 1000)
    return build


def run_of_the_day(build: Connection, workspace: Workspace, number: int, settings: Freshness | None = None, *,
                   refit: bool = False, on: dt.date = TODAY) -> list[tuple[object, ...]]:  # fmt: skip
    """One committed forward run; its curves and its decay."""
    version = f"{on:%Y%m%d}-{number:04d}"
    estimate(build, workspace, settings or Freshness(), as_of_on=on, version=version, run_id="r", is_forward=True,
             refit=refit)  # fmt: skip
    registry.commit_version(workspace, registry.Commit(version, on, "r", "", ""))
    curves = "select kind, source, band, hazard, losses, silent_years::varchar, hazard_high from freshness.curves"
    decay = "select kind, source, null, still_good_rate, age_days, null, null from freshness.decay"
    return build.execute(f"{curves} union all {decay} order by all").fetchall()


def test_a_later_run_of_the_day_takes_the_curves_of_the_first(twenty_records: Connection, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.prepare()
    first = run_of_the_day(twenty_records, workspace, 1)
    record(twenty_records, "crm", "20", "c20")
    said(twenty_records, "crm", "20", "email", "20@free.fr", 1000, 1000, until=900)
    assert run_of_the_day(twenty_records, workspace, 2) == first
    assert len(list((workspace.registry / CONTACT_CURVES.name).glob("*.parquet"))) == 1
    # with no build left to look at, the registry gives them back
    twenty_records.execute("drop schema freshness cascade; drop schema control cascade")
    assert run_of_the_day(twenty_records, workspace, 3) == first
    tomorrow = TODAY + dt.timedelta(days=1)
    assert run_of_the_day(twenty_records, workspace, 1, on=tomorrow) != first


@pytest.mark.parametrize("reason", ["settings", "refit", "source", "data"])
def test_it_fits_again_where_the_curves_no_longer_hold(twenty_records: Connection, tmp_path: Path, reason: str) -> None:
    workspace = Workspace(tmp_path)
    workspace.prepare()
    first = run_of_the_day(twenty_records, workspace, 1)
    record(twenty_records, "web" if reason == "source" else "crm", "20", "c20")
    said(twenty_records, "crm", "20", "email", "20@free.fr", 1000, 1000, until=900)
    for number in range(21, 24) if reason == "data" else ():
        record(twenty_records, "crm", str(number), f"c{number}")
    settings = Freshness(prior_losses=5.0) if reason == "settings" else None
    again = run_of_the_day(twenty_records, workspace, 2, settings, refit=reason == "refit")
    assert again != first
    assert run_of_the_day(twenty_records, workspace, 3, settings) == again


def test_the_bound_of_doubt_is_no_reason_to_fit(twenty_records: Connection, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.prepare()
    first = run_of_the_day(twenty_records, workspace, 1)
    said(twenty_records, "crm", "0", "email", "new@free.fr", 10, 10)
    assert run_of_the_day(twenty_records, workspace, 2, Freshness(doubtful_below=0.4)) == first
