"""What a daemon knows, written by hand: samples, keys and namespaces."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec

from portroom.model.facts.answers import Key, RangeUse
from portroom.model.facts.gaps import Gap
from portroom.model.facts.sample import BELOW_HALF, IN_RANGE, Forecast, Instant, Sample
from portroom.model.facts.snapshot import NetnsId
from portroom.model.facts.watched import Known, Watched

AT = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)
NOW = Instant("boot-1", 5000.0, AT)
HOST = NetnsId("host", 1, 4_026_531_840, "host")
ELIGIBLE = 1000


def named(name: str, cookie: int = 2) -> NetnsId:
    """Return a namespace by its name."""
    return NetnsId(name, cookie, 4_026_532_000 + cookie, "named")


def key(
    held: int, remote: str | None = "10.0.0.20", port: int = 5432, doubtful: int = 0, **others: Any
) -> Key:
    """Return a key of 1,000 eligible ports; without a remote one of UDP."""
    one = Key(
        protocol="udp" if remote is None else "tcp",
        operation="connect",
        local_address="10.0.0.10",
        remote_address=remote,
        remote_port=None if remote is None else port,
        eligible_ports=ELIGIBLE,
        held_ports=held,
        doubtful_ports=doubtful,
        free_ports=ELIGIBLE - held - doubtful,
        free_ports_max=ELIGIBLE - held,
        occupancy_ratio=held / ELIGIBLE,
        occupancy_ratio_max=(held + doubtful) / ELIGIBLE,
        exhausted=held == ELIGIBLE,
        states={"ESTABLISHED": held},
    )
    return msgspec.structs.replace(one, **others)


def sample(*keys: Key, netns: NetnsId = HOST, age_s: float = 0.0, **others: Any) -> Sample:
    """Return a sample with these keys, taken *age_s* before NOW."""
    taken = Instant(NOW.boot_id, NOW.uptime_s - age_s, NOW.at - datetime.timedelta(seconds=age_s))
    given: dict[str, Any] = {
        "host": "web-1",
        "taken_at": taken.at,
        "netns": netns,
        "instant": taken,
        "depth": IN_RANGE,
        "range": RangeUse(32_768, 33_767, ELIGIBLE, 0, ELIGIBLE),
        "keys": tuple(sorted(keys, key=lambda one: -one.occupancy_ratio)),
        "keys_total": len(keys),
        "duration_s": 0.01,
    }
    return Sample(**given | others)


def below_half(netns: NetnsId = HOST) -> Sample:
    """Return a sample that looked at no key, because none can be half full."""
    gap = Gap("keys", "below half: 3 TCP sockets", ("keys",))
    return sample(netns=netns, depth=BELOW_HALF, keys_total=None, gaps=(gap,))


def known(one: Sample, *forecasts: Forecast, **others: Any) -> Known:
    """Return what is known of a namespace."""
    return Known(sample=one, forecasts=forecasts, **others)


def watched(*namespaces: Known | Sample, **others: Any) -> Watched:
    """Return all that is known, of these namespaces."""
    given: dict[str, Any] = {
        "version": "0.0.0",
        "host": "web-1",
        "started_at": AT,
        "now": NOW,
        "interval_s": 10.0,
        "namespaces": tuple(
            one if isinstance(one, Known) else Known(sample=one) for one in namespaces
        ),
    }
    return Watched(**given | others)
