"""
Routes: the local address that the kernel would take for a remote.

Source: Linux net/ipv4/route.c, inet_rtm_getroute; net/ipv6/route.c,
inet6_rtm_getroute; include/uapi/linux/rtnetlink.h.
"""

from __future__ import annotations

import errno
import os
import struct

from portroom.errors import InvalidRequestError, KernelDataError
from portroom.kernel.netlink import NETLINK_ROUTE, Netlink
from portroom.kernel.sock_diag import attribute, attributes
from portroom.model.facts.snapshot import Route
from portroom.model.facts.sockets import Family, address_text, is_wildcard, packed_address

RTM_GETROUTE = 26
RTM_NEWROUTE = 24

RTA_DST, RTA_SRC, RTA_OIF, RTA_PREFSRC = 1, 2, 4, 7

ROUTE = struct.Struct("=BBBBBBBBI")
"""struct rtmsg: family, length of dst and src, tos, table, …, flags."""

ATTRIBUTES = 16 + ROUTE.size

TYPE = 16 + 7
"""Where rtm_type stands in a message."""

UNCONNECTABLE = (3, 5)
"""RTN_BROADCAST and RTN_MULTICAST. Source: include/uapi/linux/rtnetlink.h."""

ADDRESS_BYTES = {Family.IPV4: 4, Family.IPV6: 16}

LOOPBACK = {Family.IPV4: "127.0.0.1", Family.IPV6: "::1"}
"""Where connect() to a wildcard address goes. Source: tcp_v6_connect."""


def read_route(remote_address: str, from_address: str | None = None) -> Route:
    """
    Return the route that connect() of the calling thread would take.

    It is the resolved one, with the address that the kernel selects; routes
    that depend on ports, marks or on chance (several next hops) may differ
    for the one connection. v4-mapped addresses are IPv4.

    Args:
        remote_address: Where to; a zone such as ``%eth0`` is heeded.
        from_address: The local address to go from, None or a wildcard to let
            the kernel select.

    Raises:
        InvalidRequestError: An address is none, or the two are of different
            families, or there is no device of the zone's name.
        OSError: The kernel has no route, or no address to go from, with the
            errno that connect() gives (ENETUNREACH, EADDRNOTAVAIL, …).
        KernelDataError: The reply cannot be read.
    """
    family, remote = _packed(remote_address)
    if is_wildcard(remote):
        family, remote = _packed(LOOPBACK[family])
    local = _packed_local(from_address, family)
    device = zone_index(remote_address)
    with Netlink(NETLINK_ROUTE) as netlink:
        reply = netlink.ask(RTM_GETROUTE, request(family, remote, local, device))
    return parse_route(reply, family, remote, local)


def request(family: Family, remote: bytes, local: bytes | None, device: int) -> bytes:
    """
    Return the payload of a question for one route.

    Args:
        family: Of both addresses.
        remote: Address as sock_diag's 16 bytes.
        local: Address to go from, or None to let the kernel select.
        device: Index of the device to go out by, or 0 for any.
    """
    length = ADDRESS_BYTES[family]
    bits = 8 * length
    payload = ROUTE.pack(family, bits, bits if local else 0, 0, 0, 0, 0, 0, 0)
    payload += attribute(RTA_DST, remote[:length])
    if local:
        payload += attribute(RTA_SRC, local[:length])
    if device:
        payload += attribute(RTA_OIF, struct.pack("=I", device))
    return payload


def parse_route(reply: bytes, family: Family, remote: bytes, local: bytes | None = None) -> Route:
    """
    Return what one RTM_NEWROUTE message says.

    Args:
        reply: The whole message.
        family: Of the question.
        remote: Address asked for, as sock_diag's 16 bytes.
        local: Address that was asked to go from; the kernel does not repeat it.

    Raises:
        OSError: EADDRNOTAVAIL: the device has no address to go from;
            ENETUNREACH: nothing can be connected to a multicast or broadcast.
        KernelDataError: It is no route.
    """
    found = attributes(reply, ATTRIBUTES)
    device = found.get(RTA_OIF, b"")
    text = address_text(family, remote)
    if int.from_bytes(reply[4:6], "little") != RTM_NEWROUTE or len(device) != 4:
        raise KernelDataError(f"Route to {text}: expected a route, got {reply[:128].hex()}.")
    if reply[TYPE] in UNCONNECTABLE:
        # What connect() of TCP answers. Source: tcp_v4_connect.
        number = errno.ENETUNREACH
        raise OSError(number, os.strerror(number), f"route to {text}")
    source = local or found.get(RTA_PREFSRC, b"").ljust(16, b"\0")
    if is_wildcard(source):
        # What connect() answers. Source: ipv6_dev_get_saddr.
        number = errno.EADDRNOTAVAIL
        raise OSError(number, os.strerror(number), f"route to {text}")
    (index,) = struct.unpack("=I", device)
    return Route(text, address_text(family, source), index)


def _packed(text: str) -> tuple[Family, bytes]:
    """Return family and bytes of an address that a person gave."""
    try:
        return packed_address(text)
    except ValueError:
        raise InvalidRequestError(f"Route: {text!r} is no IP address.") from None


def _packed_local(text: str | None, family: Family) -> bytes | None:
    """Return the bytes of the address to go from, None if the kernel selects."""
    if text is None:
        return None
    local_family, local = _packed(text)
    if local_family is not family:
        raise InvalidRequestError(
            f"From {text!r} no {family.name} address can be reached: it is {local_family.name}."
        )
    return None if is_wildcard(local) else local


def zone_index(text: str) -> int:
    """
    Return the index of the device behind ``%`` in an address, 0 where there is none.

    Raises:
        InvalidRequestError: No device has that name.
    """
    _, _, zone = text.partition("%")
    if not zone:
        return 0
    import socket

    try:
        return int(zone) if zone.isdecimal() else socket.if_nametoindex(zone)
    except OSError:
        raise InvalidRequestError(f"No device {zone!r}, as in {text!r}.") from None
