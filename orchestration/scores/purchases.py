"""What the models see of purchases: one row per customer and day of purchase, and summaries at a cut-off.

`load` holds the one query that reads `marts.orders`. Two orders of a customer on one day are one
occasion, as in the published data. Purchases of "unknown" belong to nobody and are left out, and so
is what is dated after the as-of date. Everything here lives in temporary tables of one connection.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestration.contracts.scoring import Gate
from orchestration.scores.bg_nbd import Histories
from orchestration.warehouse import Connection

HORIZONS = (30, 90, 365)
#: Parameters are in weeks, as the published ones are.
UNIT_DAYS = 7.0

ALL_DAYS = "score_purchase_days"
SAMPLE_DAYS = "score_sample_days"

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Summary:
    """Buyers at a cut-off, one entry each, in order of `customer_number`. Times in days.

    `spend_net` is the mean net amount of repeat purchase days (0 without any): what Gamma-Gamma takes.
    `spend_gross` is the mean gross amount of all purchase days: as known at the cut-off, whereas a net
    amount may hold a later return. `bought[h]` counts purchase days within h days after the cut-off.
    """

    cut_off_on: dt.date
    customer_number: Integers
    repeats: Integers
    recency: Floats
    age: Floats
    spend_net: Floats
    spend_gross: Floats
    days_in_90: Integers
    days_in_365: Integers
    bought: dict[int, Integers]

    def __len__(self) -> int:
        return len(self.customer_number)


@dataclass(frozen=True)
class DailyCounts:
    """First and repeat purchase days of all customers, by day; `first_on` is the day of entry 0."""

    first_on: dt.date
    newcomers: Integers
    repeats: Integers

    def until(self, cut_off_on: dt.date) -> DailyCounts:
        """The days up to the cut-off, it included."""
        length = max((cut_off_on - self.first_on).days + 1, 0)
        filler = np.zeros(max(length - len(self.newcomers), 0), dtype=np.int64)
        return DailyCounts(self.first_on, np.r_[self.newcomers, filler][:length], np.r_[self.repeats, filler][:length])


def load(connection: Connection, as_of_on: dt.date) -> None:
    """Make the temporary table ALL_DAYS from `marts.orders`: purchases up to `as_of_on`.

    What is no purchase (a credit note) lowers the net amount of the customer's last purchase day before
    it: returns are netted whether or not they name the order they come from.
    """
    connection.execute(
        f"""
        create or replace temp table {ALL_DAYS} as
        with

        days as (

            select
                customer_id,
                ordered_on,
                max(case when is_purchase then 1 else 0 end) as is_purchase_day,
                sum(case when is_purchase then amount_gross else 0 end) as amount_gross,
                sum(amount_net) as amount_net
            from marts.orders
            where customer_id is not null
                and customer_id <> 'unknown'
                and ordered_on <= date '{as_of_on}'
            group by customer_id, ordered_on

        ),

        numbered as (

            select
                *,
                sum(is_purchase_day) over (partition by customer_id order by ordered_on) as purchase_day_number
            from days

        ),

        purchase_days as (

            select
                customer_id,
                min(ordered_on) as purchased_on,
                cast(sum(amount_gross) as decimal(18, 4)) as amount_gross,
                cast(sum(amount_net) as decimal(18, 4)) as amount_net
            from numbered
            where purchase_day_number > 0
            group by customer_id, purchase_day_number

        ),

        buyers as (

            select
                customer_id,
                row_number() over (order by customer_id) as customer_number,
                min(purchased_on) as first_purchased_on
            from purchase_days
            group by customer_id

        )

        select
            buyers.customer_number,
            purchase_days.customer_id,
            purchase_days.purchased_on,
            purchase_days.purchased_on = buyers.first_purchased_on as is_first,
            purchase_days.amount_gross,
            purchase_days.amount_net
        from purchase_days
        inner join buyers on purchase_days.customer_id = buyers.customer_id
        """
    )


def load_sample(connection: Connection, customers: int) -> str:
    """A table of about `customers` buyers at most, for back-tests; its name.

    The draw is a hash of the customer id: the same whatever the order of rows, and nearly the same from
    one month to the next. Where all fit, it is the whole table.
    """
    found = connection.execute(f"select max(customer_number) from {ALL_DAYS}").fetchone()
    buyers = int(found[0]) if found and found[0] is not None else 0
    if buyers <= customers:
        return ALL_DAYS
    edge = f"{int(customers / buyers * 16**8):08x}"
    connection.execute(
        f"create or replace temp table {SAMPLE_DAYS} as "
        f"select * from {ALL_DAYS} where left(md5(customer_id), 8) < '{edge}'"
    )
    return SAMPLE_DAYS


def summarise(connection: Connection, table: str, cut_off_on: dt.date) -> Summary:
    """Every buyer's history up to `cut_off_on`, and what they bought after it."""
    cut_off = f"date '{cut_off_on}'"
    known = f"filter (where purchased_on <= {cut_off})"
    later = ", ".join(
        f"count(*) filter (where purchased_on > {cut_off} and purchased_on <= {cut_off} + {days}) as bought_{days}"
        for days in HORIZONS
    )
    columns = connection.execute(
        f"""
        select
            customer_number,
            count(*) {known} - 1 as repeats,
            cast(max(purchased_on) {known} - min(purchased_on) {known} as double) as recency,
            cast({cut_off} - min(purchased_on) {known} as double) as age,
            coalesce(
                cast(sum(amount_net) filter (where purchased_on <= {cut_off} and not is_first) as double)
                / nullif(count(*) {known} - 1, 0),
                0
            ) as spend_net,
            cast(sum(amount_gross) {known} as double) / count(*) {known} as spend_gross,
            count(*) filter (where purchased_on <= {cut_off} and purchased_on > {cut_off} - 90) as days_in_90,
            count(*) filter (where purchased_on <= {cut_off} and purchased_on > {cut_off} - 365) as days_in_365,
            {later}
        from {table}
        group by customer_number
        having count(*) {known} > 0
        order by customer_number
        """
    ).fetchnumpy()
    values = {name: np.asarray(column) for name, column in columns.items()}
    return Summary(
        cut_off_on=cut_off_on,
        customer_number=values["customer_number"].astype(np.int64),
        repeats=values["repeats"].astype(np.int64),
        recency=values["recency"].astype(np.float64),
        age=values["age"].astype(np.float64),
        spend_net=values["spend_net"].astype(np.float64),
        spend_gross=values["spend_gross"].astype(np.float64),
        days_in_90=values["days_in_90"].astype(np.int64),
        days_in_365=values["days_in_365"].astype(np.int64),
        bought={days: values[f"bought_{days}"].astype(np.int64) for days in HORIZONS},
    )


def grouped(connection: Connection, table: str, cut_off_on: dt.date) -> Histories:
    """Distinct histories up to `cut_off_on`, in weeks, with how many customers share each."""
    columns = connection.execute(
        f"""
        with

        customers as (

            select
                count(*) - 1 as repeats,
                max(purchased_on) - min(purchased_on) as recency,
                date '{cut_off_on}' - min(purchased_on) as age
            from {table}
            where purchased_on <= date '{cut_off_on}'
            group by customer_number

        )

        select repeats, recency, age, count(*) as customers
        from customers
        group by repeats, recency, age
        order by repeats, recency, age
        """
    ).fetchnumpy()
    return Histories(
        np.asarray(columns["repeats"]).astype(np.int64),
        np.asarray(columns["recency"]).astype(np.float64) / UNIT_DAYS,
        np.asarray(columns["age"]).astype(np.float64) / UNIT_DAYS,
        np.asarray(columns["customers"]).astype(np.float64),
    )


def daily_counts(connection: Connection, table: str) -> DailyCounts | None:
    """First and repeat purchase days by day; None where nobody bought."""
    found = connection.execute(
        f"""
        select purchased_on, count(*) filter (where is_first), count(*) filter (where not is_first)
        from {table}
        group by purchased_on
        order by purchased_on
        """
    ).fetchall()
    if not found:
        return None
    first_on = found[0][0]
    length = (found[-1][0] - first_on).days + 1
    newcomers, repeats = np.zeros(length, dtype=np.int64), np.zeros(length, dtype=np.int64)
    for day, first_purchases, repeat_purchases in found:
        newcomers[(day - first_on).days] = first_purchases
        repeats[(day - first_on).days] = repeat_purchases
    return DailyCounts(first_on, newcomers, repeats)


def gate_reason(summary: Summary, gate: Gate) -> str | None:
    """Why these data are too thin for a score; None when they are not."""
    if len(summary) < gate.buyers:
        return f"only {len(summary)} buyers, {gate.buyers} are needed"
    history = int(summary.age.max())
    if history < gate.history_days:
        return f"only {history} days of history, {gate.history_days} are needed"
    since = int((summary.age - summary.recency).min())
    if since >= gate.last_order_days:
        return f"no order in the last {gate.last_order_days} days (the last is {since} days old)"
    frequent = int((summary.repeats + 1 >= gate.frequent_orders).sum())
    if frequent < gate.frequent_customers:
        return (
            f"only {frequent} customers with {gate.frequent_orders} or more orders, "
            f"{gate.frequent_customers} are needed"
        )
    return None
