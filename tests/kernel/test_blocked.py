"""Ports that are out for every automatic connect: bound, listening, accepted, reserved.

Cases c05-c17, c43, c44, c50, c53, c57.
"""

from __future__ import annotations

from tests.kernel.harness import wait_until
from tests.kernel.predict import outcomes, surprises, try_bind0, try_connect
from tests.kernel.sockets import (
    accept_all,
    attempt,
    close,
    connected,
    fill,
    fill_bind0,
    listener,
    local_port,
    tcp,
    time_waits,
    udp,
)

FULL = "EADDRNOTAVAIL"
IN_USE = "EADDRINUSE"
FIRST = ("127.0.0.1", 9000)
SECOND = ("127.0.0.1", 9001)


def test_c05_bind0_then_connect_takes_a_port_from_every_remote(ten_ports):
    """A socket that asked for any port first shares it with no remote."""

    def job():
        bound = fill(FIRST, bind=("127.0.0.1", 0))
        more = fill(SECOND, bind=("127.0.0.1", 0))
        return [bound.outcome, more.outcome], [try_bind0("127.0.0.1"), try_connect(SECOND)]

    done, trials = ten_ports(job)

    assert [(10, IN_USE), (0, IN_USE)] == done
    assert [(0, IN_USE), (0, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c06_bind0_on_two_addresses_then_unbound(ten_ports):
    """bind(address, 0) has all ports for each address, and leaves none to connect()."""

    def job():
        first = fill(FIRST, bind=("127.0.0.1", 0))
        trial = try_bind0("127.0.0.2")
        close(trial.real.sockets)
        second = fill(FIRST, bind=("127.0.0.2", 0))
        return [first.outcome, second.outcome], [trial, try_connect(SECOND)]

    done, trials = ten_ports(job)

    assert [(10, IN_USE), (10, IN_USE)] == done
    assert [(10, IN_USE), (0, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c07_bound_and_not_connected(ten_ports):
    """A port that is only bound, to any address, is out for connect()."""

    def job():
        fill_bind0("127.0.0.9", at_most=3)
        return [try_connect(FIRST)]

    trials = ten_ports(job)

    assert [(7, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c08_a_listener_on_another_address(ten_ports):
    """A listener's port is out for connect(), whatever its address."""

    def job():
        listener("127.0.0.9", 40003)
        return [try_connect(FIRST), try_connect(FIRST, bind=("127.0.0.1", 0), noport=True)]

    trials = ten_ports(job)

    assert [(9, FULL), (0, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c09_a_listener_on_the_wildcard(ten_ports):
    """A listener on 0.0.0.0 takes its port from connect()."""

    def job():
        listener("0.0.0.0", 40003)
        return [try_connect(FIRST)]

    trials = ten_ports(job)

    assert [(9, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c10_a_listener_on_an_ipv6_address(ten_ports):
    """The bucket of a port knows no family: ::1 takes it from IPv4 too."""

    def job():
        listener("::1", 40003)
        return [try_connect(FIRST)]

    trials = ten_ports(job)

    assert [(9, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c11_a_listener_for_ipv6_only(ten_ports):
    """Even an IPv6-only wildcard takes its port from IPv4 connects."""

    def job():
        listener("::", 40003, v6only=True)
        return [try_connect(FIRST)]

    trials = ten_ports(job)

    assert [(9, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c12_udp_does_not_matter_to_tcp(ten_ports):
    """A UDP socket takes no port from TCP."""

    def job():
        udp(("0.0.0.0", 40003))
        return [try_connect(FIRST)]

    trials = ten_ports(job)

    assert [(10, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c13_reserved_ports_are_never_chosen(ten_ports):
    """The kernel does not choose reserved ports."""
    trials = ten_ports(lambda: [try_connect(FIRST)], ip_local_reserved_ports="40000-40004")

    assert [(5, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c14_reuse_address_does_not_soften_a_bound_port(ten_ports):
    """SO_REUSEADDR on both sides leaves a bound port out for connect()."""

    def job():
        tcp(("127.0.0.9", 40003), reuse_address=True)
        return [try_connect(FIRST), try_connect(SECOND, reuse_address=True)]

    trials = ten_ports(job)

    assert [(9, FULL), (9, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c15_reuse_port_does_not_soften_a_bound_port(ten_ports):
    """SO_REUSEPORT on both sides leaves a bound port out for connect()."""

    def job():
        tcp(("127.0.0.9", 40003), reuse_port=True)
        return [try_connect(FIRST), try_connect(SECOND, reuse_port=True)]

    trials = ten_ports(job)

    assert [(9, FULL), (9, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c16_an_accepted_socket_keeps_the_port_of_its_closed_listener(ten_ports):
    """A child holds its port for all, its listener long closed."""

    def job():
        server = listener("127.0.0.9", 40003)
        connected(("127.0.0.9", 40003), bind=("127.0.0.8", 20000))
        accept_all(server, 1)
        server.close()
        return [try_connect(FIRST)]

    trials = ten_ports(job)

    assert [(9, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c17_so_does_the_time_wait_of_an_accepted_socket(ten_ports):
    """The TIME_WAIT that a child leaves still holds the port for all."""

    def job():
        server = listener("127.0.0.9", 40003)
        client = connected(("127.0.0.9", 40003), bind=("127.0.0.8", 20000))
        close([*accept_all(server, 1), server])
        client.recv(1)
        client.close()
        wait_until(lambda: time_waits() == 1, "the child is in TIME_WAIT")
        return [try_connect(FIRST)]

    trials = ten_ports(job)

    assert [(9, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c43_a_port_comes_back_when_its_bound_owner_leaves(ten_ports):
    """
    While a bound owner is there the port is out; afterwards it is shared again.

    Only a kernel whose buckets forget does this; the test asks which it is.
    """

    def job():
        fill(FIRST)
        bound = tcp(("127.0.0.9", 40000))
        while_bound = try_connect(SECOND)
        bound.close()
        return [while_bound, try_connect(SECOND)]

    trials = ten_ports(job, ip_local_port_range="40000 40000")

    assert (0, FULL) == trials[0].real.outcome
    assert trials[1].real.outcome in {(1, FULL), (0, FULL)}
    assert [] == surprises(trials)


def test_c44_a_bound_port_without_connections_comes_back(ten_ports):
    """A port whose last owner leaves is free again."""

    def job():
        bound = tcp(("127.0.0.9", 40000))
        while_bound = try_connect(FIRST)
        bound.close()
        return [while_bound, try_connect(FIRST)]

    trials = ten_ports(job, ip_local_port_range="40000 40000")

    assert [(0, FULL), (1, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c50_a_reserved_port_may_be_named(ten_ports):
    """An explicit bind takes a reserved port; bind(address, 0) never does."""

    def job():
        named = local_port(tcp(("127.0.0.1", 40001)))
        return named, [try_bind0("127.0.0.1")]

    named, trials = ten_ports(job, ip_local_reserved_ports="40000-40008")

    assert 40001 == named
    assert [(1, IN_USE)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c53_named_ports_with_reuse_address_go_by_4_tuple(ten_ports):
    """
    Named ports with SO_REUSEADDR serve each remote once, and no automatic connect.
    """

    def named(port, remote):
        return connected(remote, bind=("127.0.0.1", port), reuse_address=True)

    def job():
        tried = [
            {attempt(lambda p=port, r=remote: named(p, r)) for port in range(40000, 40010)}
            for remote in (FIRST, SECOND, FIRST)
        ]
        return tried, [try_connect(FIRST), try_bind0("127.0.0.1")]

    tried, trials = ten_ports(job)

    assert [{"ok"}, {"ok"}, {FULL}] == tried
    assert [(0, FULL), (0, IN_USE)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c57_listen_without_bind_takes_a_port_of_the_range(ten_ports):
    """listen() asks for any port, an odd one first, and keeps it from connect()."""

    def job():
        made = tcp()
        made.listen()
        return local_port(made) % 2, [try_connect(FIRST)]

    odd, trials = ten_ports(job)

    assert 1 == odd
    assert [(9, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_an_accepted_socket_with_the_no_port_flag_of_its_listener_is_no_proof(ten_ports):
    """The flag is inherited; the listener is gone, and its port is lost all the same."""

    def job():
        server = tcp(("127.0.0.1", 40003), noport=True)
        server.listen()
        connected(("127.0.0.1", 40003), bind=("127.0.0.8", 20001))
        children = accept_all(server, 1)
        close([server])
        return [try_connect(SECOND)], len(children)

    trials, accepted = ten_ports(job)

    assert accepted == 1
    assert [(9, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_clients_from_ports_that_listen_later_do_not_prove_their_peer(ten_ports):
    """Two accepted sockets look as if they had connected to those listeners."""

    def job():
        server = listener("127.0.0.1", 40003)
        ports = 9100, 9101
        for port in ports:
            connected(("127.0.0.1", 40003), bind=("127.0.0.1", port), reuse_address=True)
        children = accept_all(server, 2)
        close([server])
        for port in ports:
            tcp(("127.0.0.1", port), reuse_address=True).listen()
        return [try_connect(SECOND)], len(children)

    trials, accepted = ten_ports(job)

    assert accepted == 2
    assert [(9, FULL)] == outcomes(trials)
    assert [] == surprises(trials)
