"""A csv goes into landing in one pass where each line is a row; where it is not so, nothing changes but the time."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from .conftest import CUSTOMERS, Shop

HEAD = "ID,NAME,BORN\n"


def write(rows: int, bad_dates: set[int], short: set[int], quoted: set[int]) -> str:
    """A file whose row n stands on line n + 1 while no quoted value holds a line end."""
    lines = []
    for number in range(1, rows + 1):
        if number in short:
            lines.append(f"{number},short")
        elif number in bad_dates:
            lines.append(f"{number},Name {number},32/01/1980")
        elif number in quoted:
            lines.append(f'{number},"Name\n{number}",01/02/1980')
        else:
            lines.append(f"{number},Name {number},01/02/1980")
    return HEAD + "\n".join(lines) + "\n"


@pytest.mark.parametrize("is_streamed", [True, False])
@pytest.mark.parametrize(
    ("bad_dates", "short", "quoted"),
    [
        (set(), set(), set()),
        ({1, 7, 4000}, set(), set()),
        (set(), {2, 3, 3999}, set()),
        ({5, 2500}, {1, 6, 2499}, set()),
        ({5}, set(range(100, 400)), set()),
        ({5, 20}, {8}, {10, 15, 3000}),
    ],
)
def test_each_row_keeps_its_line_whatever_failed_before_it(
    shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
    bad_dates: set[int],
    short: set[int],
    quoted: set[int],
    is_streamed: bool,
) -> None:
    if not is_streamed:
        monkeypatch.setattr("orchestration.ingest.landing._Rows.write_streaming", lambda rows: None)
    shop.declare(CUSTOMERS)
    shop.drop("shop_20261120.csv", write(4000, bad_dates, short, quoted))
    (record,) = shop.receive().files
    failed = bad_dates | short
    assert (record.rows_read, record.rows_landed, record.rows_quarantined) == (4000, 4000 - len(failed), len(failed))

    line_of = {number: number + 1 + sum(other < number for other in quoted) for number in range(1, 4001)}
    landed = {int(key): line for key, line in shop.landed(columns="record_id, line_number")}
    assert landed == {number: line for number, line in line_of.items() if number not in failed}
    quarantined = {line: (rule, text) for line, _, rule, text in shop.quarantined()}
    assert quarantined == {
        **{line_of[number]: ("date", f"{number},Name {number},32/01/1980") for number in bad_dates},
        **{line_of[number]: ("columns", f"{number},short") for number in short},
    }


def test_a_clean_file_is_written_with_what_it_fills_and_no_more(shop: Shop) -> None:
    shop.declare(CUSTOMERS)
    shop.drop("shop_20261120.csv", write(10, set(), set(), set()))
    shop.receive()
    (file,) = (shop.workspace.landing / "customer").glob("source=*/*/*.parquet")
    assert pq.read_schema(file).names == [
        "record_id", "last_name", "birth_on", "source", "batch_id", "business_on", "available_on", "row_hash", "first_line",
    ]  # fmt: skip
