"""
What came before a failure: a second instance that is read only when it is needed.

Rules of this file:

- its buffer is overwritten for ever: a host of many connects without such
  failures pays nothing for it outside of the kernel;
- it is an aid: what was overwritten before it was read is not known, and the
  failure is told without.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator
from operator import itemgetter

from portroom.trace.events import IN_INTERRUPT, CallEnter, CallExit, StateChange, TraceEvent
from portroom.trace.ring import Ring

KEPT_NS = 10_000_000_000
"""How long the last events of a thread are kept: a call may have begun long before it ends."""


class Recorder:
    """Remembers what threads did last, of what was read from a ring."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._of_thread: dict[int, list[TraceEvent]] = {}

    def look(self) -> None:
        """Read what was recorded up to now."""
        self._forget(time.monotonic_ns())
        for event in self._ring.drain().events:
            self._of_thread.setdefault(event.tid, []).append(event)

    def begin_of(self, call: CallExit) -> CallEnter | None:
        """Return how a call began, None where that was overwritten."""
        for event in self._backwards(call):
            if isinstance(event, CallEnter):
                return event if event.operation == call.operation else None
        return None

    def clash_of(self, call: CallExit) -> StateChange | None:
        """Return the change of state, with a local port, that happened during a call."""
        for event in self._backwards(call):
            if isinstance(event, CallEnter):
                return None
            if isinstance(event, StateChange) and not event.flags & IN_INTERRUPT:
                return event
        return None

    def _backwards(self, call: CallExit) -> Iterator[TraceEvent]:
        """Yield what a thread did before the end of a call, the last first."""
        events = self._of_thread.get(call.tid, [])
        for index in range(bisect_left(events, call.at_ns, key=itemgetter(0)) - 1, -1, -1):
            yield events[index]

    def _forget(self, now_ns: int) -> None:
        """Keep only the last two events of each thread: how its present call began."""
        self._of_thread = {
            tid: events[-2:]
            for tid, events in self._of_thread.items()
            if now_ns - events[-1].at_ns < KEPT_NS
        }
