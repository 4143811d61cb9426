"""Which keys there are, and which of them are the tightest.

A host may have tens of thousands of destinations, and few are shown. So keys
are counted first, and the exact rule runs only for those that can be among
the tightest: a key cannot hold more than what is blocked for all plus its own
sockets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from heapq import heapify, heappop

import msgspec

from portroom.model.facts.snapshot import Features, Groups, Settings, Vrf
from portroom.model.facts.sockets import Family, Kind, Operation, Protocol
from portroom.model.laws.buckets import Buckets
from portroom.model.laws.occupancy import (
    Figures,
    KeyId,
    LocalOwner,
    connect_figures,
    own_sockets,
)
from portroom.model.laws.spaces import UNBOUND_DEVICE, Devices

LISTENING = (Kind.LISTENER, Kind.BOUND)

Counts = dict[Family, Counter[bytes]]
"""Sockets by group key, for each family; for a device stands its VRF, or nothing."""


class Measured(msgspec.Struct, frozen=True):
    """One key with its numbers and its sockets by state."""

    id: KeyId
    figures: Figures
    states: dict[str, int]


def count_keys(groups: Groups, wanted: Callable[[Family, bytes], bool] | None = None) -> Counts:
    """
    Count the sockets of each TCP connect key.

    Args:
        groups: The sockets.
        wanted: Whether to count the group with this family and key; None for all.
    """
    counts: Counts = {Family.IPV4: Counter(), Family.IPV6: Counter()}
    devices = Devices(groups)
    for table in groups.tables:
        if table.protocol is Protocol.TCP and table.kind not in LISTENING:
            sockets = {
                key: len(ports)
                for key, ports in table.ports.items()
                if wanted is None or wanted(table.family, key)
            }
            for key in [key for key in sockets if key[34:] != UNBOUND_DEVICE]:
                bound = sockets.pop(key)
                asked = _asked(key, devices)
                sockets[asked] = sockets.get(asked, 0) + bound
            counts[table.family].update(sockets)
    return counts


def _asked(key: bytes, devices: Devices) -> bytes:
    """Return a group key as it is for sockets bound to its VRF, else to no device."""
    vrf = devices.vrf(key[34:38])
    return key[:34] + (UNBOUND_DEVICE if vrf is None else vrf.index.to_bytes(4, "little"))


def by_vrf(counts: Counts, groups: Groups) -> list[tuple[Vrf | None, Counts]]:
    """Return the counts of keys in no VRF, and then those of each VRF that has any, by index."""
    if not groups.vrfs:
        return [(None, counts)]
    devices = Devices(groups)
    parts: dict[Vrf | None, Counts] = {None: {family: Counter() for family in counts}}
    for family, count in counts.items():
        for key, sockets in count.items():
            part = parts.setdefault(
                devices.vrf(key[34:38]), {family: Counter() for family in counts}
            )
            part[family][key] = sockets
    # Not as the dumps happen to come: what is equally tight would change places.
    return sorted(parts.items(), key=lambda part: part[0].index if part[0] else 0)


def connect_key(family: Family, group_key: bytes, vrf: Vrf | None = None) -> KeyId:
    """Return the TCP connect key of a group; *vrf* is that of its device."""
    return KeyId(
        Protocol.TCP,
        Operation.CONNECT,
        family,
        group_key[2:18],
        group_key[18:34],
        int.from_bytes(group_key[:2], "big"),
        vrf,
    )


def tightest(
    counts: Counts,
    groups: Groups,
    buckets: Buckets,
    settings: Settings,
    features: Features,
    limit: int,
    vrf: Vrf | None = None,
) -> list[Measured]:
    """
    Return the keys that hold most ports, the tightest first.

    Args:
        counts: Sockets by key, from ``count_keys``.
        groups: The sockets.
        buckets: What is blocked or in doubt for all keys.
        settings: Range and TIME_WAIT reuse.
        features: What this kernel can do.
        limit: How many keys, 0 for all.
        vrf: Where all these keys are, None for no VRF.
    """
    found: list[tuple[Measured, int]] = []
    worst = -1
    for sockets, family, group_key in _most_first(counts, limit):
        if limit and len(found) >= limit and worst >= buckets.blocked_ports + sockets:
            break
        key = connect_key(family, group_key, vrf)
        measured = measure(key, groups, buckets, settings, features)
        found.append((measured, sockets))
        if limit and len(found) >= limit:
            found.sort(key=_tightness)
            del found[limit:]
            worst = found[-1][0].figures.held_ports
    found.sort(key=_tightness)
    return [measured for measured, _ in found]


def measure(
    key: KeyId,
    groups: Groups,
    buckets: Buckets,
    settings: Settings,
    features: Features,
) -> Measured:
    """Return the numbers of one TCP connect key."""
    own = own_sockets(key, groups, settings, features)
    return Measured(key, connect_figures(own, buckets, settings), own.states)


def _tightness(entry: tuple[Measured, int]) -> tuple[int, int, Family, bytes]:
    """Return what keys are sorted by: held ports, then sockets, then addresses."""
    measured, sockets = entry
    key = measured.id
    return -measured.figures.held_ports, -sockets, key.family, key.group_key


def _most_first(counts: Counts, limit: int) -> Iterable[tuple[int, Family, bytes]]:
    """Yield sockets, family and group key, most sockets first, then by address."""
    sizes: Counter[int] = Counter()
    for count in counts.values():
        sizes.update(count.values())
    by_size: dict[int, list[tuple[Family, bytes]]] = {}
    floor = _enough(sizes, limit)
    for family, count in counts.items():
        for key, sockets in count.items():
            if sockets >= floor:
                by_size.setdefault(sockets, []).append((family, key))
    for sockets in sorted(by_size, reverse=True):
        keys = by_size[sockets]
        heapify(keys)  # few of them are taken, of perhaps tens of thousands
        while keys:
            yield sockets, *heappop(keys)
    rest = [
        (-sockets, family, key)
        for family, count in counts.items()
        for key, sockets in count.items()
        if sockets < floor
    ]
    for sockets, family, key in sorted(rest):
        yield -sockets, family, key


def _enough(sizes: Counter[int], limit: int) -> int:
    """Return the size that at least *limit* keys reach, 0 for all keys."""
    reached = 0
    for size in sorted(sizes, reverse=True):
        reached += sizes[size]
        if limit and reached >= limit:
            return size
    return 0


def remoteless_keys(
    protocol: Protocol,
    operation: Operation,
    owners: Iterable[LocalOwner],
    vrf: Vrf | None = None,
) -> list[KeyId]:
    """Return the keys without a remote: each wildcard in use, each local address."""
    return list(
        dict.fromkeys(
            KeyId(protocol, operation, owner.family, address, vrf=vrf)
            for owner in owners
            for address in (bytes(16), owner.address)
        )
    )
