"""Connection tracking: a full table, a translation without ports, and what only looks so."""

import pytest

from portroom.model.facts.explanation import FOUND, POSSIBLE, RULED_OUT, UNKNOWN
from portroom.model.facts.gaps import Gap, not_looked_at
from portroom.model.facts.ports import PortRange
from portroom.model.facts.scene import ConntrackStats
from portroom.model.facts.sockets import Endpoint, Protocol
from portroom.model.facts.surroundings import Surroundings
from tests.unit.made_causes import THERE, of
from tests.unit.made_scenes import pulse, translation

TEN = PortRange(50000, 50009)
TABLE, SNAT = "conntrack_full", "snat_exhausted"


def stats(insert_failed=0, dropped=0, early_dropped=0):
    """Return what was counted a second later."""
    counted = ConntrackStats(
        insert_failed=insert_failed, dropped=dropped, early_dropped=early_dropped
    )
    return pulse(at_s=1.0, stats=counted)


def tracked(used, limit=1000, after=None, error="ETIMEDOUT", **asked):
    """Return a question where so many connections are tracked."""
    around = Surroundings(conntrack_used=used, conntrack_max=limit)
    return of(error=error, around=around, after=after or stats(), asked=asked)


@pytest.mark.parametrize(
    ("used", "after", "verdict"),
    [
        (1000, stats(), FOUND),
        (1001, stats(dropped=5), FOUND),
        (960, stats(dropped=5), FOUND),
        (960, stats(), POSSIBLE),
        (500, stats(early_dropped=1), POSSIBLE),
        (500, stats(dropped=5), POSSIBLE),
        (500, stats(), RULED_OUT),
        (500, stats(insert_failed=5, dropped=5), RULED_OUT),
    ],
)
def test_a_table_is_full_by_its_entries_and_what_it_drops(used, after, verdict):
    """What could not be entered is counted as dropped, and is another matter."""
    assert verdict == tracked(used, after=after).verdict(TABLE)


def test_the_sentence_has_the_numbers_and_what_clients_see():
    """Packets that were dropped while looking are told."""
    cause = tracked(262_144, 262_144, stats(dropped=12)).causes()[TABLE]

    assert cause.sentence == (
        "262,144 of 262,144 connections are tracked (100 %): the table is full; while looking 12 "
        "packets were dropped. New TCP connections time out, UDP sends get EPERM."
    )
    assert 12 == cause.numbers["dropped_now"]


def test_the_errno_of_a_full_table_depends_on_the_protocol():
    """TCP times out, a UDP send gets EPERM; the other way round it is not the cause."""
    assert None is tracked(1000, error="EPERM", protocol=Protocol.TCP).verdict(TABLE)
    assert FOUND == tracked(1000, error="EPERM", protocol=Protocol.UDP).verdict(TABLE)
    assert None is tracked(1000, protocol=Protocol.UDP).verdict(TABLE)


def test_connections_that_are_not_tracked_fill_no_table():
    """And what could not be read is not known."""
    untracked = of(error="ETIMEDOUT", before=pulse(stats=None), after=pulse(stats=None))
    gap = Gap("conntrack", "EACCES")
    unread = of(error="ETIMEDOUT", around=Surroundings(gaps=(gap,)))
    unasked = of(error="ETIMEDOUT", before=not_looked_at("counters"))

    assert RULED_OUT == untracked.verdict(TABLE)
    assert UNKNOWN == unread.verdict(TABLE)
    assert "EACCES" in unread.causes()[TABLE].sentence
    assert UNKNOWN == unasked.verdict(TABLE)


def translated(held, after=None, ports=TEN, to=THERE, **more):
    """Return a question where so many ports are held by a translation."""
    return of(
        error="ETIMEDOUT",
        to=to,
        translations=(translation(held, ports),),
        after=after or stats(),
        **more,
    )


@pytest.mark.parametrize(
    ("held", "ports", "failed", "verdict"),
    [
        (10, TEN, 0, FOUND),
        (96, PortRange(50000, 50099), 3, FOUND),
        (96, PortRange(50000, 50099), 0, POSSIBLE),
        (5, TEN, 3, POSSIBLE),
        (5, TEN, 0, RULED_OUT),
        (28_000, None, 0, RULED_OUT),
        (64_512, None, 0, FOUND),
    ],
)
def test_a_translation_is_exhausted_by_its_ports_and_what_fails(held, ports, failed, verdict):
    """Without ports in the rule it chooses from 1024-65535; near full the search gives up."""
    case = translated(held, stats(insert_failed=failed, dropped=failed), ports)

    assert verdict == case.verdict(SNAT)


def test_only_a_translation_towards_the_destination_counts():
    """Of the same protocol, to the same endpoint; without one, any."""
    assert RULED_OUT == translated(10, to=Endpoint("198.51.100.1", 80)).verdict(SNAT)
    assert FOUND == translated(10, to=None).verdict(SNAT)


def test_without_a_translation_failed_entries_are_a_possible_cause():
    """Packets that race fail so, too; a gateway elsewhere cannot be seen."""
    quiet = of(error="ETIMEDOUT").causes()[SNAT]
    failing = of(error="ETIMEDOUT", after=stats(insert_failed=3))

    assert RULED_OUT == quiet.verdict
    assert "a gateway on the way may" in quiet.sentence
    assert POSSIBLE == failing.verdict(SNAT)


def test_translations_that_may_not_be_listed_are_unknown_unless_entries_fail():
    """The sentence names the right that is needed."""
    gap = Gap("translations", "connections may not be listed (needs CAP_NET_ADMIN)")
    unseen = of(error="ETIMEDOUT", translations=gap)
    failing = of(error="ETIMEDOUT", translations=gap, after=stats(insert_failed=3))

    assert UNKNOWN == unseen.verdict(SNAT)
    assert "CAP_NET_ADMIN" in unseen.causes()[SNAT].sentence
    assert POSSIBLE == failing.verdict(SNAT)


def test_exhausted_translation_never_gives_eaddrnotavail():
    """It belongs to timeouts alone."""
    assert None is of(translations=(translation(10, TEN),)).verdict(SNAT)
