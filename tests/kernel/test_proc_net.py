"""The tables of /proc/net tell the same sockets as sock_diag, as far as they tell."""

from __future__ import annotations

import socket
from collections import Counter

import pytest

from portroom.kernel import groups as diag_groups
from portroom.kernel import proc_net
from portroom.kernel.rows import RowsQuery
from portroom.kernel.rows import read_rows as read_diag_rows
from portroom.model.facts.ports import PortRange
from portroom.model.facts.sockets import Kind, Protocol, TcpState
from tests.kernel.harness import wait_until
from tests.kernel.sockets import accept_all, connected, listener, make_time_wait, udp

PROTOCOLS = (Protocol.TCP, Protocol.UDP, Protocol.RAW)

SERVERS = [("127.0.0.1", 9000), ("0.0.0.0", 9001), ("::1", 9002), ("::", 9003)]
REMOTES = [
    ("127.0.0.1", 9000),
    ("127.0.0.1", 9001),
    ("127.0.0.1", 9003),
    ("::ffff:127.0.0.1", 9000),
    ("::1", 9002),
    ("::1", 9003),
    ("::1", 9004),
]
CLOCK_TICK_MS = 10


def populate():
    """Make TCP sockets of many states and both families, UDP and raw sockets."""
    servers = {port: listener(address, port) for address, port in SERVERS}
    servers[9004] = listener("::", 9004, v6only=True)
    make_time_wait(servers[9000], ("127.0.0.1", 9000), 3)
    for remote in REMOTES:
        connected(remote)
        (served,) = accept_all(servers[remote[1]], 1)
        served.send(b"unread")
    connected(("127.0.0.1", 9000), bind=("127.0.0.7", 50000)).send(b"unread")
    connected(("127.0.0.1", 9001)).shutdown(socket.SHUT_WR)
    udp(("127.0.0.1", 5353))
    udp(("::", 5354), v6only=True)
    udp(("::1", 5355)).connect(("::1", 5356))
    udp(("127.0.0.1", 5357)).connect(("127.0.0.1", 5358))
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    raw.bind(("127.0.0.1", 0))
    raw.detach()
    wait_until(is_still, "everything sent is acknowledged")


def is_still():
    """Say whether no socket waits for an acknowledgement, which may take 40 ms."""
    rows = proc_net.read_rows([Protocol.TCP])
    return not any(rows.send_queue_bytes) and TcpState.FIN_WAIT1 not in rows.state


def lines(rows):
    """Return how often each row occurs; a listener's limit is told by one side only."""
    columns = [getattr(rows, name) for name in rows.__struct_fields__]
    place = rows.__struct_fields__.index("send_queue_bytes")
    return Counter(
        (*row[:place], None if row[2] is TcpState.LISTEN else row[place], *row[place + 1 :])
        for row in zip(*columns, strict=True)
    )


def sockets(groups):
    """Return how many sockets there are of each protocol, state, key and port."""
    return Counter(
        (table.protocol, table.family, table.state, key, port)
        for table in groups.tables
        for key, ports in table.ports.items()
        for port in ports
    )


def ends(groups):
    """Return the remaining milliseconds of each TIME_WAIT by key and port."""
    return {
        (key, port): remaining
        for table in groups.tables
        if table.state is TcpState.TIME_WAIT
        for key, ports in table.ports.items()
        for port, remaining in zip(ports, table.remaining_ms[key], strict=True)
    }


def test_rows_are_those_of_sock_diag(netns):
    """
    Addresses, states, queues, uid and inode of every socket agree.
    """

    def job():
        populate()
        theirs = read_diag_rows(RowsQuery(protocols=PROTOCOLS)).rows
        return lines(proc_net.read_rows(PROTOCOLS)), lines(theirs)

    ours, theirs = netns(job)

    assert theirs == ours
    assert {TcpState.TIME_WAIT, TcpState.LISTEN, TcpState.FIN_WAIT2, TcpState.CLOSE_WAIT} <= {
        row[2] for row in ours
    }


@pytest.mark.parametrize("scope", [None, PortRange(32768, 60999), PortRange(9000, 9002)])
def test_groups_are_those_of_sock_diag(netns, scope):
    """
    The same ports in the same groups, and the same accepted sockets folded.
    """

    def job():
        populate()
        theirs = diag_groups.read_groups(scope, None)
        ours = proc_net.read_groups(scope)
        return [(sockets(groups), set(groups.inbound)) for groups in (ours, theirs)]

    ours, theirs = netns(job)

    assert theirs == ours


def test_only_listeners_are_known_for_what_they_are(netns):
    """
    Whether a port was asked for is not told, so the rest is unknown.
    """

    def job():
        populate()
        return {(table.state, table.kind) for table in proc_net.read_groups().tables}

    kinds = netns(job)

    assert {(TcpState.LISTEN, Kind.LISTENER)} == {
        (state, kind) for state, kind in kinds if kind is not Kind.UNKNOWN
    }


def test_time_wait_ends_when_sock_diag_says(netns):
    """
    The remaining times agree within what passes between the two readings.
    """

    def job():
        server = listener("127.0.0.1", 9000)
        make_time_wait(server, ("127.0.0.1", 9000), 5)
        first = ends(diag_groups.read_groups(None, None))
        middle = ends(proc_net.read_groups())
        return first, middle, ends(diag_groups.read_groups(None, None))

    first, middle, last = netns(job)

    assert first.keys() == middle.keys() == last.keys()
    assert all(
        last[place] - CLOCK_TICK_MS <= middle[place] <= first[place] + CLOCK_TICK_MS
        for place in first
    )
