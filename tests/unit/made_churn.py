"""Workloads of one key for tests: connections that come, live and end, sampled now and then."""

from __future__ import annotations

import datetime
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from random import Random
from typing import NamedTuple

from portroom.model.facts.answers import Key
from portroom.model.facts.sample import IN_RANGE, Flow, Instant, Sample
from portroom.model.facts.snapshot import NetnsId

BOOT, OTHER_BOOT = "6f1ed002-ab5b-4b5e-9f4f-000000000001", "6f1ed002-ab5b-4b5e-9f4f-000000000002"
NETNS = NetnsId("shop", 4711, 4026531840, "named", 99)
TIME_WAIT_S = 60.0
EPOCH = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)


class Churn(NamedTuple):
    """
    What became of connections that nobody refused: when each began, ended, was gone.

    Each column is sorted for itself: only how many there are at a time is asked.
    """

    begun_s: Sequence[float]
    ended_s: Sequence[float]
    gone_s: Sequence[float]

    def held(self, at_s: float) -> int:
        """Return how many ports are held at a time."""
        return bisect_right(self.begun_s, at_s) - bisect_right(self.gone_s, at_s)

    def full_at_s(self, ports: int) -> float | None:
        """Return when so many ports are held for the first time; None is never."""
        return next((at_s for at_s in self.begun_s if self.held(at_s) >= ports), None)

    def flow(self, at_s: float) -> Flow:
        """Return how connections come and go, as one reading at a time tells it."""
        ended, gone = bisect_right(self.ended_s, at_s), bisect_right(self.gone_s, at_s)
        edges = [bisect_right(self.gone_s, at_s + second) for second in range(61)]
        ends = tuple(min(edge, ended) for edge in edges)
        return Flow(
            alive_sockets=bisect_right(self.begun_s, at_s) - ended,
            time_wait_sockets=ended - gone,
            ends=tuple(b - a for a, b in pairwise(ends)) if ended > gone else (),
            hold_time_s=TIME_WAIT_S,
        )

    def sample(self, at_s: float, eligible: int, **fields: object) -> Sample:
        """Return a sample of the key at a time; *fields* are those of ``sample``."""
        held = min(self.held(at_s), eligible)
        return sample(at_s, [key(held, eligible)], [self.flow(at_s)], **fields)


def churn(times: Sequence[float], life_s: Callable[[], float]) -> Churn:
    """
    Return what becomes of connections that all end in TIME_WAIT.

    Args:
        times: When each begins.
        life_s: How long one lives.
    """
    ended = [at_s + life_s() for at_s in times]
    return Churn(sorted(times), sorted(ended), sorted(at_s + TIME_WAIT_S for at_s in ended))


def evenly(rate: float, until_s: float, from_s: float = 0.0) -> list[float]:
    """Return times at a constant rate per second."""
    return [from_s + number / rate for number in range(int((until_s - from_s) * rate))]


def by_chance(rate: float, until_s: float, random: Random) -> list[float]:
    """Return times of arrivals that do not know of each other, at a rate per second."""
    gaps = (random.expovariate(rate) for _ in range(int(until_s * rate)))
    return list(accumulate(gaps))


def key(held: int, eligible: int, **fields: object) -> Key:
    """Return the key of one destination."""
    free = eligible - held
    told = {
        "protocol": "tcp",
        "operation": "connect",
        "local_address": "192.0.2.1",
        "remote_address": "198.51.100.1",
        "remote_port": 443,
        "eligible_ports": eligible,
        "held_ports": held,
        "doubtful_ports": 0,
        "free_ports": free,
        "free_ports_max": free,
        "occupancy_ratio": held / eligible,
        "occupancy_ratio_max": held / eligible,
        "exhausted": not free,
        "states": {},
    }
    return Key(**(told | fields))


def sample(
    uptime_s: float,
    keys: Sequence[Key],
    flows: Sequence[Flow] = (),
    *,
    boot_id: str = BOOT,
    at: datetime.datetime | None = None,
    depth: str = IN_RANGE,
) -> Sample:
    """Return a sample; what the wall clock shows is *at*, else it goes with the uptime."""
    shown = at or EPOCH + datetime.timedelta(seconds=uptime_s)
    return Sample(
        host="web-1.example",
        taken_at=shown,
        netns=NETNS,
        instant=Instant(boot_id, uptime_s, shown),
        depth=depth,
        range=None,
        keys=tuple(keys),
        keys_total=len(keys),
        flows=tuple(flows),
    )
