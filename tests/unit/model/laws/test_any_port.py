"""One search over the range: what its yes or no makes sure."""

import pytest

from portroom.model.facts.sockets import Family
from portroom.model.laws.any_port import (
    answered,
    is_open_question,
    unsure_ends,
    would_take_over,
)
from portroom.model.laws.occupancy import Figures
from portroom.model.laws.tightest import Measured
from tests.unit.made_groups import connect_key, settings

EVEN, ODD = settings(), settings(last=40010)
OPEN = Figures(10, 4, 6, 0)


def measured(figures=OPEN, **states):
    """Return a key on loopback with its numbers and sockets by state."""
    return Measured(connect_key(local="127.0.0.1"), figures, states)


def test_a_yes_makes_one_port_sure():
    """One of those in doubt is free, nobody knows how many more."""
    assert Figures(10, 4, 5, 1) == answered(OPEN, 40003, EVEN)


def test_a_no_makes_the_key_exhausted():
    """Whatever was in doubt is held."""
    assert Figures(10, 10, 0, 0) == answered(OPEN, None, EVEN)


def test_in_a_range_of_odd_size_a_no_leaves_one_end_in_doubt():
    """The search may have passed it over."""
    assert Figures(10, 9, 1, 0) == answered(OPEN, None, ODD)


def test_in_a_range_of_odd_size_an_end_that_is_found_proves_nothing():
    """The next search may pass it over; another port found is sure."""
    assert OPEN == answered(OPEN, 40010, ODD)
    assert Figures(10, 4, 5, 1) == answered(OPEN, 40003, ODD)
    assert ({40000, 40010}, set()) == (unsure_ends(ODD), unsure_ends(EVEN))


@pytest.mark.parametrize(
    ("figures", "open_question"),
    [(OPEN, True), (Figures(10, 4, 5, 1), False), (Figures(10, 10, 0, 0), False)],
)
def test_it_is_asked_only_where_nothing_is_sure(figures, open_question):
    """A port surely free is a yes already, and nothing in doubt a no."""
    assert open_question == is_open_question(measured(figures))


@pytest.mark.parametrize(
    ("states", "reuse", "takes_over"),
    [
        ({"TIME_WAIT": 1}, 2, True),
        ({"TIME_WAIT": 1}, 1, True),
        ({"TIME_WAIT": 1}, 0, False),
        ({"ESTABLISHED": 1}, 2, False),
    ],
)
def test_a_search_takes_over_what_it_may_reuse(states, reuse, takes_over):
    """However young the TIME_WAIT is: a second later it is not."""
    key = measured(**states)

    assert key.id.family is Family.IPV4
    assert takes_over == would_take_over(key, settings(tcp_tw_reuse=reuse))
