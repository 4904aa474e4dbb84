"""Real invoices that no one here wrote, run as a workspace of contracts alone, against figures that others published.

The oracles are the published tables and plain pandas over the raw file; they share no code with the pipeline.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.pipeline.workspaces import PROJECT, Shop

pytestmark = pytest.mark.slow

EXAMPLE = PROJECT / "docs" / "examples" / "online_retail"
#: The published recency counts whole elapsed days up to midnight before 2011-12-11: up to the end of this day.
AS_OF = "2011-12-10"
LINES, TOTAL = 541_909, Decimal("9747747.934")

#: Codes that are no products: postage, discounts, samples, fees, manual entries (in capitals).
NO_PRODUCTS = {"POST", "DOT", "M", "C2", "D", "S", "BANK CHARGES", "AMAZONFEE", "CRUK", "B", "PADS"}
NO_PRODUCT_PREFIXES = ("ADJUST", "TEST", "GIFT_")

#: How the publication of the grid spells its segments.
SPELLINGS = {
    "at_Risk": "at_risk", "cant_loose": "cant_lose", "champions": "champion", "loyal_customers": "loyal",
    "new_customers": "new", "potential_loyalists": "potential_loyalist",
}  # fmt: skip

#: Digits "recency frequency" -> segment, as the grid was published: a regular expression for each segment.
GRID = {
    "hibernating": "[12][12]", "at_risk": "[12][34]", "cant_lose": "[12]5", "about_to_sleep": "3[12]",
    "need_attention": "33", "loyal": "[34][45]", "promising": "41", "new": "51", "potential_loyalist": "[45][23]",
    "champion": "5[45]",
}  # fmt: skip


@pytest.fixture(scope="module")
def retail(real_data: Path) -> Path:
    folder = real_data / "retail"
    if not (folder / "online_retail.parquet").is_file():
        pytest.skip("online_retail.parquet is not among the real data sets")
    return folder


@pytest.fixture(scope="module")
def raw(retail: Path) -> pd.DataFrame:
    """The extract as delivered; `account` is the customer number as text, or None."""
    lines = pd.read_parquet(retail / "online_retail.parquet")
    lines["account"] = [None if pd.isna(number) else str(int(number)) for number in lines["customer_id"]]
    lines["amount"] = lines["quantity"] * lines["price"]
    return lines


@pytest.fixture(scope="module")
def published(retail: Path) -> pd.DataFrame:
    """The published grid: one row per customer, by account."""
    grid = pd.read_csv(retail / "rfm_orii_2010_2011_customers.csv")
    grid["account"] = [str(int(number)) for number in grid["customer_id"]]
    grid["segment"] = grid["segment"].replace(SPELLINGS)
    return grid.set_index("account").sort_index()


@pytest.fixture(scope="module")
def shop(retail: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The worked example as its README says to run it: copy, drop the file, run."""
    root = tmp_path_factory.mktemp("online_retail")
    shutil.copytree(EXAMPLE / "declarations", root / "declarations")
    (root / "data" / "inbox").mkdir(parents=True)
    shutil.copyfile(retail / "online_retail.parquet", root / "data" / "inbox" / "online_retail_2011-12-09.parquet")
    shop = Shop(root)
    shop.rcu("run", "--as-of", AS_OF)
    return shop


@pytest.fixture(scope="module")
def scores(shop: Shop) -> dict[str, pd.DataFrame]:
    """The scores of each method, by account."""
    rows = shop.query(
        "select s.method, r.record_id, s.recency_days, s.frequency, s.monetary, "
        "s.recency_score, s.frequency_score, s.monetary_score, s.segment "
        "from marts.rfm_scores as s inner join rcu.customer_records as r on s.unit_id = r.customer_id"
    )
    columns = ["method", "account", "recency", "frequency", "monetary", "R", "F", "M", "segment"]
    table = pd.DataFrame(rows, columns=columns)
    return {method: part.set_index("account").sort_index() for method, part in table.groupby("method")}


def test_the_example_is_contracts_only() -> None:
    files = {path.suffix for path in (EXAMPLE / "declarations").rglob("*") if path.is_file()}
    assert files == {".yml"}


def test_all_rows_are_accounted_for(shop: Shop) -> None:
    [counts] = shop.query(
        "select rows_read, rows_landed, rows_quarantined, rows_filtered from audit.files where status = 'landed'"
    )
    assert counts == (LINES, LINES, 0, 0)
    assert shop.query("select count(*) from audit.quarantine") == [(0,)]


def test_no_check_fails_or_warns(shop: Shop) -> None:
    assert shop.query("select gate, name, message from audit.checks where not passed") == []


def test_lines_reach_the_mart_one_for_one(shop: Shop, raw: pd.DataFrame) -> None:
    delivered = Counter(
        zip(raw["invoice"], raw["stock_code"].str.upper(), raw["quantity"].tolist(), raw["price"], strict=True)
    )
    found: Counter[tuple] = Counter()
    # references are compared in capitals: the extract writes some products both ways
    for *line, count in shop.query(
        "select o.source_order_id, upper(l.product_id), cast(l.quantity as integer), cast(l.unit_price as double), "
        "count(*) from marts.order_lines as l inner join marts.orders as o using (order_id) group by all"
    ):
        found[tuple(line)] += count
    assert sum(found.values()) == LINES
    assert found == delivered


def test_amounts_are_conserved_to_the_penny(shop: Shop, raw: pd.DataFrame) -> None:
    delivered = sum(
        (
            quantity * Decimal(str(price))
            for quantity, price in zip(raw["quantity"].tolist(), raw["price"], strict=True)
        ),
        Decimal(0),
    )
    assert delivered == TOTAL
    assert shop.query("select sum(quantity * unit_price), sum(amount_line) from marts.order_lines") == [(TOTAL, TOTAL)]
    [(gross, returned, net)] = shop.query(
        "select sum(amount_gross), sum(amount_returned), sum(amount_net) from marts.orders"
    )
    assert gross - returned == net
    assert shop.query("select sum(amount_gross), sum(amount_net) from marts.order_lines") == [(gross, net)]


def test_lines_without_customer_are_of_unknown_and_all_others_of_their_account(shop: Shop, raw: pd.DataFrame) -> None:
    found = dict(
        shop.query(
            "select r.record_id, count(*) from marts.order_lines as l "
            "left join rcu.customer_records as r using (customer_id) group by all"
        )
    )
    assert found.pop(None) == int(raw["account"].isna().sum()) == 135_080
    assert found == raw["account"].value_counts().to_dict()
    assert shop.query(
        "select count(*) from marts.order_lines anti join rcu.customers using (customer_id) where customer_id <> 'unknown'"
    ) == [(0,)]


def test_each_account_is_a_customer(shop: Shop, raw: pd.DataFrame) -> None:
    records = shop.query("select record_id, customer_id from rcu.customer_records")
    assert len({customer for _, customer in records}) == len(records) == 4_372
    assert {record for record, _ in records} == set(raw["account"].dropna())
    assert shop.query("select count(*) from rcu.customers") == [(4_372,)]


def test_the_published_grid_comes_out_to_the_customer(scores: dict[str, pd.DataFrame], published: pd.DataFrame) -> None:
    found = scores["published"]
    assert len(found) == len(published) == 4_338
    for column in ("recency", "frequency", "R", "F", "M", "segment"):
        differing = found.index[found[column].to_numpy() != published[column].to_numpy()]
        assert list(found.index) == list(published.index)
        assert list(differing) == [], column


def test_published_amounts_come_out_but_for_the_line_that_this_extract_lacks(
    scores: dict[str, pd.DataFrame], published: pd.DataFrame, raw: pd.DataFrame
) -> None:
    gap = (published["monetary"] - scores["published"]["monetary"].astype(float)).round(4)
    assert gap[gap != 0].to_dict() == {"12680": 18.0}
    # The grid was made from the second edition of the data, whose last line is a postage of 18.00 more.
    invoices = raw[raw["account"] == "12680"]
    postage = invoices[invoices["stock_code"] == "POST"]
    assert set(postage["price"]) == {18.0}
    assert set(invoices["invoice"]) - set(postage["invoice"]) == {raw["invoice"].iloc[-1]}


def test_sizes_of_the_published_segments_come_out(scores: dict[str, pd.DataFrame], retail: Path) -> None:
    table = pd.read_csv(retail / "rfm_orii_2010_2011_segments.csv")
    expected = dict(zip(table["segment"].replace(SPELLINGS), table["recency_count"], strict=True))
    assert scores["published"]["segment"].value_counts().to_dict() == expected
    means = scores["published"].groupby("segment")[["recency", "frequency"]].mean().round(4)
    for row in table.itertuples():
        segment = SPELLINGS.get(row.segment, row.segment)
        assert (means.loc[segment, "recency"], means.loc[segment, "frequency"]) == pytest.approx(
            (row.recency_mean, row.frequency_mean), abs=1e-4
        )


def quintile(values: pd.Series) -> pd.Series:
    """1 plus the number of interpolated quintile edges below the value: equal values score the same."""
    edges = np.quantile(values, [0.2, 0.4, 0.6, 0.8])
    return pd.Series(1 + (values.to_numpy()[:, None] > edges[None, :]).sum(axis=1), index=values.index)


@pytest.fixture(scope="module")
def net_of_returns(raw: pd.DataFrame) -> pd.DataFrame:
    """The default method in pandas: products only, credit notes deducted, invoices that sold something counted."""
    code = raw["stock_code"].str.upper()
    products = raw[~code.isin(NO_PRODUCTS) & ~code.str.startswith(NO_PRODUCT_PREFIXES) & raw["account"].notna()]
    is_credit = products["invoice"].str.startswith("C")
    invoices = products[~is_credit].groupby(["account", "invoice"])
    sold = pd.DataFrame({"amount": invoices["amount"].sum(), "at": invoices["invoice_date"].max()}).reset_index()
    sold = sold[sold["amount"] > 0].groupby("account")
    table = pd.DataFrame(
        {
            "recency": (pd.Timestamp(AS_OF) - sold["at"].max().dt.normalize()).dt.days,
            "frequency": sold.size(),
            "monetary": sold["amount"].sum(),
        }
    )
    credited = products[is_credit].groupby("account")["amount"].sum()
    table["monetary"] = (table["monetary"] + credited.reindex(table.index).fillna(0)).round(4)
    table = table[table["monetary"] > 0].sort_index()
    table["R"] = 6 - quintile(table["recency"])
    table["F"], table["M"] = quintile(table["frequency"]), quintile(table["monetary"])
    cells = table["R"].astype(str) + table["F"].astype(str)
    table["segment"] = [
        next(segment for segment, pattern in GRID.items() if re.fullmatch(pattern, cell)) for cell in cells
    ]
    return table


def test_the_default_method_is_net_of_returns_and_of_products_only(
    scores: dict[str, pd.DataFrame], net_of_returns: pd.DataFrame
) -> None:
    found = scores["net_of_returns"]
    assert list(found.index) == list(net_of_returns.index)
    for column in ("recency", "frequency", "R", "F", "M", "segment"):
        differing = found.index[found[column].to_numpy() != net_of_returns[column].to_numpy()]
        assert list(differing) == [], column
    assert (found["monetary"].astype(float) - net_of_returns["monetary"]).abs().max() < 1e-4


def test_customer_360_shows_the_default_method(shop: Shop, net_of_returns: pd.DataFrame) -> None:
    shown = dict(
        shop.query(
            "select r.record_id, c.rfm_segment from marts.customer_360 as c "
            "inner join rcu.customer_records as r using (customer_id) where c.rfm_segment is not null"
        )
    )
    assert shown == net_of_returns["segment"].to_dict()


def test_segments_hold_who_the_rule_says(shop: Shop, net_of_returns: pd.DataFrame) -> None:
    def members(segment: str) -> set[str]:
        return {
            record
            for (record,) in shop.query(
                "select r.record_id from segments.members as m inner join rcu.customer_records as r "
                f"using (customer_id) where m.segment = '{segment}'"
            )
        }

    for segment in ("champion", "cant_lose"):
        assert members(f"rfm_{segment}") == set(net_of_returns.index[net_of_returns["segment"] == segment])
    drifting = (net_of_returns["M"] >= 4) & (net_of_returns["recency"] >= 90)
    assert members("big_buyers_drifting_away") == set(net_of_returns.index[drifting])


def test_cohorts_are_those_published(shop: Shop, retail: Path) -> None:
    table = pd.read_csv(retail / "cohort_or1_positive_qty_price.csv", index_col="c")
    expected = {
        (cohort, int(since)): int(count)
        for cohort, row in table.iterrows()
        for since, count in row.items()
        if not pd.isna(count)
    }
    found = shop.query("select strftime(cohort_on, '%Y-%m'), months_since, customer_count from marts.cohort_retention")
    assert {(cohort, since): count for cohort, since, count in found} == expected
    assert len(found) == len(expected)


def readme_queries() -> list[tuple[str, list[str]]]:
    """Each query of the README with the rows that the README shows below it."""
    text = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r'rcu query --csv "([^"]+)"\n```\n+```\n(.+?)\n```', text, flags=re.DOTALL)
    return [(sql, rows.splitlines()[1:]) for sql, rows in blocks]


def test_every_answer_that_the_readme_shows_is_what_its_query_gives(shop: Shop) -> None:
    queries = readme_queries()
    assert len(queries) >= 6
    for sql, shown in queries:
        rows = [",".join("" if value is None else str(value) for value in row) for row in shop.query(sql)]
        assert rows == shown, sql


def test_customers_live_where_their_invoices_say(shop: Shop, raw: pd.DataFrame) -> None:
    named = {"Germany": "DE", "France": "FR", "EIRE": "IE", "RSA": "ZA"}
    found = dict(shop.query("select r.record_id, c.country from rcu.customers as c "
                            "inner join rcu.customer_records as r using (customer_id)"))  # fmt: skip
    for country, code in named.items():
        only = (raw["country"] == country).groupby(raw["account"]).all()
        assert {found[account] for account in only.index[only]} == {code}, country
