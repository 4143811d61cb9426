"""nfnetlink: ask netfilter, and take its nested attributes apart.

Rules of this file:

- it knows how netfilter wraps a question and an answer, and nothing of either;
- all of netfilter answers only who has CAP_NET_ADMIN over the namespace of the
  calling thread, else EPERM;
- a question may make the kernel load the part that answers it, as `nft` and
  `conntrack` do too: ask only where something says that it is in use.

Source: Linux net/netfilter/nfnetlink.c, nfnetlink_rcv; include/uapi/linux/netfilter/nfnetlink.h.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator

from portroom.kernel.netlink import NETLINK_NETFILTER, Netlink, split
from portroom.kernel.sock_diag import attributes, each_attribute

CONNTRACK, TABLES = 1, 10
"""Subsystems: NFNL_SUBSYS_CTNETLINK, NFNL_SUBSYS_NFTABLES."""

GENERAL = struct.Struct("=BBH")
"""struct nfgenmsg: family, version, a number that is the subsystem's own."""

FAMILY = 16
"""Where the family stands in a message."""

ATTRIBUTES = 16 + GENERAL.size

ALL_FAMILIES = 0

TRIES = 3
"""Dumps of a table that changes meanwhile, before what was read is taken as it is."""


def dump(subsystem: int, message: int, wanted: bytes = b"") -> Generator[memoryview, None, None]:
    """
    Yield each message of a dump, of all families; it is valid until the next one.

    Args:
        subsystem: CONNTRACK or TABLES.
        message: The number of the question within the subsystem.
        wanted: Attributes that narrow it down.

    Raises:
        OSError: The kernel refused, with its errno.
        KernelDataError: What came is no netlink.
    """
    with Netlink(NETLINK_NETFILTER) as netlink:
        yield from _messages(netlink, subsystem, message, wanted)


def steady(subsystem: int, message: int) -> list[bytes]:
    """
    Return the messages of a dump of a table that did not change while it was read.

    A table that changes again and again is returned as it was read last.

    Raises:
        OSError: The kernel refused, with its errno.
        KernelDataError: What came is no netlink.
    """
    found: list[bytes] = []
    for _ in range(TRIES):
        with Netlink(NETLINK_NETFILTER) as netlink:
            found = [bytes(one) for one in _messages(netlink, subsystem, message)]
            if not netlink.interrupted:
                break
    return found


def _messages(
    netlink: Netlink, subsystem: int, message: int, wanted: bytes = b""
) -> Iterator[memoryview]:
    """Yield each message of one dump."""
    question = GENERAL.pack(ALL_FAMILIES, 0, 0) + wanted
    for datagram in netlink.dump(subsystem << 8 | message, question):
        yield from split(datagram)


def fields(message: bytes | memoryview) -> dict[int, bytes]:
    """
    Return the attributes of one message, by number.

    Raises:
        KernelDataError: One of them does not end where it says.
    """
    return attributes(message, ATTRIBUTES)


def nested(value: bytes) -> dict[int, bytes]:
    """
    Return the attributes inside an attribute, by number.

    Raises:
        KernelDataError: One of them does not end where it says.
    """
    return attributes(value, 0)


def listed(value: bytes) -> list[bytes]:
    """
    Return the elements of an attribute that is a list, in their order.

    Raises:
        KernelDataError: One of them does not end where it says.
    """
    return [element for _, element in each_attribute(value, 0)]
