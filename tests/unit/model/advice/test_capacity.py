"""A plan tells how many connections fit before and after, to any and to the tight destinations."""

import msgspec

from portroom.model.advice.capacity import SHOWN, capacity, tightest
from portroom.model.facts.change import Capacity, KeyChange
from portroom.model.facts.ports import PortRange
from portroom.model.facts.snapshot import Groups
from portroom.model.facts.sockets import Kind
from tests.unit.made_change import drafted, host, udp
from tests.unit.made_groups import listener, table


def test_capacity_is_range_minus_reserved():
    """The kernel's own 28,232 become what the new range has without reserved ports."""
    change = drafted("range=15000-64001 reserved=15000,9", host())

    assert Capacity(28_232, 49_001) == capacity(change)


def test_free_ports_of_a_key_are_told_before_and_after():
    """What its own sockets and listeners hold is off in both."""
    read = host(table(40000, 40001), listener(40002), listener(20000))

    assert (KeyChange("tcp", "192.0.2.1", "198.51.100.1", 443, 28_229, 48_998),) == tightest(
        drafted("range=15000-64001", read)
    )


def test_keys_without_a_remote_are_told():
    """A UDP socket holds its port for all of UDP."""
    found = tightest(drafted("range=15000-64001", host(udp(40000))))

    assert (KeyChange("udp", "0.0.0.0", None, None, 28_231, 49_001),) == found


def test_what_is_tight_after_a_narrower_range_comes_first():
    """A key whose ports lie in what stays is tighter than one with more sockets elsewhere."""
    read = host(
        table(*range(40000, 40100), remote=("198.51.100.1", 443), kind=Kind.NO_PORT),
        table(*range(50000, 50050), remote=("198.51.100.2", 443), kind=Kind.NO_PORT),
    )
    found = tightest(drafted("range=50000-51999", read))

    assert ["198.51.100.2", "198.51.100.1"] == [one.remote_address for one in found]
    assert [1_950, 2_000] == [one.free_ports_after for one in found]


def test_few_keys_are_told_however_many_there_are():
    """At most five, those with the fewest free ports."""
    many = (table(*range(40000, 40000 + i), remote=("198.51.100.1", i)) for i in range(1, 20))
    found = tightest(drafted("range=15000-64001", host(*many)))

    assert [19, 18, 17, 16, 15] == [one.remote_port for one in found]
    assert SHOWN == len(found)


def test_a_setting_that_leaves_the_ports_alone_has_no_keys():
    """Nothing about them changes."""
    assert () == tightest(drafted("tw_reuse=1", host(table(40000))))


def test_groups_of_the_old_range_alone_tell_no_keys():
    """What the wider range would hold is not known from them."""
    scoped = Groups((table(40000),), (), scope=PortRange(32768, 60999))
    read = msgspec.structs.replace(host(), groups=scoped)

    assert () == tightest(drafted("range=15000-64001", read))
