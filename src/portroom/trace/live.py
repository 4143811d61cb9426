"""
Failures as they happen: start to watch, read, stop.

Rules of this file:

- nothing of it outlives the ``with`` block; after a kill the instances record
  nothing, and the next run removes them;
- a failure is told once, when all that happened before it has been read;
- who waits is woken by the first event, and then reads in batches: one event at
  a time would cost more than it tells.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from types import TracebackType
from typing import NamedTuple, Self

from portroom.errors import NotSupportedError, PortroomError
from portroom.model.facts.snapshot import Gap
from portroom.trace.events import BEFORE, FAILURES, NAMES, Watched
from portroom.trace.instance import create, remove_left_overs
from portroom.trace.pairing import Pairing
from portroom.trace.perf_stacks import Stacks, open_stacks
from portroom.trace.raw import Raw
from portroom.trace.recorder import Recorder
from portroom.trace.renames import Renames
from portroom.trace.ring import Ring
from portroom.trace.teller import Teller
from portroom.trace.tracefs import open_tracefs, refused
from portroom.trace.who import Who, sees_first_namespace

__all__ = ["Raw", "Watch", "watching"]

PAUSE_S, LONGEST_PAUSE_S = 0.001, 0.01
"""
Between two looks while failures come: for each event of the last one, and at most. A few
are followed closely, since what they were about is soon gone; many are read by the hundred.
"""

WAITING_S = 0.05
"""Between two looks while an event waits for its partner."""

SMALLEST_KB, LARGEST_KB, TOTAL_KB = 512, 2048, 32768
"""
Of the buffer of one processor, and of all: a failure takes about 110 bytes, so 512 KB are
half a second of 10,000 failures a second, all on one processor.
"""


NAMES_KB = 64
"""Of the buffer of names of one processor: 1,000 changes, looked at when something failed."""


def buffer_kb(processors: int) -> int:
    """
    Return the size of the buffer of one processor.

    >>> buffer_kb(2), buffer_kb(32), buffer_kb(256)
    (2048, 1024, 512)
    """
    return max(SMALLEST_KB, min(LARGEST_KB, TOTAL_KB // processors))


class _Make(NamedTuple):
    """An instance to be made; *overwrite* says that the oldest events go where it is full."""

    ending: str
    watched: tuple[Watched, ...]
    buffer_kb: int
    overwrite: bool


class Watch:
    """
    A watch that runs; leave its ``with`` block to end it.

    Made by ``watching``.

    ``gaps`` says what the kernel does not let it see.

    Args:
        top: Descriptor of the top folder of tracefs, which the watch closes.
        pid: Tell of this process only; None for all.
    """

    gaps: tuple[Gap, ...] = ()

    def __init__(self, top: int, pid: int | None = None) -> None:
        self._top = top
        self._lost_events = 0
        self._stopping, self._stopper = -1, -1
        self._paused_until_s = 0.0
        self._pairing = Pairing()
        self._ring: Ring | None = None
        with contextlib.ExitStack() as opened:
            opened.callback(os.close, top)
            size_kb = buffer_kb(os.cpu_count() or 1)
            # It goes first: whatever fails then has what came before it.
            before = _open(opened, top, _Make("-before", BEFORE, size_kb, True))
            recorder = Recorder(before, self._open_stacks(opened, top))
            self._ring = _open(opened, top, _Make("", FAILURES, size_kb, False))
            who = Who(top, recorder)
            opened.callback(who.close)
            self._teller = Teller(who, recorder, Renames(_open_names(opened, top)), pid)
            self._open_poll(opened)
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        """Return the watch itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the watch: the instances are removed."""
        self.close()

    @property
    def lost_events(self) -> int:
        """Return how many events there was no room for, so far: failures that are not told."""
        if self._ring is not None:
            self._lost_events = self._ring.lost()
        return self._lost_events

    def read(self, timeout_s: float) -> list[Raw]:
        """
        Return what failed since the last call, in order of time; wait if nothing did.

        Returns early with what there is, after *timeout_s* at the latest, and at
        once when the watch was stopped.

        Raises:
            KernelDataError: The kernel tells something that cannot be read.
        """
        end_s = time.monotonic() + timeout_s
        while True:
            self._pause()
            failures = self._look()
            if failures or not self._wait(end_s):
                return failures

    def rest(self) -> list[Raw]:
        """
        Return what is left at the end, without waiting: also what waits for its partner.

        Raises:
            KernelDataError: The kernel tells something that cannot be read.
        """
        return self._look() + self._teller.tell(self._pairing.rest())

    def stop(self) -> None:
        """Let a ``read`` that waits return; for a signal handler or another thread."""
        with contextlib.suppress(OSError):
            os.write(self._stopper, b"\0")

    def close(self) -> None:
        """End the watch. Safe to call again."""
        self._lost_events = self.lost_events
        self._ring, self._stopper = None, -1
        self._opened.close()

    def _open_stacks(self, opened: contextlib.ExitStack, top: int) -> Stacks | None:
        """Let stacks be copied; where the kernel does not do that, note why."""
        try:
            stacks = open_stacks(top)
        except NotSupportedError as error:
            self.gaps = (_without_stacks(str(error)),)
            return None
        opened.callback(stacks.close)
        return stacks

    def _open_poll(self, opened: contextlib.ExitStack) -> None:
        """Open what a ``read`` waits for."""
        self._stopping, self._stopper = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        opened.callback(os.close, self._stopping)
        opened.callback(os.close, self._stopper)
        self._events = opened.enter_context(select.epoll())
        self._stopped = select.poll()
        self._stopped.register(self._stopping, select.POLLIN)
        assert self._ring is not None
        for descriptor in (self._stopping, *self._ring.descriptors):
            self._events.register(descriptor, select.EPOLLIN)

    def _look(self) -> list[Raw]:
        """Return what failed, without waiting."""
        assert self._ring is not None
        events, complete_ns = self._ring.drain()
        if events:
            pause_s = min(PAUSE_S * len(events), LONGEST_PAUSE_S)
            self._paused_until_s = time.monotonic() + pause_s
        return self._teller.tell(self._pairing.feed(events, complete_ns))

    def _pause(self) -> None:
        """Let a batch gather, if events came just now."""
        rest_s = self._paused_until_s - time.monotonic()
        if rest_s > 0:
            self._stopped.poll(rest_s * 1000)

    def _wait(self, end_s: float) -> bool:
        """Wait for events; say whether to look again, and not stopped or out of time."""
        rest_s = end_s - time.monotonic()
        if rest_s <= 0 or self._stopped.poll(0):
            return False
        self._events.poll(min(rest_s, WAITING_S) if self._pairing.waiting else rest_s)
        return True


def watching(pid: int | None = None) -> Watch:
    """
    Start to watch failures of the whole host, or of one process.

    Instances that died runs left are removed before.

    Args:
        pid: Tell of this process and all its threads only.

    Raises:
        NotPermittedError: CAP_SYS_ADMIN is missing.
        NotSupportedError: This kernel has no tracefs or no events of system calls, or
            *pid* is of a pid namespace whose numbers the kernel does not tell.
    """
    if pid is not None and not sees_first_namespace():
        raise NotSupportedError(
            f"Failures of process {pid} cannot be told from others: the kernel tells numbers of "
            "the first pid namespace, and this one has others.",
            "Run it on the host, or without a process.",
        )
    top = open_tracefs()
    try:
        remove_left_overs(top)
    except OSError as error:
        os.close(top)
        raise refused(error, "listing trace instances") from None
    return Watch(top, pid)


def _without_stacks(why: str) -> Gap:
    """Return what is missed where no stacks are copied."""
    reason = f"an address is seldom known that a call was given in its caller's stack: {why}"
    return Gap("trace", reason, ("counts.remote_address", "counts.remote_port", "counts.cause"))


def _open_names(opened: contextlib.ExitStack, top: int) -> Ring | None:
    """Return the buffer of names, None where this kernel does not tell them."""
    try:
        return _open(opened, top, _Make("-names", NAMES, NAMES_KB, True))
    except PortroomError:
        return None


def _open(opened: contextlib.ExitStack, top: int, make: _Make) -> Ring:
    """Make an instance and return its buffer; *opened* will remove both."""
    instance = create(top, f"{os.getpid()}{make.ending}")
    opened.callback(instance.remove)
    try:
        instance.set_up(make.buffer_kb, overwrite=make.overwrite)
        ring = Ring(instance.folder, make.watched)
        opened.callback(ring.close)
        for row in make.watched:
            instance.enable(row.event, row.condition)
    except OSError as error:
        raise refused(error, "setting a trace instance up") from None
    return ring
