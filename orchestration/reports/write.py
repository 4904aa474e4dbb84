"""Where reports lie: one folder per publication, written whole, removed with its publication.

What belongs here: files and their rights. What does not: what is on a page.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import jinja2

from orchestration.contracts.catalogue import Catalogue
from orchestration.registry import VERSION
from orchestration.reports.pages import PAGES, Reader, page_of
from orchestration.settings import Workspace
from orchestration.warehouse import Connection

#: The one page with personal data.
REVIEW = "review.html"
INDEX = "index.html"


@dataclass(frozen=True)
class Reports:
    """The pages of one version."""

    version: str
    folder: Path
    pages: tuple[Path, ...]

    @property
    def index(self) -> Path:
        return self.folder / INDEX

    @property
    def size(self) -> int:
        """Bytes of all pages."""
        return sum(page.stat().st_size for page in self.pages)


def write_reports(connection: Connection, workspace: Workspace, catalogue: Catalogue, *, version: str) -> Reports:
    """Write all pages of `version` from a build or published database, replacing those that were there.

    A build tells more (calibration of scores, records side by side); what a database does not hold is left
    out of the page, and the page says so.
    """
    reader = Reader(connection, catalogue, version)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("orchestration.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    folder = workspace.reports / version
    temporary = workspace.reports / f".{version}.{os.getpid()}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True, mode=0o750)
    for page in PAGES:
        target = temporary / page.file
        # Made before it is filled, so that nobody can read it in between.
        target.touch(mode=0o600 if page.is_personal else 0o640)
        told = page_of(page, reader)
        target.write_text(environment.get_template(f"{page.name}.html.j2").render(told), encoding="utf-8")
    if folder.exists():
        shutil.rmtree(folder)
    temporary.rename(folder)
    return Reports(version, folder, tuple(folder / page.file for page in PAGES))


def find_reports(workspace: Workspace, version: str) -> Reports | None:
    """The pages of `version`, where they are all there."""
    folder = workspace.reports / version
    pages = tuple(folder / page.file for page in PAGES)
    return Reports(version, folder, pages) if all(page.exists() for page in pages) else None


def prune(workspace: Workspace, kept: Collection[str]) -> list[str]:
    """Remove the reports of versions that are not `kept`; returns them."""
    removed = []
    for folder in sorted(workspace.reports.iterdir()) if workspace.reports.exists() else []:
        is_left = folder.name.startswith(".") and folder.name.endswith(".tmp")
        if folder.is_dir() and (is_left or (VERSION.match(folder.name) and folder.name not in kept)):
            shutil.rmtree(folder)
            removed.append(folder.name)
    return removed
