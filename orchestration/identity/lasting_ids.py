"""Lasting customer ids: who inherits one, who gets a new one, and the events that tell it.

What belongs here: the decision, on plain values. What does not: tables, dates of runs, clustering.

A cluster inherits the id that most of its records had (tie: the oldest id). An id goes to one cluster
only. A cluster without one takes back the id its records had before a merge or before they were gone,
else gets a new one, derived from the key of its earliest record.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Member:
    """A record of a cluster. `prior`: its customer in the last run."""

    source: str
    record_id: str
    prior: str | None = None


@dataclass(frozen=True)
class Event:
    """What happened to one id."""

    customer_id: str
    event: str  # created, merged, split, unmerged, retired, returned
    successor_id: str | None
    record_count: int
    reason: str


@dataclass(frozen=True)
class Assignment:
    """The id of each cluster, in the order given, and the events."""

    ids: tuple[str, ...]
    events: tuple[Event, ...]


def mint(source: str, record_id: str, taken: Container[str]) -> str:
    """A new id from a record's key: 'c' and 15 base-32 characters. Never one that was ever given."""
    salt = 0
    while True:
        text = f"{source}\x1f{record_id}" + (f"\x1f{salt}" if salt else "")
        digest = hashlib.sha256(text.encode()).digest()
        found = "c" + base64.b32encode(digest[:10]).decode().lower()[:15]
        if found not in taken:
            return found
        salt += 1


def assign(
    clusters: Sequence[Sequence[Member]],
    *,
    age: Callable[[str], tuple[str, str]],
    ever_given: Container[str],
    is_living: Callable[[str], bool],
    former: Callable[[Sequence[Member]], Mapping[Member, Sequence[str]]] = lambda _: {},
    unmerge_reason: Callable[[Sequence[Member]], str] = lambda _: "its records no longer match",
) -> Assignment:
    """Give every cluster its id. Each cluster's first member is its earliest record.

    `age(id)` sorts ids from the oldest; `ever_given` holds every id ever given; `is_living(id)` tells
    whether an id is the current one of some customer before this run; `former(members)` tells the ids that
    records had before the last run. Ids all of whose records are gone are the caller's to retire.
    """
    ids: list[str | None] = [None] * len(clusters)
    holders: dict[str, Counter[int]] = {}
    for number, members in enumerate(clusters):
        for member in members:
            if member.prior:
                holders.setdefault(member.prior, Counter())[number] += 1
    bids = sorted(
        ((-count, age(old), old, _first_key(clusters[number]), number)
         for old, counts in holders.items() for number, count in counts.items()),
    )  # fmt: skip
    inherited: set[str] = set()
    for _, _, old, _, number in bids:
        if ids[number] is None and old not in inherited:
            ids[number] = old
            inherited.add(old)
    events: list[Event] = []
    given: set[str] = set(inherited)

    class _Taken:
        def __contains__(self, key: object) -> bool:
            return key in given or key in ever_given

    taken = _Taken()
    without = [member for number, members in enumerate(clusters) if ids[number] is None for member in members]
    known_before = former(without) if without else {}
    for number in sorted(range(len(clusters)), key=lambda at: _first_key(clusters[at])):
        if ids[number] is not None:
            continue
        members = clusters[number]
        split_from = Counter(member.prior for member in members if member.prior)
        revived = _revived(members, known_before, given, is_living, age)
        if revived:
            event, reason = (
                ("unmerged", unmerge_reason(members)) if split_from else ("returned", "its records came back")
            )
            events.append(Event(revived, event, None, len(members), reason))
        chosen = revived or mint(members[0].source, members[0].record_id, taken)
        if not revived:
            events.append(Event(chosen, "created", None, len(members), "split" if split_from else "new records"))
        ids[number] = chosen
        given.add(chosen)
        for old in sorted(split_from):
            events.append(Event(old, "split", chosen, split_from[old], unmerge_reason(members)))
    final = [found for found in ids if found is not None]
    for old in sorted(holders):
        counts = holders[old]
        if old in inherited:
            for number, count in sorted(counts.items()):
                if final[number] != old and _had_own(clusters[number], final[number]):
                    events.append(Event(old, "split", final[number], count, "records moved to another customer"))
            continue
        # Nobody inherited it: it lives on in the customer that most of its records are in.
        into = min(counts, key=lambda number: (-counts[number], age(final[number]), final[number]))
        events.append(Event(old, "merged", final[into], sum(counts.values()), "its records match another customer's"))
    return Assignment(tuple(final), tuple(events))


def _first_key(members: Sequence[Member]) -> tuple[str, str]:
    return (members[0].source, members[0].record_id)


def _had_own(members: Sequence[Member], own: str) -> bool:
    return any(member.prior == own for member in members)


def _revived(
    members: Sequence[Member],
    known_before: Mapping[Member, Sequence[str]],
    given: set[str],
    is_living: Callable[[str], bool],
    age: Callable[[str], tuple[str, str]],
) -> str | None:
    """The retired id that most of the records had before, when nobody holds it now."""
    counts = Counter(old for member in members for old in set(known_before.get(member, ())))
    usable = [old for old in counts if old not in given and not is_living(old)]
    if not usable:
        return None
    return min(usable, key=lambda old: (-counts[old], age(old), old))


def resolve_chains(events: Iterable[Mapping[str, object] | Event]) -> dict[str, str | None]:
    """Every id ever given and the living one it stands for (None: nobody is left)."""
    successor: dict[str, str | None] = {}
    for event in events:
        kind = event.event if isinstance(event, Event) else event["event"]
        old = event.customer_id if isinstance(event, Event) else str(event["customer_id"])
        to = event.successor_id if isinstance(event, Event) else event["successor_id"]
        if kind in ("created", "unmerged", "returned"):
            successor[old] = old
        elif kind == "merged":
            successor[old] = None if to is None else str(to)
        elif kind == "retired":
            successor[old] = None
        elif kind == "erased":
            successor[old] = "erased"

    def end(old: str) -> str | None:
        seen = [old]
        while True:
            to = successor.get(seen[-1], seen[-1])
            if to is None or to == seen[-1]:
                break
            if to in seen:  # cannot happen while events are in order; stop rather than loop
                break
            seen.append(to)
        last = successor.get(seen[-1], seen[-1])
        for passed in seen[:-1]:
            successor[passed] = last if last is None else seen[-1]
        return last

    return {old: end(old) for old in list(successor)}
