"""Addresses as they lie in memory: from bytes to text and port. Pure."""

from __future__ import annotations

import socket
import sys

from portroom.model.facts.sockets import MAPPED
from portroom.trace.raw import AF_INET, AF_INET6, AF_UNIX, Address

SHORTEST_BYTES = {AF_INET: 16, AF_INET6: 24, AF_UNIX: 2}
"""The least length that the kernel takes; of IPv6: SIN6_LEN_RFC2133, without the scope."""


def text_of(address: bytes) -> str:
    r"""
    Return an address of 4 or 16 bytes as text; an IPv4 address within IPv6 as IPv4.

    >>> text_of(bytes((10, 0, 0, 1)))
    '10.0.0.1'
    >>> text_of(bytes(10) + b"\xff\xff" + bytes((10, 0, 0, 1)))
    '10.0.0.1'
    >>> text_of(bytes(15) + b"\x01")
    '::1'
    """
    short = address.removeprefix(MAPPED)
    return socket.inet_ntop(socket.AF_INET if len(short) == 4 else socket.AF_INET6, short)


def parse_address(raw: bytes) -> tuple[int, Address | None] | None:
    r"""
    Return family and address from a ``struct sockaddr``; no address for AF_UNIX.

    Args:
        raw: As many bytes as the caller said it has.

    Returns:
        None where this is no address of IPv4, IPv6 or a unix socket.

    >>> parse_address((2).to_bytes(2, sys.byteorder) + b"\x01\xbb\x0a\x00\x00\x01" + bytes(8))
    (2, ('10.0.0.1', 443))
    """
    family = int.from_bytes(raw[:2], sys.byteorder)
    if len(raw) < SHORTEST_BYTES.get(family, len(raw) + 1):
        return None
    if family == AF_UNIX:
        return family, None
    # Between the port and the address, IPv6 has its flow label.
    address = raw[4:8] if family == AF_INET else raw[8:24]
    return family, (text_of(address), int.from_bytes(raw[2:4], "big"))
