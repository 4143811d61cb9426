"""
What came before a failure: a second instance that is read only when it is needed.

Rules of this file:

- its buffer is overwritten for ever: a host of many connects without such
  failures pays nothing for it outside of the kernel;
- it is an aid: what was overwritten before it was read is not known, and the
  failure is told without.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from operator import itemgetter

from portroom.trace.events import (
    IN_INTERRUPT,
    CallEnter,
    CallExit,
    SocketEnter,
    SocketExit,
    StateChange,
    TraceEvent,
)
from portroom.trace.ring import Ring

KEPT_NS = 10_000_000_000
KEPT_EVENTS = 8
"""
How long the last events of a thread are kept, and how many: a call may have begun, and its
socket been made, long before it ends.
"""

ADDRESS_BYTES = 128
"""Two addresses that begin nearer to each other than this lie in the same memory."""


class Recorder:
    """
    Remembers what threads did last, of what was read from a ring.

    Args:
        ring: The buffer of the second instance.
    """

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._of_thread: dict[int, list[TraceEvent]] = {}

    def look(self) -> None:
        """Read what was recorded up to now."""
        for event in self._ring.drain().events:
            self._of_thread.setdefault(event.tid, []).append(event)

    def forget(self, until_ns: int) -> None:
        """
        Keep what no call that ended up to *until_ns* needs any more.

        That is what threads did after it, and what they did last before it: how
        a call began that has not ended yet.
        """
        kept = {}
        for tid, events in self._of_thread.items():
            if events[-1].at_ns > until_ns - KEPT_NS:
                later = bisect_right(events, until_ns, key=itemgetter(0))
                kept[tid] = events[max(0, later - KEPT_EVENTS) :]
        self._of_thread = kept

    def begin_of(self, call: CallExit) -> CallEnter | None:
        """Return how a call began, None where that was overwritten."""
        for event in self._before(call):
            if isinstance(event, CallEnter):
                return event if event.operation == call.operation else None
        return None

    def clash_of(self, call: CallExit) -> StateChange | None:
        """Return the change of state, with a local port, that happened during a call."""
        for event in self._before(call):
            if isinstance(event, CallEnter):
                return None
            if isinstance(event, StateChange) and not event.flags & IN_INTERRUPT:
                return event
        return None

    def socket_of(self, call: CallEnter) -> SocketEnter | None:
        """Return how the socket of a call was made, None where its thread did not just do so."""
        made = False
        for event in self._before(call):
            if made:
                return event if isinstance(event, SocketEnter) else None
            made = isinstance(event, SocketExit) and event.descriptor == call.descriptor
        return None

    def has_reused_memory(self, call: CallEnter) -> bool:
        """Say whether the thread passed another address in the same memory since."""
        return any(
            isinstance(event, CallEnter) and abs(event.address - call.address) < ADDRESS_BYTES
            for event in self._after(call)
        )

    def has_reused_descriptor(self, call: CallEnter) -> bool:
        """Say whether the thread made another socket with the same descriptor since."""
        return any(
            isinstance(event, SocketExit) and event.descriptor == call.descriptor
            for event in self._after(call)
        )

    def _before(self, event: CallExit | CallEnter) -> Iterator[TraceEvent]:
        """Yield what a thread did before an event, the last first."""
        events = self._of_thread.get(event.tid, [])
        for index in range(bisect_left(events, event.at_ns, key=itemgetter(0)) - 1, -1, -1):
            yield events[index]

    def _after(self, event: CallEnter) -> Iterator[TraceEvent]:
        """Yield what a thread did after an event, in order."""
        events = self._of_thread.get(event.tid, [])
        for index in range(bisect_right(events, event.at_ns, key=itemgetter(0)), len(events)):
            yield events[index]
