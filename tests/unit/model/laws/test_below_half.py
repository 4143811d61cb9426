"""A skipped look skips nothing: what cannot be half full is all that is left out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from portroom.model.facts.snapshot import Counters, Groups
from portroom.model.facts.sockets import Operation, Protocol, TcpState
from portroom.model.laws.below_half import can_fill_half
from portroom.model.laws.buckets import eligible
from portroom.model.laws.headroom import KeysWanted, find_keys
from tests.unit.made_groups import ANY_FEATURES, ANY_SETTINGS, any_groups, snapshot

EVERY = (
    KeysWanted(),
    KeysWanted(operation=Operation.BIND0),
    KeysWanted(operation=Operation.BIND0, protocol=Protocol.UDP),
)


def counters(**numbers: int) -> Counters:
    """Return counters that are zero but for *numbers*."""
    return Counters(**(dict.fromkeys(Counters.__struct_fields__, 0) | numbers))


def counted(groups: Groups) -> tuple[Counters, int]:
    """Return what the kernel would count of some sockets, and those that are only bound."""
    sockets = dict.fromkeys(("tcp_inuse", "tcp_tw", "udp_inuse", "bound"), 0)
    for table in groups.tables:
        name = "tcp_inuse"
        if table.protocol is Protocol.UDP:
            name = "udp_inuse"
        elif table.state is TcpState.TIME_WAIT:
            name = "tcp_tw"
        elif table.state is TcpState.BOUND_INACTIVE:
            name = "bound"
        sockets[name] += sum(map(len, table.ports.values()))
    sockets["tcp_inuse"] += sum(one.sockets for one in groups.inbound)
    return counters(**{name: n for name, n in sockets.items() if name != "bound"}), sockets["bound"]


@given(any_groups(), ANY_SETTINGS, ANY_FEATURES)
def test_no_key_that_is_half_full_is_skipped(groups, settings, features):
    """Whatever the sockets: where some key holds half, the counters say that it may."""
    read = snapshot(groups, settings, features)
    half_full = [
        one.figures
        for wanted in EVERY
        for one in find_keys(read, wanted).measured
        if 2 * one.figures.held_ports >= one.figures.eligible_ports
    ]

    told = can_fill_half(*counted(groups), len(eligible(settings)))

    assert told or not half_full


@given(some.integers(0, 100), some.integers(0, 100), some.integers(0, 100), some.integers(0, 100))
def test_every_socket_that_may_hold_a_port_counts(inuse, inuse6, waiting, bound):
    """Connected ones of both families, those in TIME_WAIT, and those that are only bound."""
    counts = counters(tcp_inuse=inuse, tcp6_inuse=inuse6, tcp_tw=waiting)

    every = inuse + inuse6 + waiting + bound

    assert can_fill_half(counts, bound, 2 * every)
    assert not can_fill_half(counts, bound, 2 * every + 1)


def test_udp_is_counted_for_itself():
    """A port of UDP and one of TCP are two: neither fills a key of the other."""
    counts = counters(tcp_inuse=4, udp_inuse=3, udp6_inuse=2)

    assert can_fill_half(counts, 0, 10)
    assert not can_fill_half(counts, 0, 11)


def test_another_part_than_half_may_be_asked_for():
    """A threshold below half needs looks below half."""
    counts = counters(tcp_inuse=30)

    assert not can_fill_half(counts, 0, 100)
    assert can_fill_half(counts, 0, 100, ratio=0.3)


def test_where_nothing_is_eligible_all_is_full():
    """A range that is reserved as a whole is always looked at."""
    assert can_fill_half(counters(), 0, 0)
