"""Rules about other tables that fill: TIME_WAIT entries, tracked connections, SNAT."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from portroom.model.advice import commands
from portroom.model.advice.findings.keys import NEARLY_FULL_RATIO, TIGHT_RATIO
from portroom.model.advice.findings.words import found
from portroom.model.advice.wording import count
from portroom.model.facts.answers import CRITICAL, INFO, WARNING, Finding
from portroom.model.facts.ports import LAST_PORT, PortRange
from portroom.model.facts.scene import ConntrackStats, NetCounts, Pulse, Scene, Translation
from portroom.model.facts.settings import setting_named
from portroom.model.facts.snapshot import Counters, Settings
from portroom.model.facts.sockets import Endpoint

BUCKETS = setting_named("tcp_max_tw_buckets")
CONNTRACK = setting_named("nf_conntrack_max")

SNAT_RANGE = PortRange(1024, LAST_PORT)
"""
What SNAT draws from where no rule names ports, for source ports from 1024 on.

Source: Linux net/netfilter/nf_nat_core.c, nf_nat_l4proto_unique_tuple.
"""

SNAT_FIRST_TRIES = 128
"""
Ports that SNAT tries in turn at first; as many are a whole range, it gives up then.

Source: Linux net/netfilter/nf_nat_core.c, NF_NAT_MAX_ATTEMPTS.
"""

SNAT_TRIES = SNAT_FIRST_TRIES + 64 + 32 + 16 + 8
"""
Ports that SNAT tries before it gives a connection up: 248, so it fails before it is full.

Source: Linux net/netfilter/nf_nat_core.c, NF_NAT_MAX_ATTEMPTS.
"""

MOST_TOLD = 5
"""Remote endpoints that are told."""


class Rise(msgspec.Struct, frozen=True):
    """A counter: what it was, and by how much it rose while somebody watched."""

    total: int
    rose: int
    seconds: float

    @property
    def words(self) -> str:
        """Return how often it happened, as the end of a sentence."""
        if self.rose:
            return f", {self.rose:,} of them in the last {self.seconds:,.1f} s"
        return ", none of them while portroom watched" if self.seconds else ""

    @property
    def severity(self) -> str:
        """Return a warning for what happens now, information for what happened once."""
        return WARNING if self.rose else INFO


def tw_buckets_low(scene: Scene) -> Iterator[Finding]:
    """Find connections that ended without TIME_WAIT because there were too many."""
    before, after = _counts(scene.before), _counts(scene.after)
    if before is None:
        return
    first, last = before.time_wait_overflow, (after or before).time_wait_overflow
    if not last:
        return
    rise = Rise(last, last - first, _seconds(scene))
    settings, counters = scene.read.settings, scene.read.counters
    limit = settings.number(BUCKETS.key, 0) if isinstance(settings, Settings) else 0
    now = counters.tcp_tw if isinstance(counters, Counters) else 0
    yield found(
        rise.severity,
        "tw_buckets_low",
        f"{count(last, 'connection')} ended without TIME_WAIT since this namespace began"
        f"{rise.words} (TCPTimeWaitOverflow): tcp_max_tw_buckets is {limit:,}, and {now:,} are "
        "in TIME_WAIT now.",
        "Raise it to what it was before somebody lowered it, or twice what is in use.",
        command=commands.sysctl(BUCKETS.key, max(2 * limit, 2 * now), scene.read.netns),
        numbers={"overflow": last, "rose": rise.rose, BUCKETS.name: limit, "time_wait": now},
    )


def _counts(pulse: object) -> NetCounts | None:
    """Return the counters of a reading, None where they are not known."""
    if isinstance(pulse, Pulse) and isinstance(pulse.counts, NetCounts):
        return pulse.counts
    return None


def _stats(pulse: object) -> ConntrackStats | None:
    """Return what connection tracking refused, None where it is not known or not loaded."""
    if isinstance(pulse, Pulse) and isinstance(pulse.conntrack, ConntrackStats):
        return pulse.conntrack
    return None


def _seconds(scene: Scene) -> float:
    """Return the time between both readings; 0 where there was one."""
    if isinstance(scene.before, Pulse) and isinstance(scene.after, Pulse):
        return scene.after.at_s - scene.before.at_s
    return 0.0


def conntrack_near_full(scene: Scene) -> Iterator[Finding]:
    """Find that the table of tracked connections has little room left."""
    used, most = scene.around.conntrack_used, scene.around.conntrack_max
    if used is None or not most or used <= TIGHT_RATIO * most:
        return
    yield found(
        CRITICAL if used > NEARLY_FULL_RATIO * most else WARNING,
        "conntrack_near_full",
        f"{used:,} of {most:,} connections are tracked (nf_conntrack_max): when it is full, new "
        "ones are dropped, connect() times out and a UDP send() fails with EPERM.",
        "Raise it on the host; each entry takes a few hundred bytes. Shorter timeouts, or no tracking "
        "of what needs none, help too.",
        command=commands.sysctl(CONNTRACK.key, 2 * most),
        numbers={"used": used, CONNTRACK.name: most, "occupancy_ratio": round(used / most, 6)},
    )


def conntrack_insert_failed(scene: Scene) -> Iterator[Finding]:
    """Find connections that could not be tracked, and so were dropped."""
    before, after = _stats(scene.before), _stats(scene.after)
    if before is None:
        return
    last = after or before
    rise = Rise(last.insert_failed, last.insert_failed - before.insert_failed, _seconds(scene))
    if rise.total:
        yield found(
            rise.severity,
            "conntrack_insert_failed",
            f"{count(rise.total, 'connection')} could not be entered into the table of tracked "
            f"ones{rise.words} (insert_failed; {last.dropped:,} dropped): SNAT found no port, or "
            "two packets raced. The sender tries again after a second.",
            "Look whether SNAT towards one endpoint is tight; if not, let the rule draw ports at "
            "random (fully-random).",
            command=commands.inside("conntrack -S", scene.read.netns),
            numbers={
                "insert_failed": rise.total,
                "rose": rise.rose,
                "dropped": last.dropped,
                "early_dropped": last.early_dropped,
            },
        )


def snat_tight(scene: Scene) -> Iterator[Finding]:
    """Find remote endpoints to which SNAT has few ports left."""
    if not isinstance(scene.translations, tuple):
        return
    tight = [one for one in scene.translations if _ratio(one) > TIGHT_RATIO]
    for one in tight[:MOST_TOLD]:
        yield _snat(one, scene)


def _ratio(one: Translation) -> float:
    """Return how full the ports of a translation are."""
    return one.held_ports / (one.ports or SNAT_RANGE).ports


def _percent(share: float) -> str:
    """
    Return a share in whole percent, rounded down; less than one is said so.

    >>> _percent(0.0), _percent(0.003), _percent(0.999), _percent(1.0)
    ('0 %', '<1 %', '99 %', '100 %')
    """
    return "<1 %" if 0 < share < 0.01 else f"{int(share * 100)} %"


def _failing(held: int, ports: int) -> float:
    """
    Return the share of new connections for which SNAT finds no port.

    A small range is tried in full, once; of a large one so many at random.

    >>> _failing(127, 128), _failing(128, 128), round(_failing(9_990, 10_000), 2)
    (0.0, 1.0, 0.78)
    """
    if held >= ports:
        return 1.0
    return (held / ports) ** SNAT_TRIES if ports > SNAT_FIRST_TRIES else 0.0


def _snat(one: Translation, scene: Scene) -> Finding:
    """Return the finding of one remote endpoint."""
    ports, ratio = one.ports or SNAT_RANGE, _ratio(one)
    failing = _failing(one.held_ports, ports.ports)
    source = "the rule's" if one.ports else "no rule names ports, so"
    remote = Endpoint(one.remote_address, one.remote_port)
    return found(
        CRITICAL if ratio > NEARLY_FULL_RATIO else WARNING,
        "snat_tight",
        f"SNAT to {one.local_address} holds {one.held_ports:,} of {count(ports.ports, 'port')} "
        f"towards {one.protocol} {remote} ({source} {ports}). It tries up to "
        f"{min(SNAT_TRIES, ports.ports)}: {_percent(failing)} of new connections find none, and "
        "time out.",
        "Give the rule more addresses or ports, or let the clients share connections. "
        "ip_local_port_range does not count here.",
        command=commands.inside("conntrack -L --src-nat", scene.read.netns),
        numbers={
            "held_ports": one.held_ports,
            "ports": ports.ports,
            "occupancy_ratio": round(ratio, 6),
            "failing_ratio": round(failing, 6),
            "destination": str(remote),
        },
    )
