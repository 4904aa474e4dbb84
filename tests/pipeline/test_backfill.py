"""Going back over past days gives what the daily runs gave, and nothing but dated publications."""

from __future__ import annotations

import datetime as dt
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.pipeline.conftest import DAYS, LAST, Extracts, History
from tests.pipeline.workspaces import Shop, contents, new_shop

pytestmark = pytest.mark.slow


def registry_files(shop: Shop) -> set[str]:
    return {
        str(path.relative_to(shop.data))
        for path in (shop.data / "registry").rglob("*")
        if path.is_file() and path.parent.name != "runs"
    }


def test_a_backfill_of_three_days_gives_what_three_daily_runs_gave(history: History, tmp_path: Path) -> None:
    shop, past = history.shop, DAYS[:3]
    pointer, registry = shop.current.resolve(), registry_files(shop)
    (shop.data / "published").chmod(0o750)
    with ExitStack() as put_back:
        daily = {day: contents(put_back.enter_context(aside(history.publications[day], tmp_path))) for day in past}
        shop.rcu("run", "--from", past[0].isoformat(), "--to", past[-1].isoformat())
        for day in past:
            [publication] = (shop.data / "published").glob(f"rcu-{day:%Y%m%d}-*")
            again = contents(publication)
            tables = daily[day].keys() | again.keys()
            differing = {table for table in tables if daily[day].get(table) != again.get(table)}
            assert differing == set(), f"{day}"
    assert shop.current.resolve() == pointer
    assert registry_files(shop) == registry


@contextmanager
def aside(publication: Path, folder: Path) -> Iterator[Path]:
    """Put a publication aside, so that a backfill has to make it again; afterwards it takes that one's place.

    Nothing is left in the workspace, where a file too many is a copy that an erasure would not know.
    """
    publication.chmod(0o750)
    kept = publication.rename(folder / publication.name)
    mode = stat.S_IMODE(publication.parent.stat().st_mode)
    try:
        yield kept
    finally:
        for again in publication.parent.glob(f"{publication.name[:-4]}*"):
            again.chmod(0o750)
            again.rename(folder / f"{again.name}-again")
        kept.rename(publication)
        publication.parent.chmod(mode)


def test_all_days_at_once_give_the_same_customers_as_day_by_day(
    extracts: Extracts, history: History, parsed: Path, tmp_path: Path
) -> None:
    shop = new_shop(tmp_path / "at_once", parsed)
    extracts.deliver(shop, *DAYS)
    shop.rcu("run", "--as-of", LAST.isoformat())
    rows = "select source, record_id from rcu.customer_records order by all"
    assert shop.query(rows) == history.shop.query(rows, history.publications[LAST])


def test_dagsters_own_backfill_is_refused(history: History) -> None:
    import dagster as dg

    from orchestration.definitions import build_definitions
    from orchestration.settings import Workspace

    before = sorted(path.name for path in (history.shop.data / "published").iterdir())
    job = build_definitions(Workspace(history.shop.root)).resolve_job_def("daily")
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(
            partition_key=DAYS[0].isoformat(),
            instance=instance,
            tags={"dagster/backfill": "abcdefgh"},
            raise_on_error=False,
        )
    assert not result.success
    [failure] = [event for event in result.all_events if event.is_step_failure]
    assert "rcu run --from A --to B" in failure.step_failure_data.user_failure_data.description
    assert sorted(path.name for path in (history.shop.data / "published").iterdir()) == before


def test_a_day_in_the_future_is_refused(history: History) -> None:
    tomorrow = dt.date.today() + dt.timedelta(days=2)
    done = history.shop.rcu("run", "--as-of", tomorrow.isoformat(), code=2)
    assert "future" in done.stderr
    assert "Traceback" not in done.stderr
