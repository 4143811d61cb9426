"""When a key has no port left."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.model.laws.filling import HORIZON_S, Course, seconds_until
from portroom.model.laws.rates import seconds_until_full

ENDS = some.lists(some.integers(0, 50), min_size=60, max_size=60)


@given(some.integers(0, 2000), some.floats(0, 100), some.floats(-10, 10), ENDS)
def test_it_is_when_so_many_more_are_held(ports, taken, growth, ends):
    """At that time they are held, and at no second before."""
    at_s = seconds_until(ports, Course(taken, growth, ends))

    def held(second):
        """Return how many more are held then."""
        inside, whole = min(second, 60.0), min(int(second), 60)
        back = sum(ends[:whole]) + (ends[whole] * (second - whole) if whole < 60 else 0)
        return taken * inside - back + growth * max(0.0, second - 60)

    seconds = range(60) if at_s is None else range(min(60, int(at_s)))
    assert all(held(second) <= ports + 1e-6 for second in seconds)
    if at_s is not None:
        assert 0 <= at_s <= HORIZON_S
        assert held(at_s) == pytest.approx(ports, abs=1e-3) or at_s == 0


@given(some.integers(1, 100), some.floats(2, 50))
def test_where_nothing_comes_back_both_laws_agree(free, inflow):
    """Free ports by inflow, counted one by one or by the second."""
    exact = seconds_until_full(free, [], inflow)

    assert seconds_until(free, Course(inflow, 0.0, [0] * 60)) == pytest.approx(exact)


def test_nothing_is_foreseen_for_longer_than_a_day():
    """One port a day more than there are."""
    assert None is seconds_until(86_402, Course(1.0, 1.0, []))
    assert 86_400.0 == seconds_until(86_400, Course(1.0, 1.0, []))
