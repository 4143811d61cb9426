"""Samples: what the daemon read of one namespace at one moment, and what it foresees.

Rules of this file:

- time passes by ``Instant.uptime_s`` alone, which runs through suspend and never
  jumps; the wall clock is shown, never subtracted;
- a sample that did not look at every key says so by its depth and by Gaps: what
  was not looked at is absent, never zero;
- numbers of keys are those of ``Key``, as every other answer has them.
"""

from __future__ import annotations

import datetime

import msgspec

from portroom.model.facts.answers import Answer, Key, RangeUse, Summary
from portroom.model.facts.sockets import Owner

BELOW_HALF, IN_RANGE, FULL = "below_half", "range", "full"
DEPTHS = (BELOW_HALF, IN_RANGE, FULL)
"""
How deep a sample looked: counters alone, because no key can be half full; sockets on
ports of the range; or every socket, with sessions by state, settings and findings.
"""

SEEN, INFERRED, UNKNOWN = "seen", "inferred", "unknown"
CERTAINTIES = (SEEN, INFERRED, UNKNOWN)
"""How sure a charge is: the owner was seen with it alive, others were on the same key, or neither."""

NO_FORECAST, LOW, MEDIUM, HIGH = "none", "low", "medium", "high"
CONFIDENCES = (NO_FORECAST, LOW, MEDIUM, HIGH)


class Instant(msgspec.Struct, frozen=True):
    """
    A moment, known by boot and time since boot (CLOCK_BOOTTIME, suspend included).

    ``at`` is what the wall clock showed: aware, UTC, and no measure of time.
    """

    boot_id: str
    uptime_s: float
    at: datetime.datetime


class Flow(msgspec.Struct, frozen=True):
    """
    How the connections of one key come and go.

    ``alive_sockets`` are those not in TIME_WAIT. ``ends`` says how many of its
    TIME_WAITs end within the first, second, … coming second, 60 numbers; empty where
    the kernel was not asked, or there are none. ``hold_time_s`` is for how long the
    least connection of the key holds its port.
    """

    alive_sockets: int
    time_wait_sockets: int
    ends: tuple[int, ...]
    hold_time_s: float


class Forecast(msgspec.Struct, frozen=True):
    """
    What becomes of one key if its connections come and go as they do.

    Rates are per second, never negative; None is not known. ``connects_per_s``
    counts what was seen: connections that came and went between two samples and left
    no TIME_WAIT are not in it. ``max_connects_per_s`` is what the key sustains.
    ``half_in_s`` and ``exhausted_in_s`` are None where that is not foreseen, which
    ``confidence`` tells from not known: then it is ``none``.
    """

    connects_per_s: float | None = None
    time_wait_per_s: float | None = None
    hold_time_s: float | None = None
    max_connects_per_s: float | None = None
    half_in_s: float | None = None
    exhausted_in_s: float | None = None
    confidence: str = NO_FORECAST


class Charge(msgspec.Struct, frozen=True):
    """
    TIME_WAITs of one key that one process, unit or container left.

    ``certainty`` is ``seen``, ``inferred`` or ``unknown``; the owner is None only
    where it is unknown. The owner may have ended meanwhile.
    """

    owner: Owner | None
    sockets: int
    certainty: str


class Sample(Answer, frozen=True, kw_only=True):
    """
    One namespace at one moment.

    ``keys`` are the tightest first, empty below half; ``keys_total`` is None there.
    ``flows`` and ``charges`` belong to ``keys``, one each, in their order; each is
    empty as a whole where nobody looked. ``sessions`` has no states unless the depth
    is ``full``. ``active_opens`` counts connects since the namespace was made.
    ``duration_s`` is what the sample took.
    """

    instant: Instant
    depth: str
    range: RangeUse | None
    keys: tuple[Key, ...] = ()
    keys_total: int | None = None
    flows: tuple[Flow, ...] = ()
    charges: tuple[tuple[Charge, ...], ...] = ()
    sessions: Summary | None = None
    active_opens: int | None = None
    duration_s: float = 0.0
