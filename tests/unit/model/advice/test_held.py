"""Ports to be reserved that outgoing connections hold now are found."""

import msgspec
import pytest

from portroom.model.advice.held import held_now
from portroom.model.facts.change import HeldPort
from portroom.model.facts.gaps import Gap
from portroom.model.facts.sockets import Kind, Owner, Protocol, TcpState
from tests.unit.made_change import NGINX, bound, host, listens, udp, with_rows
from tests.unit.made_groups import listener, table

WGET = Owner(99, 5, "wget", 1000, None, None)


@pytest.mark.parametrize(
    "socket",
    [
        table(40000),
        table(40000, kind=Kind.NO_PORT),
        table(40000, kind=Kind.EXPLICIT),
        table(40000, state=TcpState.TIME_WAIT),
        table(40000, local="2001:db8::1", remote=("2001:db8::9", 443)),
    ],
)
def test_an_outgoing_connection_holds_its_port(socket):
    """In any state, TIME_WAIT too: a bind() is refused there."""
    assert (HeldPort("tcp", 40000, 1),) == held_now(host(socket), {40000, 40001})


@pytest.mark.parametrize(
    "socket", [listener(40000), bound(40000), table(40000, kind=Kind.CHILD), udp(40000), table(5)]
)
def test_who_serves_a_port_is_not_in_its_own_way(socket):
    """A listener, what it accepted, a bound or unconnected socket are no outgoing connection."""
    assert () == held_now(host(socket), {40000})


def test_connected_udp_holds_its_port():
    """A client of UDP does so as well."""
    assert (HeldPort("udp", 40000, 1),) == held_now(host(udp(40000, ("198.51.100.1", 53))), {40000})


def test_connections_of_one_port_are_counted():
    """Several destinations may share a port; ports are told in order."""
    read = host(table(40001, 40000), table(40000, remote=("198.51.100.2", 443)))

    assert [(40000, 2), (40001, 1)] == [
        (one.port, one.sockets) for one in held_now(read, {40000, 40001})
    ]


def test_owners_are_told_where_there_are_rows():
    """The row of the connection says whose it is; that of the listener says nothing here."""
    row = (Protocol.TCP, TcpState.ESTABLISHED, 40000, 443, WGET)
    read = with_rows(host(table(40000)), row, listens(40000, NGINX))
    (held,) = held_now(read, {40000})

    assert ["wget"] == [owner.command for owner in held.owners]


def test_what_was_not_read_holds_nothing():
    """Without groups nothing is told: the plan has the Gap."""
    read = msgspec.structs.replace(host(), groups=Gap("groups", "unread"))

    assert () == held_now(read, {40000})
