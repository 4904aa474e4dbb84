"""What the daily chain must always give, looked at on one small retailer run on four days."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import threading
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from tests.pipeline.conftest import DAYS, FIRST, LAST, Extracts, History
from tests.pipeline.workspaces import Shop, environment

PROMISED = {
    "rcu": {"customers", "customer_records", "customer_attributes", "identifiers", "contact_points",
            "customer_id_history", "match_links", "match_review", "set_aside_decisions", "consents", "consent_ledger", "households"},
    "marts": {"orders", "order_lines", "products", "events", "customer_rfm", "customer_lifecycle",
              "lifecycle_history", "lifecycle_transitions", "cohort_retention", "customer_scores",
              "product_affinity", "customer_360", "contact_decay", "freshness_forecast", "reverification"},
    "segments": {"definitions", "members", "history", "sizes", "overlap", "movements"},
    "audit": {"files", "quarantine", "source_profile", "freshness", "checks", "runs", "privacy_requests"},
}  # fmt: skip


@pytest.fixture(scope="module")
def shop(history: History) -> Shop:
    return history.shop


def one(shop: Shop, sql: str) -> object:
    return shop.query(sql)[0][0]


def published_tables(shop: Shop) -> dict[str, set[str]]:
    """The tables by the schema they are promised under: those of rcu lie in the catalog's main schema."""
    found: dict[str, set[str]] = {}
    for schema, table in shop.query("select schema_name, table_name from duckdb_tables()"):
        found.setdefault("rcu" if schema == "main" else schema, set()).add(table)
    return found


def test_the_promised_tables_are_published_as_tables(shop: Shop) -> None:
    found = published_tables(shop)
    for schema, tables in PROMISED.items():
        assert tables <= found.get(schema, set()), schema
    assert shop.query("select view_name from duckdb_views() where not internal") == []


def test_nothing_else_is_published(shop: Shop) -> None:
    assert set(published_tables(shop)) == set(PROMISED)


def test_each_table_is_there_as_parquet_too(shop: Shop) -> None:
    for schema, tables in PROMISED.items():
        for table in tables:
            file = shop.current / "parquet" / schema / f"{table}.parquet"
            assert duckdb.sql(f"select count(*) from '{file}'").fetchall()[0][0] == one(
                shop, f"select count(*) from {schema}.{table}"
            )


def test_every_row_read_landed_or_was_quarantined_or_filtered(shop: Shop) -> None:
    files = shop.query("select file_name, rows_read, rows_landed, rows_quarantined, rows_filtered from audit.files "
                       "where status = 'landed'")  # fmt: skip
    assert len(files) > 30
    assert [file for file in files if file[1] != file[2] + file[3] + file[4]] == []
    assert sum(file[3] for file in files) > 0, "the demo holds bad rows"
    assert sum(file[4] for file in files) > 0, "the demo holds rows that a contract filters"


def test_the_quarantine_says_where_and_why_without_the_row_itself(shop: Shop) -> None:
    columns = {name for (name,) in shop.query(
        "select column_name from duckdb_columns() where schema_name = 'audit' and table_name = 'quarantine'")}  # fmt: skip
    assert not {c for c in columns if "raw" in c}
    assert one(shop, "select count(*) from audit.quarantine where line_number is null or reason is null") == 0
    assert one(shop, "select count(*) from audit.quarantine") == one(
        shop, "select sum(rows_quarantined) from audit.files where status = 'landed'"
    )


def test_every_living_record_belongs_to_exactly_one_customer(shop: Shop) -> None:
    assert one(shop, "select count(*) from (select source, record_id from rcu.customer_records group by all "
                     "having count(*) > 1)") == 0  # fmt: skip
    assert one(shop, "select count(*) from rcu.customer_records anti join rcu.customers using (customer_id)") == 0
    assert one(shop, "select count(*) from rcu.customers anti join rcu.customer_records using (customer_id)") == 0


def test_records_are_those_of_the_truth_less_the_deleted_and_the_refused(shop: Shop, truth: Path) -> None:
    with truth.open(encoding="utf-8") as file:
        persons = {(row["source"], row["record_id"]): row["person"] for row in csv.DictReader(file)}
    records = set(shop.query("select source, record_id from rcu.customer_records"))
    assert records <= set(persons)
    assert len(records) > 0.9 * len(persons)


def test_identity_joins_what_is_one_person_and_little_else(shop: Shop, truth: Path) -> None:
    with truth.open(encoding="utf-8") as file:
        persons = {(row["source"], row["record_id"]): row["person"] for row in csv.DictReader(file)}
    customers = {(s, r): c for s, r, c in shop.query("select source, record_id, customer_id from rcu.customer_records")}

    def pairs(group_of: dict) -> set:
        groups: dict = {}
        for key in sorted(customers):
            groups.setdefault(group_of[key], []).append(key)
        return {(a, b) for members in groups.values() for i, a in enumerate(members) for b in members[i + 1 :]}

    found, true = pairs(customers), pairs(persons)
    assert len(found & true) / len(found) > 0.98
    assert len(found & true) / len(true) > 0.85


def test_the_figures_of_matching_are_metadata_of_its_asset(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(shop.data / ".dagster"))
    with dg.DagsterInstance.get() as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["identity", "metrics"]))
    assert event is not None and event.asset_materialization is not None
    told = set(event.asset_materialization.metadata)
    rules = {"links: card_and_name", "links: email_and_name", "links: model"}
    assert told >= rules | {"customers of 2 records", "suspicious_clusters", "review_pairs", "answered_pairs"}


def test_orders_are_conserved_from_lines_to_customers(shop: Shop) -> None:
    assert one(shop, "select count(*) from marts.orders where customer_id is null") == 0
    assert one(shop, "select count(*) from marts.orders o anti join rcu.customers c using (customer_id) "
                     "where o.customer_id <> 'unknown'") == 0  # fmt: skip
    gross, returned, net = shop.query(
        "select sum(amount_gross), sum(amount_returned), sum(amount_net) from marts.orders"
    )[0]
    assert gross - returned == net
    assert returned > 0
    assert one(shop, "select sum(amount_net) from marts.order_lines") == net


def test_the_360_has_one_row_per_customer(shop: Shop) -> None:
    assert one(shop, "select count(*) from marts.customer_360") == one(shop, "select count(*) from rcu.customers")
    assert one(shop, "select count(distinct customer_id) from marts.customer_360") == one(
        shop, "select count(*) from marts.customer_360"
    )


def test_every_table_that_says_its_date_says_the_same(shop: Shop) -> None:
    tables = shop.query(
        "select schema_name, table_name from duckdb_columns() where column_name = 'as_of_on' "
        "and (schema_name, table_name) not in (('segments', 'sizes'), ('audit', 'runs'))"
    )
    for schema, table in tables:
        dates = {d for (d,) in shop.query(f"select max(as_of_on) from {schema}.{table}")}
        assert dates <= {LAST, None}, f"{schema}.{table}"


def test_segments_members_are_customers_with_a_reason(shop: Shop) -> None:
    assert one(shop, "select count(*) from segments.definitions") >= 20
    assert one(shop, "select count(*) from segments.members anti join rcu.customers using (customer_id)") == 0
    assert one(shop, "select count(*) from segments.members where reason is null") == 0
    assert len({day for (day,) in shop.query("select distinct as_of_on from segments.sizes")}) == len(DAYS)


def test_segment_sizes_are_counts_of_members(shop: Shop) -> None:
    wrong = shop.query(
        f"select s.segment, s.size, count(m.customer_id) from segments.sizes s left join segments.members m "
        f"using (segment) where s.as_of_on = date '{LAST}' group by all having s.size <> count(m.customer_id)"
    )
    assert wrong == []


def test_ids_of_the_first_day_still_resolve_on_the_last(history: History) -> None:
    first = {c for (c,) in history.shop.query("select customer_id from rcu.customers", history.publications[FIRST])}
    known = {c for (c,) in history.shop.query("select distinct customer_id from rcu.customer_id_history")}
    assert first <= known


def test_most_ids_survive_from_day_to_day(history: History) -> None:
    first = dict(history.shop.query("select source || '|' || record_id, customer_id from rcu.customer_records",
                                    history.publications[FIRST]))  # fmt: skip
    last = dict(history.shop.query("select source || '|' || record_id, customer_id from rcu.customer_records"))
    kept = [key for key in first if key in last]
    assert sum(first[key] == last[key] for key in kept) / len(kept) > 0.98


def test_the_run_ends_with_a_table_a_person_can_read(history: History) -> None:
    output = history.outputs[LAST]
    for label in ("rows in", "rows quarantined", "customer records", "customers", "orders", "segment ", "checks passed",
                  "published in", "try next"):  # fmt: skip
        assert label in output, output
    customers = re.search(r"^\W*customers\W+([\d,]+)", output, re.MULTILINE)
    assert customers and int(customers[1].replace(",", "")) == one(history.shop, "select count(*) from rcu.customers")


def test_a_second_run_on_the_same_deliveries_publishes_nothing_new_and_says_so(shop: Shop) -> None:
    before = sorted(p.name for p in (shop.data / "published").iterdir())
    done = shop.rcu("run", "--as-of", LAST.isoformat())
    assert "nothing new" in done.stdout
    assert done.stderr == ""
    assert sorted(p.name for p in (shop.data / "published").iterdir()) == before


def test_query_shows_rows_as_a_table_and_as_json(shop: Shop) -> None:
    table = shop.rcu("query", "select count(*) as n from rcu.customers").stdout
    line = shop.rcu("query", "--json", "select count(*) as n from rcu.customers").stdout
    assert json.loads(line)["n"] == one(shop, "select count(*) from rcu.customers")
    assert str(json.loads(line)["n"]) in table


def test_status_names_the_current_version_and_each_source(shop: Shop) -> None:
    told = shop.rcu("status").stdout
    assert shop.current.resolve().name.removeprefix("rcu-") in told
    for source in ("crm_customers", "loyalty_cards", "till_lines"):
        assert source in told


def test_no_personal_value_is_in_the_output_of_a_run(history: History) -> None:
    emails = {e for (e,) in history.shop.query("select distinct email from rcu.customers where email is not null")}
    assert len(emails) > 50
    for output in history.outputs.values():
        assert [email for email in emails if email in output] == []


def test_a_reader_never_fails_while_a_run_publishes(extracts: Extracts, history: History, tmp_path: Path) -> None:
    shop = history.shop
    failures: list[str] = []
    reads = 0
    stop = threading.Event()

    def read() -> None:
        nonlocal reads
        while not stop.is_set():
            done = subprocess.run(
                shop.command("query", "--json", "select count(*) as n from marts.customer_360"),
                capture_output=True, text=True, env=environment(), check=False,
            )  # fmt: skip
            if done.returncode != 0:
                failures.append(done.stderr)
            reads += 1

    reader = threading.Thread(target=read)
    (shop.data / "inbox" / "newsletter_2026-04-01.csv").write_text(
        next(extracts.folder.glob("newsletter_2026-03-31.csv")).read_text(encoding="utf-8-sig"), encoding="utf-8-sig"
    )
    reader.start()
    try:
        shop.rcu("rollback")
        shop.rcu("run", "--as-of", LAST.isoformat())
    finally:
        stop.set()
        reader.join()
    assert failures == []
    assert reads > 3
