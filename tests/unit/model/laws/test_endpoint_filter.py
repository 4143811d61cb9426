"""Filters of endpoints: every form is read, and what passes is what one expects."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.errors import InvalidRequestError
from portroom.model.facts.ports import PortRange
from portroom.model.facts.sockets import Family, packed_address
from portroom.model.laws.endpoint_filter import (
    ALL_PORTS,
    EVERY_ENDPOINT,
    parse_endpoint_filter,
)


@pytest.mark.parametrize(
    ("text", "address", "prefix_bits", "ports"),
    [
        ("10.0.0.1", "10.0.0.1", 32, ALL_PORTS),
        ("10.9.9.9/8", "10.0.0.0", 8, ALL_PORTS),
        ("2001:db8::1", "2001:db8::1", 128, ALL_PORTS),
        ("2001:db8::/32", "2001:db8::", 32, ALL_PORTS),
        ("10.0.0.1:443", "10.0.0.1", 32, PortRange(443, 443)),
        ("10.0.0.1:*", "10.0.0.1", 32, ALL_PORTS),
        ("10.0.0.0/8:1-2", "10.0.0.0", 8, PortRange(1, 2)),
        ("[::1]:443", "::1", 128, PortRange(443, 443)),
        ("[::1]", "::1", 128, ALL_PORTS),
        ("[2001:db8::/32]:53", "2001:db8::", 32, PortRange(53, 53)),
        ("[2001:db8::]/32:53", "2001:db8::", 32, PortRange(53, 53)),
        ("::ffff:10.0.0.1", "10.0.0.1", 32, ALL_PORTS),
        ("::ffff:10.0.0.0/104", "10.0.0.0", 8, ALL_PORTS),
    ],
)
def test_an_address_form_gives_address_prefix_and_ports(text, address, prefix_bits, ports):
    """An address or prefix may stand alone or with ports after it."""
    found = parse_endpoint_filter(text)
    family, packed = packed_address(address)

    assert (family, packed, prefix_bits, ports) == (
        found.family,
        found.address,
        found.prefix_bits,
        found.ports,
    )


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        (":443", PortRange(443, 443)),
        ("*:443", PortRange(443, 443)),
        (":0-65535", ALL_PORTS),
        (" :7-9 ", PortRange(7, 9)),
    ],
)
def test_a_port_form_leaves_the_address_open(text, ports):
    """A colon or ``*:`` before the ports means any address."""
    found = parse_endpoint_filter(text)

    assert (None, ports) == (found.family, found.ports)


def test_a_star_lets_every_endpoint_pass():
    """``*`` and ``*:*`` are no filter at all."""
    assert EVERY_ENDPOINT == parse_endpoint_filter("*") == parse_endpoint_filter("*:*")
    assert EVERY_ENDPOINT.passes_all


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("", "is empty"),
        ("443", "'443' is no address; a port begins with a colon"),
        ("10.0.0.256", "'10.0.0.256' is no address"),
        ("10.0.0.0/33", "'10.0.0.0/33' is no address"),
        ("localhost:80", "'localhost' is no address"),
        (":http", "'http' is no port"),
        (":", "'' is no port"),
        (":-1", "'-1' is no port"),
        (":1-", "'1-' is no port"),
        (":70000", "'70000' is over the last port"),
        (":9-7", "'9-7' the first port is above the last"),
        (":٣", "'٣' is no port"),
        ("[::1", "has no ]"),
        ("[::1]443", "has no ]"),
        ("fe80::1%lo", "names a device"),
        ("1:2:3", "'1:2:3' is no address"),
    ],
)
def test_another_form_is_refused_and_quoted(text, seen):
    """The message names what could not be read; the hint shows the forms."""
    with pytest.raises(InvalidRequestError) as caught:
        parse_endpoint_filter(text)

    assert seen in caught.value.message
    assert "10.0.0.0/8" in caught.value.hint


@given(some.ip_addresses(), some.ip_addresses(), some.integers(0, 128))
def test_a_prefix_matches_as_the_standard_library_does(member, network, bits):
    """An address passes a prefix if ipaddress says that it is inside."""
    if network.version == 4:
        bits = min(bits, 32)
    text = f"{network}/{bits}"
    found = parse_endpoint_filter(text)
    inside = ipaddress.ip_network(text, strict=False)
    mapped = getattr(member, "ipv4_mapped", None) or member
    if found.family is Family.IPV4 and inside.version == 6:
        inside = ipaddress.ip_network((found.address[:4], found.prefix_bits))

    assert (mapped in inside) == found.matches_address(*packed_address(str(member)))
