"""sock_diag: the wire format of the kernel's socket tables.

Rules of this file: pure bytes in and out, no socket. What is asked stands in
``request``; what comes back is described by the offsets below, counted from
the start of a netlink message.

Source: Linux include/uapi/linux/inet_diag.h, sock_diag.h; net/ipv4/inet_diag.c.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from portroom.errors import KernelDataError

TCPDIAG_GETSOCK = 18
"""The legacy request: IPv4 and IPv6 in one walk of the table, TCP only."""

SOCK_DIAG_BY_FAMILY = 20

ALL_STATES = 0xFFFFFFFF
"""Bit 13, BOUND_INACTIVE, included; kernels before it ignore that bit."""

FAMILY, STATE, LOCAL_PORT, ADDRESSES = 16, 17, 20, 22
"""ADDRESSES: remote port, local and remote address, device: 38 bytes."""

EXPIRES, RECV_QUEUE, SEND_QUEUE, UID, INODE, ATTRIBUTES = 68, 72, 76, 80, 84, 88

INFO, SHUTDOWN, SKV6ONLY, MARK, CGROUP_ID, SOCKOPT = 2, 8, 11, 15, 21, 22
"""Numbers of the attributes that follow a message."""

REQ_BYTECODE = 1
"""Attribute of a request: a filter program."""

REQ_PROTOCOL = 3
"""Attribute of a request: a protocol over 255, such as MPTCP (262)."""

TYPE_MASK = 0x3FFF
"""NLA_TYPE_MASK: two bits of an attribute's number say that it is nested, or in network order."""

NO_PORT_BIT = 0x01
"""Bit of SOCKOPT's second byte: IP_BIND_ADDRESS_NO_PORT is set."""


def request(
    family: int, protocol: int, states: int, *, extensions: int = 0, filter: bytes = b""
) -> bytes:
    """
    Return the payload of a SOCK_DIAG_BY_FAMILY dump.

    Args:
        family: AF_INET or AF_INET6.
        protocol: IPPROTO number; over 255 it travels as an attribute.
        states: Mask of wanted states, bit by state number.
        extensions: Mask of wanted attributes, bit ``number - 1``.
        filter: Bytecode of ``bytecode.py``, empty for none.
    """
    payload = struct.pack("=BBBBI48x", family, min(protocol, 255), extensions, 0, states)
    if protocol > 255:
        payload += attribute(REQ_PROTOCOL, struct.pack("=I", protocol))
    return payload + (attribute(REQ_BYTECODE, filter) if filter else b"")


def legacy_request(states: int, *, extensions: int = 0, filter: bytes = b"") -> bytes:
    """
    Return the payload of a TCPDIAG_GETSOCK dump: TCP of both families.

    One walk of the table instead of two; the arguments are those of
    ``request``. Listening sockets of both families come too.
    """
    payload = struct.pack("=BBBB48xII", 2, 0, 0, extensions, states, 0)
    return payload + (attribute(REQ_BYTECODE, filter) if filter else b"")


def attribute(number: int, value: bytes) -> bytes:
    """Return one netlink attribute, padded to four bytes."""
    padding = bytes(-len(value) % 4)
    return struct.pack("=HH", 4 + len(value), number) + value + padding


def attributes(message: bytes | memoryview, start: int) -> dict[int, bytes]:
    """
    Return the attributes of one netlink message, by number.

    Args:
        message: One whole message.
        start: Where the attributes begin.

    Raises:
        KernelDataError: One of them does not end where it says.
    """
    return dict(each_attribute(message, start))


def each_attribute(message: bytes | memoryview, start: int) -> Iterator[tuple[int, bytes]]:
    """
    Yield number and value of each attribute, in their order: a list repeats its number.

    Args:
        message: One whole message.
        start: Where the attributes begin.

    Raises:
        KernelDataError: One of them does not end where it says.
    """
    while start + 4 <= len(message):
        length, number = struct.unpack_from("=HH", message, start)
        if not 4 <= length <= len(message) - start:
            raise KernelDataError(
                f"netlink: expected an attribute of 4 to {len(message) - start} bytes, "
                f"got one of {length}."
            )
        yield number & TYPE_MASK, bytes(message[start + 4 : start + length])
        start += length + 3 & ~3


def messages(datagram: memoryview) -> list[memoryview]:
    """
    Return the single messages of a datagram, each with at least the fields above.

    Raises:
        KernelDataError: The bytes are no chain of such messages.
    """
    found = []
    start, end = 0, len(datagram)
    # Sequence and port id: a message that holds them again has swallowed another.
    reply = bytes(datagram[8:16])
    while start < end:
        length = int.from_bytes(datagram[start : start + 4], "little")
        if not ATTRIBUTES <= length <= end - start:
            raise KernelDataError(
                f"sock_diag: expected a message of {ATTRIBUTES} to {end - start} bytes, "
                f"got one of {length}."
            )
        message = datagram[start : start + length]
        if reply in bytes(message[16:]):
            raise KernelDataError(f"sock_diag: a message of {length} bytes holds another one.")
        found.append(message)
        start += length + 3 & ~3
    return found
