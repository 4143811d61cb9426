"""SO_BINDTODEVICE and the two families in one port space.

Cases c29-c32.
"""

from __future__ import annotations

from tests.kernel.predict import outcomes, surprises, try_connect
from tests.kernel.sockets import fill, listener

FULL = "EADDRNOTAVAIL"
FIRST = ("127.0.0.1", 9000)
MAPPED = ("::ffff:127.0.0.1", 9000)


def test_c29_a_socket_on_a_device_does_not_stop_one_that_is_on_none(ten_ports):
    """
    Ten connections bound to lo leave all ten ports to unbound ones.

    The kernel makes the same 4-tuple twice.
    """
    trials = ten_ports(lambda: [try_connect(FIRST, device="lo"), try_connect(FIRST)])

    assert [(10, FULL), (10, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c30_a_socket_on_no_device_stops_one_that_is_on_a_device(ten_ports):
    """The other way round nothing is left."""
    trials = ten_ports(lambda: [try_connect(FIRST), try_connect(FIRST, device="lo")])

    assert [(10, FULL), (0, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c31_v4_mapped_connections_are_ipv4(ten_ports):
    """A connection to ::ffff:127.0.0.1 counts as one to 127.0.0.1."""

    def job():
        mapped = fill(MAPPED, at_most=4)
        return mapped.outcome, [try_connect(FIRST), try_connect(MAPPED)]

    mapped, trials = ten_ports(job)

    assert (4, None) == mapped
    assert [(6, FULL), (0, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c32_ipv6_connections_leave_ipv4_its_ports(ten_ports):
    """An IPv6 and an IPv4 connection may have the same local port."""

    def job():
        listener("::1", 9000)
        return [try_connect(("::1", 9000)), try_connect(FIRST)]

    trials = ten_ports(job)

    assert [(10, FULL), (10, FULL)] == outcomes(trials)
    assert [] == surprises(trials)
