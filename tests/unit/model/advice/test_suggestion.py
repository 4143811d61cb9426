"""In place of a range of one parity the nearest one is offered that has no flaw of its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.model.advice.collisions import LISTENER, Occupied, collisions
from portroom.model.advice.draft import choice
from portroom.model.advice.suggestion import better_range
from portroom.model.facts.ports import PortRange
from tests.unit.made_change import drafted, host


def offered(words, *taken, read=None):
    """Return the range offered where some ports have a listener, as text."""
    there = [Occupied(LISTENER, "tcp", port, port, "") for port in taken]
    better = better_range(drafted(words, read or host()), there)
    return str(better) if better else None


@pytest.mark.parametrize(
    ("words", "taken", "expected"),
    [
        ("range=15000-64000", (), "15000-64001"),
        ("range=15000-64000", (64001,), "14999-64000"),
        ("range=15000-64000", (64001, 14999), "15000-63999"),
        ("range=15001-65535", (), "15000-65535"),
        ("range=15001-65535", (15000,), "15001-65534"),
        ("range=1025-65535", (), "1024-65535"),
        ("range=1024-65534", (), "1024-65535"),
        ("range=1024-65534", (65535,), "1024-65533"),
        ("range=15000-64001", (), None),
        ("range=15000-15000", (), None),
        ("tw_reuse=1", (), None),
    ],
)
def test_the_nearest_range_of_different_parity(words, taken, expected):
    """The port above is taken first, then the one below, else one less; never a new collision."""
    assert expected == offered(words, *taken)


def test_a_reserved_neighbour_does_not_collide():
    """What is reserved there cannot be chosen, so the range may take it in."""
    assert "15000-64001" == offered("range=15000-64000", 64001, read=host(reserved="64001"))


@given(some.integers(1024, 65535), some.integers(1024, 65535), some.sets(some.integers(1, 65535)))
def test_what_is_offered_is_taken_and_takes_in_nothing(first, last, taken):
    """It differs in parity, lies where the kernel takes it, and adds no collision."""
    asked = PortRange(*sorted((first, last)))
    change = drafted(f"range={asked}", host())
    there = [Occupied(LISTENER, "tcp", port, port, "") for port in taken]
    better = better_range(change, there)

    assert bool(better) == (asked.same_parity and change.changes("net.ipv4.ip_local_port_range"))
    if better:
        assert not better.same_parity
        assert better.first >= 1024
        assert [] == collisions(
            choice(change.after), choice(change.after)._replace(ephemeral=better), there
        )
