"""
Sockets of a few keys one by one: local port, cookie and inode of each.

The cookie is the kernel's own number of a connection: never given twice, and a
TIME_WAIT keeps that of the connection that it was. So what was seen alive, with an
inode that some process has open, is known again after it ended.

Source: Linux net/ipv4/inet_timewait_sock.c, inet_twsk_alloc; net/core/sock_diag.c,
sock_diag_save_cookie.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Sequence

from portroom.kernel import bytecode, sock_diag
from portroom.kernel.collect import same_headers
from portroom.kernel.netlink import NETLINK_SOCK_DIAG, Netlink
from portroom.model.facts.ports import PortRange
from portroom.model.facts.sockets import MAPPED, Family, Protocol, TcpState
from portroom.model.laws.occupancy import KeyId
from portroom.model.laws.owner_memory import Sockets

STATES = 0xFFF & ~(1 << TcpState.LISTEN | 1 << TcpState.SYN_RECV)
"""Connections that this side may have begun, ended ones included."""

ROW = "16xB3xH38sQ16xI"
"""Family, local port, addresses, cookie and inode of a message."""

_ONE = struct.Struct(">" + ROW)

Row = tuple[int, int, bytes, int, int]


def read_sockets(keys: Sequence[KeyId], scope: PortRange) -> list[Sockets]:
    """
    Read the sockets of some TCP connect keys; ended ones have the inode 0.

    Where sock_diag is missing they come from /proc/net, and have the cookie 0.

    Args:
        keys: The keys.
        scope: Local ports asked for, both ends included.

    Returns:
        Those of each key, in the same order.

    Raises:
        OSError: Neither can be read.
    """
    sorter = _Sorter(keys)
    try:
        request = sock_diag.legacy_request(STATES, filter=_filter(keys, scope))
        with Netlink(NETLINK_SOCK_DIAG) as netlink:
            for datagram in netlink.dump(sock_diag.TCPDIAG_GETSOCK, request):
                sorter.add(_rows(datagram))
    except OSError:
        sorter = _Sorter(keys)
        _add_texts(sorter, scope)
    return sorter.found()


def _filter(keys: Sequence[KeyId], scope: PortRange) -> bytes:
    """Return the program for sockets of the keys, as narrow as one conjunction can be."""
    conditions = list(bytecode.local_ports(scope))
    ports = [key.remote_port for key in keys]
    conditions += bytecode.remote_ports(PortRange(min(ports), max(ports)))
    if len({(key.family, key.remote_address) for key in keys}) == 1:
        bits = 32 if keys[0].family is Family.IPV4 else 128
        conditions.append(bytecode.remote_address(keys[0].family, keys[0].remote_address, bits))
    return bytecode.program(conditions)


def _rows(datagram: memoryview) -> Iterable[Row]:
    """Return the rows of a datagram, at once where all are equally long."""
    data = bytes(datagram)
    stride = data[0] | data[1] << 8
    count, rest = divmod(len(data), max(stride, 1))
    if rest or stride < sock_diag.ATTRIBUTES or not same_headers(data, stride, count):
        return (_ONE.unpack_from(message) for message in sock_diag.messages(datagram))
    return struct.iter_unpack(f">{ROW}{stride - sock_diag.ATTRIBUTES}x", data)


def _add_texts(sorter: _Sorter, scope: PortRange) -> None:
    """Add what /proc/net lists."""
    from portroom.kernel.proc_net import read_sockets as read_texts  # costs start-up

    sorter.add(
        (line.family, line.local_port, line.key, 0, swapped(line.inode))
        for line in read_texts(Protocol.TCP)
        if line.local_port in scope and line.state is not TcpState.LISTEN
    )


def swapped(inode: int) -> int:
    """Return an inode as ``ROW`` has it."""
    return int.from_bytes(inode.to_bytes(4, sys.byteorder), "big")


class _Sorter:
    """Sort rows by the keys that they belong to."""

    def __init__(self, keys: Sequence[KeyId]) -> None:
        self._found = [(array("H"), array("Q"), array("I")) for _ in keys]
        self._places: dict[int, dict[bytes, int]] = {Family.IPV4: {}, Family.IPV6: {}}
        for place, key in enumerate(keys):
            devices = (0,) if key.vrf is None else (key.vrf.index, *key.vrf.devices)
            for device in devices:
                group = key.group_key_on(device)
                self._places[key.family][group] = place
                if key.family is Family.IPV4:
                    self._places[Family.IPV6][_mapped(group)] = place

    def add(self, rows: Iterable[Row]) -> None:
        """Add each row that belongs to a key."""
        places, found = self._places, self._found
        for family, port, group, cookie, inode in rows:
            place = places[family].get(group)
            if place is not None:
                ports, cookies, inodes = found[place]
                ports.append(port)
                cookies.append(cookie)
                inodes.append(inode)

    def found(self) -> list[Sockets]:
        """Return the sockets of each key."""
        for _, _, inodes in self._found:
            if sys.byteorder == "little":
                inodes.byteswap()
        return [Sockets(*columns) for columns in self._found]


def _mapped(group: bytes) -> bytes:
    """Return an IPv4 group key as v4-mapped IPv6 sockets have it."""
    return group[:2] + MAPPED + group[2:6] + MAPPED + group[18:22] + group[34:38]
