"""VXLAN devices: the UDP ports that the kernel itself listens on once they are up.

Source: Linux drivers/net/vxlan/vxlan_core.c, vxlan_fill_info; include/uapi/linux/if_link.h.
"""

from __future__ import annotations

from portroom.kernel.links import (
    ATTRIBUTES,
    IFLA_IFNAME,
    IFLA_INFO_DATA,
    IFLA_INFO_KIND,
    IFLA_LINKINFO,
    links,
)
from portroom.kernel.netlink import NETLINK_ROUTE, Netlink
from portroom.kernel.sock_diag import attributes
from portroom.model.facts.surroundings import VxlanPort

IFLA_VXLAN_PORT = 15

KIND = b"vxlan\0"


def read_vxlan() -> tuple[VxlanPort, ...]:
    """
    Return the VXLAN devices of the namespace of the calling thread, with their ports.

    Raises:
        OSError: This kernel, or a filter on system calls, refuses.
        KernelDataError: The reply is no list of devices.
    """
    with Netlink(NETLINK_ROUTE) as netlink:
        found = [parse_link(message) for message in links(netlink, KIND)]
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
