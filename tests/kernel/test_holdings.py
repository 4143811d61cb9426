"""Who holds a port: every socket on it, and whether connect() put it there."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from portroom.errors import InvalidRequestError
from portroom.kernel import holdings
from portroom.kernel.holdings import read_holdings
from portroom.model.facts.sockets import Protocol
from tests.kernel import needs
from tests.kernel.bystanders import bystander
from tests.kernel.harness import Neighbour, black_hole, wait_until
from tests.kernel.sockets import (
    accept_all,
    attempt,
    close,
    connected,
    in_state,
    listener,
    local_port,
    make_time_wait,
    tcp,
    udp,
)

SERVER = ("127.0.0.1", 9000)
TCP, UDP = Protocol.TCP, Protocol.UDP
ESTABLISHED = 1


def told(port, address=None, protocol=TCP):
    """
    Return state, local address, remote endpoint and origin of each socket on a port.
    """
    return [
        (one.state, one.local.address, one.remote and str(one.remote), one.outgoing)
        for one in read_holdings(protocol, port, address)
    ]


def origins(port, protocol=TCP):
    """
    Return state and origin of each socket on a port, sorted.
    """
    return sorted((state, outgoing) for state, _, _, outgoing in told(port, None, protocol))


def two_hosts(serve):
    """
    Return what *serve* returns, called with a neighbour behind a veth pair.

    There a remote is no listener of this namespace, which would tell too much.
    """

    def job():
        return serve(Neighbour())

    return job


def remote_server(neighbour):
    """
    Listen at the neighbour's; return the listener.
    """
    with neighbour.inside():
        return listener(neighbour.there, 9000)


def test_a_listener_and_what_it_accepted_are_no_outgoing_connections(netns):
    """
    The listener comes first.
    """

    def job():
        server = listener("0.0.0.0", 9000)
        clients = [connected(SERVER) for _ in range(2)]
        accept_all(server, 2)
        ports = sorted(map(local_port, clients))
        return ports, told(9000)

    ports, (first, *accepted) = netns(job)

    assert ("LISTEN", "0.0.0.0", None, False) == first
    assert [("ESTABLISHED", "127.0.0.1", f"127.0.0.1:{port}", False) for port in ports] == sorted(
        accepted
    )


def test_a_connection_to_another_host_surely_connected_out(netns):
    """
    Its own counters prove it (tcp_info), whoever bound first.
    """

    @two_hosts
    def job(neighbour):
        remote_server(neighbour)
        remote = (neighbour.there, 9000)
        plain, first = connected(remote), connected(remote, bind=(neighbour.here, 0))
        chosen = connected(remote, bind=(neighbour.here, 45678))
        wait_until(lambda: in_state(ESTABLISHED) >= 3, "all three are connected")
        return [origins(local_port(made)) for made in (plain, first, chosen)]

    automatic, bound_first, explicit = netns(job)

    assert [("ESTABLISHED", True)] == automatic == bound_first
    # bind() put it there: a reserved port would not have kept it away.
    assert [("ESTABLISHED", False)] == explicit


def test_a_connection_that_nobody_answers_is_outgoing(netns):
    """
    Only connect() makes SYN_SENT.
    """

    def job():
        remote = (black_hole(), 9000)
        made = tcp()
        made.setblocking(False)
        made.connect_ex(remote)
        return origins(local_port(made))

    assert [("SYN_SENT", True)] == netns(job)


def test_bound_sockets_are_no_outgoing_connections(netns):
    """
    With an explicit port or a chosen one, of either family; nothing, where none is listed.
    """

    def job():
        tcp(("127.0.0.1", 45678))
        tcp(("::1", 45678))
        chosen = tcp(("127.0.0.1", 0))
        return told(45678), origins(local_port(chosen))

    explicit, chosen = netns(job)
    listed = needs.features().bound_inactive_rows
    named = [
        ("BOUND_INACTIVE", "127.0.0.1", None, False),
        ("BOUND_INACTIVE", "::1", None, False),
    ]

    assert (named if listed else []) == sorted(explicit)
    assert ([("BOUND_INACTIVE", False)] if listed else []) == chosen


def time_wait_towards_a_neighbour(neighbour, **options):
    """
    Leave one connection to a neighbour in TIME_WAIT; return its local port.
    """
    server = remote_server(neighbour)
    client = connected((neighbour.there, 9000), **options)
    (served,) = accept_all(server, 1)
    port = local_port(client)
    close([client])
    served.recv(1)
    close([served])
    wait_until(lambda: in_state(6) == 1, "the connection is in TIME_WAIT")
    return port


def test_a_time_wait_does_not_tell_who_made_it(netns):
    """
    Neither an owner nor an origin: None, and never "no".
    """

    @two_hosts
    def job(neighbour):
        port = time_wait_towards_a_neighbour(neighbour)
        (found,) = read_holdings(TCP, port)
        return found

    found = netns(job)

    assert ("TIME_WAIT", None, ()) == (found.state, found.outgoing, found.owners)


def test_a_time_wait_towards_an_own_listener_was_outgoing(netns):
    """
    The other end was accepted, so this one connected out.
    """

    def job():
        server = listener(*SERVER)
        make_time_wait(server, SERVER, 1, bind=("127.0.0.1", 0), reuse_address=True)
        port = next(
            int(line.split()[1].rpartition(":")[2], 16)
            for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
            if line.split()[3] == "06"
        )
        return origins(port)

    assert [("TIME_WAIT", True)] == netns(job)


def test_a_time_wait_left_by_a_listener_s_own_end_is_not_outgoing(netns):
    """
    As long as the listener is there.
    """

    def job():
        server = listener(*SERVER)
        client = connected(SERVER)
        (served,) = accept_all(server, 1)
        close([served])
        client.recv(1)
        close([client])
        wait_until(lambda: in_state(6) == 1, "the server's end is in TIME_WAIT")
        covered = origins(9000)
        close([server])
        return covered, origins(9000)

    covered, alone = netns(job)

    assert [("LISTEN", False), ("TIME_WAIT", False)] == covered
    assert [("TIME_WAIT", None)] == alone


def test_an_outgoing_connection_stays_one_when_a_listener_comes_to_its_port(netns):
    """
    With SO_REUSEADDR on both they may share it; the counters still prove the origin.
    """

    @two_hosts
    def job(neighbour):
        remote_server(neighbour)
        made = connected((neighbour.there, 9000), reuse_address=True)
        port = local_port(made)
        refused = attempt(lambda: listener("0.0.0.0", port))
        listener("127.0.0.1", port, reuse_address=True)
        return refused, origins(port)

    refused, found = netns(job)

    assert "EADDRINUSE" == refused
    assert [("ESTABLISHED", True), ("LISTEN", False)] == found


def test_a_child_whose_listener_is_gone_is_not_called_outgoing(netns):
    """
    Nothing proves that it was accepted either: None.
    """

    @two_hosts
    def job(neighbour):
        server = listener(neighbour.here, 9000)
        with neighbour.inside():
            connected((neighbour.here, 9000))
        accept_all(server, 1)
        close([server])
        return origins(9000)

    assert [("ESTABLISHED", None)] == netns(job)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (None, {"127.0.0.1", "127.0.0.2", "::1"}),
        ("127.0.0.1", {"127.0.0.1"}),
        ("::ffff:127.0.0.1", {"127.0.0.1"}),
        ("0.0.0.0", {"127.0.0.1", "127.0.0.2"}),
        ("::", {"127.0.0.1", "127.0.0.2", "::1"}),
        ("::1", {"::1"}),
        ("10.1.1.1", set()),
    ],
)
def test_only_what_may_be_in_the_way_of_an_address_is_told(netns, address, expected):
    """
    And bind() of that address is refused exactly where something is.
    """

    def job():
        for own in ("127.0.0.1", "127.0.0.2", "::1"):
            listener(own, 9000)
        real = attempt(lambda: tcp((address or "127.0.0.1", 9000)).close())
        return real, {local for _, local, _, _ in told(9000, address)}

    real, found = netns(job)

    assert expected == found
    assert bool(expected) is (real == "EADDRINUSE")


@pytest.mark.parametrize("v6only", [True, False])
def test_a_wildcard_of_ipv6_is_in_the_way_of_ipv4_unless_it_is_ipv6_only(netns, v6only):
    """
    The kernel tells it of a listener.
    """

    def job():
        listener("::", 9000, v6only=v6only)
        real = attempt(lambda: tcp(("127.0.0.1", 9000)).close())
        return real, told(9000, "127.0.0.1")

    real, found = netns(job)

    assert ("ok" if v6only else "EADDRINUSE") == real
    assert ([] if v6only else [("LISTEN", "::", None, False)]) == found


def test_v4_mapped_sockets_are_told_as_ipv4(netns):
    """
    They share its ports.
    """

    def job():
        listener("127.0.0.1", 9000)
        made = tcp(family=socket.AF_INET6)
        made.connect(("::ffff:127.0.0.1", 9000))
        return told(local_port(made))

    assert [("ESTABLISHED", "127.0.0.1", "127.0.0.1:9000", True)] == netns(job)


def test_udp_sockets_have_no_children(netns):
    """
    Connected with a port of the kernel's choice: outgoing; bound by number: not.
    """

    def job():
        plain = udp()
        plain.connect(("127.0.0.1", 53))
        explicit, chosen = udp(("127.0.0.1", 45678)), udp(("127.0.0.1", 0))
        return [origins(local_port(made), UDP) for made in (plain, explicit, chosen)]

    plain, explicit, chosen = netns(job)

    assert [("ESTABLISHED", True)] == plain
    assert [("CLOSE", False)] == explicit
    # bind() or a first send: the kernel does not tell.
    assert [("CLOSE", None)] == chosen


def test_every_owner_is_told(netns):
    """
    Those that inherited a socket as well.
    """

    def job():
        listener(*SERVER)
        with bystander() as pid:
            (found,) = read_holdings(TCP, 9000)
            return {os.getpid(), pid}, {owner.pid for owner in found.owners}

    expected, found = netns(job)

    assert expected == found


def test_a_port_that_nobody_holds_has_no_holdings(netns):
    """
    Neighbouring ports are not looked at.
    """

    def job():
        listener("127.0.0.1", 9001)
        return told(9000), told(9001, None, UDP)

    assert ([], []) == netns(job)


def test_of_very_many_sockets_some_are_told_the_listener_first(netns, monkeypatch):
    """
    A busy port is told in bounded time.
    """
    monkeypatch.setattr(holdings, "MOST_HOLDINGS", 5)
    monkeypatch.setattr(holdings, "MOST_ROWS", 10)

    def job():
        listener(*SERVER)
        for _ in range(300):
            connected(SERVER)
        return told(9000)

    found = netns(job)

    assert 5 == len(found)
    assert ("LISTEN", "127.0.0.1", None, False) == found[0]


def test_what_is_no_address_is_refused():
    """
    Before anything is read.
    """
    with pytest.raises(InvalidRequestError):
        read_holdings(TCP, 9000, "localhost")
