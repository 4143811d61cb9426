"""Ranges and sets of ports: what they hold, and the kernel's own text of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.model.facts.ports import LAST_PORT, PortRange, PortSet

PORT = some.integers(0, LAST_PORT)
RANGES = some.tuples(PORT, PORT).map(lambda ends: PortRange(min(ends), max(ends)))
PORTS = some.sets(some.integers(0, 60))
SHORT_RANGES = some.tuples(some.integers(0, 60), some.integers(0, 12)).map(
    lambda run: PortRange(run[0], run[0] + run[1])
)


@given(RANGES, PORT)
def test_both_ends_of_a_range_are_inside(ends, port):
    """A range holds its ends and what lies between."""
    assert ends.first in ends
    assert ends.last in ends
    assert (port in ends) == (ends.first <= port <= ends.last)


def test_a_range_counts_its_ports():
    """Both ends count."""
    assert (28_232, 28_233, 1) == tuple(
        PortRange(*ends).ports for ends in ((32768, 60999), (32768, 61000), (5, 5))
    )


@pytest.mark.parametrize(
    ("ends", "same"), [((32768, 60999), False), ((32768, 61000), True), ((5, 5), False)]
)
def test_same_parity_is_an_odd_number_of_ports(ends, same):
    """A single port is found all the same, so it does not count as one."""
    assert same == PortRange(*ends).same_parity


def test_only_numbers_are_in_a_range():
    """Text that looks like a port is none."""
    assert "40000" not in PortRange(40000, 40009)


@given(PORTS)
def test_a_set_holds_what_it_was_made_of(ports):
    """Its length, its members and its order are those of the ports."""
    found = PortSet.of(ports)

    assert sorted(ports) == list(found)
    assert len(ports) == len(found)
    assert all((port in found) == (port in ports) for port in range(70))


@given(some.lists(SHORT_RANGES))
def test_runs_neither_touch_nor_overlap(runs):
    """However the runs were given, the set keeps as few as can be."""
    found = PortSet(runs)
    gaps = [
        after.first - before.last for before, after in zip(found.runs, found.runs[1:], strict=False)
    ]

    assert {port for run in runs for port in range(run.first, run.last + 1)} == set(found)
    assert all(gap > 1 for gap in gaps)


@given(PORTS)
def test_parse_takes_back_what_str_gives(ports):
    """parse(str(x)) = x, and equal sets have one hash and one text."""
    found = PortSet.of(ports)
    again = PortSet.parse(f"{found}\n")

    assert found == again
    assert (hash(found), str(found), repr(found)) == (hash(again), str(again), repr(again))
    assert (found == PortSet.of(ports | {61})) is False


@given(PORTS, SHORT_RANGES)
def test_within_is_what_lies_inside(ports, limits):
    """Ports outside of the limits are left out, those at the ends are not."""
    assert sorted(port for port in ports if port in limits) == list(
        PortSet.of(ports).within(limits)
    )


@given(PORTS, PORTS)
def test_what_is_taken_away_is_gone_and_nothing_else(ports, taken):
    """Port by port, a difference is that of sets, in runs that do not touch."""
    left = PortSet.of(ports) - PortSet.of(taken)

    assert PortSet.of(ports - taken) == left


@pytest.mark.parametrize(
    "text",
    ["65536", "5-4", "abc", "1, 2", "1 2", "4000-", "-5", "0x10", "1-2-3", "1;2", "²", "1-2,-"],
)
def test_what_is_no_port_is_refused_and_quoted(text):
    """The kernel never writes such a thing."""
    with pytest.raises(ValueError, match="no port and no run of ports: '"):
        PortSet.parse(text)


@pytest.mark.parametrize("text", ["", "\n", " \n"])
def test_blank_is_none(text):
    """An empty setting reserves nothing."""
    assert PortSet() == PortSet.parse(text)


def test_a_set_equals_no_other_thing():
    """Not even the text of it."""
    assert PortSet.parse("5") != "5"
