"""Other tables that fill: TIME_WAIT entries, tracked connections, SNAT."""

from __future__ import annotations

import msgspec
import pytest

from portroom.model.advice.findings.limits import (
    conntrack_insert_failed,
    conntrack_near_full,
    snat_tight,
    tw_buckets_low,
)
from portroom.model.facts.gaps import not_looked_at
from portroom.model.facts.ports import PortRange
from portroom.model.facts.scene import ConntrackStats
from portroom.model.facts.surroundings import Surroundings
from tests.unit.made_scenes import (
    SHOP,
    connected,
    pulse,
    scene,
    small,
    time_waits,
    translation,
)


def overflow(before: int, after: int | None = None, **numbers: int):
    """Return a scene with a counter of connections that ended without TIME_WAIT."""
    return scene(
        small(time_waits(40000, 5, [3.0]), tcp_max_tw_buckets=5, **numbers),
        before=pulse(time_wait_overflow=before),
        after=not_looked_at("counters") if after is None else pulse(2.0, time_wait_overflow=after),
    )


def test_overflow_that_goes_on_is_a_warning():
    """Ten more in two seconds."""
    (one,) = tw_buckets_low(overflow(100, 110))

    assert "110 connections ended without TIME_WAIT" in one.evidence
    assert "10 of them in the last 2.0 s" in one.evidence
    assert "tcp_max_tw_buckets is 5, and 5 are in TIME_WAIT now" in one.evidence
    assert ("warning", 10) == (one.severity, one.numbers["rose"])
    assert "sysctl -w net.ipv4.tcp_max_tw_buckets=10" == one.command


def test_overflow_that_is_over_is_information():
    """It happened, and not while somebody watched; or nobody watched."""
    (once,) = tw_buckets_low(overflow(100, 100))
    (unknown,) = tw_buckets_low(overflow(100))

    assert {"info"} == {once.severity, unknown.severity}
    assert "none of them while portroom watched" in once.evidence
    assert "watched" not in unknown.evidence


def test_no_overflow():
    """The counter is 0."""
    assert [] == list(tw_buckets_low(overflow(0, 0)))


def tracked(used: int | None, most: int | None):
    """Return a scene with so many tracked connections."""
    return scene(around=Surroundings(conntrack_used=used, conntrack_max=most))


@pytest.mark.parametrize(
    ("used", "severity"),
    [(801, "warning"), (950, "warning"), (951, "critical"), (1000, "critical")],
)
def test_a_table_that_is_nearly_full(used, severity):
    """Above four fifths and nineteen twentieths."""
    (one,) = conntrack_near_full(tracked(used, 1000))

    assert f"{used:,} of 1,000 connections are tracked" in one.evidence
    assert severity == one.severity
    assert "sysctl -w net.netfilter.nf_conntrack_max=2000" == one.command


@pytest.mark.parametrize(
    ("used", "most"), [(800, 1000), (0, 1000), (None, None), (5, None), (5, 0)]
)
def test_a_table_with_room_or_none_at_all(used, most):
    """Up to four fifths, or connections are not tracked."""
    assert [] == list(conntrack_near_full(tracked(used, most)))


def failed(before: int, after: int):
    """Return a scene in which connections could not be tracked."""

    def stats(number: int) -> ConntrackStats:
        """Return the counters."""
        return ConntrackStats(insert_failed=number, dropped=number + 1, early_dropped=0)

    return scene(before=pulse(stats=stats(before)), after=pulse(1.0, stats=stats(after)))


def test_connections_that_cannot_be_tracked():
    """Twelve more in a second are a warning, twelve of old are information."""
    (now,) = conntrack_insert_failed(failed(3, 15))
    (once,) = conntrack_insert_failed(failed(12, 12))

    assert "15 connections could not be entered" in now.evidence
    assert "12 of them in the last 1.0 s" in now.evidence
    assert "16 dropped" in now.evidence
    assert ["warning", "info"] == [now.severity, once.severity]


def test_nothing_failed_or_nothing_is_tracked():
    """The counters are 0, or there are none."""
    assert [] == list(conntrack_insert_failed(failed(0, 0)))
    assert [] == list(conntrack_insert_failed(scene(before=pulse(stats=None))))


def test_commands_run_in_the_namespace():
    """Counters and entries are those of one namespace."""
    there = msgspec.structs.replace(small(), netns=SHOP)
    before = pulse(stats=ConntrackStats(insert_failed=1, dropped=0, early_dropped=0))
    (one,) = conntrack_insert_failed(scene(there, before=before, after=before))

    assert "ip netns exec shop conntrack -S" == one.command


@pytest.mark.parametrize(
    ("held", "severity"), [(81, "warning"), (95, "warning"), (96, "critical"), (100, "critical")]
)
def test_snat_that_is_nearly_full(held, severity):
    """By the ports that the rule names."""
    (one,) = snat_tight(scene(translations=(translation(held, PortRange(50000, 50099)),)))

    assert f"holds {held} of 100 ports towards tcp 198.51.100.1:443" in one.evidence
    assert "the rule's 50000-50099" in one.evidence
    assert severity == one.severity


@pytest.mark.parametrize(
    ("held", "last", "said"),
    [
        (990, 50999, "990 of 1,000 ports towards"),
        (990, 50999, "It tries up to 248: 8 % of new connections find none, and time out."),
        (900, 50999, "It tries up to 248: <1 % of"),
        (1000, 50999, "It tries up to 248: 100 % of"),
        # As few are tried all, in turn.
        (127, 50127, "It tries up to 128: 0 % of"),
        (10, 50009, "It tries up to 10: 100 % of"),
        (1, 50000, "1 of 1 port towards"),
    ],
)
def test_snat_fails_before_it_is_full(held, last, said):
    """248 tries at 99 %: 8 % of new connections find nothing; never more tries than ports."""
    (one,) = snat_tight(scene(translations=(translation(held, PortRange(50000, last)),)))

    assert said in one.evidence


def test_without_a_range_in_the_rule_all_high_ports_count():
    """60,000 of 64,512, and not of the ephemeral range."""
    (one,) = snat_tight(scene(translations=(translation(60_000),)))

    assert "60,000 of 64,512" in one.evidence


@pytest.mark.parametrize(
    "found", [(), (translation(80, PortRange(50000, 50099)),), (translation(40_000),)]
)
def test_snat_with_room(found):
    """Up to four fifths; 40,000 of 64,512 is no worry though the range has a hundred."""
    full = small(connected(40000, 3))

    assert [] == list(snat_tight(scene(full, translations=found)))
