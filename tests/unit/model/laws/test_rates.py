"""How fast connections end, and how long the ports last, from one reading."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.model.facts.sockets import packed_address
from portroom.model.laws.rates import (
    hold_time_s,
    inflow_per_s,
    max_connect_rate,
    seconds_until_full,
)
from tests.unit.made_groups import settings

TIMES = some.lists(some.integers(0, 60_000), max_size=60)


def test_the_rate_that_the_default_range_sustains():
    """28,232 ports, each held for 60 s."""
    assert 470.5 == round(max_connect_rate(28_232, 60.0), 1)


@pytest.mark.parametrize("hold_s", [0, -1])
def test_a_hold_time_is_positive(hold_s):
    """Otherwise there is no rate."""
    with pytest.raises(ValueError, match="must be positive"):
        max_connect_rate(1, hold_s)


@pytest.mark.parametrize(
    ("address", "numbers", "expected"),
    [
        ("192.0.2.1", {"tcp_tw_reuse": 0}, 60.0),
        ("192.0.2.1", {"tcp_tw_reuse": 2}, 60.0),
        ("192.0.2.1", {"tcp_tw_reuse": 1}, 1.0),
        ("192.0.2.1", {"tcp_tw_reuse": 1, "tcp_timestamps": 0}, 60.0),
        ("127.0.0.1", {"tcp_tw_reuse": 2}, 1.0),
        ("::1", {"tcp_tw_reuse": 2, "tcp_tw_reuse_delay": 5000}, 5.0),
    ],
)
def test_how_long_a_port_is_held(address, numbers, expected):
    """60 s, or until the entry may be reused."""
    assert expected == hold_time_s(settings(**numbers), *packed_address(address))


def test_only_the_young_count_as_inflow():
    """Three of the last five seconds, whatever is older."""
    assert 0.6 == inflow_per_s([59_999, 57_000, 55_001, 55_000, 100])


def test_nothing_comes_in():
    """Then the ports last."""
    assert seconds_until_full(0, [], 0.0) is None


@given(some.integers(0, 100), TIMES, some.floats(0.1, 100))
def test_when_the_ports_are_gone_is_when_they_are_gone(free, times, inflow):
    """Step by step: free ports, minus those that came, plus those that ended by then."""
    full_s = seconds_until_full(free, times, inflow)

    def left(at_s: float) -> float:
        """Return the ports that are left then, within the first minute."""
        return free + sum(time < at_s * 1000 for time in times) - inflow * at_s

    if full_s is None:
        assert left(60.0) > -1
    else:
        assert 0 <= full_s <= 60
        assert left(full_s) < 1e-6
        assert all(left(full_s * part / 8) >= -1e-6 for part in range(8))


@given(some.integers(0, 100), TIMES, some.floats(0.1, 100))
def test_more_free_ports_last_no_shorter(free, times, inflow):
    """And more inflow lasts no longer."""
    forever = 61.0
    now = seconds_until_full(free, times, inflow) or forever
    more = seconds_until_full(free + 1, times, inflow) or forever

    assert more >= now or free == 0
