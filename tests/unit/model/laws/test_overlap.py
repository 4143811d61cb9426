"""When two local addresses get in each other's way: the table of the kernel."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.model.facts.sockets import Family, packed_address
from portroom.model.laws.overlap import overlaps

ADDRESSES = ("127.0.0.1", "127.0.0.2", "0.0.0.0", "::1", "2001:db8::1", "::")

DUAL, ONLY, UNTOLD = False, True, None

TABLE = [
    # The owner, whether it is v6only, and which newcomers it stops.
    ("127.0.0.1", None, {"127.0.0.1", "0.0.0.0", "::"}),
    ("0.0.0.0", None, {"127.0.0.1", "127.0.0.2", "0.0.0.0", "::"}),
    ("::ffff:127.0.0.1", DUAL, {"127.0.0.1", "0.0.0.0", "::"}),
    ("::1", ONLY, {"::1", "::"}),
    ("2001:db8::1", ONLY, {"2001:db8::1", "::"}),
    ("::", ONLY, {"::1", "2001:db8::1", "::"}),
    ("::", DUAL, set(ADDRESSES)),
    # A connection that connect() placed is not v6only (c51).
    ("::1", DUAL, {"::1", "::", "0.0.0.0"}),
]
"""kernel.md 4.4, 4.5, 5.4 and the cases c36-c38, c51, u4, u11, u12."""


@pytest.mark.parametrize(("owner", "v6only", "stopped"), TABLE)
def test_an_owner_stops_these_newcomers(owner, v6only, stopped):
    """The addresses that conflict are exactly those of the table."""
    place = packed_address(owner)
    found = {address for address in ADDRESSES if overlaps(*packed_address(address), *place, v6only)}

    assert stopped == found


@pytest.mark.parametrize(
    ("address", "owner"), [("0.0.0.0", "::"), ("127.0.0.1", "::"), ("0.0.0.0", "::1")]
)
def test_what_the_kernel_does_not_tell_stays_open(address, owner):
    """Of an IPv6 owner that may be v6only nothing is claimed for IPv4."""
    assert overlaps(*packed_address(address), *packed_address(owner), UNTOLD) is None


@given(
    some.sampled_from(ADDRESSES),
    some.sampled_from([*ADDRESSES, "::ffff:127.0.0.1"]),
    some.sampled_from([True, False]),
)
def test_not_knowing_covers_both_answers(address, owner, v6only):
    """Where nothing is told, True and False are both possible or the answer is sure."""
    places = *packed_address(address), *packed_address(owner)
    untold = overlaps(*places, UNTOLD)

    assert untold is None or untold == overlaps(*places, v6only)


@given(some.sampled_from(ADDRESSES), some.sampled_from(ADDRESSES))
def test_within_a_family_it_is_mutual(address, owner):
    """Whoever came first, two addresses of one family conflict or do not."""
    one, other = packed_address(address), packed_address(owner)

    if one[0] is other[0]:
        assert overlaps(*one, *other, None) == overlaps(*other, *one, None)


def test_v4_mapped_addresses_are_ipv4():
    """The law never meets one: they are IPV4 as soon as they are read."""
    assert Family.IPV4 is packed_address("::ffff:127.0.0.1")[0]
