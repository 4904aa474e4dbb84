"""The pages that runs wrote: there, whole, self-contained, true, and without anyone's name."""

from __future__ import annotations

import re
import stat
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.pipeline.conftest import DAYS, LAST, History

PAGES = {"index", "quality", "identity", "segments", "lifecycle", "value", "contacts", "review"}
VOID = {"meta", "link", "br", "img", "hr", "input", "col"}


@pytest.fixture(scope="module")
def folder(history: History) -> Path:
    return history.shop.data / "reports" / history.publications[LAST].name.removeprefix("rcu-")


def page(folder: Path, name: str) -> str:
    return (folder / f"{name}.html").read_text(encoding="utf-8")


class Checked(HTMLParser):
    """Insists that tags close in order; keeps ids, links, and what would be loaded from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if tag in ("script", "link", "img", "iframe", "object", "video"):
            self.loaded.append(tag)
        if told.get("id"):
            assert told["id"] not in self.ids, f"two elements are called {told['id']}"
            self.ids.add(str(told["id"]))
        if tag == "a":
            self.links.append(str(told["href"]))
        elif "src" in told or "href" in told:
            self.loaded.append(f"{tag} {told}")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(text: str) -> Checked:
    checked = Checked()
    checked.feed(text)
    checked.close()
    assert checked.open == []
    return checked


def test_each_run_left_its_pages(history: History) -> None:
    for day in DAYS:
        version = history.publications[day].name.removeprefix("rcu-")
        written = history.shop.data / "reports" / version
        assert {path.stem for path in written.iterdir()} == PAGES, day
        assert f"version {version}" in page(written, "index")


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_is_well_formed_and_loads_nothing(folder: Path, name: str) -> None:
    told = read(page(folder, name))
    assert told.loaded == []
    assert not re.search(r"url\(|@import|https?://", page(folder, name))


def test_every_link_leads_somewhere(folder: Path) -> None:
    told = {name: read(page(folder, name)) for name in PAGES}
    for name, one in told.items():
        for link in one.links:
            file, _, anchor = link.partition("#")
            target = file.removesuffix(".html") or name
            assert target in told, f"{name}: {link}"
            assert not anchor or anchor in told[target].ids, f"{name}: {link}"


def test_the_review_page_is_for_its_owner_alone(folder: Path) -> None:
    rights = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert rights.pop("review.html") == 0o600
    assert all(right & 0o007 == 0 for right in rights.values())


def test_no_page_but_the_review_tells_who_anyone_is(history: History, folder: Path) -> None:
    """Every e-mail, phone, street, card, id and full name of the golden records, looked for in the text."""
    values = set()
    for query in (
        "select distinct value from rcu.identifiers where type in ('email', 'phone', 'card', 'cookie')",
        "select distinct unnest([email, phone, address_line]) from rcu.customers",
        "select first_name || ' ' || last_name from rcu.customers union select last_name || ' ' || first_name from rcu.customers",
        "select customer_id from rcu.customers union select record_id from rcu.customer_records where length(record_id) > 5",
    ):
        values |= {str(value).casefold() for (value,) in history.shop.query(query) if value and len(str(value)) > 5}
    assert len(values) > 1000
    for name in sorted(PAGES - {"review"}):
        text = page(folder, name).casefold()
        words = set(re.findall(r"[\w.+@'-]+", text))
        assert [value for value in values if (value in words if " " not in value else value in text)] == [], name


def test_the_search_finds_people_on_the_review_page(history: History, folder: Path) -> None:
    waiting = history.shop.query("select count(*) from rcu.match_review")[0][0]
    if not waiting:
        pytest.skip("no pair waits in this history")
    ids = {row[0] for row in history.shop.query("select left_customer_id from rcu.match_review")}
    text = page(folder, "review")
    assert all(one in text for one in ids)
    assert text.count(" same --by YOUR_NAME") == waiting


def test_the_pages_say_what_the_tables_say(history: History, folder: Path) -> None:
    text = " ".join("".join(read(page(folder, "index")).text).split())
    customers = history.shop.query("select count(*) from rcu.customers")[0][0]
    rows = history.shop.query("select sum(rows_read) from audit.files")[0][0]
    assert f"Customers{customers:,}" in text.replace("Customers ", "Customers")
    assert f"Rows in{rows:,}" in text.replace("Rows in ", "Rows in")
    listed = page(folder, "segments")
    for segment, label, size in history.shop.query(
        "select definitions.segment, label_fr, size from segments.sizes inner join segments.definitions using (segment) "
        "where as_of_on = (select max(as_of_on) from segments.sizes)"
    ):
        assert f'id="{segment}"' in listed and label.replace("'", "&#39;") in listed
        found = re.search(rf'<a href="#{segment}">.*?<td class="r">([\d,]+)</td>', listed, re.DOTALL)
        assert found and int(found.group(1).replace(",", "")) == size, segment
    (plan, count) = history.shop.query(
        "select plan, count(*) from segments.members inner join marts.customer_360 using (customer_id) "
        "where segment = 'prospects_to_convert' group by plan order by 2 desc, 1 limit 1"
    )[0]
    entry = listed[listed.index('id="prospects_to_convert"') :]
    assert re.search(rf"<b>Plan\.</b>\s*{plan.title()} {count:,}", entry[: entry.index("</details>")]), (plan, count)


def test_rcu_report_tells_where_they_are(history: History, folder: Path) -> None:
    told = history.shop.rcu("report").stdout
    assert all(f"{name}.html" in told for name in PAGES) and "personal data" in told


def test_rcu_report_writes_what_is_missing(history: History) -> None:
    folder = history.shop.data / "reports" / history.shop.current.resolve().name.removeprefix("rcu-")
    before = page(folder, "segments")
    (folder / "segments.html").unlink()
    history.shop.rcu("report")
    assert page(folder, "segments") == before
