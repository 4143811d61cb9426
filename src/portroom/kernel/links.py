"""Links: how the kernel tells of network devices, of one kind or of all.

Source: Linux net/core/rtnetlink.c, rtnl_dump_ifinfo; include/uapi/linux/if_link.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from portroom.kernel.netlink import Netlink, split
from portroom.kernel.sock_diag import attribute, attributes

RTM_NEWLINK, RTM_GETLINK = 16, 18

LINK = struct.Struct("=BxHiII")
"""struct ifinfomsg: family, type, index, flags, change."""

INDEX = 16 + 4
"""Where ifi_index stands in a message."""

ATTRIBUTES = 16 + LINK.size

IFLA_IFNAME, IFLA_MASTER, IFLA_LINKINFO, IFLA_EXT_MASK = 3, 10, 18, 29
IFLA_INFO_KIND, IFLA_INFO_DATA = 1, 2

SKIP_STATS = 8
"""RTEXT_FILTER_SKIP_STATS: counters are two thirds of what is told of a device."""


def links(netlink: Netlink, kind: bytes | None = None) -> Iterator[bytes]:
    """
    Yield the message of each device, perhaps of one kind alone.

    Kernels since 4.6 send devices of that kind alone: a host may have a thousand
    others. An older one sends all, so the reader of a message looks at it again.

    Args:
        netlink: For NETLINK_ROUTE.
        kind: As the kernel spells it, with a zero at its end; None for all devices.

    Raises:
        OSError: This kernel, or a filter on system calls, refuses.
        KernelDataError: The reply is no list of devices.
    """
    payload = LINK.pack(0, 0, 0, 0, 0) + attribute(IFLA_EXT_MASK, struct.pack("=I", SKIP_STATS))
    if kind is not None:
        payload += attribute(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, kind))
    for datagram in netlink.dump(RTM_GETLINK, payload):
        for message in split(datagram):
            yield bytes(message)


def kind_of(link: dict[int, bytes]) -> bytes | None:
    """Return of which kind a device is by its attributes, None where it is not told."""
    return attributes(link.get(IFLA_LINKINFO, b""), 0).get(IFLA_INFO_KIND)
