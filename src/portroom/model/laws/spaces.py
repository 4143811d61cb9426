"""Whose ports are whose: where VRFs are used, each may have a space of ports for itself.

With ``tcp_l3mdev_accept`` 0 the kernel keeps the bucket of a TCP port once for each
VRF and once for all that is in none. A socket is in a VRF if it is bound to the VRF's
own device, or to one that is enslaved to it; a bridge or a VLAN on top of an enslaved
device is not. With 1, and for UDP always, there is one space for all.

It counts which space a socket was in when it got its port: sockets that are older than
a change of the setting, or than the enslaving of their device, are told wrong.

Source: Linux include/net/inet_sock.h, inet_sk_bound_l3mdev; net/l3mdev/l3mdev.c,
l3mdev_master_ifindex_rcu; tests/kernels/guest/test_vrf.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from portroom.model.facts.snapshot import Groups, GroupTable, Settings, Vrf
from portroom.model.facts.sockets import Protocol

UNBOUND_DEVICE = bytes(4)
"""The device of a group key whose sockets are bound to none."""

ACCEPT = "net.ipv4.tcp_l3mdev_accept"


def are_apart(settings: Settings) -> bool:
    """Say whether a VRF has TCP ports of its own; without the setting there is none."""
    return settings.number(ACCEPT, 1) == 0


class Devices:
    """
    Which VRF a socket is in, by the device that it is bound to.

    Args:
        groups: With what is known of VRFs.
    """

    def __init__(self, groups: Groups) -> None:
        self._known = groups.vrfs is not None
        self._unbound_in = 0 if groups.devices_seen or not groups.vrfs else None
        self._vrfs = {
            index.to_bytes(4, "little"): vrf
            for vrf in groups.vrfs or ()
            for index in (vrf.index, *vrf.devices)
        }

    def vrf(self, device: bytes) -> Vrf | None:
        """Return the VRF of a device, as in a group key; None where it is in none that is known."""
        return self._vrfs.get(device)

    def index(self, device: bytes) -> int | None:
        """Return the index of the VRF of a device, 0 for no VRF, None where that is not known."""
        if device == UNBOUND_DEVICE:
            return self._unbound_in
        vrf = self._vrfs.get(device)
        if vrf is not None:
            return vrf.index
        return 0 if self._known else None


def in_space(
    groups: Groups, settings: Settings, vrf: Vrf | None = None
) -> tuple[Groups, frozenset[int]]:
    """
    Return the TCP sockets that share their ports with a new one, and ports in doubt.

    Args:
        groups: All sockets of a namespace.
        settings: Whether VRFs are apart.
        vrf: Where the new socket would be, None for no VRF.

    Returns:
        The groups that are surely in its space, and the ports of those of which it is
        not known.
    """
    if groups.vrfs == () or not are_apart(settings):
        return groups, frozenset()
    devices = Devices(groups)
    wanted = 0 if vrf is None else vrf.index
    doubtful: set[int] = set()
    tables = tuple(
        _table_in(table, devices, wanted, doubtful) if table.protocol is Protocol.TCP else table
        for table in groups.tables
    )
    # What folds is bound to no device, see kernel/collect.py.
    place = devices.index(UNBOUND_DEVICE)
    inbound = groups.inbound if place == wanted else ()
    if place is None:
        doubtful.update(one.local_port for one in groups.inbound)
    return msgspec.structs.replace(groups, tables=tables, inbound=inbound), frozenset(doubtful)


def _table_in(table: GroupTable, devices: Devices, wanted: int, doubtful: set[int]) -> GroupTable:
    """Return the groups of a table that are in one space; add ports that may be to *doubtful*."""
    ports: dict[bytes, Sequence[int]] = {}
    for key, found in table.ports.items():
        place = devices.index(key[34:38])
        if place == wanted:
            ports[key] = found
        elif place is None:
            doubtful.update(found)
    times: Mapping[bytes, Sequence[int]] = {
        key: times for key, times in table.remaining_ms.items() if key in ports
    }
    return msgspec.structs.replace(table, ports=ports, remaining_ms=times)


def in_the_way(vrf: Vrf | None, device: int, place: int | None, *, apart: bool) -> bool | None:
    """
    Say whether a socket on some device is in the way of one that asks for any port.

    Args:
        vrf: To which the new socket is bound, None for one that is bound to no device.
        device: Index of the device that the owner is bound to, 0 for none.
        place: Index of the owner's VRF, 0 for none, None where that is not known.
        apart: Whether VRFs have ports of their own.

    Returns:
        True, False, or None where it is not known, or so only for a new socket on
        that device of the VRF.
    """
    if vrf is None:
        return True if not apart else None if place is None else place == 0
    if device == 0:
        return not apart
    if device == vrf.index:
        return True
    return None if device in vrf.devices else False


def both(one: bool | None, other: bool | None) -> bool | None:
    """
    Return "and" of two answers that may be "not known".

    >>> both(True, None), both(None, False), both(True, True)
    (None, False, True)
    """
    if one is False or other is False:
        return False
    return None if one is None or other is None else True
