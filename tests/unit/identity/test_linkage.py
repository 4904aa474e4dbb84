"""Average linkage in rounds, against the same thing done one merge at a time in plain Python."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from orchestration.identity.linkage import DistinctLimit, Limits, Links, cluster, components

NONE = (np.empty(0, np.int64), np.empty(0, np.int64))


def slowly(n: int, weights: dict[tuple[int, int], int], absent: int, join: int, most: int) -> set[frozenset[int]]:
    """Merge the best pair of clusters again and again; equal similarities: the clusters with the first nodes."""
    groups = [frozenset([node]) for node in range(n)]
    while True:
        best = None
        for one, other in itertools.combinations(sorted(groups, key=min), 2):
            pairs = [tuple(sorted((a, b))) for a in one for b in other]
            known = [weights[pair] for pair in pairs if pair in weights]
            if not known or len(one) + len(other) > most:
                continue
            similarity = (sum(known) + absent * (len(pairs) - len(known))) / len(pairs)
            if similarity >= join and (best is None or similarity > best[0]):
                best = (similarity, one, other)
        if best is None:
            return set(groups)
        groups = [group for group in groups if group not in best[1:]] + [best[1] | best[2]]


def quickly(n: int, weights: dict[tuple[int, int], int], limits: Limits, must=NONE, cannot=NONE) -> set[frozenset[int]]:
    pairs = sorted(weights)
    links = Links(
        np.array([pair[0] for pair in pairs], np.int64),
        np.array([pair[1] for pair in pairs], np.int64),
        np.array([weights[pair] for pair in pairs], np.int64),
    )
    label = cluster(n, links, limits, must=must, cannot=cannot).label
    groups: dict[int, set[int]] = {}
    for node, found in enumerate(label.tolist()):
        groups.setdefault(found, set()).add(node)
    assert all(min(group) == name for name, group in groups.items())
    return {frozenset(group) for group in groups.values()}


@pytest.mark.parametrize("seed", range(40))
def test_rounds_of_merges_equal_one_merge_at_a_time(seed: int) -> None:
    draw = random.Random(seed)
    n = draw.randint(2, 14)
    weights = {pair: draw.randint(-6000, 20000) for pair in itertools.combinations(range(n), 2) if draw.random() < 0.4}
    absent, join = draw.choice([(-8000, -4000), (-8000, 0), (-4000, 1000)])
    wanted = slowly(n, weights, absent, join, most=99)
    assert quickly(n, weights, Limits(absent, join, 99)) == wanted


def test_components_name_their_first_node() -> None:
    found = components(6, np.array([4, 1, 2]), np.array([1, 3, 5]))
    assert found.tolist() == [0, 1, 2, 1, 1, 2]


def test_a_chain_of_weak_links_is_not_one_cluster() -> None:
    weights = {(0, 1): 9000, (1, 2): 500, (2, 3): 9000}
    assert quickly(4, weights, Limits(-8000, 0, 99)) == {frozenset({0, 1}), frozenset({2, 3})}


def test_a_guard_stops_the_join_and_is_told() -> None:
    links = Links(np.array([0, 1]), np.array([1, 2]), np.array([9000, 8000]))
    dates = DistinctLimit(np.array([0, -1, 1]), 1, len)
    found = cluster(3, links, Limits(0, 0, 99, (dates,)), must=NONE, cannot=NONE)
    assert found.label.tolist() == [0, 0, 2]
    assert found.between.guard.tolist() == [3]


def test_a_cannot_link_splits_a_cluster_in_three() -> None:
    weights = dict.fromkeys(itertools.combinations(range(6), 2), 9000)
    apart = (np.array([0, 0, 1]), np.array([1, 2, 2]))
    groups = quickly(6, weights, Limits(-8000, 0, 99), cannot=apart)
    assert len(groups) == 3
    assert not any(len(group & {0, 1, 2}) > 1 for group in groups)


def test_a_must_link_joins_what_nothing_else_joins_and_beats_a_guard() -> None:
    both = (np.array([0]), np.array([2]))
    assert quickly(3, {}, Limits(-8000, 0, 1), must=both) == {frozenset({0, 2}), frozenset({1})}


def test_no_cluster_grows_past_the_cap() -> None:
    weights = dict.fromkeys(itertools.combinations(range(9), 2), 9000)
    assert max(map(len, quickly(9, weights, Limits(-8000, 0, 4)))) == 4


def test_nothing_to_cluster() -> None:
    assert quickly(0, {}, Limits(-8000, 0, 4)) == set()
    assert quickly(2, {}, Limits(-8000, 0, 4)) == {frozenset({0}), frozenset({1})}
