"""What becomes of a connect before any port is looked for: route, source address.

Rules of this file:

- routing is asked over netlink, which sends nothing and takes no port;
- connect() decides in an order of its own, and where it differs from netlink this
  file has connect()'s: tried on the kernel for each setup of docs/decisions/0020;
- an IPv4 connect without any address to go from is not refused: it leaves from
  0.0.0.0, and nobody answers it.

Source: Linux net/ipv6/ip6_output.c, ip6_dst_lookup_tail; net/ipv6/tcp_ipv6.c,
tcp_v6_connect; net/ipv4/tcp_ipv4.c, tcp_v4_connect.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from typing import NamedTuple

from portroom.errors import KernelDataError
from portroom.kernel.addresses import error_name, read_address
from portroom.kernel.files import PROC, read_text
from portroom.kernel.route import read_route, zone_index
from portroom.kernel.snapshot import REFUSED
from portroom.model.facts.scene import Reached
from portroom.model.facts.sockets import (
    Endpoint,
    Family,
    is_link_local,
    is_loopback,
    is_wildcard,
    packed_address,
)

ANYWHERE = {Family.IPV4: "0.0.0.0", Family.IPV6: "::"}  # noqa: S104 - not to listen

TENTATIVE, OPTIMISTIC = 0x40, 0x04
"""IFA_F_TENTATIVE, also of an address that failed; IFA_F_OPTIMISTIC may be used all the same."""

LOOPBACK_DEVICE = "lo"

NO_FAMILY = "EAFNOSUPPORT"
NO_SOURCE = "EADDRNOTAVAIL"
NO_ROUTE = "ENETUNREACH"
NO_ZONE = "EINVAL"

FLAG_BYTES = 64


class _Decided(NamedTuple):
    """The local address, the errno and the device that routing gives, each where it is known."""

    local_address: str | None
    error: str
    device: str | None


def read_reached(remote: Endpoint, from_address: str | None = None, proc: str = PROC) -> Reached:
    """
    Return what connect() of the calling thread meets before it looks for a port.

    Args:
        remote: Where to; a zone in the address is heeded.
        from_address: The local address that the socket is bound to, None for
            any. One that cannot be bound is ``read_address``'s matter: then the
            way is looked for without it, and no local address is told.
        proc: Where procfs is mounted.

    Raises:
        InvalidRequestError: An address is none, or the two are of different
            families, or there is no device of the zone's name.
        OSError: The kernel could not be asked for a route.
        KernelDataError: A reply cannot be read.
    """
    refused = from_address is not None and read_address(from_address).error != ""
    bound = None if refused else from_address
    family, _ = packed_address(remote.address)
    if family is Family.IPV4:
        decided = _decide_ipv4(remote.address, bound)
        off = None
    else:
        decided = _decide_ipv6(remote.address, bound, proc)
        off = decided.error != "" and _is_off_for(decided, proc)
    if refused:
        # Whoever names an address leaves no choice of one to the kernel.
        error = "" if decided.error == NO_SOURCE else decided.error
        decided = _Decided(None, error, decided.device)
    return Reached(
        remote=remote,
        local_address=decided.local_address,
        error=decided.error,
        ipv6_off=off,
    )


def _is_off_for(decided: _Decided, proc: str) -> bool:
    """Say whether IPv6 is switched off where a connect was refused."""
    return decided.error == NO_FAMILY or ipv6_off(decided.device, proc)


def _decide_ipv4(remote: str, bound: str | None) -> _Decided:
    """Return what routing gives an IPv4 connect."""
    decided = _route(remote, bound)
    if decided.error == NO_SOURCE:
        # Netlink told a route without a source; connect() takes 0.0.0.0 and goes on.
        return decided._replace(local_address=ANYWHERE[Family.IPV4], error="")
    return decided


def _decide_ipv6(remote: str, bound: str | None, proc: str) -> _Decided:
    """Return what routing, and the choice of a source before it, give an IPv6 connect."""
    _, packed = packed_address(remote)
    if not _has_ipv6():
        return _Decided(None, NO_FAMILY, None)
    if is_multicast(packed):
        return _Decided(None, NO_ROUTE, None)
    # A socket that is bound to an address of one link has its device from there.
    zone = zone_index(remote) or (zone_index(bound) if bound else 0)
    if is_link_local(packed) and not zone:
        return _Decided(None, NO_ZONE, None)
    decided = _route(f"{remote.partition('%')[0]}%{zone}" if zone else remote, bound)
    device = decided.device or _device_of(packed, zone)
    unbound = bound is None or is_wildcard(packed_address(bound)[1])
    if decided.error and unbound and not _has_source(proc):
        # Without any source connect() gives up before it heeds that there is no route.
        return _Decided(None, NO_SOURCE, device)
    return decided._replace(device=device)


def _route(remote: str, bound: str | None) -> _Decided:
    """
    Return what netlink tells of the way to *remote*.

    Raises:
        OSError: Netlink is missing or filtered, so nothing was told.
    """
    try:
        route = read_route(remote, bound)
    except OSError as error:
        if error.errno in REFUSED:
            raise
        return _Decided(None, error_name(error), None)
    return _Decided(route.local_address, "", _device_name(route.device))


def _device_of(packed: bytes, zone: int) -> str | None:
    """Return the device that an address without a route belongs to, None for any."""
    if zone:
        return _device_name(zone)
    here = is_wildcard(packed) or is_loopback(Family.IPV6, packed)
    return LOOPBACK_DEVICE if here else None


def _device_name(index: int) -> str | None:
    """Return the name of a device in the namespace of the thread, None where it is gone."""
    try:
        return socket.if_indextoname(index)
    except OSError:
        return None


def _has_ipv6() -> bool:
    """Say whether this kernel makes IPv6 sockets: not so with ``ipv6.disable=1``."""
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_STREAM).close()
    except OSError as error:
        return error.errno != errno.EAFNOSUPPORT
    return True


def is_multicast(packed: bytes) -> bool:
    """
    Say whether an IPv6 address is a multicast one, ``ff00::/8``.

    >>> is_multicast(packed_address("ff02::1")[1])
    True
    """
    return packed[0] == 0xFF


def _has_source(proc: str) -> bool:
    """Say whether the namespace of the thread has an IPv6 address to go from."""
    try:
        return has_source(read_text(f"{proc}/thread-self/net/if_inet6"))
    except FileNotFoundError:
        return False


def has_source(text: str) -> bool:
    r"""
    Say whether ``/proc/net/if_inet6`` has an address that connect() may choose.

    One on any device will do; one on trial, or that turned out to be another
    host's, will not.

    Raises:
        KernelDataError: A line has no flags.

    Source: Linux net/ipv6/addrconf.c, __ipv6_dev_get_saddr, if6_seq_show.

    >>> has_source("00000000000000000000000000000001 01 80 10 80       lo\n")
    True
    """
    try:
        flags = [int(line.split()[4], 16) for line in text.splitlines()]
    except (IndexError, ValueError):
        raise KernelDataError(f"if_inet6: expected six words a line, got {text[:200]!r}.") from None
    return any(not flag & TENTATIVE or flag & OPTIMISTIC for flag in flags)


def ipv6_off(device: str | None, proc: str = PROC) -> bool:
    """
    Say whether IPv6 is switched off on a device, or on all where none is named.

    What acts is the device's own setting: ``all`` only passes a write on to each,
    and a device may be switched on again after it.

    Source: Linux net/ipv6/addrconf.c, addrconf_disable_ipv6.
    """
    folder = f"{proc}/sys/net/ipv6/conf"
    if device is not None:
        return _is_off(folder, device)
    with contextlib.suppress(OSError):
        devices = [name for name in os.listdir(folder) if name not in ("all", "default")]
        return _is_off(folder, "all") or all(_is_off(folder, name) for name in devices)
    return True


def _is_off(folder: str, name: str) -> bool:
    """Say whether ``disable_ipv6`` of one device is set; without the file nothing is on."""
    try:
        return read_text(f"{folder}/{name}/disable_ipv6", FLAG_BYTES).strip() != "0"
    except OSError:
        return True
