"""
The address that a failed call was given, from the caller's stack as it was then.

Rules of this file:

- the kernel copies the stack when the call fails, before the program goes on: what
  lies in it is what the call was given, also of a process that has ended since;
- an address that lies elsewhere, or below what was copied, is not known here;
- it is an aid: failures are told without it, too.
"""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from operator import itemgetter
from typing import NamedTuple, Protocol

from portroom.errors import NotSupportedError
from portroom.kernel.processes import open_folder
from portroom.trace.events import FAILURES, CallEnter, CallExit, Decoders, read_decoders
from portroom.trace.memory import LONGEST_ADDRESS_BYTES
from portroom.trace.pages import Place
from portroom.trace.perf_ring import PerfRings, Traced
from portroom.trace.perf_samples import Sample
from portroom.trace.tracefs import names_in

CALLS = tuple(row for row in FAILURES if row.event.startswith("syscalls/"))
"""The same events, and the same conditions, as those that tell of a failure."""

APART_NS = 1_000_000
"""
How far apart both kinds of tracing may tell of one call. They take 2 µs; a virtual
machine may lose its processor in between, and then the stack is not taken for this call's.
"""

_time = itemgetter(0)
"""When something happened, which is the first thing that each tells."""


class Samples(Protocol):
    """Where samples come from."""

    def read(self) -> Iterable[Sample]:
        """Return the samples since the last call."""

    def close(self) -> None:
        """End."""


class Span(NamedTuple):
    """A call: how it began, and until when its thread began no other one."""

    begin: CallEnter
    next_ns: int


class Copied(NamedTuple):
    """One failed call, and the stack as it was then."""

    at_ns: int
    call: CallExit
    sample: Sample

    def address_of(self, begin: CallEnter) -> bytes | None:
        """Return the address that a call was given, None where it is not in this stack."""
        place = begin.address - self.sample.stack_at
        end = place + min(begin.length, LONGEST_ADDRESS_BYTES)
        if not 0 <= place < end <= len(self.sample.stack):
            return None
        return self.sample.stack[place:end]


class Stacks:
    """
    Stacks of calls that failed.

    Args:
        samples: Where they come from.
        decoders: Of the events.
    """

    def __init__(self, samples: Samples, decoders: Decoders) -> None:
        self._samples = samples
        self._decoders = decoders
        self._of_thread: dict[int, list[Copied]] = {}

    def look(self) -> None:
        """Read what was copied up to now."""
        for sample in self._samples.read():
            place = Place(sample.at_ns, 0, len(sample.raw))
            call = self._decoders.decode(sample.raw, place)
            if isinstance(call, CallExit):
                copied = Copied(sample.at_ns, call, sample)
                # In order, though a thread may have moved to another processor.
                insort(self._of_thread.setdefault(call.tid, []), copied, key=_time)

    def address_of(self, call: CallExit, span: Span) -> bytes | None:
        """
        Return the address that a call was given, None where it is not known.

        Args:
            call: How it ended. Both kinds of tracing tell of it, one just after the other.
            span: How it began, and when the thread did the next thing.
        """
        copied = self._of_thread.get(call.tid, [])
        place = bisect_left(copied, call.at_ns, key=_time)
        near = [one for one in copied[max(0, place - 1) : place + 1] if is_of(one, call, span)]
        nearest = min(near, key=lambda one: abs(one.at_ns - call.at_ns), default=None)
        return nearest.address_of(span.begin) if nearest is not None else None

    def close(self) -> None:
        """End. Safe to call again."""
        self._samples.close()

    def forget(self, until_ns: int) -> None:
        """Forget the stacks of calls that ended up to *until_ns*."""
        later = {
            tid: copied[bisect_right(copied, until_ns, key=_time) :]
            for tid, copied in self._of_thread.items()
        }
        self._of_thread = {tid: copied for tid, copied in later.items() if copied}


def is_of(copied: Copied, call: CallExit, span: Span) -> bool:
    """Say whether a stack is that of a call: of the same outcome, and of no call around it."""
    return (
        span.begin.at_ns < copied.at_ns < span.next_ns
        and abs(copied.at_ns - call.at_ns) <= APART_NS
        and copied.call._replace(at_ns=call.at_ns) == call
    )


def open_stacks(top: int) -> Stacks:
    """
    Let the kernel copy the stacks of calls that fail from now on.

    Args:
        top: Descriptor of the top folder of tracefs.

    Raises:
        KernelDataError: An event lacks a field.
        NotSupportedError: It does not do so here; or it has no such event.
    """
    decoders = read_decoders(CALLS, top)
    numbered = zip(decoders.by_number, CALLS, strict=True)
    events = [Traced(number, row.condition) for number, row in numbered]
    try:
        return Stacks(PerfRings(processors(top), events), decoders)
    except (OSError, ValueError) as error:
        # mmap tells a length that it does not take by a ValueError.
        seen = getattr(error, "strerror", None) or error
        raise NotSupportedError(f"perf_event_open: {seen}") from None


def processors(top: int) -> list[int]:
    """Return the numbers of the processors that tracing knows, on or off."""
    folder = open_folder("per_cpu", top)
    try:
        return sorted(int(name.removeprefix("cpu")) for name in names_in(folder))
    finally:
        os.close(folder)
