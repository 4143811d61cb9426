"""Groups are what was made: each socket under its key, state and kind, or folded."""

from __future__ import annotations

import socket
import struct
from collections import Counter

import pytest

from portroom.kernel.counters import read_counters
from portroom.kernel.groups import read_groups
from portroom.model.facts.ports import PortRange
from portroom.model.facts.sockets import (
    Family,
    Kind,
    Protocol,
    TcpState,
    address_text,
)
from tests.kernel import needs
from tests.kernel.harness import black_hole, wait_until, write_settings
from tests.kernel.sockets import (
    accept_all,
    connected,
    fill,
    in_state,
    listener,
    local_port,
    make_time_wait,
    tcp,
    udp,
)

SERVER = ("127.0.0.1", 9000)
ANY = ("0.0.0.0", 9000)
RANGE = "40000 40099"


def told(groups, protocol=Protocol.TCP):
    """Return how many sockets stand under each state, kind, local and remote address."""
    found = Counter()
    for table in groups.tables:
        for key, ports in table.ports.items():
            local = address_text(table.family, key[2:18])
            remote = address_text(table.family, key[18:34]), int.from_bytes(key[:2], "big")
            if table.protocol is protocol:
                found[table.state.name, table.kind.name, local, remote] += len(ports)
    return found


def folded(groups):
    """Return the folded sockets by local address, port and state."""
    found = Counter()
    for one in groups.inbound:
        address = address_text(one.family, one.local_address)
        found[address, one.local_port, one.state.name] += one.sockets
    return found


def ports_of(groups, kind):
    """Return the local ports of one kind."""
    return sorted(
        port
        for table in groups.tables
        if table.kind is kind
        for ports in table.ports.values()
        for port in ports
    )


def everything():
    """
    Make sockets of every kind; return the ports that tests ask for by name.
    """
    server = listener(*ANY)
    fill(SERVER, at_most=5)
    no_port = connected(SERVER, bind=("127.0.0.2", 0), noport=True)
    explicit = connected(SERVER, bind=("127.0.0.3", 40090))
    bind0 = connected(SERVER, bind=("127.0.0.4", 0))
    bound = tcp(("127.0.0.5", 0))
    mapped = connected(("::ffff:127.0.0.1", 9000))
    device = connected(SERVER, device="lo")
    accept_all(server, 10)
    names = {
        "no_port": no_port,
        "explicit": explicit,
        "bind0": bind0,
        "bound": bound,
        "mapped": mapped,
        "device": device,
    }
    return {name: local_port(made) for name, made in names.items()}


@pytest.mark.parametrize("counted", [True, False])
def test_each_socket_stands_under_its_key_state_and_kind(netns, counted):
    """What was made is what is told, whether counters spare a walk or not."""

    def job():
        ports = everything()
        groups = read_groups(None, read_counters() if counted else None)
        return ports, told(groups), folded(groups), {kind: ports_of(groups, kind) for kind in Kind}

    ports, found, inbound, kinds = netns(job, ip_local_port_range=RANGE)

    bound = {("BOUND_INACTIVE", "BOUND", "127.0.0.5", ("0.0.0.0", 0)): 1}
    listed = bool(needs.features().bound_inactive_rows)
    assert {
        ("LISTEN", "LISTENER", "0.0.0.0", ("0.0.0.0", 0)): 1,
        **(bound if listed else {}),
        ("ESTABLISHED", "UNKNOWN", "127.0.0.1", SERVER): 7,
        ("ESTABLISHED", "NO_PORT", "127.0.0.2", SERVER): 1,
        ("ESTABLISHED", "EXPLICIT", "127.0.0.3", SERVER): 1,
        ("ESTABLISHED", "UNKNOWN", "127.0.0.4", SERVER): 1,
    } == found
    assert {("127.0.0.1", 9000, "ESTABLISHED"): 10} == inbound
    assert [9000] == kinds[Kind.LISTENER]
    assert [ports["bound"]][: int(listed)] == kinds[Kind.BOUND]
    assert [ports["no_port"]] == kinds[Kind.NO_PORT]
    assert [ports["explicit"]] == kinds[Kind.EXPLICIT]
    assert {ports[name] for name in ("bind0", "mapped", "device")} < set(kinds[Kind.UNKNOWN])


def test_a_v4_mapped_socket_is_in_the_ipv4_group(netns):
    """It shares the key of plain ones to the same remote; a device has its own."""

    def job():
        ports = everything()
        groups = read_groups(None, read_counters())
        return ports, [
            (table.family, key[-4:], sorted(found))
            for table in groups.tables
            if table.kind is Kind.UNKNOWN and table.protocol is Protocol.TCP
            for key, found in table.ports.items()
            if key[2:6] == socket.inet_aton("127.0.0.1")
        ]

    ports, groups = netns(job, ip_local_port_range=RANGE)

    assert {Family.IPV4} == {family for family, _, _ in groups}
    assert (Family.IPV4, bytes(4), [ports["mapped"]]) in groups
    assert (Family.IPV4, b"\1\0\0\0", [ports["device"]]) in groups


def test_two_threads_find_what_one_does(netns):
    """Split by local port, each socket is in one part."""

    def job():
        everything()
        make_time_wait(listener("127.0.0.1", 9001), ("127.0.0.1", 9001), 3)
        scopes = (None, PortRange(40000, 40099), PortRange(40010, 40010))
        return [
            [
                (told(groups), folded(groups), told(groups, Protocol.UDP))
                for groups in (
                    read_groups(scope, read_counters(), threads=threads) for threads in (1, 2, 3)
                )
            ]
            for scope in scopes
        ]

    for one, two, three in netns(job, ip_local_port_range=RANGE):
        assert one == two == three


def test_a_scope_leaves_out_other_ports_but_no_listener(netns):
    """Ports outside are not read; listeners are, since they tell who was accepted."""

    def job():
        listener("127.0.0.1", 40050)
        ports = everything()
        udp(("127.0.0.1", 5353))
        udp(("127.0.0.1", 40060))
        groups = read_groups(PortRange(40050, 40099), read_counters())
        outside = {
            (table.kind, port)
            for table in groups.tables
            for found in table.ports.values()
            for port in found
            if not 40050 <= port <= 40099
        }
        return ports, outside, folded(groups), told(groups, Protocol.UDP)

    ports, outside, inbound, datagrams = netns(job, ip_local_port_range=RANGE)

    assert {(Kind.LISTENER, 9000)} == outside
    assert {} == inbound
    assert {("CLOSE", "UNKNOWN", "127.0.0.1", ("0.0.0.0", 0)): 1} == datagrams
    assert ports["explicit"] == 40090


def test_a_dual_stack_listener_folds_v4_mapped_children(netns):
    """Its IPv4 connections arrive as v4-mapped sockets, which count as IPv4."""

    def job():
        server = listener("::", 9000)
        fill(SERVER, at_most=4)
        fill(("::1", 9000), at_most=3)
        accept_all(server, 7)
        groups = read_groups(None, read_counters())
        return folded(groups), told(groups)

    inbound, found = netns(job, ip_local_port_range=RANGE)

    assert {("127.0.0.1", 9000, "ESTABLISHED"): 4, ("::1", 9000, "ESTABLISHED"): 3} == inbound
    assert {
        ("LISTEN", "LISTENER", "::", ("::", 0)): 1,
        ("ESTABLISHED", "UNKNOWN", "127.0.0.1", SERVER): 4,
        ("ESTABLISHED", "UNKNOWN", "::1", ("::1", 9000)): 3,
    } == found


def test_only_what_the_listener_covers_folds(netns):
    """
    A connection from another local address and the same port stays in its group:
    no listener there could have accepted it.
    """

    def job():
        server = listener("127.0.0.1", 9000)
        # The connection is first: a listener would take its port from connect().
        write_range(40005)
        automatic = connected(SERVER, bind=("127.0.0.2", 0), noport=True)
        write_range(40006)
        accept_all(server, 1)
        here = listener("127.0.0.9", 40005)
        connected(("127.0.0.9", 40005))
        accept_all(here, 1)
        groups = read_groups(None, read_counters())
        return local_port(automatic), folded(groups), ports_of(groups, Kind.NO_PORT)

    port, inbound, no_port = netns(job)

    assert 40005 == port
    assert [40005] == no_port
    assert {
        ("127.0.0.1", 9000, "ESTABLISHED"): 1,
        ("127.0.0.9", 40005, "ESTABLISHED"): 1,
    } == inbound


def write_range(port):
    """Make the ephemeral range of this namespace a single port."""
    write_settings(ip_local_port_range=f"{port} {port}")


def test_every_state_is_told(netns):
    """SYN_SENT, FIN_WAIT2, CLOSE_WAIT, TIME_WAIT and the children among them."""

    def job():
        server = listener(*SERVER)
        make_time_wait(server, SERVER, 3)
        half = connected(SERVER)
        accept_all(server, 1)
        half.shutdown(socket.SHUT_WR)
        away = black_hole()
        calling = tcp()
        calling.setblocking(False)
        calling.connect_ex((away, 80))
        wait_until(lambda: in_state(TcpState.FIN_WAIT2) == 1, "the peer acknowledged the end")
        groups = read_groups(None, read_counters())
        return told(groups), folded(groups)

    found, inbound = netns(job, ip_local_port_range=RANGE)

    assert {
        ("LISTEN", "LISTENER", "127.0.0.1", ("0.0.0.0", 0)): 1,
        ("TIME_WAIT", "UNKNOWN", "127.0.0.1", SERVER): 3,
        ("FIN_WAIT2", "UNKNOWN", "127.0.0.1", SERVER): 1,
        ("SYN_SENT", "UNKNOWN", "10.9.0.1", ("10.9.0.2", 80)): 1,
    } == found
    assert {("127.0.0.1", 9000, "CLOSE_WAIT"): 1} == inbound


@pytest.mark.parametrize("wanted", [True, False])
def test_time_wait_has_its_remaining_time_where_it_matters(netns, wanted):
    """Just under 60 seconds for each entry; none is read where reuse cannot be."""

    def job():
        make_time_wait(listener(*SERVER), SERVER, 4)
        groups = read_groups(None, read_counters(), times=wanted)
        return [
            (len(ports), list(table.remaining_ms.get(key, ())))
            for table in groups.tables
            if table.state is TcpState.TIME_WAIT
            for key, ports in table.ports.items()
        ]

    ((ports, times),) = netns(job, ip_local_port_range=RANGE)

    assert 4 == ports
    assert (4 if wanted else 0) == len(times)
    assert all(40_000 < left <= 60_000 for left in times)


def test_the_connecting_ends_are_known_and_no_others(netns):
    """
    Whatever each side sent, read or not: INFO tells who sent the SYN. Without
    their listener both ends of a connection look alike in all else.
    """

    def job():
        server = listener(*SERVER)
        clients = fill(SERVER, at_most=6).sockets
        children = accept_all(server, 6)
        server.close()
        clients[1].send(b"read not yet")
        children[2].send(b"nor this")
        clients[3].send(b"x" * 1000)
        children[3].recv(1000)
        stuff(clients[4])
        stuff(children[5])
        looks = []

        def settled():
            # One look: a full queue is acknowledged, and filled again, at any moment.
            looks.append((known(), provable(clients)))
            return looks[-1][0] == looks[-1][1]

        wait_until(settled, "all is acknowledged")
        quiet = set(map(local_port, (*clients[:4], clients[5])))
        return quiet, *looks[-1], 9000 in known(PortRange(1, 65535))

    quiet, found, expected, children = netns(job, ip_local_port_range=RANGE)

    assert expected == found
    assert quiet <= found
    assert not children


def known(scope=None):
    """Return the local ports that are known to have connected out."""
    found = read_groups(scope or PortRange(40000, 40099), None, witnesses=True).active
    return {port for ports in found.values() for port in ports}


def provable(clients):
    """
    Return the ports of connecting sockets that had to send nothing again.

    A receiver that is full may drop data that a window had promised room for.
    """
    return {local_port(made) for made in clients if not resent_bytes(made)}


def resent_bytes(made):
    """Return bytes_retrans of a socket's struct tcp_info."""
    told = made.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return struct.unpack_from("=Q", told, 208)[0]


def stuff(made):
    """Send until nothing more fits, so that unsent bytes wait in the queue."""
    made.setblocking(False)
    try:
        while True:
            made.send(b"x" * 65536)
    except BlockingIOError:
        return
