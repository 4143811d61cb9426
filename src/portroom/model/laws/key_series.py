"""What some samples tell of each key, one after the other: the past of a forecast.

Time passes by the uptime alone, which no clock jump moves. Where it goes backwards, or
the boot is another one, the past ends: what was before is of another system. So it does
where the key was not looked at, where the range changed, and where nobody sampled for
so long that the host was asleep or the daemon away.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from portroom.model.facts.answers import Key
from portroom.model.facts.sample import Flow, Sample

WINDOW_S = 60.0
"""How far back is looked: as long as a TIME_WAIT lasts."""

LEAST_INTERVALS = 6
"""How many intervals are looked at where the window holds fewer."""

PAUSE_TIMES = 5
"""How many times the shortest interval is a pause, after which all starts anew."""


class Point(NamedTuple):
    """One key in one sample; the flow is None where nobody looked."""

    uptime_s: float
    key: Key
    flow: Flow | None


Identity = tuple[str, str, str, str | None, int | None, str | None]


def series(samples: Sequence[Sample]) -> list[list[Point]]:
    """
    Return the past of each key of the newest sample, the oldest point first.

    Args:
        samples: Of one namespace, the oldest first; at least one.
    """
    newest = samples[-1]
    found = [[_point(newest, place)] for place in range(len(newest.keys))]
    known = {_identity(key): place for place, key in enumerate(newest.keys)}
    for sample in reversed(_comparable(samples)[:-1]):
        seen = {}
        for place, key in enumerate(sample.keys):
            mine = known.get(_identity(key))
            if mine is not None and key.eligible_ports == newest.keys[mine].eligible_ports:
                seen[_identity(key)] = mine
                found[mine].append(_point(sample, place))
        known = seen
    return [points[::-1] for points in found]


def _comparable(samples: Sequence[Sample]) -> list[Sample]:
    """Return the newest samples that tell of the present, the oldest first."""
    run = [samples[-1]]
    shortest_s = 0.0
    for sample in reversed(samples[:-1]):
        later, earlier = run[-1].instant, sample.instant
        passed_s = later.uptime_s - earlier.uptime_s
        if earlier.boot_id != later.boot_id or passed_s <= 0:
            break
        if shortest_s and passed_s > max(WINDOW_S, PAUSE_TIMES * shortest_s):
            break
        if len(run) > LEAST_INTERVALS and run[0].instant.uptime_s - earlier.uptime_s > WINDOW_S:
            break
        shortest_s = min(shortest_s or passed_s, passed_s)
        run.append(sample)
    return run[::-1]


def _point(sample: Sample, place: int) -> Point:
    """Return one key of a sample."""
    flow = sample.flows[place] if place < len(sample.flows) else None
    return Point(sample.instant.uptime_s, sample.keys[place], flow)


def _identity(key: Key) -> Identity:
    """Return what tells keys apart."""
    return (
        key.protocol,
        key.operation,
        key.local_address,
        key.remote_address,
        key.remote_port,
        key.vrf,
    )
