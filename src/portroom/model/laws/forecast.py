"""What becomes of a key if its connections go on coming and going as they do.

Connections come at some rate, and each holds a port: while it is alive, and mostly for
the time of a TIME_WAIT after. What is in TIME_WAIT now gives its port back at a time
that the kernel tells; what is alive is taken to stay as many as it is, or to become
more as it did. So a key that takes its first connections is not taken for one that
fills for ever: what comes goes again a minute later.

How sure that is, is counted: each rate has an error, from how much it went up and down
and from how many connections it was counted. A forecast is made with the rates as they
are, and with both ends of their errors; how far these are apart is its confidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from portroom.model.facts.sample import (
    CONFIDENCES,
    HIGH,
    LOW,
    MEDIUM,
    NO_FORECAST,
    Forecast,
    Sample,
)
from portroom.model.facts.sockets import is_loopback, packed_address
from portroom.model.laws.below_half import HALF
from portroom.model.laws.filling import Course, seconds_until
from portroom.model.laws.key_rates import Rates, rates_of, returned, staying_ports, tells_ends
from portroom.model.laws.key_series import Point, series
from portroom.model.laws.rates import max_connect_rate
from portroom.model.laws.time_wait import TIME_WAIT_MS

ERRORS = 2.0
"""Standard errors either way that a forecast is tried with: 19 of 20 lie within."""

NEAR, FAR = 0.25, 0.5
"""By which part a time may come earlier with high, and with medium confidence."""

SAFE_S, SOON_S = 3600.0, 900.0
"""For how long a key lasts, errors included, where high or medium confidence says it does."""

SPANS_NEAR, SPANS_FAR = 5, 15
"""
How many times as far ahead as back is told with high, and with medium confidence.

Connections that live longer than anybody looked seem to stay for ever.
"""

FEW_INTERVALS, SOME_INTERVALS = 2, 4
"""Below these many intervals the confidence is low at most, and medium at most."""


def forecasts(samples: Sequence[Sample]) -> tuple[Forecast, ...]:
    """
    Return what becomes of each key of the newest sample, in their order.

    Args:
        samples: Of one namespace, the oldest first; those of an earlier boot, and
            from before a time that goes backwards, are left out.
    """
    return tuple(_forecast(points) for points in series(samples)) if samples else ()


def _forecast(points: Sequence[Point]) -> Forecast:
    """Return what becomes of one key."""
    key, rates = points[-1].key, rates_of(points)
    half = ceil(key.eligible_ports * HALF) - key.held_ports
    half_s, full_s, confidence = 0.0 if half <= 0 else None, None, NO_FORECAST
    if key.exhausted:
        full_s, confidence = 0.0, HIGH
    elif rates.intervals or rates.ended:
        course = _course(points[-1], rates, 0.0)
        half_s = seconds_until(half, course)
        full_s = seconds_until(key.free_ports_max, course)
        confidence = _confidence(points, rates, full_s)
    return Forecast(
        connects_per_s=_told(rates.connects),
        time_wait_per_s=_told(rates.ended),
        hold_time_s=points[-1].flow.hold_time_s if points[-1].flow else None,
        max_connects_per_s=_told(_sustained(points[-1])),
        half_in_s=_told(half_s),
        exhausted_in_s=_told(full_s),
        confidence=confidence,
    )


def _told(number: float | None) -> float | None:
    """Return a number to three digits, never below zero."""
    return None if number is None else max(0.0, round(number, 3))


def _sustained(newest: Point) -> float | None:
    """
    Return the highest rate of connections that a key sustains beside those that stay.

    None where a port comes back at once, so that no rate is too high.
    """
    if newest.flow is None or newest.flow.hold_time_s <= 0:
        return None
    left = max(0, newest.key.eligible_ports - staying_ports(newest))
    return max_connect_rate(left, newest.flow.hold_time_s)


def _course(newest: Point, rates: Rates, errors: float) -> Course:
    """Return how ports are taken with rates that are so many errors off."""
    assert rates.taken is not None
    assert rates.growth is not None
    growth = rates.growth.per_s + errors * rates.growth.error
    if not errors and growth <= ERRORS * rates.growth.error:
        # What may be chance is no growth, or each full minute would foretell some end.
        growth = 0.0
    return Course(
        rates.taken.per_s + errors * rates.taken.error,
        growth,
        returned(newest),
    )


def _confidence(points: Sequence[Point], rates: Rates, full_s: float | None) -> str:
    """Return how sure it is when a key is full, or that it will not be."""
    newest = points[-1]
    free_ports = newest.key.free_ports_max
    early_s = seconds_until(free_ports, _course(newest, rates, ERRORS))
    late_s = seconds_until(free_ports, _course(newest, rates, -ERRORS))
    doubtful_s = seconds_until(newest.key.free_ports, _course(newest, rates, 0.0))
    return min(
        _lasting(early_s) if full_s is None else _agreement(full_s, early_s, late_s),
        _by_intervals(rates.intervals),
        _by_span(full_s, newest.uptime_s - points[0].uptime_s),
        _by_evidence(newest),
        _lasting(doubtful_s) if full_s is None else _agreement(full_s, doubtful_s, full_s),
        key=CONFIDENCES.index,
    )


def _lasting(early_s: float | None) -> str:
    """Return how sure it is that a key does not fill, by when it would at the earliest."""
    if early_s is None or early_s >= SAFE_S:
        return HIGH
    return MEDIUM if early_s >= SOON_S else LOW


def _agreement(full_s: float, early_s: float | None, late_s: float | None) -> str:
    """
    Return how sure a time is, by how much earlier and later it may come.

    >>> _agreement(100, 80, 120), _agreement(100, 60, 190), _agreement(100, 99, None)
    ('high', 'medium', 'low')
    """
    if early_s is None or late_s is None:
        return LOW
    for part, confidence in ((NEAR, HIGH), (FAR, MEDIUM)):
        if early_s >= full_s * (1 - part) and late_s <= full_s / (1 - part):
            return confidence
    return LOW


def _by_intervals(intervals: int) -> str:
    """Return how sure rates can be at most, by from how many intervals they are."""
    if intervals < FEW_INTERVALS:
        return LOW
    return MEDIUM if intervals < SOME_INTERVALS else HIGH


def _by_span(full_s: float | None, looked_s: float) -> str:
    """Return how sure a time can be at most, by how far back somebody looked."""
    if full_s is None or full_s <= SPANS_NEAR * looked_s:
        return HIGH
    return MEDIUM if full_s <= SPANS_FAR * looked_s else LOW


def _by_evidence(newest: Point) -> str:
    """Return how sure a forecast can be at most, by what the kernel tells of the key."""
    flow = newest.flow
    if flow is None or not tells_ends(flow):
        return LOW
    reused = 0 < flow.hold_time_s < TIME_WAIT_MS / 1000
    # Whether the other end lets a TIME_WAIT be taken over is known on loopback alone.
    return MEDIUM if reused and not is_loopback(*packed_address(newest.key.local_address)) else HIGH
