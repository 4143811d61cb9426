"""How connections come and go, from one reading."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from portroom.model.facts.gaps import not_looked_at
from portroom.model.facts.sample import Flow
from portroom.model.facts.snapshot import Groups
from portroom.model.facts.sockets import Operation, Protocol, TcpState
from portroom.model.laws.flow import ends_by_second, flows
from portroom.model.laws.headroom import KeysWanted, find_keys
from tests.unit.made_groups import (
    ANY_FEATURES,
    ANY_SETTINGS,
    RED,
    any_groups,
    settings,
    snapshot,
    table,
)

TIMES = some.lists(some.integers(0, 60_000), max_size=80)


def flows_of(*tables, operation=Operation.CONNECT, vrfs=(), **numbers):
    """Return the flows of all keys of some tables."""
    read = snapshot(Groups(tables, (), vrfs=vrfs), settings(**numbers))
    return flows(read, find_keys(read, KeysWanted(operation=operation)).measured)


def ended(*remaining_ms, **options):
    """Return a table of TIME_WAITs, one for each remaining time."""
    ports = range(40000, 40000 + len(remaining_ms))
    return table(*ports, state=TcpState.TIME_WAIT, remaining_ms=remaining_ms, **options)


@given(TIMES, TIMES)
def test_each_entry_ends_in_its_second(first, second):
    """Sixty numbers that hold every entry once, where it ends."""
    found = ends_by_second([first, second])

    every = [*first, *second]
    assert 60 == len(found)
    assert found == tuple(
        sum(second * 1000 <= left < second * 1000 + 1000 + (second == 59) for left in every)
        for second in range(60)
    )


def test_entries_of_a_longer_time_wait_are_in_the_last_second():
    """Some kernels are built with another length: none gets lost."""
    assert 2 == ends_by_second([[61_000, 3_600_000]])[59]


def test_alive_and_ended_connections_are_told_apart():
    """Three live, two wait for their end."""
    (flow,) = flows_of(table(40005, 40006, 40007), ended(500, 59_500))

    assert (3, 2, 60.0) == (flow.alive_sockets, flow.time_wait_sockets, flow.hold_time_s)
    assert (1, 1) == (flow.ends[0], flow.ends[59])


def test_where_times_were_not_asked_for_there_are_no_ends():
    """Not asked is empty, and not sixty zeros."""
    (flow,) = flows_of(table(40000, 40001, state=TcpState.TIME_WAIT))

    assert Flow(0, 2, (), 60.0) == flow


def test_where_nothing_ended_there_are_no_ends():
    """One connection that lives."""
    assert (Flow(1, 0, (), 60.0),) == flows_of(table(40000))


def test_reuse_makes_the_hold_time_short():
    """On loopback a port comes back after a second."""
    (flow,) = flows_of(table(40000, local="127.0.0.1"), tcp_tw_reuse=2)

    assert 1.0 == flow.hold_time_s


def test_bind_waits_for_the_end_whatever_reuse_says():
    """The key of bind(0) is held for the whole minute."""
    found = flows_of(table(40000, local="127.0.0.1"), operation=Operation.BIND0, tcp_tw_reuse=1)

    assert {60.0} == {flow.hold_time_s for flow in found}


def test_udp_holds_a_port_no_longer_than_it_lives():
    """Nothing waits there."""
    one = table(
        40000, state=TcpState.CLOSE, protocol=Protocol.UDP, local="0.0.0.0", remote=("0.0.0.0", 0)
    )

    assert [Flow(1, 0, (), 0.0)] == list(dict.fromkeys(flows_of(one)))


def test_a_key_of_a_vrf_has_the_entries_of_its_devices():
    """Those bound to the VRF and to the device enslaved to it."""
    (flow,) = flows_of(
        ended(1_500, device=7), ended(2_500, device=2), vrfs=(RED,), tcp_l3mdev_accept=0
    )

    assert (2, (0, 1, 1)) == (flow.time_wait_sockets, flow.ends[:3])


def test_sockets_that_were_not_read_have_no_flow():
    """Empty as a whole, as nobody looked."""
    assert () == flows(snapshot(not_looked_at("groups"), settings()), [])


@given(any_groups(), ANY_SETTINGS, ANY_FEATURES)
def test_flows_and_states_have_the_same_sockets(groups, settings, features):
    """One flow for each key, with each of its sockets in one of both numbers."""
    read = snapshot(groups, settings, features)
    keys = find_keys(read, KeysWanted()).measured

    found = flows(read, keys)

    assert [sum(one.states.values()) for one in keys] == [
        flow.alive_sockets + flow.time_wait_sockets for flow in found
    ]
    assert all(sum(flow.ends) <= flow.time_wait_sockets for flow in found)
