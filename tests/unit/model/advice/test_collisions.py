"""A collision is a port that becomes choosable by the change and that something counts on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.model.advice.collisions import (
    BOUND,
    KINDS,
    LISTENER,
    NODE_PORTS,
    PUBLISHED,
    SERVICE,
    UDP,
    UDP_CLIENT,
    Choice,
    Occupied,
    collisions,
    newly_choosable,
    proposal,
)
from portroom.model.facts.ports import PortRange, PortSet

OLD = Choice(PortRange(32768, 60999))
NEW = Choice(PortRange(15000, 64001))


def at(port, kind=LISTENER, protocol="tcp", label="", owners=()):
    """Return what occupies one port."""
    return Occupied(kind, protocol, port, port, label, owners)


def ports(found):
    """Return first and last port of each collision."""
    return [(one.first, one.last) for one in found]


@pytest.mark.parametrize("port", [15000, 20000, 32767, 61000, 64001])
def test_a_port_that_the_range_takes_in_collides(port):
    """Both ends of what is new count."""
    assert [(port, port)] == ports(collisions(OLD, NEW, [at(port)]))


@pytest.mark.parametrize("port", [80, 14999, 32768, 40000, 60999, 64002])
def test_what_was_inside_or_stays_outside_is_no_news(port):
    """A port that the old range had, and one that the new range does not reach, are not told."""
    assert [] == collisions(OLD, NEW, [at(port)])


def test_a_reserved_port_does_not_collide():
    """What is reserved after the change cannot be chosen."""
    reserved = NEW._replace(reserved=PortSet.parse("20000"))

    assert [] == collisions(OLD, reserved, [at(20000)])


def test_a_reservation_taken_away_collides_though_the_range_stays():
    """A port inside the range that was reserved becomes choosable."""
    before = OLD._replace(reserved=PortSet.parse("40000"))

    assert [(40000, 40000)] == ports(collisions(before, OLD, [at(40000), at(40001)]))


def test_a_run_is_cut_to_what_is_new():
    """Of the NodePorts those are told that become choosable, as runs."""
    node_ports = Occupied(NODE_PORTS, "tcp/udp", 30000, 32767, "kubelet")
    after = Choice(PortRange(31000, 64001), PortSet.parse("31500"))

    assert [(31000, 31499), (31501, 32767)] == ports(collisions(OLD, after, [node_ports]))


def test_a_port_is_told_once_by_what_says_most_with_all_owners():
    """A published port, its proxy that listens and its unit are one collision."""
    found = collisions(
        OLD,
        NEW,
        [
            at(20000, SERVICE, label="web of web.service"),
            at(20000, LISTENER, label="0.0.0.0:20000", owners=("proxy",)),
            at(20000, LISTENER, label="[::]:20000", owners=("proxy", "other")),
            at(20000, PUBLISHED, label="docker container web"),
        ],
    )

    assert [at(20000, PUBLISHED, label="docker container web", owners=("proxy", "other"))] == found


def test_one_port_of_two_protocols_is_two_collisions():
    """TCP and UDP have owners of their own."""
    assert 2 == len(collisions(OLD, NEW, [at(20000), at(20000, UDP, "udp")]))


def test_many_names_of_one_port_are_cut():
    """Three addresses are told, the rest is a number."""
    found = collisions(OLD, NEW, [at(20000, label=f"192.0.2.{i}") for i in range(5)])

    assert ["192.0.2.0, 192.0.2.1, 192.0.2.2, and 2 more"] == [one.label for one in found]


def test_the_proposal_keeps_what_others_reserved():
    """Colliding ports are added to the list, never put in place of it."""
    found = collisions(OLD, NEW, [at(20000), Occupied(NODE_PORTS, "tcp/udp", 30000, 32767, "")])

    assert "9000,20000,30000-32767" == str(proposal(PortSet.parse("9000"), found))


def test_a_client_is_told_and_not_proposed():
    """A connected UDP socket may hold a port that the kernel chose: reserving it would be wrong."""
    found = collisions(OLD, NEW, [at(20000, UDP_CLIENT, "udp")])

    assert 1 == len(found)
    assert "" == str(proposal(PortSet(), found))


def test_what_refuses_is_proposed():
    """Every refusal can be lifted by reserving."""
    assert all(weight.proposed for weight in KINDS.values() if weight.refuses)


SMALL = some.integers(1, 40)
RANGES = some.tuples(SMALL, SMALL).map(lambda ends: PortRange(*sorted(ends)))
CHOICES = some.builds(Choice, RANGES, some.lists(RANGES, max_size=3).map(PortSet))
ANYTHING = some.lists(
    some.builds(
        lambda kind, ports, protocol: Occupied(kind, protocol, *ports, ""),
        some.sampled_from([LISTENER, BOUND, UDP, SERVICE, NODE_PORTS]),
        RANGES,
        some.sampled_from(["tcp", "udp"]),
    ),
    max_size=6,
)


@given(CHOICES, CHOICES, ANYTHING)
def test_collisions_are_the_occupied_ports_that_become_choosable(before, after, there):
    """Port by port: told if choosable after, not before, and occupied; else not."""
    newly = set(after.ports) - set(before.ports)
    occupied = {port for one in there for port in range(one.first, one.last + 1)}
    told = {
        port for one in collisions(before, after, there) for port in range(one.first, one.last + 1)
    }

    assert newly & occupied == told
    assert PortSet.of(newly) == newly_choosable(before, after)


@given(CHOICES, CHOICES, ANYTHING)
def test_what_is_proposed_keeps_every_collision_away(before, after, there):
    """With the proposal written nothing collides any more, and nothing reserved is lost."""
    kept = proposal(after.reserved, collisions(before, after, there))

    assert [] == collisions(before, after._replace(reserved=kept), there)
    assert set(after.reserved) <= set(kept)
