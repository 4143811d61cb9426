"""The zero-packet probe: it settles doubt, sends nothing, and keeps its hands off.

Case c58, and what the probe must never do.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from portroom.api import look
from portroom.api.probing import probed
from portroom.errors import InvalidRequestError, NotSupportedError
from portroom.kernel.snapshot import Wanted, take
from portroom.model.facts.questions import HeadroomQuestion
from portroom.model.facts.sockets import Endpoint, Protocol
from portroom.model.laws.headroom import KeysWanted, find_keys
from portroom.model.laws.untold import STICKS
from tests.kernel import needs
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


def all_in_doubt():
    """Leave no port to be sure of: one is bound, nine are automatic."""
    fill(FIRST, at_most=9)
    connected(FIRST, bind=("127.0.0.1", 0))


def test_the_probe_settles_what_is_in_doubt(ten_ports):
    """Without the probe three ports are in doubt, with it none where each can be asked about."""

    def job():
        mixture()
        return span(predict(SECOND)), span(predict(SECOND, probe=True)), fill(SECOND)

    plain, probed, real = ten_ports(job)

    assert plain[0] <= 9 <= plain[1]
    assert probed[0] <= 9 <= probed[1]
    assert (9, 9) == probed or not needs.settles_all()
    assert 9 == real.count


@needs.range_option
def test_what_the_probe_settled_is_no_gap_any_more(ten_ports):
    """Where a bucket sticks the doubt is a gap, and none once no port is in doubt."""

    def job():
        mixture()
        connected(SECOND)
        read = take(Wanted(groups=True))
        features = msgspec.structs.replace(read.features, bucket_forgets=False)
        read = msgspec.structs.replace(read, features=features)
        keys = find_keys(read, KeysWanted(Protocol.TCP))
        asked = HeadroomQuestion(address=SECOND[0], probe=True, probe_last=True)
        return keys, probed(read, keys, asked)

    before, after = ten_ports(job)

    assert STICKS in before.gaps
    assert STICKS not in after.gaps
    assert all(one.figures.doubtful_ports == 0 for one in after.measured)


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
    assert free[0] <= 10 == free[1]
    assert free[0] == 10 or not needs.settles_all()


def test_the_probe_leaves_the_last_ports_alone(ten_ports):
    """With fewer than two ports surely free it refuses, unless told otherwise."""

    def job():
        all_in_doubt()
        plain = span(predict(SECOND))
        with pytest.raises(InvalidRequestError) as refused:
            question(SECOND, probe=True)
        return plain, str(refused.value), span(predict(SECOND, probe=True))

    plain, refused, forced = ten_ports(job)

    assert plain[0] < 2
    assert "--probe-last" in refused
    assert 1 <= forced[0] <= 9 <= forced[1]
    assert (9, 9) == forced or not needs.settles_all()


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
        all_in_doubt()
        write_settings(tcp_fastopen=0)
        before = counters()
        with pytest.raises(NotSupportedError) as refused:
            predict(SECOND, probe=True)
        return str(refused.value), before == counters(), span(predict(SECOND))

    refused, unmoved, plain = ten_ports(job)

    assert "tcp_fastopen" in refused
    assert unmoved
    assert plain[0] <= 9 <= plain[1]


def once():
    """Return this kernel's features as if no socket could have a window."""
    return msgspec.structs.replace(needs.features(), range_option=False, bucket_forgets=False)


def asked_once(remote, **asked):
    """Return the span and the gaps of the probe, as without windows."""
    asked = {"from_address": "127.0.0.1", "probe_last": True, **asked}
    words = HeadroomQuestion(
        address=str(Endpoint(*remote)), protocol=Protocol.TCP, probe=True, owners=False, **asked
    )
    answer = look.headroom(words, look.Live(features=once()))
    return span(answer.keys[0]), [gap.reason for gap in answer.gaps if gap.source == "probe"]


def test_asked_once_a_yes_makes_one_port_sure(ten_ports):
    """Nothing is sure before; then one is, and the gap says that no more can be asked."""

    def job():
        all_in_doubt()
        before = predict(SECOND, features=once())
        return span(before), *asked_once(SECOND), fill(SECOND).count

    before, (free, most), gaps, real = ten_ports(job)

    assert (0, 9) == (before[0], real)
    assert (1, before[1]) == (free, most)
    assert [gap for gap in gaps if "only be asked whether any port is left" in gap] == gaps != []


def test_asked_once_a_no_is_sure(ten_ports):
    """Where bind(address, 0) has every port, a destination without connections is exhausted."""

    def job():
        fill(FIRST, bind=("127.0.0.1", 0))
        before = predict(SECOND, features=once())
        return span(before), *asked_once(SECOND), fill(SECOND).count

    before, probed, gaps, real = ten_ports(job)

    assert before == (0, 10)
    assert (0, 0) == probed
    assert real == 0
    assert gaps == []


@pytest.mark.parametrize("ports", [3, 5, 7])
@pytest.mark.parametrize("bound", [False, True])
def test_asked_once_a_range_of_odd_size_keeps_an_end_in_doubt(ten_ports, ports, bound):
    """What one search passes over the next may find: the span holds it."""

    def job():
        fill(FIRST, **({"bind": ("127.0.0.1", 0)} if bound else {}))
        free = asked_once(SECOND)[0]
        return free, fill(SECOND).count

    free, real = ten_ports(job, ip_local_port_range=f"40000 {40000 + ports - 1}")

    assert free[0] <= real <= free[1]


def test_asked_once_it_is_left_alone_where_a_time_wait_may_be_reused(ten_ports):
    """The search would take it over: it stays in doubt, and is as numerous as before."""

    def job():
        since = make_time_wait(listener(*SERVED), SERVED, 10)
        wait_for_age(since, 1.1)
        before = time_waits()
        free, gaps = asked_once(SERVED)
        return before, time_waits(), free, gaps

    before, after, free, gaps = ten_ports(job, tcp_tw_reuse=2)

    assert 10 == before == after
    assert free == (0, 10)
    assert any("a TIME_WAIT of the key may be reused" in gap for gap in gaps)


def test_asked_once_it_is_refused_unless_the_last_port_may_be_held(ten_ports):
    """Where nothing is sure the one socket may hold the last port."""

    def job():
        all_in_doubt()
        with pytest.raises(InvalidRequestError) as refused:
            asked_once(SECOND, probe_last=False)
        return str(refused.value)

    assert "--probe-last" in ten_ports(job)


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
