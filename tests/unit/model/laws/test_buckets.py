"""Which ports are out for every automatic connect(), and which are in doubt."""

import pytest
from hypothesis import given

from portroom.model.facts.snapshot import Features, Groups
from portroom.model.facts.sockets import Family, Kind, TcpState, packed_address
from portroom.model.laws.buckets import Listeners, buckets, eligible
from tests.unit.made_groups import (
    ANY_FEATURES,
    ANY_SETTINGS,
    FORGETS,
    STICKY,
    any_groups,
    group_key,
    inbound,
    listener,
    settings,
    table,
)

LOOP = "127.0.0.1"
SERVED = (LOOP, 9000)
ELSEWHERE = ("198.51.100.2", 443)


def doubtful(*tables, features=FORGETS, active=None, **numbers):
    """Return the ports in doubt."""
    groups = Groups(tables, (), active=active)
    return buckets(groups, settings(**numbers), features).doubtful


@given(any_groups(), ANY_SETTINGS, ANY_FEATURES)
def test_every_eligible_port_is_blocked_or_open(groups, of, features):
    """blocked + open = eligible, and only open ports are in doubt."""
    found = buckets(groups, of, features)

    assert len(eligible(of)) == found.eligible_ports
    assert found.eligible_ports == found.blocked_ports + len(found.open_ports)
    assert found.doubtful <= found.open_ports <= eligible(of)


@given(any_groups(), ANY_SETTINGS)
def test_a_sticky_kernel_is_never_more_certain(groups, of):
    """What is proven on a kernel that forgets may be in doubt elsewhere, never the reverse."""
    forgets, sticky = (buckets(groups, of, features) for features in (FORGETS, STICKY))

    assert forgets.doubtful <= sticky.doubtful
    assert forgets.open_ports == sticky.open_ports


@pytest.mark.parametrize(
    "holder",
    [
        listener(40000),
        listener(40000, "127.0.0.9"),
        listener(40000, "::1"),
        listener(40000, "::", v6only=True),
        table(40000, local="127.0.0.9", kind=Kind.BOUND, state=TcpState.BOUND_INACTIVE),
        table(40000, kind=Kind.EXPLICIT),
        table(40000, kind=Kind.CHILD),
        table(40000, kind=Kind.EXPLICIT, local="2001:db8::1", remote=("2001:db8::2", 1)),
    ],
    ids=["any", "other address", "::1", "v6only", "bound", "explicit", "child", "explicit v6"],
)
def test_a_port_with_a_bound_owner_is_out(holder):
    """Whatever its address and family (kernel cases c06-c11, c16)."""
    found = buckets(Groups((holder,), ()), settings(), FORGETS)

    assert (1, frozenset()) == (found.blocked_ports, found.doubtful)
    assert 40000 not in found.open_ports


def test_the_port_of_accepted_sockets_is_out():
    """Also when the listener is gone (c16)."""
    assert 1 == buckets(Groups((), (inbound(40000, 5),)), settings(), FORGETS).blocked_ports


def test_ports_outside_the_range_and_reserved_ones_do_not_count():
    """Nobody can lose a port that was not eligible (c59)."""
    groups = Groups((listener(8080), listener(40005)), (inbound(8080, 5),))

    assert 0 == buckets(groups, settings(reserved="40005"), FORGETS).blocked_ports


def test_one_connection_alone_proves_nothing():
    """bind(addr, 0) + connect() looks the same; so each port alone is in doubt."""
    assert {40000, 40001} == doubtful(table(40000, 40001))


def test_no_port_proves_its_port():
    """With IP_BIND_ADDRESS_NO_PORT the port came with connect()."""
    assert set() == doubtful(table(40000, kind=Kind.NO_PORT))


def test_no_port_proves_the_whole_port_of_its_address():
    """A socket bound first would have kept it off; on another address it may not."""
    no_port = table(40000, kind=Kind.NO_PORT)

    assert set() == doubtful(no_port, table(40000, remote=ELSEWHERE))
    assert {40000} == doubtful(no_port, table(40000, local="192.0.2.2"))


def test_no_port_alone_proves_nothing_where_the_kernel_was_asked():
    """An accepted socket inherits the flag of its listener, which may be gone."""
    no_port = table(40000, kind=Kind.NO_PORT)
    (key,) = no_port.ports

    assert {40000} == doubtful(no_port, active={})
    assert set() == doubtful(no_port, active={(2, key): frozenset({40000})})


def test_a_listener_as_remote_end_proves_nothing_where_the_kernel_was_asked():
    """Somebody may have connected from that port before it listened."""
    tables = [table(40000, local=LOOP, remote=(LOOP, port)) for port in (9000, 9001)]

    assert {40000} == doubtful(*tables, listener(9000), listener(9001), active={})


def test_two_that_connected_out_prove_their_port():
    """SYN_SENT connects; two on one local address and port cannot both be bound."""
    first = table(40000, 40001, state=TcpState.SYN_SENT)

    assert {40001} == doubtful(first, table(40000, state=TcpState.SYN_SENT, remote=ELSEWHERE))


def test_two_that_may_have_been_accepted_prove_nothing():
    """Children of a listener that is gone share its port."""
    assert {40000} == doubtful(table(40000), table(40000, remote=ELSEWHERE))


def test_connections_to_a_listener_of_the_namespace_connected_out():
    """Their peer was accepted, so they were not; two of them prove the port."""
    tables = [
        table(40000, local=LOOP, remote=(LOOP, port), state=state)
        for port, state in ((9000, TcpState.ESTABLISHED), (9001, TcpState.CLOSE_WAIT))
    ]

    assert {40000} == doubtful(*tables)
    assert {40000} == doubtful(*tables, listener(9000))
    assert set() == doubtful(*tables, listener(9000), listener(9001))


@pytest.mark.parametrize("state", [TcpState.FIN_WAIT2, TcpState.TIME_WAIT])
def test_what_has_ended_proves_nothing(state):
    """SO_REUSEADDR may have put several on one named port; afterwards it does not show."""
    tables = [table(40000, local=LOOP, remote=(LOOP, port), state=state) for port in (9000, 9001)]

    assert {40000} == doubtful(*tables, listener(9000), listener(9001))


def test_a_socket_that_ended_between_two_dumps_is_one_witness():
    """ESTABLISHED in one dump and TIME_WAIT in the next: the same 4-tuple proves nothing."""
    states = TcpState.ESTABLISHED, TcpState.TIME_WAIT
    twice = [table(40000, local=LOOP, remote=SERVED, state=state) for state in states]

    assert {40000} == doubtful(*twice, listener(9000))


def test_sockets_whose_info_shows_a_syn_connected_out():
    """Two of them on one local address and port prove it; one does not."""
    tables = table(40000, 40001), table(40000, remote=ELSEWHERE)
    first, second = group_key(), group_key(remote=ELSEWHERE)
    both = {(2, first): frozenset({40000, 40001}), (2, second): frozenset({40000})}

    assert {40001} == doubtful(*tables, active=both)
    assert {40000, 40001} == doubtful(*tables, active={(2, first): frozenset({40000})})


def test_another_table_with_the_same_key_is_no_second_witness():
    """
    Sockets of one key stand in several tables: other states, v4-mapped, or
    read by another thread. What is known of one port is said of it once.
    """
    known = {(2, group_key()): frozenset({40000})}
    others = (
        table(40001, state=TcpState.FIN_WAIT2),
        table(40002),
        table(40000, state=TcpState.TIME_WAIT),
    )

    for other in others:
        assert 40000 in doubtful(table(40000), other, active=known)


def test_another_local_address_proves_nothing_here():
    """bind() on two addresses may give one port to both (c06)."""
    there = table(40000, local="192.0.2.2", state=TcpState.SYN_SENT)

    assert {40000} == doubtful(table(40000, state=TcpState.SYN_SENT), there)


@pytest.mark.parametrize("features", [STICKY, Features()])
def test_a_sticky_kernel_leaves_every_shared_port_in_doubt(features):
    """A bound owner may have come by while one of them lived; unknown is as bad (c43)."""
    groups = table(40000, kind=Kind.NO_PORT), table(40001)

    assert {40000, 40001} == doubtful(*groups, features=features)


def test_autobind_reuse_spoils_the_proof():
    """With ip_autobind_reuse a second bind() is not refused (c39)."""
    assert {40000} == doubtful(table(40000, kind=Kind.NO_PORT), ip_autobind_reuse=1)


@pytest.mark.parametrize(
    ("listening", "address", "covered"),
    [
        (listener(9000), LOOP, True),
        (listener(9000, LOOP), LOOP, True),
        (listener(9000, "127.0.0.2"), LOOP, False),
        (listener(9000, "::", v6only=False), LOOP, True),
        (listener(9000, "::", v6only=True), LOOP, False),
        (listener(9000, "::", v6only=True), "2001:db8::1", True),
        (listener(9000, "::1"), LOOP, False),
        (listener(9000), "::1", False),
        (listener(9001), LOOP, False),
    ],
)
def test_a_listener_covers_what_it_would_accept(listening, address, covered):
    """Its own address, all of its family for a wildcard, IPv4 for a dual-stack one."""
    listeners = Listeners(Groups((listening,), ()))

    assert covered == listeners.cover(*packed_address(address), 9000)


def test_only_a_remote_of_this_host_is_served():
    """A listener on port 443 here says nothing of port 443 elsewhere."""
    listeners = Listeners(Groups((listener(443),), ()))

    assert not listeners.serve(Family.IPV4, group_key())
    assert listeners.serve(Family.IPV4, group_key(LOOP, (LOOP, 443)))
    assert listeners.serve(Family.IPV4, group_key("192.0.2.1", ("192.0.2.1", 443)))
    assert not listeners.serve(Family.IPV4, group_key(LOOP, (LOOP, 444)))
    assert not Listeners(Groups((), ()))
