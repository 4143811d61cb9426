"""Find the sockets behind a few keys: their inodes, to look for owners.

Groups have ports and no inodes, since a million inodes are of use to nobody.
For the keys that are shown the sockets are asked for once more.
"""

from __future__ import annotations

import errno
import struct
from collections import Counter
from collections.abc import Sequence

from portroom.kernel import bytecode, sock_diag
from portroom.kernel.collect import class_of, unmapped_key
from portroom.kernel.netlink import NETLINK_SOCK_DIAG, Netlink
from portroom.model.facts.ports import PortRange
from portroom.model.facts.sockets import MAPPED, Family, Protocol
from portroom.model.laws.occupancy import KeyId
from portroom.model.laws.overlap import overlaps

NUMBERS = {Protocol.TCP: 6, Protocol.UDP: 17}

Inodes = Counter[int]
"""Sockets by inode; 0 counts those that have none, such as TIME_WAIT."""

_INODE = struct.Struct("=I")


def read_holders(keys: Sequence[KeyId], scope: PortRange) -> list[Inodes]:
    """
    Read the inodes of the sockets that belong to each of *keys*.

    A protocol that sock_diag does not list is read from /proc/net.

    Args:
        keys: Connect keys take the sockets of their 4-tuples, the others
            those whose local address overlaps.
        scope: Local ports asked for, both ends included.

    Returns:
        One count for each key, in the same order.

    Raises:
        OSError: sock_diag is refused.
    """
    found = [Inodes() for _ in keys]
    for protocol in {key.protocol for key in keys}:
        matcher = _Matcher(protocol, keys, found)
        try:
            _dump(matcher, protocol, keys, scope)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            _read_texts(matcher, protocol, scope)
    return found


def _dump(matcher: _Matcher, protocol: Protocol, keys: Sequence[KeyId], scope: PortRange) -> None:
    """Let the matcher count what sock_diag lists of a protocol."""
    filter = bytecode.program([*bytecode.local_ports(scope), *_remote(keys)])
    for family in _families(keys):
        request = sock_diag.request(family, NUMBERS[protocol], sock_diag.ALL_STATES, filter=filter)
        with Netlink(NETLINK_SOCK_DIAG) as netlink:
            for datagram in netlink.dump(sock_diag.SOCK_DIAG_BY_FAMILY, request):
                matcher.feed(datagram)


def _read_texts(matcher: _Matcher, protocol: Protocol, scope: PortRange) -> None:
    """Let the matcher count what /proc/net lists of a protocol."""
    from portroom.kernel.proc_net import read_sockets  # costs start-up

    for line in read_sockets(protocol):
        if line.local_port in scope:
            matcher.count(line.family, line.key, line.inode)


def _families(keys: Sequence[KeyId]) -> tuple[Family, ...]:
    """Return the families to ask: IPv6 sockets may be v4-mapped."""
    if all(key.family is Family.IPV6 and key.remote_port for key in keys):
        return (Family.IPV6,)
    return (Family.IPV4, Family.IPV6)


def _remote(keys: Sequence[KeyId]) -> tuple[bytecode.Condition, ...]:
    """Return the test for the remote port, if all keys have the same one."""
    ports = {key.remote_port for key in keys}
    if len(ports) != 1 or 0 in ports:
        return ()
    (port,) = ports
    return bytecode.remote_ports(PortRange(port, port))


class _Matcher:
    """Count the rows of one protocol for the keys that they belong to."""

    def __init__(self, protocol: Protocol, keys: Sequence[KeyId], found: list[Inodes]) -> None:
        self._exact: dict[tuple[Family, bytes], Inodes] = {}
        self._local: list[tuple[KeyId, Inodes]] = []
        self._overlapping: dict[tuple[Family, bytes], list[Inodes]] = {}
        for key, inodes in zip(keys, found, strict=True):
            if key.protocol is protocol and key.remote_port:
                self._exact[key.family, key.group_key] = inodes
                for device in key.vrf.devices if key.vrf else ():
                    self._exact[key.family, key.group_key_on(device)] = inodes
            elif key.protocol is protocol:
                self._local.append((key, inodes))

    def feed(self, datagram: memoryview) -> None:
        """Count the rows of one datagram."""
        start = sock_diag.ADDRESSES
        for message in sock_diag.messages(datagram):
            family, _ = class_of(bytes(message[sock_diag.FAMILY : sock_diag.STATE + 1]))
            key = bytes(message[start : start + 38])
            if family is Family.IPV6 and key[2:14] == MAPPED:
                family, key = Family.IPV4, unmapped_key(key)
            (inode,) = _INODE.unpack_from(message, sock_diag.INODE)
            self.count(family, key, inode)

    def count(self, family: Family, key: bytes, inode: int) -> None:
        """Count one socket by its group key."""
        exact = self._exact.get((family, key))
        if exact is not None:
            exact[inode] += 1
        for inodes in self._overlap(family, key[2:18]) if self._local else ():
            inodes[inode] += 1

    def _overlap(self, family: Family, address: bytes) -> list[Inodes]:
        """Return the counts of the keys whose local address overlaps."""
        place = family, address
        if place not in self._overlapping:
            self._overlapping[place] = [
                inodes
                for key, inodes in self._local
                if overlaps(key.family, key.local_address, family, address, None) is not False
            ]
        return self._overlapping[place]
