"""UDP sockets that each take a port, and connections that nobody closes."""

from __future__ import annotations

import msgspec
import pytest

from portroom.model.advice.findings.piles import close_wait_pile, udp_port_each
from portroom.model.facts.ports import PortRange
from portroom.model.facts.snapshot import Inbound, Owners
from portroom.model.facts.sockets import Family, Kind, Protocol, TcpState, packed_address
from tests.unit.made_change import udp
from tests.unit.made_groups import HERE
from tests.unit.made_scenes import (
    NGINX,
    PERL,
    connected,
    held_by,
    scene,
    small,
    udp_peers,
    without_rows,
)

WIDE = PortRange(32768, 60999)


def quic(sockets: int, ephemeral: PortRange = WIDE, **parts):
    """Return a scene in which a program has a connected UDP socket for each destination."""
    peers = udp_peers(40000, sockets)
    read = small(*peers, ephemeral=ephemeral)
    return scene(held_by(read, *((of, PERL) for of in peers)), **parts)


def test_a_port_for_each_destination():
    """300 of 28,232, to 300 destinations."""
    (one,) = udp_port_each(quic(300))

    assert "perl (pid 77) has 300 connected UDP sockets to 300 destinations" in one.evidence
    assert "300 of 28,232" in one.evidence
    assert "info" == one.severity


def test_a_few_peers_are_as_they_should_be():
    """255 are not worth a word in the default range."""
    assert [] == list(udp_port_each(quic(255)))


def test_a_small_pool_is_a_matter_of_share():
    """16 of a hundred are, 60 of a hundred are a warning, 15 are not."""
    pool = PortRange(40000, 40099)

    assert ["info"] == [one.severity for one in udp_port_each(quic(16, pool))]
    assert ["warning"] == [one.severity for one in udp_port_each(quic(60, pool))]
    assert [] == list(udp_port_each(quic(15, pool)))


def test_sockets_that_are_not_connected_are_servers():
    """One socket talks to many."""
    servers = [udp(port) for port in range(40000, 40400)]
    read = held_by(small(*servers, ephemeral=WIDE), *((of, PERL) for of in servers))

    assert [] == list(udp_port_each(scene(read)))


def test_many_programs_with_a_few_each_are_no_finding():
    """The pool may be tight then, which is another finding."""
    peers = udp_peers(40000, 300)
    held = [
        (of, msgspec.structs.replace(PERL, command=f"tool-{number % 10}"))
        for number, of in enumerate(peers)
    ]

    assert [] == list(udp_port_each(scene(held_by(small(*peers, ephemeral=WIDE), *held))))


def test_without_rows_the_owner_of_nearly_all_udp_sockets_is_named():
    """The status screen has the owners of all UDP sockets of an address, and no more."""
    seen = quic(300)
    read = msgspec.structs.replace(without_rows(seen.read), owners=Owners())
    bare = msgspec.structs.replace(seen, read=read)

    def owned(*owners):
        """Return the same scene, the UDP key with these owners."""
        keys = tuple(msgspec.structs.replace(key, owners=owners) for key in seen.keys)
        return msgspec.structs.replace(bare, keys=keys)

    most, few = (
        msgspec.structs.replace(PERL, sockets=300),
        msgspec.structs.replace(NGINX, sockets=200),
    )

    assert ["perl"] == [one.owners[0].command for one in udp_port_each(owned(most))]
    assert [] == list(udp_port_each(owned(most, few)))
    assert [] == list(udp_port_each(owned()))


# CLOSE_WAIT.


def left(sockets: int, **of):
    """Return connections that the other side closed."""
    return connected(33000, sockets, state=TcpState.CLOSE_WAIT, kind=Kind.NO_PORT, **of)


def test_a_pile_is_told_with_its_owner():
    """A hundred, and they never end."""
    read = held_by(small(left(100), ephemeral=WIDE), (left(100), PERL))
    (one,) = close_wait_pile(scene(read))

    assert "perl (pid 77) left 100 connections in CLOSE_WAIT" in one.evidence
    assert ("warning", 100) == (one.severity, one.numbers["sockets"])
    assert "portroom sessions --state CLOSE_WAIT" == one.command


@pytest.mark.parametrize("sockets", [0, 1, 99])
def test_less_is_of_the_moment(sockets):
    """A program may be about to close them."""
    read = held_by(small(left(sockets), ephemeral=WIDE), (left(sockets), PERL)) if sockets else None

    assert [] == list(close_wait_pile(scene(read)))


def test_in_a_small_range_fewer_matter():
    """Eight of a hundred ports; seven are too few anywhere."""
    eight = connected(40000, 8, state=TcpState.CLOSE_WAIT, kind=Kind.NO_PORT)
    seven = connected(40000, 7, state=TcpState.CLOSE_WAIT, kind=Kind.NO_PORT)

    assert list(close_wait_pile(scene(held_by(small(eight), (eight, PERL)))))
    assert [] == list(close_wait_pile(scene(held_by(small(seven), (seven, PERL)))))


def test_accepted_connections_pile_up_too():
    """A server that does not close; without rows it has no name."""
    read = small(ephemeral=WIDE)
    folded = Inbound(
        Protocol.TCP,
        Family.IPV4,
        packed_address(HERE)[1],
        8080,
        TcpState.CLOSE_WAIT,
        150,
    )
    groups = msgspec.structs.replace(read.groups, inbound=(folded,))
    (one,) = close_wait_pile(scene(msgspec.structs.replace(read, groups=groups)))

    assert "Programs here left 150 connections" in one.evidence
    assert () == one.owners


def test_only_the_program_with_the_pile_is_named():
    """A hundred and twenty of one and twenty of another."""
    mine, theirs = left(120), connected(36000, 20, state=TcpState.CLOSE_WAIT, kind=Kind.NO_PORT)
    read = held_by(small(mine, theirs, ephemeral=WIDE), (mine, PERL), (theirs, NGINX))
    (one,) = close_wait_pile(scene(read))

    assert "perl" == one.owners[0].command
    assert 140 == one.numbers["sockets_total"]


def test_open_connections_are_no_pile():
    """ESTABLISHED is what a connection is for."""
    many = connected(33000, 500, kind=Kind.NO_PORT)

    assert [] == list(close_wait_pile(scene(held_by(small(many, ephemeral=WIDE), (many, PERL)))))
