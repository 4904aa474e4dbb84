"""CDNOW through the whole chain: the published BG/NBD and Gamma-Gamma, to the customer, out of `marts`.

The data give each customer's first purchase, repeats, recency and mean spend of repeats, which is all that the
models see of purchases. An extract with just those purchases is written, delivered and run; what the
published tables then hold is compared with the published parameters and with figures worked out by others.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests.pipeline.test_online_retail import EXAMPLE
from tests.pipeline.workspaces import Shop

pytestmark = pytest.mark.slow

AS_OF = dt.date(1997, 9, 30)

COMPANY = "name: CDNOW\ncurrency: USD\ncountry: US\ntime_zone: UTC\nfirst_day: 1997-01-01\nlanguages: [en]\n"
#: The published model is one of rhythm alone: no season, nothing beside it.
SCORES = "season: {is_applied: false}\nlogistic: {is_fitted: false}\n"
VALUE = "rfm: {methods: [{method: net_of_returns}]}\n"
SOURCE = """
source: cdnow
describes: Purchases of new customers of an online music shop, one a row
trust_rank: 1
required: true
delivery: delta
file: {pattern: "cdnow_{date}.csv"}
delivers:
  customer:
    key: customer
    columns: {language: {constant: en}}
  order_line:
    key: purchase
    columns:
      ordered_at: {from: day, required: true}
      channel: {constant: web}
      ref_account: {from: customer}
      ref_account_source: {constant: cdnow}
      product_id: {constant: CD}
      quantity: {constant: "1"}
      unit_price: {from: amount, required: true}
"""


@pytest.fixture(scope="module")
def sample(real_data: Path) -> pd.DataFrame:
    """2,357 customers, by id: repeats, recency and age in weeks, and what others worked out for them."""
    file = real_data / "retail" / "cdnow_sample_customers.csv"
    if not file.is_file():
        pytest.skip("cdnow_sample_customers.csv is not among the real data sets")
    return pd.read_csv(file, dtype={"id": str}).set_index("id").sort_index()


def purchases(sample: pd.DataFrame) -> list[dict[str, str]]:
    """Purchases that have each customer's history: the first, the last, and the others on days between."""
    rows = []
    for customer, told in sample.iterrows():
        first = AS_OF - dt.timedelta(days=round(told["T"] * 7))
        repeats, last = int(told["frequency"]), round(told["recency"] * 7)
        between = [1 + (last - 1) * step // repeats for step in range(repeats - 1)]
        days = [0, *between, *([last] if repeats else [])]
        assert len(set(days)) == repeats + 1 and max(days) == last
        for number, day in enumerate(days):
            rows.append(
                {
                    "purchase": f"{customer}-{number}", "customer": str(customer),
                    "day": f"{first + dt.timedelta(days=day)} 12:00:00",
                    # what was first spent is in no model
                    "amount": f"{told['monetary_value']:.4f}" if number else "10.0000",
                }
            )  # fmt: skip
    return rows


@pytest.fixture(scope="module")
def shop(sample: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    root = tmp_path_factory.mktemp("cdnow")
    declarations = root / "declarations"
    (declarations / "sources").mkdir(parents=True)
    shutil.copytree(EXAMPLE / "declarations" / "quality", declarations / "quality")
    for name in ("matching", "survivorship", "plans"):
        shutil.copyfile(EXAMPLE / "declarations" / f"{name}.yml", declarations / f"{name}.yml")
    landing = declarations / "quality" / "landing.yml"
    rows = purchases(sample)
    landing.write_text(landing.read_text(encoding="utf-8").replace("value: 541909", f"value: {len(rows)}"), "utf-8")
    for name, text in (("company", COMPANY), ("scores", SCORES), ("value", VALUE), ("sources/cdnow", SOURCE)):
        (declarations / f"{name}.yml").write_text(text, "utf-8")
    inbox = root / "data" / "inbox"
    inbox.mkdir(parents=True)
    with (inbox / f"cdnow_{AS_OF}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    shop = Shop(root)
    shop.rcu("run", "--as-of", AS_OF.isoformat())
    return shop


@pytest.fixture(scope="module")
def scored(shop: Shop) -> pd.DataFrame:
    """What customer_360 says of each account."""
    columns = ["id", "orders", "first", "last", "p30", "p90", "p365", "expected", "value"]
    rows = shop.query(
        "select r.record_id, order_count, first_order_on, last_order_on, purchase_probability_30d, "
        "purchase_probability_90d, purchase_probability_365d, expected_orders_365d, expected_value_365d "
        "from marts.customer_360 inner join rcu.customer_records as r using (customer_id)"
    )
    return pd.DataFrame(rows, columns=columns).set_index("id").sort_index()


@pytest.fixture(scope="module")
def anchors(real_data: Path) -> dict[str, list[float]]:
    """Published parameters, to more digits as recomputed by others."""
    table = pd.read_csv(real_data / "retail" / "cdnow_published_anchors.csv")
    return {
        name: [float(number) for number in values.split(";")]
        for name, values in zip(table["quantity"], table["reproduced_here"], strict=True)
        if name.startswith(("BG/NBD r", "Gamma-Gamma p"))
    }


def parameters(shop: Shop, model: str) -> dict[str, float]:
    [(text,)] = shop.query(f"select parameters from marts.score_models where model = '{model}'")
    return json.loads(text)


def test_the_parameters_are_the_published_ones_to_three_decimals(shop: Shop, anchors: dict[str, list[float]]) -> None:
    found = parameters(shop, "bg_nbd")
    r, alpha, a, b, likelihood = anchors["BG/NBD r;alpha;a;b;LL"]
    assert [found[name] for name in ("r", "alpha", "a", "b")] == pytest.approx([r, alpha, a, b], abs=5e-4)
    assert found["log_likelihood"] == pytest.approx(likelihood, abs=0.005)
    assert [round(found[name], 3) for name in ("r", "alpha", "a", "b")] == [0.243, 4.414, 0.793, 2.426]


def test_the_spend_model_is_the_published_one(shop: Shop, anchors: dict[str, list[float]]) -> None:
    found = parameters(shop, "gamma_gamma")
    [expected] = [values for name, values in anchors.items() if name.startswith("Gamma-Gamma")]
    assert [found[name] for name in ("p", "q", "v")] == pytest.approx(expected, abs=1e-3)


def test_each_history_is_that_of_the_data(scored: pd.DataFrame, sample: pd.DataFrame) -> None:
    assert list(scored.index) == list(sample.index)
    assert ((scored["orders"] - 1) == sample["frequency"]).all()
    recency = (pd.to_datetime(scored["last"]) - pd.to_datetime(scored["first"])).dt.days / 7
    age = (pd.Timestamp(AS_OF) - pd.to_datetime(scored["first"])).dt.days / 7
    assert (recency - sample["recency"]).abs().max() < 1e-6
    assert (age - sample["T"]).abs().max() < 1e-6


def test_each_customers_chance_is_that_of_the_published_model(
    scored: pd.DataFrame, sample: pd.DataFrame, anchors: dict[str, list[float]]
) -> None:
    r, alpha, *_ = anchors["BG/NBD r;alpha;a;b;LL"]
    for horizon in (30, 90, 365):
        at_rest = (alpha + sample["T"]) / (alpha + sample["T"] + horizon / 7)
        expected = sample["bgnbd_palive"] * (1 - at_rest ** (r + sample["frequency"]))
        assert (scored[f"p{horizon}"] - expected).abs().max() < 1e-4, horizon


def test_each_customers_coming_order_is_worth_what_others_found(scored: pd.DataFrame, sample: pd.DataFrame) -> None:
    likely = scored[scored["expected"] > 0.05]
    assert len(likely) > 2_000
    worth = likely["value"].astype(float) / likely["expected"]
    assert ((worth / sample.loc[likely.index, "gg_expected_value"]) - 1).abs().max() < 2e-3
