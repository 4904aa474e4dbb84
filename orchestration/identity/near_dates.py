"""How many really different dates some values are: near ones count once.

What belongs here: dates as text, as guards count them. What does not: how a pair of dates is compared (`fields`).
"""

from __future__ import annotations

from collections.abc import Iterable


def count_different(values: Iterable[str]) -> int:
    """The groups that the values make, a group being dates each near another of it."""
    groups: list[list[str]] = []
    for value in values:
        near = [group for group in groups if any(is_near(value, other) for other in group)]
        groups = [group for group in groups if group not in near]
        groups.append([value, *(other for group in near for other in group)])
    return len(groups)


def is_near(one: str, other: str) -> bool:
    """Equal, day and month swapped, two of year, month and day the same, one digit different, or two exchanged."""
    if one == other or (len(one) == len(other) == 10 and one == f"{other[:4]}-{other[8:]}-{other[5:7]}"):
        return True
    if len(one) != len(other):
        return False
    if sum(one[at:to] == other[at:to] for at, to in ((0, 4), (5, 7), (8, 10))) >= 2:
        return True
    differ = [at for at in range(len(one)) if one[at] != other[at]]
    if len(differ) == 1:
        return True
    return len(differ) == 2 and one[differ[0]] == other[differ[1]] and one[differ[1]] == other[differ[0]]
