"""bind(address, 0): one port per overlapping address, whoever holds it.

Cases c38-c40, c51.
"""

from __future__ import annotations

import pytest

from tests.kernel.harness import write_settings
from tests.kernel.predict import outcomes, predict, span, surprises, try_bind0, try_connect
from tests.kernel.sockets import attempt, connected, fill, fill_bind0, listener, reset, tcp

FULL = "EADDRNOTAVAIL"
IN_USE = "EADDRINUSE"
FIRST = ("127.0.0.1", 9000)


@pytest.mark.parametrize(
    ("address", "ports"),
    [("127.0.0.1", 0), ("0.0.0.0", 0), ("::", 0), ("127.0.0.2", 10), ("::1", 10)],
)
def test_c38_ports_of_connections_are_out_where_addresses_overlap(ten_ports, address, ports):
    """
    Ten automatic connections leave bind(address, 0) nothing on overlapping addresses.
    """

    def job():
        return [try_connect(FIRST), try_bind0(address)]

    trials = ten_ports(job)

    assert [(10, FULL), (ports, IN_USE)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c38_an_ipv6_only_wildcard_overlaps_no_ipv4(ten_ports):
    """
    A socket that asks for :: with IPV6_V6ONLY has all ports.

    The product predicts the dual-stack socket, which has none; this one has
    the ports that ::1 has.
    """

    def job():
        fill(FIRST)
        return span(predict(None, from_address="::1", operation="bind0")), fill_bind0(
            "::", v6only=True
        )

    predicted, real = ten_ports(job)

    assert (10, 10) == predicted
    assert (10, IN_USE) == real.outcome


def test_c38_listen_without_bind_is_bind0_on_the_wildcard(ten_ports):
    """listen() on an unbound socket is refused like bind(0.0.0.0, 0)."""

    def job():
        fill(FIRST)
        predicted = span(predict(None, from_address="0.0.0.0", operation="bind0"))
        return predicted, attempt(lambda: tcp().listen())

    predicted, refusal = ten_ports(job)

    assert (0, 0) == predicted
    assert IN_USE == refusal


def test_c38_and_each_of_them_then_takes_a_port_from_connect(ten_ports):
    """What bind(address, 0) gets on another address is out for connect()."""

    def job():
        fill(FIRST)
        fill_bind0("127.0.0.2", at_most=3)
        fill_bind0("::1", at_most=2)
        return [try_connect(("127.0.0.1", 9001))]

    trials = ten_ports(job)

    assert trials[0].real.count in {5, 6, 7}
    assert FULL == trials[0].real.refusal
    assert [] == surprises(trials)


def test_c39_reuse_address_helps_only_with_ip_autobind_reuse(ten_ports):
    """
    SO_REUSEADDR sockets share ports in bind(address, 0) only if the setting allows it.

    What a socket with SO_REUSEADDR gets from ip_autobind_reuse is not
    predicted: the answer is for a socket without options.
    """

    def job():
        first = try_bind0("127.0.0.1", reuse_address=True)
        reset(first.real.sockets)
        write_settings(ip_autobind_reuse=1)
        plain = try_bind0("127.0.0.1")
        reset(plain.real.sockets)
        shared = fill_bind0("127.0.0.1", at_most=25, reuse_address=True)
        joined = [attempt(lambda s=made: s.connect(FIRST)) for made in shared.sockets]
        return [first, plain], shared.outcome, joined.count("ok"), set(joined)

    trials, shared, joined, answers = ten_ports(job)

    assert [(10, IN_USE), (10, IN_USE)] == outcomes(trials)
    assert [] == surprises(trials)
    assert (25, None) == shared
    assert 10 == joined
    assert {"ok", FULL} == answers


def test_c40_reuse_port_does_not_help(ten_ports):
    """SO_REUSEPORT gives bind(address, 0) no port twice."""
    trials = ten_ports(lambda: [try_bind0("127.0.0.1", reuse_port=True)])

    assert [(10, IN_USE)] == outcomes(trials)
    assert [] == surprises(trials)


@pytest.mark.parametrize(
    ("address", "ports"),
    [("0.0.0.0", 0), ("::1", 0), ("::", 0), ("127.0.0.1", 10), ("127.0.0.6", 10)],
)
def test_c51_connected_ipv6_sockets_are_not_ipv6_only(ten_ports, address, ports):
    """
    Ten IPv6 connections leave 0.0.0.0 nothing, and a specific IPv4 address all.

    127.0.0.6 has none on kernels where an outbound IPv6 socket carries that
    address as its own; a prediction for it is in doubt there.
    """

    def job():
        listener("::1", 9000)
        fill(("::1", 9000))
        return [try_bind0(address)]

    trials = ten_ports(job)

    carried = address == "127.0.0.6" and trials[0].real.count == 0
    assert [(0 if carried else ports, IN_USE)] == outcomes(trials)
    assert [] == surprises(trials)


def test_a_connected_socket_that_was_bound_counts_for_its_address_only(ten_ports):
    """bind(.1, 0) and connect leaves bind(.2, 0) everything and 0.0.0.0 nothing."""

    def job():
        for _ in range(10):
            connected(FIRST, bind=("127.0.0.1", 0))
        wildcard = try_bind0("0.0.0.0")
        return [wildcard, try_bind0("127.0.0.2")]

    trials = ten_ports(job)

    assert [(0, IN_USE), (10, IN_USE)] == outcomes(trials)
    assert [] == surprises(trials)
