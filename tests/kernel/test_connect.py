"""connect() without a port: one port per 4-tuple, and what else is left.

Cases c01-c04, c25, c33-c35, c46-c48, c52, c56, c59, c61, c62.
"""

from __future__ import annotations

from collections import Counter

from tests.kernel import needs
from tests.kernel.harness import LIBC, black_hole, in_namespace, wait_until, write_settings
from tests.kernel.predict import outcomes, predict, span, surprises, try_connect
from tests.kernel.sockets import (
    accept_all,
    attempt,
    close,
    connected,
    fill,
    in_state,
    listener,
    local_port,
    reset,
    tcp,
    time_waits,
)

FULL = "EADDRNOTAVAIL"
FIRST = ("127.0.0.1", 9000)
SECOND = ("127.0.0.1", 9001)
AF_UNSPEC = bytes(16)


def test_c01_one_destination(ten_ports):
    """connect() to one endpoint succeeds once per eligible port, then never."""
    trials = ten_ports(lambda: [try_connect(FIRST)])

    assert [(10, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c02_another_remote_port_has_all_ports_again(ten_ports):
    """Ports are counted for each remote port."""
    trials = ten_ports(lambda: [try_connect(FIRST), try_connect(SECOND)])

    assert [(10, FULL), (10, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c03_another_remote_address_has_all_ports_again(ten_ports):
    """Ports are counted for each remote address; the route gives the local one."""

    def job():
        trials = [try_connect(FIRST), try_connect(("127.0.0.2", 9000))]
        predicted = predict(("127.0.0.2", 9000)).local_address
        return trials, predicted, trials[1].real.sockets[0].getsockname()[0]

    trials, predicted, real = ten_ports(job)

    assert [(10, FULL), (10, FULL)] == outcomes(trials)
    assert [] == surprises(trials)
    assert "127.0.0.1" == predicted == real


def test_c04_no_port_shares_by_local_address(ten_ports):
    """IP_BIND_ADDRESS_NO_PORT has all ports for each local address."""

    def job():
        return [
            try_connect(FIRST, bind=("127.0.0.1", 0), noport=True),
            try_connect(FIRST, bind=("127.0.0.2", 0), noport=True),
            try_connect(FIRST),
        ]

    trials = ten_ports(job)

    assert [(10, FULL), (10, FULL), (0, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c25_time_wait_of_the_server_side_is_no_hindrance(ten_ports):
    """A TIME_WAIT on the server's side is another 4-tuple."""

    def job():
        server = listener("127.0.0.1", 9002)
        remote = ("127.0.0.1", 9002)
        clients = fill(remote).sockets
        close(accept_all(server, 10))
        for client in clients:
            client.recv(1)
        close(clients)
        wait_until(lambda: time_waits() == 10, "the server side is in TIME_WAIT")
        return [try_connect(remote)]

    trials = ten_ports(job)

    assert [(10, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c33_connections_outside_a_shrunk_range_stay(ten_ports):
    """Old connections stay and carry data; only the new range is searched."""

    def job():
        old = fill(FIRST)
        write_settings(ip_local_port_range="40000 40003")
        sent = old.sockets[9].send(b"x")
        shrunk = [try_connect(FIRST), try_connect(SECOND)]
        write_settings(ip_local_port_range="41000 41003")
        return sent, [*shrunk, try_connect(FIRST)]

    sent, trials = ten_ports(job)

    assert 1 == sent
    assert [(0, FULL), (4, FULL), (4, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c34_a_connect_without_an_answer_holds_its_port(ten_ports):
    """SYN_SENT counts as held."""

    def job():
        remote = (black_hole(), 9000)
        before = span(predict(remote))
        sockets = [tcp() for _ in range(11)]
        for made in sockets:
            made.setblocking(False)
        tried = Counter(attempt(lambda s=made: s.connect(remote)) for made in sockets)
        return before, tried, span(predict(remote)), span(predict(remote, probe=True))

    before, tried, after, probed = ten_ports(job)

    assert (10, 10) == before
    assert {"EINPROGRESS": 10, FULL: 1} == tried
    assert (0, 0) == after == probed


def test_c35_a_refused_connect_gives_its_port_back(ten_ports):
    """A thousand refused connects take no port for long."""

    def job():
        tried = Counter(attempt(lambda: connected(("127.0.0.1", 9999))) for _ in range(1000))
        return tried, [try_connect(FIRST)]

    tried, trials = ten_ports(job)

    assert {"ECONNREFUSED": 1000} == tried
    assert [(10, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c45_a_half_closed_connection_holds_its_port(ten_ports):
    """FIN_WAIT2 counts as held, orphaned or not, and is never reused."""

    def job():
        close(fill(FIRST).sockets)
        wait_until(lambda: in_state(5) == 10, "ten sockets are in FIN_WAIT2")
        return [try_connect(FIRST), try_connect(SECOND)]

    trials = ten_ports(job, tcp_tw_reuse=2)

    assert [(0, FULL), (10, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c46_a_reset_gives_the_port_back_at_once(ten_ports):
    """SO_LINGER with 0 seconds leaves nothing behind."""

    def job():
        reset(fill(FIRST).sockets)
        return [try_connect(FIRST)]

    trials = ten_ports(job)

    assert [(10, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c47_another_namespace_has_ports_of_its_own(ten_ports):
    """Each network namespace counts for itself."""

    def inner():
        listener("0.0.0.0", 9000)
        return try_connect(FIRST)

    def job():
        outer = try_connect(FIRST)
        return [outer, in_namespace(inner, ip_local_port_range="40000 40009")]

    trials = ten_ports(job)

    assert [(10, FULL), (10, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c48_no_port_on_the_wildcard_is_like_unbound(ten_ports):
    """IP_BIND_ADDRESS_NO_PORT with 0.0.0.0 takes the address of the route."""

    def job():
        first = span(predict(FIRST))
        taken = fill(FIRST, bind=("0.0.0.0", 0), noport=True)
        second = span(predict(SECOND))
        return first, taken, second, fill(SECOND, bind=("0.0.0.0", 0), noport=True)

    first, taken, second, more = ten_ports(job)

    assert [(10, FULL), (10, FULL)] == [taken.outcome, more.outcome]
    assert first[0] <= 10 == first[1]
    assert second[0] <= 10 == second[1]


def test_c52_a_failed_socket_may_try_again(ten_ports):
    """A socket refused for want of ports connects once one is free."""

    def job():
        filled = fill(FIRST)
        made = tcp()
        refused = attempt(lambda: made.connect(FIRST))
        reset(filled.sockets[:1])
        free = span(predict(FIRST))
        made.connect(FIRST)
        return refused, free, local_port(made) == filled.ports[0], span(predict(FIRST))

    refused, free, same_port, left = ten_ports(job)

    assert FULL == refused
    # The refused socket is in no table: where bound ones are in none, it may be bound.
    assert free == (int(bool(needs.features().bound_inactive_rows)), 1)
    assert same_port
    assert (0, 0) == left


def test_c56_a_dissolved_connection_gives_its_port_back(ten_ports):
    """connect(AF_UNSPEC) releases a port that connect() had chosen."""

    def job():
        for made in fill(FIRST).sockets:
            LIBC.connect(made.fileno(), AF_UNSPEC, len(AF_UNSPEC))
        return [try_connect(FIRST)]

    trials = ten_ports(job)

    assert [(10, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c59_ports_outside_the_range_do_not_matter(ten_ports):
    """A listener and reserved ports outside the range change nothing."""

    def job():
        listener("0.0.0.0", 8080)
        return [try_connect(FIRST)]

    trials = ten_ports(job, ip_local_reserved_ports="8080,50000-50010")

    assert [(10, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c61_no_route_takes_no_port(ten_ports):
    """A connect without a route fails before a port is searched."""

    def job():
        tried = Counter(attempt(lambda: connected(("203.0.113.1", 80))) for _ in range(30))
        return tried, [try_connect(FIRST)]

    tried, trials = ten_ports(job)

    assert {"ENETUNREACH": 30} == tried
    assert [(10, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c62_an_address_that_is_not_here_gives_the_same_errno(ten_ports):
    """
    EADDRNOTAVAIL has other causes than ports; no prediction about ports applies.
    """

    def job():
        return {
            "bind v4": attempt(lambda: tcp(("8.8.8.8", 0))),
            "bind v6": attempt(lambda: tcp(("2001:db8::1", 0))),
            "connect v6": attempt(lambda: connected(("2001:db8::1", 80))),
            "connect v4": attempt(lambda: connected(("8.8.8.8", 80))),
            "connect port 0": attempt(lambda: connected(("127.0.0.1", 0))),
        }

    tried = ten_ports(job)

    assert {
        "bind v4": FULL,
        "bind v6": FULL,
        "connect v6": "ENETUNREACH",
        "connect v4": "ENETUNREACH",
        "connect port 0": "ECONNREFUSED",
    } == tried
