"""Bit maps of who is where, against sets."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from orchestration.segments.evaluation import Evaluated


@pytest.mark.parametrize("count", [0, 1, 7, 8, 63, 64, 65, 1000, 131_073])
def test_bit_maps_say_what_the_columns_say(count: int) -> None:
    draw = random.Random(count)
    columns = {
        name: [draw.choice(values) for _ in range(count)]
        for name, values in (
            ("often", [True, True, False]),
            ("rarely", [False] * 9 + [True]),
            ("maybe", [None, True, False]),
        )
    }
    # Two pieces, the second not at a byte's edge: they are put together first.
    cut = count // 3
    pieces = [pa.table({name: pa.array(told[part], pa.bool_()) for name, told in columns.items()})
              for part in (slice(0, cut), slice(cut, None))]  # fmt: skip
    evaluated = Evaluated(pa.concat_tables(pieces).combine_chunks())
    held = {name: {place for place, value in enumerate(told) if value} for name, told in columns.items()}
    for name, expected in held.items():
        assert set(evaluated.holds(name).nonzero()[0].tolist()) == expected
    names = list(columns)
    assert evaluated.crossed(names).tolist() == [[len(held[a] & held[b]) for b in names] for a in names]
