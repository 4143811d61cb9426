"""
What who failed called itself when it failed: a third instance, of names alone.

A shell that fails may be another program a moment later, by exec(), and a process
may rename itself. The kernel tells of both, with the name before and after.

Rules of this file:

- its buffer is small and overwritten for ever: only when something failed is it read;
- it is an aid: what was overwritten is not known, and the name is the one that the
  process has now.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from operator import itemgetter

import msgspec

from portroom.model.facts.failure import FailedProcess
from portroom.trace.events import Renamed
from portroom.trace.ring import Ring

KEPT_NS = 10_000_000_000
"""How long a change is remembered: a failure is told sooner, unless much is behind."""

_time = itemgetter(0)
"""When it happened, which is the first thing that an event tells."""


class Renames:
    """
    Remembers what threads called themselves.

    Args:
        ring: The buffer of the instance; None where there is none.
    """

    def __init__(self, ring: Ring | None) -> None:
        self._ring = ring
        # By thread, in order of time.
        self._renamed: dict[int, list[Renamed]] = {}

    def look(self, now_ns: int) -> None:
        """Read what was recorded up to now, and forget what is long ago."""
        if self._ring is None:
            return
        old_ns = now_ns - KEPT_NS
        for tid in [tid for tid, found in self._renamed.items() if found[-1].at_ns < old_ns]:
            del self._renamed[tid]
        for event in self._ring.drain().events:
            if isinstance(event, Renamed) and event.at_ns >= old_ns:
                # In order, though a thread may have moved to another processor.
                insort(self._renamed.setdefault(event.tid, []), event, key=_time)

    def as_named(self, process: FailedProcess, at_ns: int, read_at_ns: int) -> FailedProcess:
        """
        Return a process as it called itself at *at_ns*.

        Args:
            process: As it was read.
            at_ns: When it failed, on the monotonic clock.
            read_at_ns: When it began to be read.
        """
        found = self._renamed.get(process.tid if process.pid is None else process.pid)
        if found is None:
            return process
        place = bisect_right(found, at_ns, key=_time)
        if place < len(found):
            return msgspec.structs.replace(process, command=found[place].before)
        # What was read is older than the failure, and the name is not.
        if found[-1].at_ns > read_at_ns:
            return msgspec.structs.replace(process, command=found[-1].after)
        return process
