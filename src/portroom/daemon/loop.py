"""The loop: look, tell all who want to know, wait; nothing else ever wakes it.

Rules of this file:

- looking happens in one thread that is the observer's own, and may take long, hang
  or fail: requests are answered all the while, and say how old the answer is;
- what is late is left out, never made up for.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import msgspec

from portroom.daemon.log import Log
from portroom.model.facts.config import Config
from portroom.model.facts.watched import Watched
from portroom.render.units import duration

Result = TypeVar("Result")

HUNG_S = 120.0
"""After so long a look hangs, however many sockets there are: the watchdog is not fed."""


class Observes(Protocol):
    """What looks, see ``api.observing.Observer``; one thread has it for all its life."""

    def tick(self) -> Watched:
        """Look once, and return all that is known."""

    def reload(self, config: Config) -> None:
        """Look from now on as another configuration wants it."""

    def close(self) -> None:
        """Write out what is remembered."""


class Loop:
    """
    Looks again and again.

    Args:
        interval_s: Time from look to look; infinite for one look alone.
        publish: Told the newest after each look.
        log: Told what ought not to happen.
    """

    def __init__(self, interval_s: float, publish: Callable[[Watched], None], log: Log) -> None:
        self.interval_s = interval_s
        self.looked = asyncio.Event()
        """Set once the first look has ended, however it did."""
        self._observer: Observes | None = None
        self._publish = publish
        self._log = log
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="observer")
        self._wake = asyncio.Event()
        self._last: Watched | None = None
        self._look_began_s: float | None = None
        self._bug = ""
        self._is_over = self._is_first_late = False

    async def open(self, make: Callable[[], Observes]) -> None:
        """
        Make the observer, in its thread.

        Raises:
            PortroomError: It cannot be made.
        """
        self._observer = await self._in_thread(make)

    async def run(self) -> None:
        """Look at once, then whenever it is time, until ``stop``."""
        clock = asyncio.get_running_loop().time
        due_s = clock()
        while not self._is_over:
            await self._look()
            due_s = next_due(due_s, clock(), self.interval_s)
            await self._pause(due_s - clock())

    def stop(self) -> None:
        """End ``run`` as soon as may be; a look that goes on is left alone."""
        self._is_over = True
        self._wake.set()

    async def reload(self, config: Config) -> None:
        """Look at once as another configuration wants it, and from then on at its interval."""
        observer = self._made()
        await self._in_thread(lambda: observer.reload(config))
        if not math.isinf(self.interval_s):
            self.interval_s = config.serve.interval_s
        self._wake.set()

    async def close(self, within_s: float) -> None:
        """
        Let the observer write out what it remembers.

        Args:
            within_s: Longer is not waited: what is on the disk by then is whole.
        """
        self.stop()
        if self._observer is not None:
            closing = asyncio.wrap_future(self._submit(self._observer.close))
            await asyncio.wait({closing}, timeout=within_s)
        self._thread.shutdown(wait=False)

    def is_hung(self) -> bool:
        """Say whether a look goes on for so long that it will not end by itself."""
        if self._look_began_s is None:
            return False
        since_s = asyncio.get_running_loop().time() - self._look_began_s
        return since_s > max(HUNG_S, 3 * _finite(self.interval_s))

    async def _look(self) -> None:
        """Look once, and publish what is known then, or that nothing new is."""
        self._look_began_s = asyncio.get_running_loop().time()
        looking = asyncio.wrap_future(self._submit(self._made().tick))
        while not looking.done() and not self._is_over:
            await self._wait_for(looking)
            if not looking.done() and not self._is_over:
                self._tell_late()
        if looking.done():
            self._look_began_s = None
            self._take(looking)
            self.looked.set()

    async def _wait_for(self, looking: asyncio.Future[Watched]) -> None:
        """Wait until a look ends, at most an interval, less if the daemon is to end."""
        self._wake.clear()
        waking = asyncio.ensure_future(self._wake.wait())
        awaited: set[asyncio.Future[Any]] = {looking, waking}
        limit_s = None if math.isinf(self.interval_s) else max(self.interval_s, 1.0)
        try:
            await asyncio.wait(awaited, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waking.cancel()

    def _take(self, looking: asyncio.Future[Watched]) -> None:
        """Publish what a look found; a bug in it ends nothing and is told once."""
        error = looking.exception()
        if error is None:
            self._bug = ""
            self._last = looking.result()
            self._publish(self._last)
            return
        bug = f"{type(error).__name__}: {error}"
        if bug != self._bug:
            self._bug = bug
            where = traceback.extract_tb(error.__traceback__)[-1]
            text = f"This is a bug in portroom: {bug} ({where.filename}:{where.lineno})."
            self._log.tell("error", "bug", text)
        self._tell_missed(f"this is a bug in portroom: {bug}.")

    def _tell_late(self) -> None:
        """Publish that a look takes longer than the time from look to look."""
        if self._last is None and not self._is_first_late:
            self._is_first_late = True
            text = f"The first sample takes longer than {duration(self.interval_s)}."
            self._log.tell("warning", "late", text)
        self._tell_missed(f"a sample takes longer than {duration(self.interval_s)}.")

    def _tell_missed(self, error: str) -> None:
        """Publish what was known before, and that a sample is missing."""
        if self._last is not None:
            self._last = msgspec.structs.replace(
                self._last, missed_samples=self._last.missed_samples + 1, error=error
            )
            self._publish(self._last)

    async def _pause(self, length_s: float) -> None:
        """Wait so long, less if the daemon is to end or to look at once."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(
                self._wake.wait(), None if math.isinf(length_s) else max(0.0, length_s)
            )
        self._wake.clear()

    def _made(self) -> Observes:
        """Return the observer, which ``open`` made."""
        assert self._observer is not None
        return self._observer

    async def _in_thread(self, job: Callable[[], Result]) -> Result:
        """Return what *job* returns in the observer's thread."""
        return await asyncio.wrap_future(self._submit(job))

    def _submit(self, job: Callable[[], Result]) -> Future[Result]:
        """Let the observer's thread do something after what it does now."""
        return self._thread.submit(job)


def _finite(interval_s: float) -> float:
    """Return an interval, 0 for one that never ends."""
    return 0.0 if math.isinf(interval_s) else interval_s


def next_due(due_s: float, now_s: float, interval_s: float) -> float:
    """
    Return when to look next: at the beat, and never at once for one that was missed.

    >>> next_due(100.0, 100.2, 10.0), next_due(100.0, 125.0, 10.0), next_due(0.0, 1.0, 0.0)
    (110.0, 130.0, 1.0)
    """
    if math.isinf(interval_s):
        return math.inf
    if interval_s <= 0:
        return now_s
    return due_s + interval_s * max(1, math.ceil((now_s - due_s) / interval_s))
