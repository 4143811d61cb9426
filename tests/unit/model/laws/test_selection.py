"""A named port, and a window of one's own."""

import pytest

from portroom.model.facts.ports import PortRange
from portroom.model.facts.snapshot import Groups
from portroom.model.facts.sockets import Protocol, packed_address
from portroom.model.laws.selection import explicit_bind, window

TEN = PortRange(40000, 40009)


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (0, 0, TEN),
        (40002, 40005, PortRange(40002, 40005)),
        (39990, 40003, PortRange(40000, 40003)),
        (40008, 50000, PortRange(40008, 40009)),
        (50000, 50010, TEN),
        (40004, 0, PortRange(40004, 40009)),
    ],
)
def test_an_end_outside_the_range_is_ignored(first, last, expected):
    """Each end of IP_LOCAL_PORT_RANGE stands for itself; none can leave the range."""
    actual = window(TEN, first, last)

    assert expected == actual


def test_a_port_without_an_owner_can_be_named():
    """Nothing is in the way, whatever the address."""
    actual = explicit_bind(Groups((), ()), Protocol.TCP, *packed_address("127.0.0.1"), 40000)

    assert actual is True
