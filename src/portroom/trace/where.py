"""
Where who failed was: the network namespace of a thread.

Rules of this file:

- the inode of a namespace that ended is given to the next one at once, its cookie
  never: both together tell one;
- a cookie is told inside of its namespace alone: entering costs more than all else
  that is read of a thread, so it is kept for a moment.
"""

from __future__ import annotations

import time
from collections.abc import Hashable
from pathlib import Path
from typing import NamedTuple, TypeVar

from portroom.errors import PortroomError
from portroom.kernel.files import PROC
from portroom.kernel.namespaces import NetnsRef, inside, read_cookie
from portroom.kernel.netns_names import describe
from portroom.model.facts.snapshot import NetnsId

COOKIE_FRESH_NS = 250_000_000
"""How long a cookie holds for the threads of a process in a namespace of one inode: to get
another one of the same inode, a thread has to leave it, let it end, and enter anew."""

NAME_FRESH_NS = 5_000_000_000
"""How long the name of a network namespace holds."""

MOST_KEPT = 512

Name = TypeVar("Name", bound=Hashable)
Value = TypeVar("Value")

Kept = dict[Name, tuple[Value, int]]
"""Values, and when each was read."""


class Place(NamedTuple):
    """A network namespace; None is what could not be read."""

    inode: int | None = None
    cookie: int | None = None
    name: str | None = None


NOWHERE = Place()


class Where:
    """
    Finds the namespaces of threads, and remembers them for a moment.

    Args:
        proc: Where procfs is mounted.
    """

    def __init__(self, proc: str = PROC) -> None:
        self._proc = proc
        self._cookies: Kept[tuple[int, int, int], int | None] = {}
        self._names: Kept[tuple[int, int | None], str] = {}

    def find(self, tid: int, pid: int, start_time: int) -> Place:
        """
        Return where a thread is.

        Args:
            tid: The thread.
            pid: Its process.
            start_time: Of the process, which tells it from a later one.
        """
        inode = self._read_inode(tid)
        if inode is None:
            return NOWHERE
        cookie = self._cookie(tid, (pid, start_time, inode))
        return Place(inode, cookie, self._name(inode, cookie, pid))

    def _read_inode(self, tid: int) -> int | None:
        """Return the inode of a thread's namespace, None where it may not be read."""
        try:
            return Path(self._proc, str(tid), "ns/net").stat().st_ino
        except OSError:
            return None

    def _cookie(self, tid: int, whose: tuple[int, int, int]) -> int | None:
        """Return the cookie of a thread's namespace, None where there is none."""
        known = _fresh(self._cookies, whose, COOKIE_FRESH_NS)
        if known is not None:
            return known[0]
        inode = whose[-1]
        ref = NetnsRef(NetnsId("", None, inode, "process"), f"{self._proc}/{tid}/ns/net")
        try:
            cookie = inside(ref, read_cookie)
        except (PortroomError, OSError):
            return None
        _keep(self._cookies, whose, cookie)
        return cookie

    def _name(self, inode: int, cookie: int | None, pid: int) -> str:
        """Return the name of a namespace, in which the process *pid* is."""
        known = _fresh(self._names, (inode, cookie), NAME_FRESH_NS)
        if known is not None:
            return known[0]
        name = describe(inode, pid, self._proc).name
        _keep(self._names, (inode, cookie), name)
        return name


def _fresh(kept: Kept[Name, Value], name: Name, fresh_ns: int) -> tuple[Value, int] | None:
    """Return a value that was read less than *fresh_ns* ago."""
    known = kept.get(name)
    return known if known and time.monotonic_ns() - known[1] <= fresh_ns else None


def _keep(kept: Kept[Name, Value], name: Name, value: Value) -> None:
    """Keep a value as the latest, and no more than MOST_KEPT."""
    kept.pop(name, None)
    while len(kept) >= MOST_KEPT:
        del kept[next(iter(kept))]
    kept[name] = value, time.monotonic_ns()
