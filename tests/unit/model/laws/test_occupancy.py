"""Held, doubtful and free ports: what is true of every key, and of chosen ones."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.model.facts.snapshot import Groups
from portroom.model.facts.sockets import Kind, Operation, Protocol, TcpState
from portroom.model.laws.buckets import buckets, eligible
from portroom.model.laws.headroom import KeysWanted, as_key, find_keys
from portroom.model.laws.occupancy import (
    Figures,
    connect_figures,
    doubtful_ports,
    local_owners,
    overlap_figures,
    own_sockets,
    settled,
)
from tests.unit.made_groups import (
    ANY_FEATURES,
    ANY_SETTINGS,
    FORGETS,
    HERE,
    REMOTE,
    STICKY,
    any_groups,
    connect_key,
    inbound,
    listener,
    local_key,
    settings,
    snapshot,
    table,
)

WANTED = [
    KeysWanted(),
    KeysWanted(operation=Operation.BIND0),
    KeysWanted(Protocol.UDP),
    KeysWanted(Protocol.UDP, Operation.BIND0),
]


def all_keys(taken):
    """Return every key of a Snapshot, of each operation."""
    return [key for wanted in WANTED for key in map(as_key, find_keys(taken, wanted).measured)]


def figures(groups, of, features=FORGETS, **place):
    """Return held, doubtful and free ports of one connect key."""
    own = own_sockets(connect_key(**place), groups, of, features)
    found = connect_figures(own, buckets(groups, of, features), of)
    return found.held_ports, found.doubtful_ports, found.free_ports


def overlap(key, groups, of):
    """Return held, doubtful and free ports of a key without a remote."""
    owners = local_owners(key.protocol, groups, of.ephemeral)
    found, _ = overlap_figures(key, owners, of)
    return found.held_ports, found.doubtful_ports, found.free_ports


@given(any_groups(), ANY_SETTINGS, ANY_FEATURES)
def test_held_doubtful_and_free_are_all_there_is(groups, of, features):
    """held + doubtful + free = eligible, and none is negative."""
    for key in all_keys(snapshot(groups, of, features)):
        parts = key.held_ports, key.doubtful_ports, key.free_ports

        assert len(eligible(of)) == key.eligible_ports == sum(parts), key
        assert min(parts) >= 0, key


@given(any_groups(), ANY_SETTINGS, ANY_FEATURES)
def test_the_bounds_of_a_key_go_together(groups, of, features):
    """free_ports <= free_ports_max, and exhausted means that nothing can be free."""
    for key in all_keys(snapshot(groups, of, features)):
        assert key.free_ports_max == key.free_ports + key.doubtful_ports
        assert key.exhausted == (key.free_ports_max == 0)
        assert 0 <= key.occupancy_ratio <= key.occupancy_ratio_max <= 1


@given(any_groups(), ANY_SETTINGS, ANY_FEATURES, some.randoms(use_true_random=False))
def test_the_order_of_dumps_changes_no_answer(groups, of, features, random):
    """Tables in another order give the same keys in the same order."""
    tables = list(groups.tables)
    random.shuffle(tables)
    shuffled = msgspec.structs.replace(groups, tables=tuple(tables))

    assert all_keys(snapshot(groups, of, features)) == all_keys(snapshot(shuffled, of, features))


@given(any_groups(), any_groups(), ANY_SETTINGS, ANY_FEATURES)
def test_more_sockets_never_leave_more_surely_free(groups, more, of, features):
    """What may be free at most never grows with another holder of any kind."""
    both = msgspec.structs.replace(
        groups, tables=groups.tables + more.tables, inbound=groups.inbound + more.inbound
    )
    before = buckets(groups, of, features)
    after = buckets(both, of, features)

    assert after.open_ports <= before.open_ports
    assert after.blocked_ports >= before.blocked_ports


@given(any_groups(), ANY_SETTINGS, ANY_FEATURES, some.data())
def test_a_probe_settles_doubt_and_nothing_else(groups, of, features, data):
    """Any split of the ports in doubt keeps the sum, and both bounds move inwards."""
    for one in find_keys(snapshot(groups, of, features), KeysWanted(Protocol.TCP)).measured:
        own = own_sockets(one.id, groups, of, features)
        shared = buckets(groups, of, features, vrf=one.id.vrf)
        ports = sorted(doubtful_ports(own, shared))
        free = frozenset(data.draw(some.sets(some.sampled_from(ports)))) if ports else frozenset()
        held = frozenset(ports) - free
        before, after = one.figures, settled(one.figures, free, held, of)

        assert before.eligible_ports == after.held_ports + after.doubtful_ports + after.free_ports
        assert before.held_ports <= after.held_ports
        assert min(before.free_ports, after.doubtful_ports) >= 0
        assert before.free_ports <= after.free_ports


def test_nothing_holds_nothing():
    """A key without sockets has every eligible port."""
    assert (0, 0, 10) == figures(Groups((), ()), settings())


def test_reserved_ports_are_not_eligible():
    """Reserved ports inside the range are taken off; those outside mean nothing."""
    of = settings(reserved="39000-40001,40005,50000")

    assert (0, 0, 7) == figures(Groups((), ()), of)
    assert (1, 0, 6) == figures(Groups((listener(40002), listener(40005)), ()), of)


@pytest.mark.parametrize("features", [FORGETS, STICKY])
def test_own_sockets_hold_their_ports(features):
    """A port with this 4-tuple is held in every state, other ports are not."""
    states = (TcpState.ESTABLISHED, TcpState.SYN_SENT, TcpState.FIN_WAIT2, TcpState.LAST_ACK)
    groups = Groups(
        tuple(table(40000 + place, state=state) for place, state in enumerate(states)), ()
    )

    assert (4, 0, 6) == figures(groups, settings(), features)


def test_v4_mapped_sockets_hold_the_same_tuples():
    """Two tables with one key, as v4-mapped and plain sockets give, both count."""
    groups = Groups((table(40000), table(40001)), ())

    assert (2, 0, 8) == figures(groups, settings())


def test_another_destination_shares_ports_that_no_port_proves():
    """NO_PORT is automatic for sure; what may have been bound first is in doubt."""
    groups = Groups((table(40000, kind=Kind.NO_PORT), table(40001)), ())

    assert (0, 1, 9) == figures(groups, settings(), remote=("198.51.100.2", 443))
    assert (0, 2, 8) == figures(groups, settings(), STICKY, remote=("198.51.100.2", 443))


def test_a_socket_bound_to_a_device_holds_no_tuple_of_others():
    """Its port is only in doubt for the same destination (kernel case c29)."""
    assert (0, 1, 9) == figures(Groups((table(40000, device=2),), ()), settings())


def test_folded_sockets_hold_their_listeners_port():
    """An accepted socket blocks its local port, though its listener is gone."""
    assert (1, 0, 9) == figures(Groups((), (inbound(40000, 1_000_000),)), settings())


def test_udp_does_not_matter_to_tcp():
    """Kernel case c12."""
    udp = table(40000, remote=("0.0.0.0", 0), state=TcpState.CLOSE, protocol=Protocol.UDP)

    assert (0, 0, 10) == figures(Groups((udp,), ()), settings())
    assert (1, 0, 9) == overlap(local_key(HERE, Protocol.UDP), Groups((udp,), ()), settings())


@pytest.mark.parametrize(("last", "free", "lost"), [(40009, 10, 0), (40010, 10, 1), (40000, 1, 0)])
def test_a_same_parity_range_may_lose_an_end(last, free, lost):
    """An odd number of ports has one in doubt, a single port has not (c41, c42)."""
    assert (0, lost, free) == figures(Groups((), ()), settings(last=last))
    assert (0, lost, free) == overlap(local_key("0.0.0.0"), Groups((), ()), settings(last=last))


def test_a_same_parity_range_whose_ends_are_held_loses_nothing():
    """Only a free end can be left out."""
    groups = Groups((listener(40000), listener(40010)), ())

    assert (2, 0, 9) == figures(groups, settings(last=40010))


def test_udp_knows_no_parity():
    """The UDP search visits every port (kernel.md 5.1)."""
    key = local_key("0.0.0.0", Protocol.UDP)

    assert (0, 0, 11) == overlap(key, Groups((), ()), settings(last=40010))


REUSE = {"tcp_tw_reuse": 1, "tcp_tw_reuse_delay": 1000}
LOOPBACK = {"local": "127.0.0.1", "remote": ("127.0.0.1", 443)}


def ended(*remaining_ms, **place):
    """Return sockets in TIME_WAIT with so much time left."""
    ports = range(40000, 40000 + len(remaining_ms))
    return table(*ports, state=TcpState.TIME_WAIT, remaining_ms=remaining_ms, **place)


def test_time_wait_holds_where_it_cannot_be_reused():
    """With tcp_tw_reuse off, and for 2 away from loopback, TIME_WAIT is a holder."""
    groups = Groups((ended(58_000),), ())

    assert (1, 0, 9) == figures(groups, settings(tcp_tw_reuse=0))
    assert (1, 0, 9) == figures(groups, settings(tcp_tw_reuse=2))
    assert (1, 0, 9) == figures(groups, settings(tcp_tw_reuse=1, tcp_timestamps=0))


def test_old_time_wait_is_free_where_the_peer_surely_used_timestamps():
    """
    On loopback an entry older than the delay is free, but its port stays in
    doubt: a socket bound first leaves a TIME_WAIT that is not reusable (c23).
    """
    groups = Groups((ended(59_500, 58_000, **LOOPBACK),), ())
    proven = Groups(
        (
            ended(59_500, 58_000, **LOOPBACK),
            table(40000, 40001, kind=Kind.NO_PORT, local="127.0.0.1"),
        ),
        (),
    )

    assert (1, 1, 8) == figures(groups, settings(**REUSE), **LOOPBACK)
    assert (1, 0, 9) == figures(proven, settings(**REUSE), **LOOPBACK)


def test_old_time_wait_is_in_doubt_elsewhere():
    """Whether a remote peer used timestamps is not told."""
    groups = Groups((ended(59_500, 58_000),), ())

    assert (1, 1, 8) == figures(groups, settings(**REUSE))


def test_a_socket_seen_twice_is_counted_once():
    """
    A connection that ended between two dumps is in both: its port is held, and
    not in doubt as well.
    """
    groups = Groups((table(40000, kind=Kind.NO_PORT), ended(58_000)), ())

    assert (1, 0, 9) == figures(groups, settings(**REUSE))
    assert (1, 0, 0) == figures(groups, settings(last=40000, **REUSE))


@pytest.mark.parametrize(
    ("local", "expected"),
    [
        ("127.0.0.1", (3, 0, 7)),
        ("127.0.0.2", (0, 0, 10)),
        ("0.0.0.0", (3, 0, 7)),
        ("::1", (0, 0, 10)),
        ("::", (3, 0, 7)),
    ],
)
def test_bind0_is_stopped_by_overlapping_addresses(local, expected):
    """Connections from 127.0.0.1 stop binds of it and of what covers it (c38)."""
    groups = Groups((table(40000, 40001, 40002, **LOOPBACK),), ())

    assert expected == overlap(local_key(local), groups, settings())


def test_udp_has_no_destination():
    """A connected UDP socket holds its port for every destination (u2)."""
    dns = {"protocol": Protocol.UDP, "remote": ("198.51.100.1", 53)}
    groups = Groups((table(40000, **dns), table(40001, **dns)), ())
    key = local_key(HERE, Protocol.UDP, Operation.CONNECT)

    assert (2, 0, 8) == overlap(key, groups, settings())


def test_states_are_counted_in_sockets():
    """The states of a key are those of its own sockets, not of what blocks it."""
    groups = Groups((table(40000, 40001), ended(58_000), listener(40009)), ())
    own = own_sockets(connect_key(), groups, settings(), FORGETS)

    assert {"ESTABLISHED": 2, "TIME_WAIT": 1} == own.states
    assert REMOTE[1] == connect_key().remote_port


def test_a_probe_of_all_ports_settles_also_what_seemed_free():
    """Sockets that no table shows hold three of eight open ports; one was not asked about."""
    before = Figures(eligible_ports=10, held_ports=2, doubtful_ports=5, free_ports=3)
    free, held = frozenset(range(40000, 40004)), frozenset({40005, 40006, 40007})

    after = settled(before, free, held, settings(), whole=True)

    assert Figures(10, 5, 1, 4) == after


def test_a_probe_of_all_ports_counts_a_lost_port_once():
    """A range of odd size may lose the end port that the kernel called free, before and after."""
    odd = settings(40000, 40008)
    before = Figures(eligible_ports=9, held_ports=1, doubtful_ports=4, free_ports=4, lost_ports=1)

    after = settled(
        before, frozenset({40000, 40001}), frozenset(range(40002, 40008)), odd, whole=True
    )

    assert Figures(9, 7, 1, 1, 1) == after
