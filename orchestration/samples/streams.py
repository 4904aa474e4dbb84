"""Seeded random streams, one per topic.

A topic's draws depend on the seed and its name only, so that a change in one part of the samples does
not reshuffle the others. Nothing else in this package creates a random generator.
"""

from __future__ import annotations

import zlib

import numpy as np


class Streams:
    """`Streams(seed).of("people")` always gives the same generator for the same seed and topic."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def of(self, topic: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, zlib.crc32(topic.encode())])


def weighted_choice(random: np.random.Generator, weights: np.ndarray | list[float], size: int) -> np.ndarray:
    """Indices drawn with probability proportional to `weights`."""
    edges = np.cumsum(np.asarray(weights, dtype=float))
    return np.minimum(np.searchsorted(edges, random.random(size) * edges[-1], side="right"), len(edges) - 1)
