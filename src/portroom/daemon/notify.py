"""Notify: send what somebody has to be told to every address, until it is taken.

Rules of this file:

- sending happens in a thread of its own, and may take long or hang: nothing waits;
- there is no queue: what is due comes from the alerts as they are now and from what an
  address was told, which is written down, so that a restart tells nothing twice;
- an address that takes nothing is asked again after a while, and ever more rarely.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

from portroom.api import alerts as sending
from portroom.daemon.log import Log
from portroom.model.advice import notices
from portroom.model.advice.notices import Sent
from portroom.model.facts.watched import Alert, Watched
from portroom.render.alert import as_message
from portroom.render.units import plural

Send = Callable[[str, str, str, str], str]


class Place:
    """One address: what it was told, and when it may be asked again."""

    def __init__(self, address: str, sent: dict[str, Sent]) -> None:
        self.address = address
        self.sent = sent
        self.failures = 0
        self.next_s = 0.0

    @property
    def kind(self) -> str:
        """Return all of the address that may be told."""
        return sending.kind_of(self.address)


class Told(NamedTuple):
    """What is known now, as far as somebody is told of it."""

    host: str
    alerts: tuple[Alert, ...]


class Notifier:
    """
    Tells all addresses.

    Args:
        addresses: Where alerts go, see ``api.alerts.checked_addresses``.
        folder: Where state lies.
        log: Told what could not be sent.
        send: What sends; ``api.alerts.send``.
    """

    def __init__(
        self, addresses: Sequence[str], folder: str, log: Log, send: Send = sending.send
    ) -> None:
        self.failures_total = 0
        self._folder = folder
        self._log = log
        self._send = send
        self._read: sending.ToldByAddress = sending.read_sent(folder)
        self._places = [self._place(address) for address in addresses]
        self._told = Told("", ())
        self._wake = asyncio.Event()
        self._is_over = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="notify")

    def reload(self, addresses: Sequence[str]) -> None:
        """Tell other addresses from now on; one that stays knows what it was told."""
        self._read |= self._by_address()
        self._places = [self._place(address) for address in addresses]
        self._wake.set()

    def offer(self, watched: Watched) -> None:
        """Take what is known now; what is due of it is sent soon."""
        told = Told(watched.host, tuple(one for one in watched.alerts if one.tellings))
        if told != self._told:
            self._told = told
            self._wake.set()

    async def run(self) -> None:
        """Send what is due whenever there is something, until ``stop``."""
        clock = asyncio.get_running_loop().time
        while not self._is_over:
            self._wake.clear()
            for place in list(self._places):
                if place.next_s <= clock():
                    await self._tell(place)
            await self._pause(self._next_s() - clock())

    def stop(self) -> None:
        """End ``run`` as soon as may be; what is on its way is left alone."""
        self._is_over = True
        self._wake.set()
        self._thread.shutdown(wait=False)

    async def _tell(self, place: Place) -> None:
        """Send to one address what is due there, as one message."""
        told = self._told
        due = notices.due(told.alerts, place.sent)
        if self._is_over or not due:
            return
        message = as_message(due, told.host)
        reason = await self._in_thread(partial(self._send, place.address, *message))
        if reason:
            self._failed(place, reason)
            return
        if place.failures:
            self._log.tell("notice", "notify", f"Alerts reach {place.kind} again.")
        place.failures = 0
        place.sent = notices.after(told.alerts, place.sent)
        await self._keep()

    async def _in_thread(self, job: Callable[[], str]) -> str:
        """Return what a job in the thread returns."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, job)

    def _failed(self, place: Place, reason: str) -> None:
        """Wait longer each time; the first failure is told."""
        self.failures_total += 1
        place.failures += 1
        wait_s = notices.wait_s(place.failures)
        place.next_s = asyncio.get_running_loop().time() + wait_s
        if place.failures == 1:
            number = plural(len(notices.due(self._told.alerts, place.sent)), "alert")
            self._log.tell(
                "error",
                "notify",
                f"{number} could not be sent to {place.kind}: {reason.rstrip('.')}. It is tried again.",
            )

    async def _keep(self) -> None:
        """Write down what each address was told, so that a restart does not tell it again."""
        write = partial(sending.write_sent, self._folder, self._by_address())
        # Once it is over the thread takes nothing more, and this is what a restart needs.
        reason = write() if self._is_over else await self._in_thread(write)
        if reason:
            self._log.tell("warning", "notify", f"What was sent is not written down: {reason}")

    def _by_address(self) -> sending.ToldByAddress:
        """Return what each address was told."""
        return {notices.digest(place.address): place.sent for place in self._places}

    def _place(self, address: str) -> Place:
        """Return an address with what it was told."""
        return Place(address, self._read.get(notices.digest(address), {}))

    def _next_s(self) -> float:
        """Return when an address may be asked again that has something due."""
        waiting = [
            place.next_s for place in self._places if notices.due(self._told.alerts, place.sent)
        ]
        return min(waiting, default=float("inf"))

    async def _pause(self, seconds: float) -> None:
        """Wait so long, or until there is something new."""
        limit_s = None if seconds == float("inf") else max(0.0, seconds)
        try:
            await asyncio.wait_for(self._wake.wait(), limit_s)
        except TimeoutError:
            return
