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

from portroom.model.facts.snapshot import Features, Groups, Settings
from portroom.model.facts.sockets import Family, Kind, Operation, Protocol
from portroom.model.laws.buckets import Buckets
from portroom.model.laws.occupancy import (
    UNBOUND_DEVICE,
    Figures,
    KeyId,
    LocalOwner,
    connect_figures,
    own_sockets,
)

LISTENING = (Kind.LISTENER, Kind.BOUND)

Counts = dict[Family, Counter[bytes]]
"""Sockets by group key without its device, for each family."""


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
    for table in groups.tables:
        if table.protocol is Protocol.TCP and table.kind not in LISTENING:
            sockets = {
                key: len(ports)
                for key, ports in table.ports.items()
                if wanted is None or wanted(table.family, key)
            }
            for key in [key for key in sockets if key[34:] != UNBOUND_DEVICE]:
                bound = sockets.pop(key)
                sockets[_unbound(key)] = sockets.get(_unbound(key), 0) + bound
            counts[table.family].update(sockets)
    return counts


def _unbound(key: bytes) -> bytes:
    """Return a group key as it is for sockets bound to no device."""
    return key[:34] + UNBOUND_DEVICE


def connect_key(family: Family, group_key: bytes) -> KeyId:
    """Return the TCP connect key of a group."""
    return KeyId(
        Protocol.TCP,
        Operation.CONNECT,
        family,
        group_key[2:18],
        group_key[18:34],
        int.from_bytes(group_key[:2], "big"),
    )


def tightest(
    counts: Counts,
    groups: Groups,
    buckets: Buckets,
    settings: Settings,
    features: Features,
    limit: int,
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
    """
    found: list[tuple[Measured, int]] = []
    worst = -1
    for sockets, family, group_key in _most_first(counts, limit):
        if limit and len(found) >= limit and worst >= buckets.blocked_ports + sockets:
            break
        key = connect_key(family, group_key)
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
    protocol: Protocol, operation: Operation, owners: tuple[LocalOwner, ...]
) -> list[KeyId]:
    """Return the keys without a remote: each wildcard in use, each local address."""
    return list(
        dict.fromkeys(
            KeyId(protocol, operation, owner.family, address)
            for owner in owners
            for address in (bytes(16), owner.address)
        )
    )
