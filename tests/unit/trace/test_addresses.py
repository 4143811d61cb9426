"""Prove how addresses are read from memory."""

import ipaddress

from hypothesis import given
from hypothesis import strategies as some

from portroom.trace.addresses import parse_address, text_of

ports = some.integers(0, 65535)


def sockaddr_in(address: ipaddress.IPv4Address, port: int) -> bytes:
    """Return what a program passes for IPv4."""
    return (2).to_bytes(2, "little") + port.to_bytes(2, "big") + address.packed + bytes(8)


def sockaddr_in6(address: ipaddress.IPv6Address, port: int, flow: bytes = bytes(4)) -> bytes:
    """Return what a program passes for IPv6."""
    return (10).to_bytes(2, "little") + port.to_bytes(2, "big") + flow + address.packed + bytes(4)


@given(some.ip_addresses(v=4), ports)
def test_ipv4_is_read(address, port):
    """
    Address and port come out as they were put in.
    """
    assert (2, (str(address), port)) == parse_address(sockaddr_in(address, port))


@given(some.ip_addresses(v=6), ports, some.binary(min_size=4, max_size=4))
def test_ipv6_is_read(address, port, flow):
    """
    The flow label between port and address is skipped, and IPv4 within IPv6 told as IPv4.
    """
    text = str(address.ipv4_mapped or address)
    found = parse_address(sockaddr_in6(address, port, flow))

    assert (10, port) == (found[0], found[1][1])
    assert ipaddress.ip_address(text) == ipaddress.ip_address(found[1][0])


def test_a_unix_socket_has_no_address_here():
    """
    A path is none of a port's business.
    """
    assert (1, None) == parse_address(b"\1\0/run/x.sock\0")


@given(some.binary(max_size=128))
def test_other_bytes_are_no_address(raw):
    """
    What has another family, or is shorter than the kernel takes, tells nothing.
    """
    found = parse_address(raw)

    shortest = {1: 2, 2: 16, 10: 24}.get(int.from_bytes(raw[:2], "little"), 1000)
    assert (found is None) == (len(raw) < shortest)


def test_text_of_both_families():
    """
    Addresses of 4 and 16 bytes.
    """
    assert ["10.0.0.1", "2001:db8::1"] == [
        text_of(ipaddress.ip_address(text).packed) for text in ("10.0.0.1", "2001:db8::1")
    ]
