"""When a TIME_WAIT entry gives its port to a new connection of the same key."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.model.facts.sockets import packed_address
from portroom.model.laws.time_wait import TIME_WAIT_MS, is_reusable, reuse_applies
from tests.unit.made_groups import FORGETS, STICKY, settings

TICK = STICKY
"""A kernel without tcp_tw_reuse_delay: its whole-second clock decides."""


@pytest.mark.parametrize(
    ("reuse", "timestamps", "address", "applies"),
    [
        (0, 1, "127.0.0.1", False),
        (0, 1, "192.0.2.1", False),
        (1, 1, "127.0.0.1", True),
        (1, 1, "192.0.2.1", True),
        (1, 1, "2001:db8::1", True),
        (2, 1, "127.0.0.1", True),
        (2, 1, "127.9.9.9", True),
        (2, 1, "::1", True),
        (2, 1, "::ffff:127.0.0.1", True),
        (2, 1, "192.0.2.1", False),
        (2, 1, "2001:db8::1", False),
        (1, 0, "192.0.2.1", False),
        (2, 0, "127.0.0.1", False),
    ],
)
def test_where_reuse_applies(reuse, timestamps, address, applies):
    """tcp_tw_reuse 1 everywhere, 2 on loopback, never without timestamps (3.8, c18-c21)."""
    of = settings(tcp_tw_reuse=reuse, tcp_timestamps=timestamps)

    assert applies == reuse_applies(of, *packed_address(address))


@pytest.mark.parametrize(
    ("delay_ms", "age_ms", "reusable"),
    [
        (1000, 100, False),
        (1000, 1300, True),
        (1, 50, True),
        (100, 50, False),
        (100, 250, True),
        (3000, 1500, False),
        (3000, 3200, True),
        (60_000, 59_000, False),
        (1000, 1000, None),
        (1000, 985, None),
        (1000, 1015, None),
    ],
)
def test_reuse_by_age(delay_ms, age_ms, reusable):
    """The measured table of kernel.md 3.8; within a clock tick nobody can tell."""
    of = settings(tcp_tw_reuse_delay=delay_ms)

    assert reusable is is_reusable(TIME_WAIT_MS - age_ms, of, FORGETS, loopback=True)


@pytest.mark.parametrize(
    ("age_ms", "reusable"), [(0, None), (250, None), (850, None), (1000, None), (1100, True)]
)
def test_reuse_by_the_clocks_second(age_ms, reusable):
    """Without the delay an entry of 0.25 s may be reusable and one of 0.85 s not."""
    assert reusable is is_reusable(TIME_WAIT_MS - age_ms, settings(), TICK, loopback=True)


@given(some.integers(0, TIME_WAIT_MS), some.integers(1, 60_000), some.sampled_from([FORGETS, TICK]))
def test_away_from_loopback_reuse_is_never_sure(remaining_ms, delay_ms, features):
    """Whether the peer used timestamps is not told, so True is never said."""
    of = settings(tcp_tw_reuse_delay=delay_ms)
    there = is_reusable(remaining_ms, of, features, loopback=False)
    here = is_reusable(remaining_ms, of, features, loopback=True)

    assert there is not True
    assert (there is False) == (here is False)


@given(some.integers(0, TIME_WAIT_MS), some.integers(0, TIME_WAIT_MS), some.integers(1, 60_000))
def test_an_older_entry_is_no_less_reusable(one_ms, other_ms, delay_ms):
    """Age only helps: False, then in doubt, then True."""
    of = settings(tcp_tw_reuse_delay=delay_ms)
    rank = {False: 0, None: 1, True: 2}
    young, old = max(one_ms, other_ms), min(one_ms, other_ms)
    ranks = [rank[is_reusable(left, of, FORGETS, loopback=True)] for left in (young, old)]

    assert ranks == sorted(ranks)
