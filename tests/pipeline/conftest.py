"""One small retailer, delivered and run day by day, once per session; many tests look at it."""

from __future__ import annotations

import datetime as dt
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.pipeline.workspaces import Shop, new_shop

FIRST, LAST = dt.date(2026, 3, 28), dt.date(2026, 3, 31)
DAYS = [FIRST + dt.timedelta(days=n) for n in range((LAST - FIRST).days + 1)]


@dataclass(frozen=True)
class Extracts:
    """The demo retailer's files, and the day each reached the inbox (its modification time)."""

    folder: Path

    def received_on(self, file: Path) -> dt.date:
        return dt.datetime.fromtimestamp(file.stat().st_mtime, dt.UTC).date()

    def deliver(self, shop: Shop, *days: dt.date) -> int:
        """Put the files received on these days into the shop's inbox; returns how many.

        Privacy requests arrive on the first day only: one that arrives later binds every day before it too,
        and a backfill would rightly not give what the daily runs gave.
        """
        inbox = shop.data / "inbox"
        inbox.mkdir(parents=True, exist_ok=True)
        files = [
            file
            for file in sorted(self.folder.iterdir())
            if self.received_on(file) in days
            and (self.received_on(file) == FIRST or not file.name.startswith("demandes_rgpd"))
        ]
        for file in files:
            shutil.copy2(file, inbox / file.name)
        return len(files)


@dataclass(frozen=True)
class History:
    """A shop that was run each day, the output of each run and the publication it left."""

    shop: Shop
    outputs: dict[dt.date, str]
    publications: dict[dt.date, Path]


@pytest.fixture(scope="session")
def extracts(tmp_path_factory: pytest.TempPathFactory) -> Extracts:
    root = tmp_path_factory.mktemp("extracts")
    maker = new_shop(root / "maker")
    maker.rcu("samples", "--customers", "300", "--seed", "7", "--days", "3", "--until", LAST.isoformat(),
              "--into", str(root / "files"))  # fmt: skip
    return Extracts(root / "files")


@pytest.fixture(scope="session")
def truth(extracts: Extracts) -> Path:
    """truth.csv: which person each record is of."""
    return extracts.folder.parent / "truth.csv"


@pytest.fixture(scope="session")
def history(extracts: Extracts, tmp_path_factory: pytest.TempPathFactory) -> History:
    shop = new_shop(tmp_path_factory.mktemp("history"))
    outputs, publications = {}, {}
    for day in DAYS:
        extracts.deliver(shop, day)
        outputs[day] = shop.rcu("run", "--as-of", day.isoformat()).stdout
        publications[day] = shop.current.resolve()
    return History(shop, outputs, publications)


@pytest.fixture(scope="session")
def parsed(history: History) -> Path:
    """The parsed dbt project, to be lent to other workspaces."""
    return history.shop.data / "build" / "dbt" / "target"
