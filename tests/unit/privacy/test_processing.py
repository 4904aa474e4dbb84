"""The register of processing says what the declarations say: every source, recipient, purpose and term, no secret."""

from __future__ import annotations

import html.parser
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from orchestration.contracts.activation import Activation
from orchestration.contracts.catalogue import Catalogue, load_catalogue
from orchestration.privacy import processing_html, processing_markdown

SENT = """
activation: outside
label: {en: Outside, fr: Dehors}
objective: tell | an agency
audience: {segment: vip_at_risk}
format: csv
columns: [customer_id]
owner: team:agency
deliver:
"""
PLACES = {
    "  webhook: {url: 'https://agency.example/in?x=1', secret: 'env:AGENCY_SECRET'}": "to agency.example",
    "  postgres: {dsn: 'env:AGENCY_DSN', table: crm.sent}": "into the table crm.sent of a PostgreSQL database",
    "  s3: {bucket: lists, endpoint: 'https://s3.example.org'}": "to the bucket lists of https://s3.example.org",
    "  sftp: {host: sftp.example.org, user: rcu, password: 'env:AGENCY_SECRET', host_key: ssh-ed25519 AAAA}":
        "by SFTP to sftp.example.org",
    "  folder: {path: /srv/lists}": "into the folder /srv/lists",
}  # fmt: skip


@pytest.fixture(scope="module")
def catalogue(project: Path) -> Catalogue:
    return load_catalogue(project / "declarations")


def table(text: str, title: str) -> list[list[str]]:
    """The rows below a title, the header left out."""
    lines = text.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0].splitlines()
    rows = [line.strip("|").split(" | ") for line in lines if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[1:]]


def test_every_source_segment_and_activation_is_there_and_no_cell_is_empty(catalogue: Catalogue) -> None:
    told = processing_markdown(catalogue, catalogue.retention)
    assert {row[0] for row in table(told, "Sources and categories of data")} == set(catalogue.sources)
    assert {row[0] for row in table(told, "Segments and what they are for")} == {s.segment for s in catalogue.segments}
    recipients = table(told, "Recipients")
    assert {row[0] for row in recipients} == set(catalogue.activations)
    assert [row for row in recipients if not all(row)] == []
    assert [row[2:4] for row in recipients if row[0] == "best_customers_meta"] == [
        ["meta, into the folder data/exports/best_customers_meta", "email, partners"]
    ]
    assert [purpose.purpose for purpose in catalogue.retention.purposes] == [row[0] for row in table(told, "Purposes")]


def test_free_texts_are_among_the_categories_of_a_source_that_keeps_them(catalogue: Catalogue) -> None:
    rows = {
        row[0]: row[4]
        for row in table(processing_markdown(catalogue, catalogue.retention), "Sources and categories of data")
    }
    assert "free text" in rows["survey"] and "free text" in rows["privacy_requests"]
    assert rows["product_catalogue"] == "nothing personal"


def test_terms_are_those_of_retention_yml(catalogue: Catalogue) -> None:
    people = catalogue.retention.people.model_copy(update={"prospects_after_months": 7})
    retention = catalogue.retention.model_copy(update={"people": people})
    rows = dict(map(tuple, table(processing_markdown(catalogue, retention), "How long")))
    assert rows["prospects"].startswith("7 months") and rows["customers"].startswith("60 months")


@pytest.mark.parametrize("place", PLACES)
def test_a_recipient_is_named_without_its_secret(catalogue: Catalogue, place: str) -> None:
    outside = Activation.model_validate(yaml.safe_load(SENT + place))
    catalogue = replace(catalogue, parts={**catalogue.parts, "activations": {"outside": outside}})
    told = processing_markdown(catalogue, catalogue.retention)
    (row,) = [row for row in table(told.replace("\\|", "/"), "Recipients") if row[0] == "outside"]
    assert row[1:] == ["tell / an agency", f"a list, {PLACES[place]}", "email, marketing", "team:agency"]
    assert "AGENCY_SECRET" not in told and "AGENCY_DSN" not in told


class Cells(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.rows += tag == "tr"
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_has_every_row(catalogue: Catalogue) -> None:
    told = processing_markdown(catalogue, catalogue.retention)
    page = Cells()
    page.feed(processing_html(catalogue, catalogue.retention))
    assert page.rows == sum(line.startswith("| ") for line in told.splitlines())
    assert page.open in ([], ["html", "body"])
