"""Ranges of odd size, and IP_LOCAL_PORT_RANGE on the socket.

Cases c26-c28, c41, c42, c60, u13. What a socket with the option gets is not
predicted: an answer is for a socket without options. What it leaves to others is.
"""

from __future__ import annotations

import pytest

from portroom.kernel.abilities import read_abilities
from tests.kernel import needs
from tests.kernel.predict import (
    in_doubt,
    outcomes,
    surprises,
    try_bind0,
    try_connect,
    try_udp_connect,
)
from tests.kernel.sockets import connected, fill, take, tcp, udp

FULL = "EADDRNOTAVAIL"
IN_USE = "EADDRINUSE"
FIRST = ("127.0.0.1", 9000)
SECOND = ("127.0.0.1", 9001)


def test_c41_three_ports_give_two(ten_ports):
    """A range whose ends have the same parity loses a port; of three, two are left."""
    trials = ten_ports(
        lambda: [try_connect(FIRST), try_connect(SECOND)],
        ip_local_port_range="40000 40002",
    )

    assert [(2, FULL), (2, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c42_one_port_gives_one(ten_ports):
    """A range of one port works."""
    trials = ten_ports(
        lambda: [try_connect(FIRST), try_connect(SECOND)],
        ip_local_port_range="40000 40000",
    )

    assert [(1, FULL), (1, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


@pytest.mark.parametrize("ports", [5, 7, 11, 101])
def test_a_range_of_odd_size_gives_all_or_all_but_one(ten_ports, ports):
    """Same-parity ranges are foretold as N-1 to N, for connect() and for bind0."""

    def job():
        return [try_connect(FIRST), try_connect(SECOND), try_bind0("127.0.0.2")]

    trials = ten_ports(job, ip_local_port_range=f"40000 {40000 + ports - 1}")

    assert all(trial.real.count in {ports - 1, ports} for trial in trials)
    assert (ports - 1, ports) == trials[0].predicted == trials[2].predicted
    assert [] == surprises(trials)
    assert max(in_doubt(trials)) <= 1


@needs.range_option
@pytest.mark.parametrize(
    ("window", "ports"),
    [
        ((40002, 40005), {40002, 40003, 40004, 40005}),
        ((50000, 50005), set(range(40000, 40010))),
        ((39990, 40003), {40000, 40001, 40002, 40003}),
        ((40008, 50000), {40008, 40009}),
        ((40002, 40004), {40002, 40003, 40004}),
    ],
)
def test_c26_c27_c28_a_socket_may_narrow_its_own_range(ten_ports, window, ports):
    """
    IP_LOCAL_PORT_RANGE counts bound by bound, each only inside the range.

    Its odd-sized windows lose no port, but on kernels whose search goes by steps of two.
    Other sockets get what it leaves.
    """

    def job():
        narrowed = fill(FIRST, range_option=window)
        return narrowed, [try_connect(FIRST), try_connect(SECOND)]

    lost = len(ports) % 2 and not read_abilities()["range_option_step"].holds

    narrowed, trials = ten_ports(job)

    taken = len(ports) - lost
    assert (taken, FULL) == narrowed.outcome
    assert set(narrowed.ports) <= ports
    assert [(10 - taken, FULL), (10, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


@needs.range_option
def test_c60_a_window_does_not_share_a_bound_port(ten_ports):
    """A port bound on another address is out for a window of that port too."""

    def job():
        bound = tcp(("127.0.0.9", 40003))
        narrowed = fill(FIRST, range_option=(40003, 40003))
        while_bound = try_connect(FIRST)
        bound.close()
        return narrowed, [while_bound], fill(SECOND, range_option=(40003, 40003))

    narrowed, trials, afterwards = ten_ports(job)

    assert (0, FULL) == narrowed.outcome
    assert [(9, FULL)] == outcomes(trials)
    assert [] == surprises(trials)
    assert (1, FULL) == afterwards.outcome


@needs.range_option
def test_u13_a_udp_socket_may_narrow_its_own_range(ten_ports):
    """The option holds for UDP as well."""

    def job():
        remote = ("127.0.0.1", 53)
        narrowed = take(lambda: connected(remote, make=udp, range_option=(40002, 40004)))
        return narrowed, [try_udp_connect(remote)]

    narrowed, trials = ten_ports(job)

    assert (3, "EAGAIN") == narrowed.outcome
    assert [(7, "EAGAIN")] == outcomes(trials)
    assert [] == surprises(trials)
