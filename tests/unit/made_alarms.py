"""Watched values made by hand, of which alerts may come."""

from __future__ import annotations

import datetime

from portroom.model.facts.answers import Finding, Findings, Key, RangeUse, Status
from portroom.model.facts.failure import FailureCount, FailureCounts
from portroom.model.facts.sample import BELOW_HALF, IN_RANGE, Forecast, Instant, Sample
from portroom.model.facts.snapshot import NetnsId
from portroom.model.facts.watched import Known, Watched

MORNING = datetime.datetime(2026, 3, 1, 8, 0, tzinfo=datetime.UTC)
HOST = NetnsId("host", 1, 4_026_531_840, "host")
ELIGIBLE = 1000


def instant(uptime_s: float = 100.0, *, boot: str = "boot-1") -> Instant:
    """Return a moment of a boot that began in the morning."""
    return Instant(boot, uptime_s, MORNING + datetime.timedelta(seconds=uptime_s))


def key(
    held: int = 0, *, doubtful: int = 0, remote: str | None = "10.0.0.20", port: int = 5432
) -> Key:
    """Return a key of 1,000 eligible ports."""
    return Key(
        protocol="tcp",
        operation="connect" if remote else "bind0",
        local_address="10.0.0.1",
        remote_address=remote,
        remote_port=port if remote else None,
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


def known(
    *keys: Key,
    at: Instant | None = None,
    netns: NetnsId = HOST,
    forecasts: tuple[Forecast, ...] = (),
    below_half: bool = False,
    **more: object,
) -> Known:
    """Return what is known of a namespace with these keys."""
    at = at or instant()
    sample = Sample(
        host="made",
        taken_at=at.at,
        netns=netns,
        instant=at,
        depth=BELOW_HALF if below_half else IN_RANGE,
        range=RangeUse(32_768, 33_767, ELIGIBLE, 0, ELIGIBLE),
        keys=() if below_half else keys,
        keys_total=None if below_half else len(keys),
    )
    return Known(sample=sample, forecasts=forecasts, **more)  # type: ignore[arg-type]


def watched(*namespaces: Known, at: Instant | None = None, **more: object) -> Watched:
    """Return all that is known, by default of one namespace without a socket."""
    at = at or instant()
    return Watched(
        version="0.0.0",
        host="made",
        started_at=MORNING,
        now=at,
        interval_s=10.0,
        namespaces=namespaces,
        **more,  # type: ignore[arg-type]
    )


def status(*drifts: object) -> Status:
    """Return a status with so much drift."""
    return Status(
        host="made",
        taken_at=MORNING,
        netns=HOST,
        range=None,
        tightest=(),
        keys_total=0,
        sessions=None,
        drift=drifts,  # type: ignore[arg-type]
    )


def findings(*found: Finding, unchecked: tuple[str, ...] = ()) -> Findings:
    """Return these findings."""
    return Findings(
        host="made",
        taken_at=MORNING,
        netns=HOST,
        findings=found,
        checked=(),
        unchecked=unchecked,
    )


def failures(*, last_at: datetime.datetime, cause: str = "key_full") -> FailureCounts:
    """Return counts of failed connects, the last of them then."""
    row = FailureCount(
        failures=7,
        command="client",
        unit=None,
        container=None,
        netns=None,
        operation="connect",
        error="EADDRNOTAVAIL",
        cause=cause,
        protocol="tcp",
        remote_address="10.0.0.20",
        remote_port=5432,
        last_at=last_at,
    )
    return FailureCounts(
        host="made",
        taken_at=last_at,
        netns=HOST,
        since=MORNING,
        failures_total=7,
        exhausted_total=7,
        lost_events=0,
        counts=(row,),
    )
