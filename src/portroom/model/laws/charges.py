"""To whom the TIME_WAITs of a key are charged, and how sure that is.

``seen`` are those that were known, by the kernel's own number of the connection, when
sockets were last looked at one by one. What ended since then is ``inferred``: to who had
its port, else to those whose other TIME_WAITs are known, else to the only one who was
seen on the key. The rest is ``unknown``. Nothing is asserted that was not seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import compress
from math import ceil
from typing import NamedTuple

from portroom.model.facts.sample import INFERRED, SEEN, UNKNOWN, Charge
from portroom.model.facts.sockets import Owner
from portroom.model.laws.owner_memory import Lookup, likeness
from portroom.model.laws.time_wait import CLOCK_MARGIN_MS, TIME_WAIT_MS

MOST_CHARGES = 20
"""Charges of one key; where more processes left TIME_WAITs, those alike are taken together."""


class Ended(NamedTuple):
    """TIME_WAITs of one key: how many by the number of who was seen, or had their port."""

    seen: Counter[int]
    guessed: Counter[int]
    rest: int


def sort_ended(
    parts: Iterable[tuple[Sequence[int], Sequence[int]]], code_of: Lookup, looked_ms_ago: float
) -> Ended:
    """
    Return whose the TIME_WAITs of a key are, as far as memory tells.

    One that ended before sockets were looked at was in TIME_WAIT then, so that it is
    the one remembered as ended. Where a connection was alive then, one has ended since.

    Args:
        parts: Local ports, and the milliseconds until each ends; empty if not known.
        code_of: Who had a port when sockets were last looked at.
        looked_ms_ago: How long ago that was, not above zero if it was just now.
    """
    limit_ms = TIME_WAIT_MS - ceil(looked_ms_ago + CLOCK_MARGIN_MS)
    every: Counter[int | None] = Counter()
    older: Counter[int | None] = Counter()
    for ports, times in parts:
        # C loops throughout: a key may have tens of thousands of ports.
        codes = list(map(code_of, ports))
        every.update(codes)
        if looked_ms_ago > 0 and times:
            older.update(compress(codes, map(limit_ms.__ge__, times)))
    if looked_ms_ago <= 0:
        older = every
    seen = Counter({code >> 1: n for code, n in older.items() if code and code & 1})
    guessed = Counter({code >> 1: n for code, n in every.items() if code and not code & 1})
    return Ended(seen, guessed, every.total() - seen.total() - guessed.total())


def charges(ended: Ended, people: Mapping[int, Owner], here: Collection[int]) -> tuple[Charge, ...]:
    """
    Return to whom the TIME_WAITs of one key are charged, most first.

    Args:
        ended: Whose they are.
        people: Processes by number.
        here: Numbers of all who were seen on this key lately.
    """
    every = [
        *_fold(ended.seen, people, SEEN, at_most=MOST_CHARGES),
        *_fold(ended.guessed + _inferred(ended, here), people, INFERRED, at_most=0),
    ]
    every.sort(key=lambda charge: -charge.sockets)
    told = every[:MOST_CHARGES]
    total = ended.seen.total() + ended.guessed.total() + ended.rest
    unknown = total - sum(charge.sockets for charge in told)
    return (*told, Charge(None, unknown, UNKNOWN)) if unknown else tuple(told)


def _inferred(ended: Ended, here: Collection[int]) -> Counter[int]:
    """Return to whom the rest is charged without proof; nothing is charged to nobody."""
    known = ended.seen + ended.guessed
    if not known and len(here) == 1:
        known = Counter(tuple(here))  # of a mapping it would take the values for counts
    return _shares(ended.rest, known) if known else Counter()


def _shares(count: int, weights: Counter[int]) -> Counter[int]:
    """
    Return a count divided by weights, the whole of it.

    >>> _shares(10, Counter({1: 3, 2: 1}))
    Counter({1: 8, 2: 2})
    """
    total = weights.total()
    found: Counter[int] = Counter()
    given = passed = 0
    for number, weight in weights.most_common():
        passed += weight
        # Rounded sums, so that no part gets lost.
        upto = (2 * count * passed + total) // (2 * total)
        found[number] = upto - given
        given = upto
    return found


def _fold(
    counted: Counter[int], people: Mapping[int, Owner], certainty: str, *, at_most: int
) -> list[Charge]:
    """Return charges, those of processes that are alike as one where they are too many."""
    places: dict[tuple[object, ...] | int, list[tuple[int, Owner]]] = {}
    many = len(counted) > at_most
    for number, sockets in counted.items():
        owner = people.get(number)
        if owner is not None and sockets:
            place = likeness(owner) if many else number
            places.setdefault(place, []).append((sockets, owner))
    return [
        Charge(_newest(entries), sum(sockets for sockets, _ in entries), certainty)
        for entries in places.values()
    ]


def _newest(entries: Sequence[tuple[int, Owner]]) -> Owner:
    """Return the youngest process of some that are alike."""
    return max((owner for _, owner in entries), key=lambda owner: (owner.start_time, owner.pid))
