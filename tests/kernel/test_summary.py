"""The summary says, figure by figure, what ``ss -s`` says of a still namespace."""

import contextlib
import re
import socket
import subprocess
from collections import Counter

from portroom.kernel.counters import read_counters
from portroom.kernel.groups import read_groups
from portroom.model.facts.snapshot import not_looked_at
from portroom.model.facts.sockets import TcpState
from portroom.model.laws.summary import summary
from tests.kernel import needs
from tests.kernel.harness import Neighbour, wait_until
from tests.kernel.sockets import (
    accept_all,
    close,
    connected,
    fill,
    in_state,
    listener,
    make_time_wait,
    tcp,
    udp,
)

TCP_LINE = re.compile(r"TCP: +(\d+) \(estab (\d+), closed (\d+), orphaned (\d+), timewait (\d+)\)")
TRANSPORT_LINE = re.compile(r"^(RAW|UDP|TCP|INET|FRAG)\s+(\d+)\s+(\d+)\s+(\d+)\s*$", re.MULTILINE)


def figures_of_ss():
    """Return the figures of ``ss -s`` by name, as parsed from its text."""
    text = subprocess.run(["ss", "-s"], check=True, capture_output=True, text=True).stdout
    figures = {"total": (int(re.search(r"Total: (\d+)", text)[1]),)}
    figures["tcp line"] = tuple(map(int, TCP_LINE.search(text).groups()))
    for name, *counts in TRANSPORT_LINE.findall(text):
        figures[name.lower()] = tuple(map(int, counts))
    return figures


NAMES = {
    "ESTAB": "ESTABLISHED",
    "UNCONN": "CLOSE",
    "FIN-WAIT-1": "FIN_WAIT1",
    "FIN-WAIT-2": "FIN_WAIT2",
}
"""What ``ss`` spells otherwise than the kernel."""


def rows_of_ss(protocol):
    """Return state and local port of each socket that ``ss`` lists."""
    command = ["ss", "-Han", protocol]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in text.splitlines()]
    return [
        (NAMES.get(row[0], row[0].replace("-", "_")), row[3].rpartition(":")[2]) for row in rows
    ]


def our_figures(answer):
    """Return the same figures of a summary."""
    line = answer.tcp
    figures = {
        "total": (answer.sockets_total,),
        "tcp line": (
            line.total,
            line.established,
            line.closed,
            line.orphaned,
            line.time_wait,
        ),
    }
    for name in ("raw", "udp", "tcp", "inet", "frag"):
        row = getattr(answer.transports, name)
        figures[name] = (row.total, row.ipv4, row.ipv6)
    return figures


def both():
    """
    Return our figures and those of ``ss``, of one and the same moment if they agree.

    Three of them count the whole system, which other programs move between the
    two readings; so what differs is read again for a while.
    """
    seen = {}

    def agree():
        seen["ours"] = our_figures(summary(read_counters(), not_looked_at("groups")))
        seen["ss"] = figures_of_ss()
        return seen["ours"] == seen["ss"]

    with contextlib.suppress(TimeoutError):
        wait_until(agree, "both say the same", deadline_s=20)
    return seen["ours"], seen["ss"]


def open_everything():
    """
    Open sockets of every kind and state that ``ss -s`` counts, in both families.

    TIME_WAIT is on our side of a veth pair and on loopback.
    """
    held = []
    neighbour = Neighbour()
    with neighbour.inside():
        server = listener(neighbour.there, 9000)
    make_time_wait(server, (neighbour.there, 9000), 4)
    for address, family, protocol in (
        ("127.0.0.1", socket.AF_INET, socket.IPPROTO_ICMP),
        ("::1", socket.AF_INET6, socket.IPPROTO_ICMPV6),
    ):
        server = listener(address, 9000)
        make_time_wait(server, (address, 9000), 2)
        clients = fill((address, 9000), at_most=3).sockets
        accept_all(server, 3)[0].shutdown(socket.SHUT_WR)
        clients[0].recv(1)
        tcp((address, 0))
        udp((address, 9001))
        connected((address, 9001), udp)
        held.append(socket.socket(family, socket.SOCK_RAW, protocol))
        held.append(socket.socket(family, socket.SOCK_STREAM))
    wait_until(lambda: not in_state(TcpState.FIN_WAIT1), "each FIN is acknowledged")
    return held


def test_an_empty_namespace(netns):
    """
    Where there is no socket both say so.
    """
    ours, theirs = netns(both)

    assert theirs == ours
    assert (0,) == ours["total"]


def test_every_figure_of_ss_is_ours(netns):
    """
    With TCP in all its states, UDP and RAW of both families, no figure differs.
    """

    def job():
        held = open_everything()
        return *both(), len(held)

    ours, theirs, _ = netns(job)

    assert theirs == ours
    assert (2, 1, 1) == ours["raw"]
    assert (4, 2, 2) == ours["udp"]
    _, _, _, _, time_wait = ours["tcp line"]
    assert 8 == time_wait
    assert ours["tcp"][1] > 0 < ours["tcp"][2]


def test_a_socket_that_is_only_made_is_closed(netns):
    """
    ``closed`` counts sockets that exist and are in no table.
    """

    def closed():
        return summary(read_counters(), not_looked_at("groups")).tcp.closed

    def fifty_more():
        before = closed()
        made = [tcp() for _ in range(50)]
        after = closed()
        close(made)
        return after - before == 50

    # The figure is system-wide: until no other program moves it meanwhile.
    netns(wait_until, fifty_more, "50 more sockets are closed ones", deadline_s=30)


def test_states_are_those_of_ss(netns):
    """
    States, and distinct ports in use, are what the rows of ``ss`` add up to.

    ``ss`` does not list sockets that are only bound; there are two, of which not
    every kernel tells.
    """

    def job():
        held = open_everything()
        counters = read_counters()
        ours = summary(counters, read_groups(None, counters))
        return ours, rows_of_ss("-t"), rows_of_ss("-u"), len(held)

    ours, tcp_rows, udp_rows, _ = netns(job)

    bound = ours.states.pop("BOUND_INACTIVE", 0)
    assert bound == (2 if needs.features().bound_inactive_rows else 0)
    assert Counter(state for state, _ in tcp_rows) == ours.states
    assert Counter(state for state, _ in udp_rows) == ours.udp_states
    ports = {port for _, port in (*tcp_rows, *udp_rows)}
    assert len(ports) + bound == ours.bound_local_ports
