"""
Who had a connection open, remembered after it ended.

The kernel forgets: a TIME_WAIT has no owner. But it keeps the number of the connection
that it was (its cookie), so an owner that was seen with it alive is known for sure.

Rules of this file:

- a connection is remembered as long as it is there, alive or in TIME_WAIT;
- memory is packed, 13 bytes a connection, and has a limit;
- a process is known by pid and start time together, and may have ended meanwhile.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from portroom.model.facts.ports import LAST_PORT
from portroom.model.facts.sockets import Owner

MOST_OWNERS = 1_000
"""Processes remembered of one namespace; more are remembered as one of those that are alike."""

NOBODY = 0
"""Number of no owner."""


class Sockets(NamedTuple):
    """Sockets of one key, as columns: local port, cookie, and inode (0 for ended ones)."""

    ports: array[int]
    cookies: array[int]
    inodes: array[int]


class Remembered(NamedTuple):
    """
    Connections of one key with a known owner, as columns.

    ``owners`` are numbers of ``People``; ``ended`` is 1 where it was in TIME_WAIT, or
    an orphan.
    """

    ports: array[int]
    cookies: array[int]
    owners: array[int]
    ended: bytearray


Lookup = Callable[[int], int | None]
"""The code of a local port: twice the owner's number, and one more where it had ended."""

TABLE_FROM = 1_500
"""Connections from which a table of all ports takes less memory than one entry for each."""


def lookup(known: Remembered) -> Lookup:
    r"""
    Return what tells the code of a local port: 0 or None for nobody.

    >>> ended = Remembered(array("H", [40_000]), array("Q", [7]), array("H", [3]), bytearray(b"\1"))
    >>> lookup(ended)(40_000), lookup(ended)(40_001)
    (7, None)
    """
    codes = (2 * owner + ended for owner, ended in zip(known.owners, known.ended, strict=True))
    if len(known.ports) < TABLE_FROM:
        return dict(zip(known.ports, codes, strict=True)).get
    table = array("H", bytes(2 * (LAST_PORT + 1)))
    for port, code in zip(known.ports, codes, strict=True):
        table[port] = code
    return table.__getitem__


def nobody(port: int) -> int | None:
    """Return the code of any port of which nothing is known."""
    del port
    return None


def nothing() -> Remembered:
    """Return the memory of a key of which nothing is known."""
    return Remembered(array("H"), array("Q"), array("H"), bytearray())


class People:
    """
    Processes by number, each once.

    Args:
        known: Those known already, by number.
    """

    def __init__(self, known: Mapping[int, Owner] | None = None) -> None:
        self._by_number = dict(known or {})
        self._numbers = {
            (owner.pid, owner.start_time): number for number, owner in self._by_number.items()
        }
        self._alike = {likeness(owner): number for number, owner in self._by_number.items()}
        self._free = sorted(set(range(1, MOST_OWNERS + 1)) - self._by_number.keys(), reverse=True)

    def number(self, owner: Owner) -> int:
        """Return the number of a process, NOBODY where there are too many."""
        identity = owner.pid, owner.start_time
        if identity not in self._numbers:
            if not self._free:
                return self._alike.get(likeness(owner), NOBODY)
            number = self._free.pop()
            self._numbers[identity] = number
            self._by_number[number] = msgspec.structs.replace(owner, sockets=0)
            self._alike[likeness(owner)] = number
        return self._numbers[identity]

    def only(self, numbers: Iterable[int]) -> People:
        """Return those of them that have one of these numbers."""
        kept = set(numbers)
        return People({number: one for number, one in self._by_number.items() if number in kept})

    def all(self) -> Mapping[int, Owner]:
        """Return all by number."""
        return self._by_number


def likeness(owner: Owner) -> tuple[object, ...]:
    """Return what processes of one program in one place have in common."""
    return owner.command, owner.uid, owner.unit, owner.container


def unowned_inodes(before: Remembered, sockets: Sockets) -> set[int]:
    """Return the inodes of connections whose owner is not remembered."""
    known = set(before.cookies)
    return {
        inode
        for cookie, inode in zip(sockets.cookies, sockets.inodes, strict=True)
        if inode and cookie not in known
    }


def remember(before: Remembered, sockets: Sockets, found: Mapping[int, int]) -> Remembered:
    """
    Return what is known of the connections that are there now.

    Args:
        before: What was known.
        sockets: Those that are there.
        found: Numbers of owners that were found just now, by inode.

    >>> alive = Sockets(array("H", [40_000]), array("Q", [7]), array("I", [99]))
    >>> ended = Sockets(array("H", [40_000]), array("Q", [7]), array("I", [0]))
    >>> another = Sockets(array("H", [40_000]), array("Q", [8]), array("I", [0]))
    >>> known = remember(nothing(), alive, {99: 1})
    >>> list(remember(known, ended, {}).owners), list(remember(known, another, {}).owners)
    ([1], [])
    """
    known = dict(zip(before.cookies, before.owners, strict=True))
    after = nothing()
    for port, cookie, inode in zip(*sockets, strict=True):
        owner = found.get(inode, NOBODY) or known.get(cookie, NOBODY)
        if owner and (cookie or inode):
            after.ports.append(port)
            after.cookies.append(cookie)
            after.owners.append(owner)
            after.ended.append(not inode)
    return after


def owner_of(owners: Sequence[Owner]) -> Owner:
    """Return the one of several that share a socket who had it first."""
    return min(owners, key=lambda owner: (owner.start_time, owner.pid))
