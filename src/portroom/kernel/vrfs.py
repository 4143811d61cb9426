"""VRFs: which devices are one, and which devices are enslaved to them.

Source: Linux drivers/net/vrf.c; include/uapi/linux/if_link.h.
"""

from __future__ import annotations

from portroom.kernel.links import (
    ATTRIBUTES,
    IFLA_IFNAME,
    IFLA_MASTER,
    INDEX,
    kind_of,
    links,
)
from portroom.kernel.netlink import NETLINK_ROUTE, Netlink
from portroom.kernel.sock_diag import attributes
from portroom.model.facts.snapshot import Vrf

KIND = b"vrf\0"


def read_vrfs() -> tuple[Vrf, ...]:
    """
    Return the VRFs of the namespace of the calling thread, by their index.

    All devices are asked for only where there is a VRF.

    Raises:
        OSError: This kernel, or a filter on system calls, refuses.
        KernelDataError: A reply is no list of devices.
    """
    with Netlink(NETLINK_ROUTE) as netlink:
        # Each reply is read to its end: what is left would be taken for the next one.
        if not any(list(map(is_vrf, links(netlink, KIND)))):
            return ()
        return parse_links(list(links(netlink)))


def is_vrf(message: bytes) -> bool:
    """
    Say whether one RTM_NEWLINK message tells of a VRF.

    Raises:
        KernelDataError: An attribute does not end where it says.
    """
    # Where no VRF was ever made, old kernels and new ones may send all devices.
    return KIND in message and kind_of(attributes(message, ATTRIBUTES)) == KIND


def parse_links(messages: list[bytes]) -> tuple[Vrf, ...]:
    """
    Return the VRFs among all devices of a namespace, each with those enslaved to it.

    Raises:
        KernelDataError: An attribute does not end where it says.
    """
    names: dict[int, str] = {}
    masters: dict[int, int] = {}
    for message in messages:
        link = attributes(message, ATTRIBUTES)
        index = int.from_bytes(message[INDEX : INDEX + 4], "little")
        masters[index] = int.from_bytes(link.get(IFLA_MASTER, b""), "little")
        if kind_of(link) == KIND:
            name = link.get(IFLA_IFNAME, b"").rstrip(b"\0")
            names[index] = name.decode("utf-8", "backslashreplace")
    return tuple(
        Vrf(index, name, tuple(sorted(one for one, of in masters.items() if of == index)))
        for index, name in sorted(names.items())
    )
