"""A range of different parity near one of the same: one port more or less."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from portroom.model.advice.collisions import Choice, Occupied, collisions
from portroom.model.advice.draft import Draft, choice
from portroom.model.facts.ports import LAST_PORT, PortRange
from portroom.model.laws.acceptance import RANGE_KEY, START_KEY


def better_range(change: Draft, occupied: Iterable[Occupied]) -> PortRange | None:
    """
    Return the nearest range whose ends differ in parity, None where that is no flaw.

    It is one that the kernel takes and that takes in nothing else; so the port
    beside the range is suggested only where nothing counts on it.
    """
    asked = change.after.ephemeral
    if not change.changes(RANGE_KEY) or not asked.same_parity:
        return None
    there = tuple(occupied)
    lowest = max(change.after.number(START_KEY, 0), 1)
    for better in _neighbours(asked):
        inside = better.first >= lowest and better.last <= LAST_PORT
        if inside and not collisions(
            choice(change.after), Choice(better, change.after.reserved), there
        ):
            return better
    return None


def _neighbours(asked: PortRange) -> Iterator[PortRange]:
    """Yield the ranges with one end moved by one, the larger ones first."""
    first, last = asked
    yield PortRange(first, last + 1)
    yield PortRange(first - 1, last)
    yield PortRange(first, last - 1)
    yield PortRange(first + 1, last)
