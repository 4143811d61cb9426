"""How fast the connections of one key come, stay and end, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import ceil, sqrt
from typing import NamedTuple

from portroom.model.facts.sample import Flow
from portroom.model.laws.key_series import Point
from portroom.model.laws.rates import YOUNG_S

HALF_LIFE_S = 20.0
"""After so long an interval counts half: what is newer tells more of what comes."""

HALF_LIFE_INTERVALS = 2

ENOUGH = 100
"""Entries from which a rate is counted to a tenth: one in the root of their number."""

SURELY = 3.0
"""Standard errors from which two rates differ, and not by chance."""


class Rate(NamedTuple):
    """A rate per second and its standard error."""

    per_s: float
    error: float


class Rates(NamedTuple):
    """
    The rates of one key, each per second; None is not known.

    ``taken`` are ports that connections take, whether they stay or end; ``growth``
    is what of that stays, negative where it becomes less. ``connects`` and ``ended``
    are connections that were begun, and that went into TIME_WAIT. ``intervals``
    is from how many these were made.
    """

    taken: Rate | None
    growth: Rate | None
    connects: float | None
    ended: float | None
    intervals: int


class _Interval(NamedTuple):
    """What happened between two points: seconds, weight, and counts."""

    seconds: float
    weight: float
    stayed: float
    ended: float | None
    connects: float

    @property
    def taken(self) -> float:
        """Return how many ports were taken."""
        return self.stayed + (self.ended or 0.0)


def rates_of(points: Sequence[Point]) -> Rates:
    """
    Return the rates of one key.

    Args:
        points: Its past, the oldest first; the newest is at least one.
    """
    now = recent_inflow(points[-1])
    intervals = _intervals(points)
    if not intervals:
        zero = Rate(0.0, 0.0)
        return Rates(now, zero if now else None, None, now.per_s if now else None, 0)
    every_s = sum(one.weight * one.seconds for one in intervals)
    taken = _rate([(one, one.taken) for one in intervals], every_s)
    growth = _rate([(one, one.stayed) for one in intervals], every_s)
    connects = sum(one.weight * one.connects for one in intervals) / every_s
    return Rates(
        taken=taken,
        growth=_settled(taken, growth, now),
        connects=connects,
        ended=now.per_s if now else None,
        intervals=len(intervals),
    )


def _settled(taken: Rate, growth: Rate, now: Rate | None) -> Rate:
    """
    Return the growth, less what only just began to end.

    The first connections of a key all stay, until the first of them end: from then on
    they are no growth, though they were while most of the window passed.
    """
    ended = taken.per_s - growth.per_s
    if now is None or now.per_s - ended <= SURELY * now.error:
        return growth
    return Rate(min(growth.per_s, taken.per_s - now.per_s), growth.error)


def _rate(counts: Sequence[tuple[_Interval, float]], every_s: float) -> Rate:
    """Return the weighted mean of counts per second, and its error."""
    mean = sum(one.weight * count for one, count in counts) / every_s
    chance = sum(one.weight**2 * max(abs(count), 1.0) for one, count in counts)
    spread = sum((one.weight * (count - mean * one.seconds)) ** 2 for one, count in counts)
    if len(counts) > 1:
        spread *= len(counts) / (len(counts) - 1)
    return Rate(mean, sqrt(max(chance, spread)) / every_s)


def _intervals(points: Sequence[Point]) -> list[_Interval]:
    """Return what happened between each two points, the newer ones weighing more."""
    if len(points) < 2:
        return []
    newest_s = points[-1].uptime_s
    half_life_s = max(HALF_LIFE_S, HALF_LIFE_INTERVALS * (newest_s - points[-2].uptime_s))
    return [
        _interval(before, after, 0.5 ** ((newest_s - after.uptime_s) / half_life_s))
        for before, after in pairwise(points)
    ]


def _interval(before: Point, after: Point, weight: float) -> _Interval:
    """Return what happened between two points."""
    seconds = after.uptime_s - before.uptime_s
    ended = _ended(after, seconds) if tells_ends(before.flow) else None
    stayed = _staying(after, ended) - _staying(before, ended)
    return _Interval(seconds, weight, stayed, ended, max(0.0, _came(before, after) + (ended or 0)))


def tells_ends(flow: Flow | None) -> bool:
    """Say whether it is known when each TIME_WAIT ends."""
    return flow is not None and bool(flow.ends or not flow.time_wait_sockets)


def _came(before: Point, after: Point) -> int:
    """Return how many more sockets are alive than before."""
    if before.flow is None or after.flow is None:
        return after.key.held_ports - before.key.held_ports
    return after.flow.alive_sockets - before.flow.alive_sockets


def _staying(point: Point, ended: float | None) -> int:
    """Return how many ports are held by something else than what waits for its end."""
    waiting = sum(returned(point)) if ended is not None else 0
    return point.key.held_ports - waiting


def staying_ports(point: Point) -> int:
    """Return how many ports of a key are held by something else than a TIME_WAIT."""
    return max(0, _staying(point, 0.0))


def returned(point: Point) -> Sequence[int]:
    """
    Return how many ports come back within the first, second, … coming second.

    Those in TIME_WAIT, in as many seconds as it holds a port of this key.
    """
    flow = point.flow
    if flow is None:
        return ()
    seconds = ceil(flow.hold_time_s)
    ends = flow.ends[len(flow.ends) - seconds :] if flow.ends else ()
    return ends or (0,) * seconds


def _ended(after: Point, seconds: float) -> float | None:
    """Return how many went into TIME_WAIT in the seconds before a point, None if not known."""
    flow = after.flow
    if flow is None or not tells_ends(flow):
        return None
    if not flow.ends:
        return 0.0
    # What is older than the hold time may have been taken over already.
    told_s = min(seconds, max(flow.hold_time_s, 1.0), len(flow.ends))
    return younger(flow.ends, told_s) * seconds / told_s


def younger(ends: Sequence[int], seconds: float) -> float:
    """
    Return how many TIME_WAITs are younger than some seconds, of 60 at most.

    Args:
        ends: How many end in each coming second.
        seconds: Their age at most; within a second they are taken to be even.

    >>> younger((0,) * 57 + (10, 20, 40), 2.5)
    65.0
    """
    whole = int(seconds)
    rest = seconds - whole
    last = len(ends) - whole
    part = ends[last - 1] * rest if rest and last else 0.0
    return sum(ends[last:]) + part


def recent_inflow(point: Point) -> Rate | None:
    """
    Return how many connections a second go into TIME_WAIT just now, None if not known.

    Counted over as few seconds as have ENOUGH of them, from YOUNG_S to a minute.
    """
    flow = point.flow
    if flow is None or not tells_ends(flow):
        return None
    if not flow.ends:
        return Rate(0.0, 0.0)
    most_s = min(max(flow.hold_time_s, 1.0), len(flow.ends))
    told_s = min(YOUNG_S, most_s)
    while told_s < most_s and younger(flow.ends, told_s) < ENOUGH:
        told_s = min(2 * told_s, most_s)
    entries = younger(flow.ends, told_s)
    return Rate(entries / told_s, sqrt(max(entries, 1.0)) / told_s)
