"""
What came before a failure: a second instance that is read only when it is needed.

Rules of this file:

- its buffer is overwritten for ever: a host of many connects without such
  failures pays nothing for it outside of the kernel;
- it is an aid: what was overwritten before it was read is not known, and the
  failure is told without;
- a question costs the same however much happened: a program that fails all the
  time may not hold up the watch.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from operator import itemgetter
from typing import NamedTuple, TypeVar

from portroom.trace.events import (
    IN_INTERRUPT,
    Born,
    CallEnter,
    CallExit,
    SocketEnter,
    SocketExit,
    StateChange,
    TraceEvent,
)
from portroom.trace.perf_stacks import Span, Stacks
from portroom.trace.ring import Ring

KEPT_NS = 10_000_000_000
"""How long is kept what a thread did last: a call may begin, or a socket be made, long before."""

KEPT_EVENTS = 2
"""How a call began, and the change of state in it."""

NEVER_NS = 1 << 64

BLOCK_BITS = 7
"""Memory is told apart by blocks of 128 bytes, struct sockaddr_storage."""

_Key = TypeVar("_Key")
_Timed = TypeVar("_Timed", bound="CallEnter | StateChange | _Made")

_time = itemgetter(0)
"""When an event happened, which is the first thing that each tells."""


class _Made(NamedTuple):
    """A socket that was made: when, and how."""

    at_ns: int
    socket: SocketEnter


class Recorder:
    """
    Remembers what threads did last, of what was read from a ring.

    Args:
        ring: The buffer of the second instance.
        stacks: Those of calls that failed; None where the kernel copies none.
    """

    def __init__(self, ring: Ring, stacks: Stacks | None = None) -> None:
        self._ring = ring
        self._stacks = stacks
        # What came while it was read: the next look has what was before it.
        self._early: list[TraceEvent] = []
        # By thread, in order of time: calls and changes of state.
        self._done: dict[int, list[CallEnter | StateChange]] = {}
        # By thread: the socket that is being made.
        self._making: dict[int, SocketEnter] = {}
        # By thread and descriptor, in order of time.
        self._made: dict[tuple[int, int], list[_Made]] = {}
        # By thread and block of memory: when it last held an address.
        self._used_at_ns: dict[tuple[int, int], int] = {}
        self._born: dict[int, Born] = {}

    def look(self) -> None:
        """Read what was recorded up to now."""
        drained = self._ring.drain()
        events = sorted([*self._early, *drained.events], key=_time)
        # A thread may have moved to a processor that was read later than the one before.
        ready = bisect_right(events, drained.complete_ns, key=_time)
        self._early = events[ready:]
        for event in events[:ready]:
            self._note(event)

    def look_at_stacks(self) -> None:
        """Read the stacks that were copied up to now: apart, since each is a whole stack."""
        if self._stacks is not None:
            self._stacks.look()

    def forget(self, until_ns: int) -> None:
        """
        Keep what no call that ended up to *until_ns* needs any more.

        That is what threads did after it, and what they did last before it: how
        a call began that has not ended yet.
        """
        old_ns = until_ns - KEPT_NS
        self._done = _newest(self._done, until_ns, KEPT_EVENTS)
        self._made = _newest(self._made, until_ns, 1)
        self._born = {tid: one for tid, one in self._born.items() if one.at_ns > old_ns}
        self._making = {tid: one for tid, one in self._making.items() if one.at_ns > old_ns}
        self._used_at_ns = {
            block: at_ns for block, at_ns in self._used_at_ns.items() if at_ns > old_ns
        }
        if self._stacks is not None:
            self._stacks.forget(until_ns)

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
            if not event.flags & IN_INTERRUPT:
                return event
        return None

    def socket_of(self, call: CallEnter) -> SocketEnter | None:
        """Return how the socket of a call was made, None where its thread did not just do so."""
        made = self._made.get((call.tid, call.descriptor), [])
        place = bisect_left(made, call.at_ns, key=_time)
        return made[place - 1].socket if place else None

    def address_of(self, call: CallExit, begin: CallEnter) -> bytes | None:
        """Return the address that the kernel copied when a call failed, None where it did not."""
        if self._stacks is None:
            return None
        done = self._done.get(call.tid, [])
        later = done[bisect_right(done, call.at_ns, key=_time) :][:1]
        return self._stacks.address_of(call, Span(begin, later[0].at_ns if later else NEVER_NS))

    def has_reused_memory(self, call: CallEnter) -> bool:
        """Say whether the thread passed another address in the same memory since."""
        block = call.address >> BLOCK_BITS
        return any(
            self._used_at_ns.get((call.tid, near), 0) > call.at_ns
            for near in (block - 1, block, block + 1)
        )

    def has_reused_descriptor(self, call: CallEnter) -> bool:
        """Say whether the thread made another socket with the same descriptor since."""
        made = self._made.get((call.tid, call.descriptor))
        return made is not None and made[-1].at_ns > call.at_ns

    def birth_of(self, tid: int, before_ns: int) -> Born | None:
        """Return how a thread came to be, None where that was long ago or overwritten."""
        born = self._born.get(tid)
        return born if born is not None and born.at_ns < before_ns else None

    def _note(self, event: TraceEvent) -> None:
        """Remember one event."""
        match event:
            case CallEnter():
                self._done.setdefault(event.tid, []).append(event)
                self._used_at_ns[event.tid, event.address >> BLOCK_BITS] = event.at_ns
            case StateChange():
                self._done.setdefault(event.tid, []).append(event)
            case Born():
                self._born[event.child] = event
            case SocketEnter():
                self._making[event.tid] = event
            case SocketExit() if event.tid in self._making:
                made = _Made(event.at_ns, self._making.pop(event.tid))
                self._made.setdefault((event.tid, event.descriptor), []).append(made)

    def _before(self, call: CallExit) -> Iterator[CallEnter | StateChange]:
        """Yield what a thread did before the end of a call, the last first."""
        done = self._done.get(call.tid, [])
        for place in range(bisect_left(done, call.at_ns, key=_time) - 1, -1, -1):
            yield done[place]


def _newest(kept: dict[_Key, list[_Timed]], until_ns: int, before: int) -> dict[_Key, list[_Timed]]:
    """Return what is later than a time, and as many as *before* of what is not but recent."""
    newest = {}
    for key, events in kept.items():
        if events[-1].at_ns > until_ns - KEPT_NS:
            later = bisect_right(events, until_ns, key=_time)
            newest[key] = events[max(0, later - before) :]
    return newest
