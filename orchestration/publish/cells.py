"""Small cells withheld: which counts of a table must stay untold so that none below `k` can be worked out.

What belongs here: the suppression of one- and two-way tables whose margins are known. What does not: which
tables there are (`views.py`). Numbers only.

Primary: every count from 1 to k - 1. Complementary: as long as a withheld count follows from what is told (the
told counts and the margins), or the withheld counts of a line add up to less than k, the smallest told count of
the line is withheld too. A count follows when no change of the withheld counts that keeps every margin touches
it: when its row in the null space of the margins is zero (Willenborg and de Waal 2001, chapter 4).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Mask = NDArray[np.bool_]

_ALMOST_NOTHING = 1e-9


def withheld(counts: Counts, k: int) -> Mask:
    """Which cells of a one- or two-way table to withhold. `counts`: shape (n,) or (n, m); none below 0.

    The reader is taken to know every margin: the total, and for a two-way table the sum of each row and column.
    A count of 0 is told: it is about nobody.
    """
    table = counts.reshape(counts.shape[0], -1)
    hidden: Mask = (table > 0) & (table < k)
    lines: list[Any] = [(slice(None), column) for column in range(table.shape[1])]
    if counts.ndim == 2:
        lines += [(row, slice(None)) for row in range(table.shape[0])]
    while _hide_one_more(table, hidden, lines, k) or _hide_what_follows(table, hidden, lines):
        pass
    return hidden.reshape(counts.shape)


def _hide_one_more(table: Counts, hidden: Mask, lines: list[Any], k: int) -> bool:
    """Hide the smallest told count of each line whose hidden counts add up to less than k. False: none did."""
    changed = False
    for line in lines:
        while hidden[line].any() and int(table[line][hidden[line]].sum()) < k and _hide_smallest(table, hidden, line):
            changed = True
    return changed


def _hide_what_follows(table: Counts, hidden: Mask, lines: list[Any]) -> bool:
    """Hide one more count in a line through which a hidden one can be worked out. False: none can."""
    cells = np.argwhere(hidden)
    if not len(cells):
        return False
    margins = np.zeros((len(lines), len(cells)))
    for number, line in enumerate(lines):
        inside = np.zeros_like(hidden)
        inside[line] = True
        margins[number] = inside[cells[:, 0], cells[:, 1]]
    # projector on the directions in which hidden counts can change while every margin stays
    free = np.eye(len(cells)) - np.linalg.pinv(margins) @ margins
    for position in np.flatnonzero(np.abs(np.diag(free)) < _ALMOST_NOTHING):
        for number, line in enumerate(lines):
            if margins[number, position] and _hide_smallest(table, hidden, line):
                return True
    return False


def _hide_smallest(table: Counts, hidden: Mask, line: Any) -> bool:
    """Hide the smallest told count of a line, one above 0 where there is one. False: all are hidden."""
    counts, told = table[line], ~hidden[line]
    some = told & (counts > 0) if (told & (counts > 0)).any() else told
    if not some.any():
        return False
    position = int(np.flatnonzero(some)[np.argmin(counts[some])])
    hidden[line] |= np.arange(len(counts)) == position
    return True
