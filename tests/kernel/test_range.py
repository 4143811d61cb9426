"""Ranges of odd size, and IP_LOCAL_PORT_RANGE on the socket.

Cases c26-c28, c41, c42, c60.
"""

from __future__ import annotations

import pytest

from tests.kernel.predict import in_doubt, outcomes, surprises, try_bind0, try_connect
from tests.kernel.sockets import fill, tcp

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
