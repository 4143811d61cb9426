"""Who holds how many sockets: owners by socket, added up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from portroom.model.facts.gaps import Gap
from portroom.model.facts.snapshot import Owners
from portroom.model.facts.sockets import Owner

UNREADABLE = (
    "processes of other users could not be read: that needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"
)


def unread(owners: Owners | Gap, *affects: str) -> Gap | None:
    """
    Return why the owner of some socket is not known, None where all could be looked at.

    >>> unread(Owners()), unread(Owners(complete=False), "findings").affects
    (None, ('findings',))
    """
    if isinstance(owners, Gap):
        return owners
    return None if owners.complete else Gap("owners", UNREADABLE, affects)


def owners_of(
    by_inode: Mapping[int, tuple[Owner, ...]], sockets: Iterable[tuple[int, int]]
) -> tuple[Owner, ...]:
    """
    Return the owners of some sockets with the number that each has open.

    A socket that several processes share counts for each of them, so the
    numbers may add up to more than the sockets. One without an owner counts
    for nobody.

    Args:
        by_inode: Owners of each socket, by its inode.
        sockets: Pairs of an inode and how many sockets stand behind it.

    Returns:
        Each process once, the one with the most sockets first, then by pid.

    >>> web = Owner(7, 100, "web", 0, None, None)
    >>> [owner.sockets for owner in owners_of({1: (web,), 2: (web,)}, [(1, 1), (2, 1)])]
    [2]
    """
    counted: dict[tuple[int, int], tuple[Owner, int]] = {}
    for inode, count in sockets:
        for owner in by_inode.get(inode, ()):
            # A pid alone may be two processes, one after the other.
            identity = owner.pid, owner.start_time
            _, before = counted.get(identity, (owner, 0))
            counted[identity] = owner, before + count
    ranked = sorted(counted.values(), key=lambda pair: (-pair[1], pair[0].pid, pair[0].start_time))
    return tuple(msgspec.structs.replace(owner, sockets=count) for owner, count in ranked)


def unowned(by_inode: Mapping[int, tuple[Owner, ...]], sockets: Iterable[tuple[int, int]]) -> int:
    """
    Return how many of some sockets have no known owner.

    >>> unowned({}, [(0, 3), (8, 1)])
    4
    """
    return sum(count for inode, count in sockets if not by_inode.get(inode))
