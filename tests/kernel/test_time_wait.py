"""TIME_WAIT: what it holds, and when connect() may take its port again.

Cases c18-c24, c49, c55. Loopback is not a network: with tcp_tw_reuse = 2 only
loopback is reused, so the other side of the rule needs a veth pair.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.kernel import needs
from tests.kernel.harness import Neighbour, read_setting, wait_for_age, wait_until, write_settings
from tests.kernel.predict import (
    in_doubt,
    outcomes,
    predict,
    span,
    surprises,
    try_bind0,
    try_connect,
)
from tests.kernel.sockets import (
    accept_all,
    attempt,
    close,
    connected,
    in_state,
    listener,
    make_time_wait,
    time_waits,
)

FULL = "EADDRNOTAVAIL"
IN_USE = "EADDRINUSE"
SERVED = ("127.0.0.1", 9002)
OTHER = ("127.0.0.1", 9001)


def after_time_wait(age_s=0.0, remotes=(SERVED, OTHER), **options):
    """Return a trial for each remote, ten TIME_WAITs to SERVED being *age_s* old."""
    since = make_time_wait(listener(*SERVED), SERVED, 10, **options)
    wait_for_age(since, age_s)
    return [try_connect(remote) for remote in remotes]


def test_c18_time_wait_holds_its_4_tuple_only(ten_ports):
    """Without reuse the same remote has nothing left, another has all."""
    trials = ten_ports(after_time_wait, 1.1, tcp_tw_reuse=0)

    assert [(0, FULL), (10, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c19_loopback_is_not_reused_at_once(ten_ports):
    """With tcp_tw_reuse = 2 a young TIME_WAIT still holds its port."""

    def job():
        if read_setting("tcp_tw_reuse_delay"):
            write_settings(tcp_tw_reuse_delay=60_000)
        return after_time_wait(remotes=[SERVED])

    trials = ten_ports(job, tcp_tw_reuse=2)

    assert [] == surprises(trials)
    if trials[0].predicted[1] == 0:
        assert [(0, FULL)] == outcomes(trials)


def test_c20_loopback_is_reused_after_a_second(ten_ports):
    """
    With tcp_tw_reuse = 2 a TIME_WAIT on loopback is free after its delay.

    Unless bind(address, 0) left it (c23), which the kernel does not tell: so
    the prediction stays in doubt.
    """

    def job():
        before = recycled()
        trials = after_time_wait(1.1, [SERVED])
        return trials, recycled() - before

    trials, reused = ten_ports(job, tcp_tw_reuse=2)

    assert [(10, FULL)] == outcomes(trials)
    assert [] == surprises(trials)
    assert 10 == reused


def test_c21_without_timestamps_nothing_is_reused(ten_ports):
    """tcp_timestamps = 0 switches reuse off."""
    trials = ten_ports(after_time_wait, 1.1, [SERVED], tcp_tw_reuse=1, tcp_timestamps=0)

    assert [(0, FULL)] == outcomes(trials)
    assert [] == surprises(trials)
    assert (0, 0) == trials[0].predicted


def test_c22_time_wait_of_a_bound_socket_holds_its_port_for_all(ten_ports):
    """What bind(address, 0) got stays out for every remote, 60 seconds long."""

    def job():
        trials = after_time_wait(0, [OTHER], bind=("127.0.0.1", 0))
        return [*trials, try_bind0("127.0.0.1"), try_bind0("127.0.0.1", reuse_address=True)]

    trials = ten_ports(job, tcp_tw_reuse=0)

    assert [(0, FULL), (0, IN_USE), (0, IN_USE)] == outcomes(trials)
    assert [] == surprises(trials)
    assert [0, 0, 0] == in_doubt(trials)


def test_c23_time_wait_of_a_bound_socket_is_never_reused(ten_ports):
    """
    connect() cannot reuse what bind(address, 0) left, whatever tcp_tw_reuse says.

    For the same remote the answer stays in doubt: a probe would eat a
    TIME_WAIT that can be reused, so portroom leaves it alone.
    """
    trials = ten_ports(lambda: after_time_wait(1.1, bind=("127.0.0.1", 0)), tcp_tw_reuse=2)

    assert [(0, FULL), (0, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_c24_time_wait_of_a_no_port_socket_is_like_that_of_an_unbound_one(ten_ports):
    """IP_BIND_ADDRESS_NO_PORT leaves other remotes their ports."""

    def job():
        return after_time_wait(0, bind=("127.0.0.1", 0), noport=True)

    trials = ten_ports(job, tcp_tw_reuse=0)

    assert [(0, FULL), (10, FULL)] == outcomes(trials)
    assert [] == surprises(trials)
    assert [0, 0] == in_doubt(trials)


def test_c49_a_named_port_reuses_time_wait_at_once(netns):
    """
    bind(address, port) with SO_REUSEADDR and connect needs no delay, but timestamps.

    A named port is no choice of the kernel's, so nothing is predicted.
    """

    def thrice(server, port):
        tried = []
        for _ in range(3):
            options = {"bind": ("127.0.0.1", port), "reuse_address": True}
            tried.append(attempt(lambda o=options: once(server, o)))
        return tried

    def once(server, options):
        client = connected(SERVED, **options)
        served = accept_all(server, 1)
        client.close()
        served[0].recv(1)
        close(served)

    def job():
        server = listener(*SERVED)
        with_timestamps = thrice(server, 40001)
        write_settings(tcp_timestamps=0)
        return with_timestamps, thrice(server, 40000)

    with_timestamps, without = netns(job, ip_local_port_range="41000 41009", tcp_tw_reuse=0)

    assert ["ok", "ok", "ok"] == with_timestamps
    assert ["ok", FULL, FULL] == without


def test_c55_killing_time_wait_frees_its_port(ten_ports):
    """Where the kernel lets TIME_WAIT be destroyed, its ports are free at once."""

    def job():
        trials = after_time_wait(0, [SERVED])
        subprocess.run(["ss", "-K", "state", "time-wait"], check=True, stdout=subprocess.DEVNULL)
        return trials, time_waits(), try_connect(SERVED)

    trials, left, trial = ten_ports(job, tcp_tw_reuse=0)

    assert [(0, FULL), (10 - left, FULL)] == outcomes([*trials, trial])
    assert [] == surprises([*trials, trial])


@needs.tw_reuse_delay
@pytest.mark.parametrize(
    ("reuse", "delay_ms", "age_s", "free"),
    [
        (0, 100, 0.2, 0),
        (1, 100, 0.2, 10),
        (1, 1, 0.05, 10),
        (1, 5_000, 0.0, 0),
        (2, 100, 0.2, 0),
    ],
)
def test_reuse_between_two_hosts(netns, reuse, delay_ms, age_s, free):
    """
    Over a veth pair only tcp_tw_reuse = 1 reuses, and only after the delay.

    Whether the peer used timestamps the kernel does not tell, so ports that
    can be reused stay in doubt here.
    """

    def job():
        write_settings(tcp_tw_reuse_delay=delay_ms)
        neighbour = Neighbour()
        remote = (neighbour.there, 9000)
        with neighbour.inside():
            server = listener(*remote)
        wait_for_age(make_time_wait(server, remote, 10), age_s)
        return [try_connect(remote)]

    trials = netns(job, ip_local_port_range="40000 40009", tcp_tw_reuse=reuse)

    assert [(free, FULL)] == outcomes(trials)
    assert [] == surprises(trials)
    assert (0, free) == trials[0].predicted


@pytest.mark.parametrize(("reuse", "free"), [(0, 0), (1, 10), (2, 0)])
def test_reuse_between_two_hosts_by_the_clock(netns, reuse, free):
    """
    Without that delay, or with it as it is, an age of more than a second is enough.

    Then at most the default of it has passed, and the second of the clock.
    """

    def job():
        neighbour = Neighbour()
        remote = (neighbour.there, 9000)
        with neighbour.inside():
            server = listener(*remote)
        wait_for_age(make_time_wait(server, remote, 10), 1.1)
        return [try_connect(remote)]

    trials = netns(job, ip_local_port_range="40000 40009", tcp_tw_reuse=reuse)

    assert [(free, FULL)] == outcomes(trials)
    assert [] == surprises(trials)
    assert (0, free) == trials[0].predicted


@pytest.mark.parametrize("ended", [False, True])
def test_what_a_named_port_left_behind_still_holds_it_for_all(ten_ports, ended):
    """
    Two connections of one named port leave FIN_WAIT2 or TIME_WAIT on one address.

    The kernel no longer tells that the port was named; nothing proves that it
    was not.
    """

    def job():
        servers = [listener("127.0.0.1", port) for port in (9002, 9003)]
        options = {"bind": ("127.0.0.1", 40003), "reuse_address": True}
        close([connected(("127.0.0.1", port), **options) for port in (9002, 9003)])
        wait_until(lambda: in_state(5) == 2, "both are in FIN_WAIT2")
        for server in servers if ended else []:
            close(accept_all(server, 1))
        wait_until(lambda: in_state(6) == 2 * ended, "both have ended")
        return [try_connect(OTHER)]

    trials = ten_ports(job, tcp_tw_reuse=0)

    assert [(9, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_an_overflowing_time_wait_gives_its_port_back_early(ten_ports):
    """Beyond tcp_max_tw_buckets a socket just closes, and its port is free."""

    def job():
        server = listener(*SERVED)
        make_time_wait(server, SERVED, 5)
        rest = [connected(SERVED) for _ in range(5)]
        served = accept_all(server, 5)
        close(rest)
        for child in served:
            child.recv(1)
        close(served)
        return [try_connect(SERVED)]

    trials = ten_ports(job, tcp_tw_reuse=0, tcp_max_tw_buckets=5)

    assert [(5, FULL)] == outcomes(trials)
    assert [] == surprises(trials)


def test_time_wait_takes_the_port_from_bind0_on_its_address(ten_ports):
    """bind(address, 0) waits for the end of a TIME_WAIT on that address."""

    def job():
        make_time_wait(listener(*SERVED), SERVED, 4)
        predicted = span(predict(None, from_address="0.0.0.0", operation="bind0"))
        return predicted, [try_bind0("127.0.0.1"), try_bind0("127.0.0.2")]

    predicted, trials = ten_ports(job)

    assert (6, 6) == predicted
    assert [(6, IN_USE), (10, IN_USE)] == outcomes(trials)
    assert [] == surprises(trials)


def recycled():
    """Return how many TIME_WAITs connect() reused in this namespace so far."""
    lines = Path("/proc/net/netstat").read_text().splitlines()
    names, numbers = (line.split()[1:] for line in lines[:2])
    return int(numbers[names.index("TWRecycled")])
