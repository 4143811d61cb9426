"""
The buffer of one instance: a ring of pages for each processor.

Rules of this file:

- read without waiting, a page at a time, also a page that is not full yet;
- what there was no room for is counted;
- one processor's events are in order, those of two are not: events come out
  with the time up to which none is missing on any processor.

Source: Linux Documentation/trace/ftrace.rst, per_cpu, trace_pipe_raw.
"""

from __future__ import annotations

import os
import re
import time
from operator import itemgetter
from typing import NamedTuple

from portroom.kernel.processes import open_folder
from portroom.trace.events import TraceEvent, Watched, read_decoders
from portroom.trace.pages import parse_layout, parse_page
from portroom.trace.tracefs import names_in, read_whole

PAGES_AT_ONCE = 1024
"""
Of one processor, then the next one has its turn: failures that come as fast as
they are read do not hide those of the others. The largest buffer has 512.
"""

LOST = re.compile(r"^(?:overrun|commit overrun|dropped events): (\d+)$", re.MULTILINE)
STATS_BYTES = 4096


class Drained(NamedTuple):
    """Events in order of time, and the time up to which none is missing."""

    events: list[TraceEvent]
    complete_ns: int


class Ring:
    """
    The buffer of an instance; ``descriptors`` can be waited on.

    Args:
        folder: Descriptor of the instance's folder.
        watched: The events that are in it.
    """

    def __init__(self, folder: int, watched: tuple[Watched, ...]) -> None:
        texts = (read_whole(f"events/{name}", folder) for name in ("header_page", "header_event"))
        self._layout = parse_layout(*texts)
        self._decoders = read_decoders(watched, folder)
        self._stats: list[int] = []
        self.descriptors: list[int] = []
        try:
            self._open(folder)
        except BaseException:
            self.close()
            raise

    def drain(self) -> Drained:
        """
        Return what happened since the last call, without waiting.

        Raises:
            KernelDataError: A page cannot be read.
        """
        complete_ns = time.monotonic_ns()
        events: list[TraceEvent] = []
        for descriptor in self.descriptors:
            before = len(events)
            emptied = self._drain(descriptor, events)
            if not emptied and len(events) > before:
                complete_ns = min(complete_ns, events[-1].at_ns)
        events.sort(key=itemgetter(0))
        return Drained(events, complete_ns)

    def lost(self) -> int:
        """Return how many events there was no room for, since the instance was made."""
        return sum(parse_lost(os.pread(file, STATS_BYTES, 0)) for file in self._stats)

    def close(self) -> None:
        """Close all files. Safe to call again."""
        for opened in (self._stats, self.descriptors):
            while opened:
                os.close(opened.pop())

    def _open(self, folder: int) -> None:
        """Open the files of each processor."""
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
        processors = open_folder("per_cpu", folder)
        try:
            for name in names_in(processors):
                self.descriptors.append(os.open(f"{name}/trace_pipe_raw", flags, dir_fd=processors))
                self._stats.append(os.open(f"{name}/stats", flags, dir_fd=processors))
        finally:
            os.close(processors)

    def _drain(self, descriptor: int, events: list[TraceEvent]) -> bool:
        """Read pages of one processor; say whether no more are there."""
        size, layout, decode = self._layout.page_bytes, self._layout, self._decoders.decode
        for _ in range(PAGES_AT_ONCE):
            try:
                page = os.read(descriptor, size)
            except BlockingIOError:
                return True
            if not page:
                # An event that is still being written: the page comes with the next look.
                # Source: Linux kernel/trace/trace.c, tracing_buffers_read.
                return True
            found = (decode(page, place) for place in parse_page(page, layout))
            events += [event for event in found if event is not None]
        return False


def parse_lost(raw: bytes) -> int:
    r"""
    Return how many events the ``stats`` of one processor count as lost.

    >>> parse_lost(b"entries: 9\noverrun: 1\ncommit overrun: 0\ndropped events: 41\n")
    42
    """
    return sum(int(number) for number in LOST.findall(raw.decode("ascii", "replace")))
