"""VXLAN devices: the UDP ports that the kernel itself listens on once they are up.

Source: Linux net/core/rtnetlink.c, rtnl_dump_ifinfo; drivers/net/vxlan/vxlan_core.c,
vxlan_fill_info; include/uapi/linux/if_link.h.
"""

from __future__ import annotations

import struct

from portroom.kernel.netlink import NETLINK_ROUTE, Netlink, split
from portroom.kernel.sock_diag import attribute, attributes
from portroom.model.facts.surroundings import VxlanPort

RTM_NEWLINK, RTM_GETLINK = 16, 18

LINK = struct.Struct("=BxHiII")
"""struct ifinfomsg: family, type, index, flags, change."""

ATTRIBUTES = 16 + LINK.size

IFLA_IFNAME, IFLA_LINKINFO = 3, 18
IFLA_INFO_KIND, IFLA_INFO_DATA = 1, 2
IFLA_VXLAN_PORT = 15

KIND = b"vxlan\0"


def read_vxlan() -> tuple[VxlanPort, ...]:
    """
    Return the VXLAN devices of the namespace of the calling thread, with their ports.

    Raises:
        OSError: This kernel, or a filter on system calls, refuses.
        KernelDataError: The reply is no list of devices.
    """
    # Kernels since 4.6 send devices of the kind asked for alone: a host may have a thousand others.
    kind = attribute(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, KIND))
    with Netlink(NETLINK_ROUTE) as netlink:
        datagrams = netlink.dump(RTM_GETLINK, LINK.pack(0, 0, 0, 0, 0) + kind)
        found = [parse_link(bytes(one)) for datagram in datagrams for one in split(datagram)]
    return tuple(sorted(filter(None, found), key=lambda one: (one.port, one.device)))


def parse_link(message: bytes) -> VxlanPort | None:
    """
    Return the VXLAN device that one RTM_NEWLINK message tells of, None for another device.

    Raises:
        KernelDataError: An attribute does not end where it says.
    """
    link = attributes(message, ATTRIBUTES)
    info = attributes(link.get(IFLA_LINKINFO, b""), 0)
    if info.get(IFLA_INFO_KIND) != KIND:
        return None
    port = attributes(info.get(IFLA_INFO_DATA, b""), 0).get(IFLA_VXLAN_PORT, b"")
    name = link.get(IFLA_IFNAME, b"").rstrip(b"\0").decode("utf-8", "backslashreplace")
    return VxlanPort(int.from_bytes(port, "big"), name) if len(port) == 2 else None
