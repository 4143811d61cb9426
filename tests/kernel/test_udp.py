"""UDP: one port per overlapping local address, whatever the destination.

Cases u1-u16. Sharing by SO_REUSEADDR or SO_REUSEPORT (u5-u7) is not
predicted: the answer is for a socket without options. A named port (u15) is
no choice of the kernel's.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernel.harness import LIBC
from tests.kernel.predict import (
    outcomes,
    predict,
    span,
    surprises,
    try_udp_bind0,
    try_udp_connect,
)
from tests.kernel.sockets import attempt, connected, listener, take, udp

AGAIN = "EAGAIN"
IN_USE = "EADDRINUSE"
DNS = ("127.0.0.1", 53)


def test_u1_u2_the_destination_does_not_matter(ten_ports):
    """Ten sockets take ten ports, and no destination has any left."""

    def job():
        return [try_udp_connect(DNS), try_udp_connect(("127.0.0.2", 54))]

    trials = ten_ports(job)

    assert [(10, AGAIN), (0, AGAIN)] == outcomes(trials)
    assert [] == surprises(trials)


def test_u3_bind0_on_the_wildcard_leaves_nothing(ten_ports):
    """bind(0.0.0.0, 0) until full; then neither send nor connect has a port."""

    def job():
        trials = [try_udp_bind0("0.0.0.0"), try_udp_connect(DNS)]
        return trials, attempt(lambda: udp().sendto(b"x", DNS))

    trials, sent = ten_ports(job)

    assert [(10, IN_USE), (0, AGAIN)] == outcomes(trials)
    assert [] == surprises(trials)
    assert AGAIN == sent


def test_u4_bind0_has_all_ports_for_each_address(ten_ports):
    """Two addresses have ten ports each; the wildcard then has none."""

    def job():
        first, second = try_udp_bind0("127.0.0.1"), try_udp_bind0("127.0.0.2")
        return [first, second, try_udp_connect(DNS)]

    trials = ten_ports(job)

    assert [(10, IN_USE), (10, IN_USE), (0, AGAIN)] == outcomes(trials)
    assert [] == surprises(trials)


@pytest.mark.parametrize("option", ["reuse_address", "reuse_port"])
def test_u5_u6_reuse_has_no_limit(ten_ports, option):
    """
    With reuse on all sockets 200 fit on ten ports, bound or connected.

    A socket without it has none left, and that is what is predicted.
    """

    def job():
        made = take(lambda: connected(DNS, make=udp, **{option: True}), at_most=200)
        bound = take(lambda: udp(("127.0.0.1", 0), **{option: True}), at_most=200)
        return made, bound, [try_udp_connect(DNS)]

    made, bound, trials = ten_ports(job)

    assert (200, None, 10) == (*made.outcome, len(set(made.ports)))
    assert (200, None, 10) == (*bound.outcome, len(set(bound.ports)))
    assert [(0, AGAIN)] == outcomes(trials)
    assert [] == surprises(trials)


def test_u7_a_named_port_with_reuse_address_is_shared(ten_ports):
    """200 sockets bind one named port; nine are left to others."""

    def job():
        options = {"bind": ("127.0.0.1", 40001), "reuse_address": True}
        made = take(lambda: connected(DNS, make=udp, **options), at_most=200)
        return made.outcome, [try_udp_connect(DNS)]

    made, trials = ten_ports(job)

    assert (200, None) == made
    assert [(9, AGAIN)] == outcomes(trials)
    assert [] == surprises(trials)


def test_u8_no_port_shares_by_local_address_only(ten_ports):
    """IP_BIND_ADDRESS_NO_PORT buys ports per local address, not per destination."""

    def job():
        return [
            try_udp_connect(DNS, bind=("127.0.0.1", 0), noport=True),
            try_udp_connect(DNS, bind=("127.0.0.2", 0), noport=True),
            try_udp_connect(("127.0.0.1", 54), bind=("127.0.0.1", 0), noport=True),
        ]

    trials = ten_ports(job)

    assert [(10, AGAIN), (10, AGAIN), (0, AGAIN)] == outcomes(trials)
    assert [] == surprises(trials)


def test_u9_tcp_does_not_matter_to_udp(ten_ports):
    """TCP listeners on every port leave UDP all of them."""

    def job():
        for port in range(40000, 40010):
            listener("0.0.0.0", port)
        return [try_udp_connect(DNS)]

    trials = ten_ports(job)

    assert [(10, AGAIN)] == outcomes(trials)
    assert [] == surprises(trials)


def test_u10_reserved_ports_are_never_chosen(ten_ports):
    """The kernel does not choose reserved ports for UDP either."""
    trials = ten_ports(lambda: [try_udp_connect(DNS)], ip_local_reserved_ports="40000-40004")

    assert [(5, AGAIN)] == outcomes(trials)
    assert [] == surprises(trials)


def test_u11_connected_ipv6_sockets_hold_ports_from_ipv4(ten_ports):
    """Ten IPv6 sockets connected without bind leave IPv4 nothing."""

    def job():
        return [try_udp_connect(("::1", 53)), try_udp_connect(DNS)]

    trials = ten_ports(job)

    assert [(10, AGAIN), (0, AGAIN)] == outcomes(trials)
    assert [] == surprises(trials)


def test_u12_dual_stack_sockets_hold_ports_from_ipv4(ten_ports):
    """bind(::, 0) without IPV6_V6ONLY takes ports from IPv4."""
    trials = ten_ports(lambda: [try_udp_bind0("::"), try_udp_connect(DNS)])

    assert [(10, IN_USE), (0, AGAIN)] == outcomes(trials)
    assert [] == surprises(trials)


def test_ipv6_only_sockets_leave_ipv4_its_ports(ten_ports):
    """bind(::, 0) with IPV6_V6ONLY takes none from IPv4."""

    def job():
        made = take(lambda: udp(("::", 0), v6only=True))
        return made.outcome, [try_udp_connect(DNS)]

    made, trials = ten_ports(job)

    assert (10, IN_USE) == made
    assert [(10, AGAIN)] == outcomes(trials)
    assert [] == surprises(trials)


def test_u14_a_socket_keeps_its_port_until_it_is_dissolved(ten_ports):
    """Connecting elsewhere keeps the port; connect(AF_UNSPEC) gives it back."""

    def job():
        full = try_udp_connect(DNS)
        made = full.real.sockets
        before = {s.getsockname()[1] for s in made}
        for s in made:
            s.connect(("127.0.0.1", 54))
        after = {s.getsockname()[1] for s in made}
        LIBC.connect(made[0].fileno(), bytes(16), 16)
        return before == after, [full, try_udp_connect(DNS)]

    same, trials = ten_ports(job)

    assert same
    assert [(10, AGAIN), (1, AGAIN)] == outcomes(trials)
    assert [] == surprises(trials)


def test_u15_the_remote_of_a_holder_does_not_matter(ten_ports):
    """A named bind conflicts with a connected socket of an overlapping address."""

    def job():
        connected(DNS, make=udp, bind=("127.0.0.1", 40001))
        return [
            attempt(lambda: udp(("127.0.0.1", 40001))),
            attempt(lambda: udp(("127.0.0.2", 40001))),
            attempt(lambda: udp(("0.0.0.0", 40001))),
            attempt(lambda: udp(("127.0.0.1", 40001), reuse_address=True)),
        ]

    tried = ten_ports(job)

    assert [IN_USE, "ok", IN_USE, IN_USE] == tried


def test_u16_no_counter_tells_of_exhaustion(ten_ports):
    """A hundred refused connects move no counter: prediction is the only way."""

    def job():
        take(lambda: connected(DNS, make=udp))
        free = span(predict(DNS, protocol="udp"))
        before = counters()
        tried = {attempt(lambda: connected(DNS, make=udp)) for _ in range(100)}
        return free, tried, before == counters()

    free, tried, unmoved = ten_ports(job)

    assert (0, 0) == free
    assert {AGAIN} == tried
    assert unmoved


def counters():
    """Return the protocol counters of this namespace."""
    return [Path(f"/proc/net/{name}").read_text() for name in ("netstat", "snmp", "snmp6")]
