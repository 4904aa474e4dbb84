"""Clustering: average linkage inside components, with guards and steward decisions. Numbers only.

What belongs here: graph arithmetic on arrays. What does not: SQL, names of fields, ids of customers.

The nodes are numbered 0..n-1 in an order that does not depend on the order of rows (the caller sorts by
first day seen, source and record id). Weights are whole numbers, so that sums do not depend on the order
of addition. So the result is a function of the set of records and links alone.

Average linkage: the similarity of two clusters is the mean weight over all their pairs, a pair without a
link counting `absent`. It is reducible (merging never raises a similarity above the higher of the two it
replaces), so all pairs of clusters that are each other's best may be merged in one round, with the
result of merging the best pair one at a time (Müllner 2011, "Modern hierarchical, agglomerative
clustering algorithms", section 2.2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

NO_GUARD = 0
STEWARD = 1  # a cannot-link
SIZE = 2
FIRST_DISTINCT = 3  # guards[0] of `distinct`, and so on


@dataclass(frozen=True)
class DistinctLimit:
    """At most `at_most` different values in one cluster. `codes`: a value per node, -1 for none.

    `count` says how many really different values a few codes are (near ones count once).
    """

    codes: Ints
    at_most: int
    count: Callable[[Sequence[int]], int]


@dataclass(frozen=True)
class Links:
    """Scored pairs between nodes: `left[i]` < `right[i]`, `weight[i]` in thousandths of a bit."""

    left: Ints
    right: Ints
    weight: Ints


@dataclass(frozen=True)
class Limits:
    """Settings of the clustering, weights in thousandths of a bit."""

    absent: int
    join: int
    max_records: int
    distinct: tuple[DistinctLimit, ...] = ()


@dataclass(frozen=True)
class Between:
    """Pairs of final clusters that have a link: what a steward may be asked about."""

    left: Ints  # cluster: the number of its first node
    right: Ints
    average: Ints  # similarity, thousandths of a bit
    best: Ints  # index of the best link between the two
    guard: Ints  # what forbade the join, or NO_GUARD


@dataclass(frozen=True)
class Clustering:
    """`label[i]`: the first node of the cluster that holds node i."""

    label: Ints
    between: Between
    rounds: int = 0


@dataclass
class _Edges:
    a: Ints
    b: Ints
    total: Ints
    count: Ints
    guard: Ints = field(default_factory=lambda: np.empty(0, np.int64))


def components(n: int, left: Ints, right: Ints) -> Ints:
    """The component of each node, as the number of its first node."""
    graph = coo_matrix((np.ones(len(left), np.int8), (left, right)), shape=(n, n))
    _, found = connected_components(graph, directed=False)
    first = np.full(found.max() + 1 if n else 0, n, np.int64)
    np.minimum.at(first, found, np.arange(n))
    return first[found]


def cluster(n: int, links: Links, limits: Limits, *, must: tuple[Ints, Ints], cannot: tuple[Ints, Ints]) -> Clustering:
    """Group nodes 0..n-1. `must` and `cannot` are pairs of nodes; they must not contradict each other."""
    label = components(n, *must) if len(must[0]) else np.arange(n, dtype=np.int64)
    size = np.bincount(label, minlength=n).astype(np.int64)
    every = _grouped(
        label[np.concatenate([links.left, cannot[0]])],
        label[np.concatenate([links.right, cannot[1]])],
        np.concatenate([links.weight, np.zeros(len(cannot[0]), np.int64)]),
        np.concatenate([np.ones(len(links.left), np.int64), np.zeros(len(cannot[0]), np.int64)]),
        np.concatenate([np.zeros(len(links.left), np.int64), np.full(len(cannot[0]), STEWARD, np.int64)]),
        n,
    )
    stops: list[tuple[int, int, int]] = []
    edges = every
    rounds = 0
    while len(edges.a):
        similarity = _similarity(edges, size, limits.absent)
        candidate = (similarity >= limits.join) & (edges.guard == NO_GUARD)
        if not candidate.any():
            break
        rounds += 1
        alive = np.zeros(n, bool)
        alive[edges.a[candidate]] = True
        alive[edges.b[candidate]] = True
        keep = alive[edges.a] & alive[edges.b]
        edges = _Edges(edges.a[keep], edges.b[keep], edges.total[keep], edges.count[keep], edges.guard[keep])
        chosen = _mutual_best(edges, similarity[keep], candidate[keep], n)
        guard = _guards(edges.a[chosen], edges.b[chosen], label, size, limits)
        edges.guard[chosen] = guard
        for at in np.flatnonzero(guard).tolist():
            stops.append((int(edges.a[chosen[at]]), int(edges.b[chosen[at]]), int(guard[at])))
        joined = chosen[guard == NO_GUARD]
        if not len(joined):
            continue
        a, b = edges.a[joined], edges.b[joined]
        to = np.arange(n, dtype=np.int64)
        to[b] = a
        size[a] += size[b]
        label = to[label]
        edges = _grouped(to[edges.a], to[edges.b], edges.total, edges.count, edges.guard, n)
    stops += [(int(x), int(y), STEWARD) for x, y in zip(*cannot, strict=True)]
    return Clustering(label, _between(n, links, label, size, limits.absent, stops), rounds)


def _similarity(edges: _Edges, size: Ints, absent: int) -> NDArray[np.float64]:
    pairs = size[edges.a] * size[edges.b]
    return (edges.total + absent * (pairs - edges.count)) / pairs


def _grouped(a: Ints, b: Ints, total: Ints, count: Ints, guard: Ints, n: int) -> _Edges:
    """Edges between clusters, one per pair, `a` < `b`; those inside a cluster are dropped."""
    outside = a != b
    a, b, total, count, guard = a[outside], b[outside], total[outside], count[outside], guard[outside]
    key = np.minimum(a, b) * n + np.maximum(a, b)
    order = np.argsort(key, kind="stable")
    key = key[order]
    if not len(key):
        return _Edges(key, key, key, key, key)
    starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
    unique = key[starts]
    return _Edges(
        unique // n,
        unique % n,
        np.add.reduceat(total[order], starts),
        np.add.reduceat(count[order], starts),
        np.maximum.reduceat(guard[order], starts),
    )


def _mutual_best(edges: _Edges, similarity: NDArray[np.float64], candidate: Flags, n: int) -> Ints:
    """Indexes of the edges that are the best candidate of both their clusters (ties: the first clusters)."""
    which = np.flatnonzero(candidate)
    # Written worst first, so that the last assignment, the best, stays.
    order = which[np.lexsort((-edges.b[which], -edges.a[which], similarity[which]))]
    best = np.full(n, -1, np.int64)
    position = np.arange(len(order))
    best_at = np.full(n, -1, np.int64)
    np.maximum.at(best_at, edges.a[order], position)
    np.maximum.at(best_at, edges.b[order], position)
    has = best_at >= 0
    best[has] = order[best_at[has]]
    mutual = (best[edges.a[order]] == order) & (best[edges.b[order]] == order)
    return np.sort(order[mutual])


def _guards(a: Ints, b: Ints, label: Ints, size: Ints, limits: Limits) -> Ints:
    """For each pair of clusters, the guard that forbids joining them, or NO_GUARD."""
    guard = np.full(len(a), NO_GUARD, np.int64)
    guard[size[a] + size[b] > limits.max_records] = SIZE
    if not limits.distinct or not len(a):
        return guard
    pair_of = np.full(len(label), -1, np.int64)
    pair_of[a] = np.arange(len(a))
    pair_of[b] = np.arange(len(a))
    node_pair = pair_of[label]
    nodes = np.flatnonzero(node_pair >= 0)
    for number, limit in enumerate(limits.distinct):
        held = nodes[limit.codes[nodes] >= 0]
        if not len(held):
            continue
        held = held[np.argsort(node_pair[held], kind="stable")]
        of_pair = node_pair[held]
        both = np.unique(np.stack([of_pair, limit.codes[held]]), axis=1)
        counts = np.bincount(both[0], minlength=len(a))
        for pair in np.flatnonzero((counts > limit.at_most) & (guard == NO_GUARD)).tolist():
            nodes_of_pair = held[np.searchsorted(of_pair, pair) : np.searchsorted(of_pair, pair, side="right")]
            if _worsens(limit, nodes_of_pair, label, int(a[pair])):
                guard[pair] = FIRST_DISTINCT + number
    return guard


def _worsens(limit: DistinctLimit, nodes: Ints, label: Ints, a: int) -> bool:
    """Whether joining cluster `a` and the other of `nodes` breaks the limit further than a must-link already did."""
    of_a = sorted(set(limit.codes[nodes[label[nodes] == a]].tolist()))
    of_b = sorted(set(limit.codes[nodes[label[nodes] != a]].tolist()))
    before = max(limit.count(of_a), limit.count(of_b), limit.at_most)
    return limit.count(sorted({*of_a, *of_b})) > before


def _between(n: int, links: Links, label: Ints, size: Ints, absent: int, stops: list[tuple[int, int, int]]) -> Between:
    a, b = label[links.left], label[links.right]
    outside = np.flatnonzero(a != b)
    low, high = np.minimum(a, b)[outside], np.maximum(a, b)[outside]
    key = low * n + high
    # Best link first within each pair of clusters; equal weights: the first nodes.
    order = np.lexsort((links.right[outside], links.left[outside], -links.weight[outside], key))
    key, outside = key[order], outside[order]
    if not len(key):
        none = np.empty(0, np.int64)
        return Between(none, none, none, none, none)
    starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
    unique = key[starts]
    total = np.add.reduceat(links.weight[outside], starts)
    count = np.diff(np.append(starts, len(key)))
    left, right = unique // n, unique % n
    pairs = size[left] * size[right]
    average = np.rint((total + absent * (pairs - count)) / pairs).astype(np.int64)
    guard = np.zeros(len(unique), np.int64)
    for x, y, code in stops:
        first, second = sorted((int(label[x]), int(label[y])))
        at = int(np.searchsorted(unique, first * n + second))
        if at < len(unique) and unique[at] == first * n + second:
            guard[at] = STEWARD if code == STEWARD else max(int(guard[at]), code * (guard[at] != STEWARD))
    return Between(left, right, average, outside[starts], guard)
