"""
Which change of state belongs to which call: a failed connect gives two events.

Rules of this file:

- pure: events in, pairs out; time comes with the events;
- a thread does one thing at a time: its change of state comes before the end of
  its call, and nothing of it in between;
- a change of state whose call does not end in time stands alone: io_uring and
  sendto() connect without the call that is watched, and so do programs of
  another word length. Its call may still end later, and is then not told again.
"""

from __future__ import annotations

import errno
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from portroom.trace.events import CallExit, StateChange, TraceEvent
from portroom.trace.raw import CONNECT

PATIENCE_NS = 500_000_000
"""
How long a change of state waits for the end of its call.

The rest of the call takes microseconds. A thread may lose its processor in
between: for 0.1 s where a cgroup limits it, and more where it must wait its turn.
"""

MEMORY_NS = 10_000_000_000
"""How long one that stood alone is remembered, in case its call still ends."""


class Pair(NamedTuple):
    """
    A failure: the end of the call, the change of state, or both.

    ``alone`` is a change of state of the same thread that was told before, when
    the call had not ended: it belongs to this call if the call began before it.
    """

    call: CallExit | None
    state: StateChange | None
    alone: StateChange | None = None

    @property
    def event(self) -> StateChange | CallExit:
        """Return the event that says when it failed: that of the search, if there is one."""
        event = self.state or self.call
        assert event is not None
        return event

    @property
    def at_ns(self) -> int:
        """Return when it failed."""
        return self.event.at_ns

    @property
    def tid(self) -> int:
        """Return the thread."""
        return self.event.tid


class Pairing:
    """
    Pairs events as they come.

    Args:
        patience_ns: How long a change of state waits for the end of its call.
    """

    def __init__(self, patience_ns: int = PATIENCE_NS) -> None:
        self._patience_ns = patience_ns
        self._early: list[TraceEvent] = []
        self._waiting: dict[int, StateChange] = {}
        self._alone: dict[int, StateChange] = {}

    @property
    def waiting(self) -> bool:
        """Say whether events are held, for a partner or for what came before them."""
        return bool(self._early or self._waiting)

    def feed(self, events: Iterable[TraceEvent], complete_ns: int) -> list[Pair]:
        """
        Return the failures that are sure by now, in order of time.

        Args:
            events: What happened, in any order.
            complete_ns: No event up to this time is missing; what happened after it
                is held until the next call.
        """
        held = sorted([*self._early, *events], key=_in_order)
        ready = bisect_right(held, complete_ns, key=_time)
        self._early = held[ready:]
        pairs = [pair for event in held[:ready] for pair in self._take(event)]
        pairs += self._give_up(complete_ns - self._patience_ns)
        self._forget(complete_ns - MEMORY_NS)
        return sorted(pairs, key=lambda pair: pair.at_ns)

    def rest(self) -> list[Pair]:
        """Return the failures of all events that are held."""
        latest = max((event.at_ns for event in (*self._early, *self._waiting.values())), default=0)
        pairs = self.feed((), latest)
        return sorted([*pairs, *self._give_up(latest)], key=lambda pair: pair.at_ns)

    def _take(self, event: TraceEvent) -> Iterator[Pair]:
        """Yield what one more event completes."""
        if isinstance(event, StateChange):
            if event.tid in self._waiting:
                yield self._stand_alone(event.tid)
            self._waiting[event.tid] = event
        elif isinstance(event, CallExit):
            yield self._end(event)

    def _end(self, call: CallExit) -> Pair:
        """Return the failure of a call that ended."""
        if (call.operation, call.errno) != (CONNECT, errno.EADDRNOTAVAIL):
            return Pair(call, None)
        state = self._waiting.pop(call.tid, None)
        return Pair(call, state, None if state else self._alone.pop(call.tid, None))

    def _give_up(self, before_ns: int) -> list[Pair]:
        """Return the changes of state up to a time whose call did not end."""
        late = [tid for tid, state in self._waiting.items() if state.at_ns <= before_ns]
        return [self._stand_alone(tid) for tid in late]

    def _stand_alone(self, tid: int) -> Pair:
        """Return a change of state without its call, and remember it."""
        state = self._alone[tid] = self._waiting.pop(tid)
        return Pair(None, state)

    def _forget(self, before_ns: int) -> None:
        """Forget those whose call will not end any more."""
        old = [tid for tid, state in self._alone.items() if state.at_ns <= before_ns]
        for tid in old:
            del self._alone[tid]


def _time(event: TraceEvent) -> int:
    """Return when an event happened."""
    return event.at_ns


def _in_order(event: TraceEvent) -> tuple[int, bool]:
    """Return what events are sorted by: of the same time, a change of state goes first."""
    return event.at_ns, isinstance(event, CallExit)
