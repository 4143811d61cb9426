"""Spaces of ports: which sockets share their ports, where there are VRFs."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.model.facts.snapshot import Groups, Vrf
from portroom.model.facts.sockets import Kind, Operation, Protocol, TcpState
from portroom.model.laws.buckets import buckets
from portroom.model.laws.headroom import KeysWanted, as_key, doubts, find_keys
from portroom.model.laws.selection import explicit_bind
from portroom.model.laws.spaces import are_apart, both, in_the_way
from tests.unit.made_groups import (
    ANY_FEATURES,
    ANY_SETTINGS,
    FORGETS,
    HERE,
    RED,
    REMOTE,
    any_groups,
    connect_key,
    inbound,
    local_key,
    settings,
    snapshot,
    table,
)

APART, SHARED = settings(tcp_l3mdev_accept=0), settings(tcp_l3mdev_accept=1)
ANYWHERE = ("0.0.0.0", 0)
BLUE = Vrf(9, "blue")


def bound(port, device, protocol=Protocol.TCP):
    """Return a socket that is only bound, on a device."""
    return table(
        port,
        local="0.0.0.0",
        remote=ANYWHERE,
        state=TcpState.BOUND_INACTIVE if protocol is Protocol.TCP else TcpState.CLOSE,
        kind=Kind.BOUND if protocol is Protocol.TCP else Kind.UNKNOWN,
        protocol=protocol,
        device=device,
    )


def groups(*tables, vrfs=(RED,), folded=(), seen=True):
    """Return groups of a namespace with VRFs."""
    return Groups(tables, folded, active={}, vrfs=vrfs, devices_seen=seen)


HOLDERS = (bound(40000, 0), bound(40001, 7), bound(40002, 2), bound(40003, 3))


def keys(found, of, **wanted):
    """Return the free ports of each key, at least and at most, by VRF and remote."""
    taken = snapshot(found, of)
    return {
        (key.vrf, key.remote_port): (key.free_ports, key.free_ports_max)
        for key in map(as_key, find_keys(taken, KeysWanted(**wanted)).measured)
    }


def out(found, of, vrf=None):
    """Return how many ports are blocked, and which are in doubt."""
    shared = buckets(found, of, FORGETS, vrf=vrf)
    return shared.blocked_ports, shared.doubtful


def test_without_the_setting_there_is_one_space():
    """A kernel without VRFs has no tcp_l3mdev_accept."""
    assert not are_apart(settings())
    assert are_apart(APART)
    assert not are_apart(SHARED)


def test_where_vrfs_are_apart_each_has_its_holders():
    """The VRF's own device and what is enslaved to it are inside, all others outside."""
    found = groups(*HOLDERS)

    assert (2, frozenset()) == out(found, APART)
    assert (2, frozenset()) == out(found, APART, RED)
    assert (0, frozenset()) == out(found, APART, BLUE)


def test_where_they_share_a_space_each_holder_is_in_everybodys_way():
    """tcp_l3mdev_accept 1 makes one bucket of a port."""
    found = groups(*HOLDERS)

    assert (4, frozenset()) == out(found, SHARED) == out(found, SHARED, RED)


def test_where_the_vrfs_are_not_known_a_device_is_in_doubt():
    """Ports on a device may be in a VRF; with one space for all that does not matter."""
    found = groups(*HOLDERS, vrfs=None)

    assert (1, frozenset({40001, 40002, 40003})) == out(found, APART)
    assert (4, frozenset()) == out(found, SHARED)
    assert {"vrf"} == {gap.source for gap in find_keys(snapshot(found, APART), KeysWanted()).gaps}


def test_where_devices_are_not_told_every_port_is_in_doubt():
    """/proc/net shows no device: each socket may be in the VRF, what was accepted as well."""
    found = groups(bound(40000, 0), table(40001), folded=(inbound(40005, 3),), seen=False)

    assert (0, frozenset({40000, 40001, 40005})) == out(found, APART)
    assert {(None, REMOTE[1]): (7, 10)} == keys(found, APART)
    assert {"vrf"} == {gap.source for gap in find_keys(snapshot(found, APART), KeysWanted()).gaps}


def test_a_key_within_a_vrf_is_one_of_its_own():
    """Its connections hold nothing outside, those on what is enslaved are in doubt inside."""
    sure = {"state": TcpState.SYN_SENT, "kind": Kind.NO_PORT}
    found = groups(
        table(40000, **sure), table(40001, device=7, **sure), table(40002, device=2, **sure)
    )

    assert {(None, 443): (9, 9), ("red", 443): (8, 9)} == keys(found, APART)
    assert {(None, 443): (9, 9), ("red", 443): (7, 8)} == keys(found, SHARED)


def test_a_question_by_address_is_about_no_vrf_and_says_so():
    """A key of a VRF is among all keys alone."""
    found = groups(table(40000), table(40001, device=7))
    keys_found = find_keys(snapshot(found, APART), KeysWanted(Protocol.TCP, from_address=HERE))

    assert [None] == [one.id.vrf for one in keys_found.measured]
    assert ["vrf"] == [gap.source for gap in keys_found.gaps]
    assert "red" in keys_found.gaps[0].reason


def test_a_probe_is_not_asked_about_a_vrf():
    """It is bound to no device."""
    elsewhere = table(40005, remote=("192.0.2.9", 80)), table(40006, local="::1", device=7)
    taken = snapshot(groups(table(40000), table(40001, device=7), *elsewhere), APART)

    asked = doubts(taken, find_keys(taken, KeysWanted()).measured)

    assert {None} == {one.measured.id.vrf for one in asked}


def test_bind0_counts_its_own_side():
    """Outside and inside have keys of their own where the ports are apart."""
    wanted = {"operation": Operation.BIND0, "protocol": Protocol.TCP}
    found = groups(*HOLDERS)

    assert {(None, None): (8, 8), ("red", None): (8, 9)} == keys(found, APART, **wanted)
    assert {(None, None): (6, 6)} == keys(found, SHARED, **wanted)


@pytest.mark.parametrize("of", [APART, SHARED])
def test_udp_has_one_space(of):
    """A UDP port on a VRF is out for every socket on no device."""
    found = groups(bound(40000, 7, Protocol.UDP), bound(40001, 0, Protocol.UDP))

    assert {(None, None): (8, 8)} == keys(found, of, protocol=Protocol.UDP)


def test_a_bind_to_a_port_held_in_a_vrf_is_not_sure():
    """The law is not told whether VRFs are apart."""
    address = local_key(HERE)

    def may_bind(port):
        """Say whether bind() to a port succeeds."""
        return explicit_bind(
            groups(*HOLDERS), Protocol.TCP, address.family, address.local_address, port
        )

    assert [False, None, None, False, True] == [may_bind(port) for port in range(40000, 40005)]


@pytest.mark.parametrize(
    ("device", "place", "apart", "expected"),
    [
        (0, 0, True, True),
        (7, 7, True, False),
        (7, None, True, None),
        (7, 7, False, True),
    ],
)
def test_who_is_in_the_way_outside(device, place, apart, expected):
    """On no device everybody is in the way but who is surely apart."""
    assert expected is in_the_way(None, device, place, apart=apart)


@pytest.mark.parametrize(
    ("device", "apart", "expected"),
    [(0, True, False), (0, False, True), (7, True, True), (2, True, None), (3, False, False)],
)
def test_who_is_in_the_way_inside(device, apart, expected):
    """On a VRF those on it are, those on no device where they share; another device is not."""
    assert expected is in_the_way(RED, device, 0, apart=apart)


@given(any_groups(), ANY_SETTINGS, ANY_FEATURES, some.sampled_from([HERE, "::1"]))
def test_what_is_not_known_is_between_all_that_may_be(found, of, features, local):
    """Not to know the VRFs gives a span that holds the answer of every case."""

    def span(vrfs, **wanted):
        """Return the free ports of one key, at least and at most, with some VRFs."""
        known = msgspec.structs.replace(found, vrfs=vrfs, devices_seen=True)
        measured = find_keys(
            snapshot(known, of, features),
            KeysWanted(Protocol.TCP, from_address=local, **wanted),
        ).measured
        return {
            one.id: (key.free_ports, key.free_ports_max)
            for one in measured
            for key in [as_key(one)]
        }

    for wanted in ({}, {"operation": Operation.BIND0}):
        unknown = span(None, **wanted)
        for vrfs in ((), (RED,), (Vrf(7, "red"),)):
            for key, (least, most) in span(vrfs, **wanted).items():
                assert unknown[key][0] <= least <= most <= unknown[key][1]


def test_a_key_says_where_it_is():
    """The group key of a VRF's key has the VRF's own device."""
    assert (7).to_bytes(4, "little") == connect_key(vrf=RED).group_key[34:]


def test_no_wins_over_not_known():
    """One "no" is enough."""
    assert both(None, False) is both(False, True) is False
    assert both(None, True) is None
