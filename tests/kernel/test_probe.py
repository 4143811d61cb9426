"""The zero-packet probe: it settles doubt, sends nothing, and keeps its hands off.

Case c58, and what the probe must never do.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from portroom.errors import InvalidRequestError, NotSupportedError
from tests.kernel.harness import black_hole, wait_for_age, write_settings
from tests.kernel.predict import predict, question, span
from tests.kernel.sockets import connected, fill, listener, make_time_wait, tcp, time_waits

FIRST = ("127.0.0.1", 9000)
SECOND = ("127.0.0.1", 9001)
SERVED = ("127.0.0.1", 9002)


def mixture():
    """Leave three ports to doubt: one is bound, two are automatic."""
    fill(FIRST, at_most=2)
    connected(FIRST, bind=("127.0.0.1", 0))


def test_the_probe_settles_what_is_in_doubt(ten_ports):
    """Without the probe three ports are in doubt, with it none."""

    def job():
        mixture()
        return span(predict(SECOND)), span(predict(SECOND, probe=True)), fill(SECOND)

    plain, probed, real = ten_ports(job)

    assert plain[0] <= 9 <= plain[1]
    assert (9, 9) == probed
    assert 9 == real.count


def test_the_probe_sends_nothing_over_loopback(ten_ports):
    """No segment leaves TCP, and no counter of it moves."""

    def job():
        mixture()
        before = counters()
        predict(SECOND, probe=True)
        return before, counters()

    before, after = ten_ports(job)

    assert before == after


def test_the_probe_sends_nothing_to_a_network(netns):
    """No packet reaches the device, not even a question for the neighbour."""

    def job():
        remote = (black_hole(), 443)
        listener("0.0.0.0", 9000)
        for _ in range(4):
            made = tcp()
            made.setblocking(False)
            made.connect_ex((remote[0], 444))
        before = packets("near"), counters()
        free = span(predict(remote, probe=True))
        return before, (packets("near"), counters()), free

    before, after, free = netns(job, ip_local_port_range="40000 40009")

    assert before == after
    assert (10, 10) == free


def test_the_probe_leaves_the_last_ports_alone(ten_ports):
    """With fewer than two ports surely free it refuses, unless told otherwise."""

    def job():
        fill(FIRST, at_most=9)
        connected(FIRST, bind=("127.0.0.1", 0))
        plain = span(predict(SECOND))
        with pytest.raises(InvalidRequestError) as refused:
            question(SECOND, probe=True)
        return plain, str(refused.value), span(predict(SECOND, probe=True))

    plain, refused, forced = ten_ports(job)

    assert plain[0] < 2
    assert "--probe-last" in refused
    assert (9, 9) == forced


def test_c58_the_probe_never_touches_time_wait(ten_ports):
    """TIME_WAIT that connect() could reuse is as numerous after the probe as before."""

    def job():
        since = make_time_wait(listener(*SERVED), SERVED, 5)
        wait_for_age(since, 1.1)
        before = time_waits()
        predict(SERVED, probe=True)
        predict(SECOND, probe=True)
        return before, time_waits()

    before, after = ten_ports(job, tcp_tw_reuse=2)

    assert 5 == before == after


def test_the_probe_needs_fast_open(ten_ports):
    """With tcp_fastopen = 0 the probe says so and leaves the doubt."""

    def job():
        mixture()
        write_settings(tcp_fastopen=0)
        before = counters()
        with pytest.raises(NotSupportedError) as refused:
            predict(SECOND, probe=True)
        return str(refused.value), before == counters(), span(predict(SECOND))

    refused, unmoved, plain = ten_ports(job)

    assert "tcp_fastopen" in refused
    assert unmoved
    assert plain[0] <= 9 <= plain[1]


@pytest.mark.parametrize("asked", [{"protocol": "udp"}, {"operation": "bind0", "remote": None}])
def test_only_tcp_connect_can_be_probed(ten_ports, asked):
    """For UDP and bind0 the probe is refused."""
    options = {"remote": FIRST, **asked}
    remote = options.pop("remote")

    with pytest.raises(InvalidRequestError):
        ten_ports(lambda: question(remote, from_address="127.0.0.1", probe=True, **options))


def counters():
    """Return what TCP and IP have sent and received in this namespace."""
    return Path("/proc/net/snmp").read_text(), Path("/proc/net/netstat").read_text()


def packets(device):
    """Return how many packets a device has sent."""
    lines = Path("/proc/net/dev").read_text().splitlines()
    (row,) = (line.split() for line in lines if line.split()[0] == f"{device}:")
    return int(row[10])
