"""Questions for a route, and replies that are none."""

import errno
import struct

import pytest

from portroom.errors import InvalidRequestError, KernelDataError
from portroom.kernel.route import parse_route, read_route, request
from portroom.model.facts.snapshot import Route
from portroom.model.facts.sockets import Family, packed_address

REMOTE = packed_address("192.0.2.1")[1]


def reply(*parts, message_type=24):
    """Return a netlink message with a route header and attributes."""
    body = struct.pack("=BBBBBBBBI", 2, 32, 0, 0, 254, 0, 0, 1, 0) + b"".join(parts)
    return struct.pack("=IHHII", 16 + len(body), message_type, 0, 1, 0) + body


def part(number, value):
    """Return one attribute of four bytes."""
    return struct.pack("=HH4s", 8, number, value)


SOURCE = part(7, bytes([10, 0, 0, 1]))
DEVICE = part(4, struct.pack("=I", 3))


def test_the_selected_address_and_device_are_the_route():
    """
    RTA_PREFSRC is what the kernel selected, RTA_OIF where it goes out.
    """
    expected = Route("192.0.2.1", "10.0.0.1", 3)

    assert expected == parse_route(reply(DEVICE, SOURCE), Family.IPV4, REMOTE)


def test_the_address_asked_for_is_the_local_one():
    """
    The kernel does not repeat the address that it was told to go from.
    """
    local = packed_address("10.0.0.9")[1]

    assert "10.0.0.9" == parse_route(reply(DEVICE), Family.IPV4, REMOTE, local).local_address


@pytest.mark.parametrize(
    "message",
    [reply(), reply(SOURCE), reply(DEVICE, SOURCE, message_type=16), b""],
)
def test_a_reply_that_is_no_route_is_an_error(message):
    """
    It names the remote and quotes the bytes.
    """
    with pytest.raises(KernelDataError, match=r"Route to 192\.0\.2\.1: expected a route"):
        parse_route(message, Family.IPV4, REMOTE)


def test_a_route_without_an_address_to_go_from_is_what_connect_says():
    """
    An IPv6 device may have a route and no address yet.
    """
    with pytest.raises(OSError, match="route to") as error:
        parse_route(reply(DEVICE), Family.IPV4, REMOTE)

    assert errno.EADDRNOTAVAIL == error.value.errno


def test_a_request_names_what_is_asked_for():
    """
    Only what was given is asked: destination, source and device.
    """
    plain = request(Family.IPV4, REMOTE, None, 0)
    whole = request(Family.IPV4, REMOTE, REMOTE, 3)

    assert (20, 36) == (len(plain), len(whole))
    assert (bytes([2, 32, 0]), bytes([2, 32, 32])) == (plain[:3], whole[:3])


@pytest.mark.parametrize(
    ("remote", "local", "message"),
    [
        ("example", None, "'example' is no IP address"),
        ("192.0.2.1", "x", "'x' is no IP address"),
        ("192.0.2.1", "::1", "'::1' no IPV4 address can be reached"),
        ("fe80::1%no-such-device", None, "No device 'no-such-device'"),
    ],
)
def test_addresses_that_cannot_be_are_refused(remote, local, message):
    """
    One sentence says which address and why.
    """
    with pytest.raises(InvalidRequestError, match=message):
        read_route(remote, local)
