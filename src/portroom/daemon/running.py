"""The daemon as a whole: its parts, joined from the first signal handler to the last word.

Rules of this file:

- a signal ends it in less than a second, whatever goes on: what is written by then is
  whole, and nothing else is waited for;
- what goes wrong meanwhile is a line in the log, and ends nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import os
import signal
import socket
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from portroom import __version__
from portroom.api.alerts import checked_addresses
from portroom.api.serving import folder_of, history_of, observer, token_file, token_of
from portroom.daemon.board import Board
from portroom.daemon.log import Log
from portroom.daemon.loop import Loop
from portroom.daemon.notify import Notifier
from portroom.daemon.reload import Origin, reloaded
from portroom.daemon.server import serve as answer
from portroom.daemon.sockets import is_loopback, places
from portroom.daemon.states import States, status_line
from portroom.daemon.systemd import Manager, watchdog_s
from portroom.daemon.web import application
from portroom.model.facts.config import Config
from portroom.model.facts.watched import Watched
from portroom.render.flow import joined
from portroom.render.units import duration

INTERRUPTED = 130

END_S = 0.7
"""Within so long requests are ended and what is remembered is written out."""

FIRST_LOOK_S = 10.0
"""After so long the daemon is ready, though the first look goes on."""


class Daemon:
    """
    Everything that runs.

    Args:
        origin: Where the configuration comes from.
        config: The configuration, read from there.
        snapshot: A saved Snapshot to tell instead of the kernel.
        sockets: Where to listen.
        environment: Of the process.

    Raises:
        HistoryError: Others may ask, and there is no token for them.
    """

    def __init__(
        self,
        origin: Origin,
        config: Config,
        snapshot: str | None,
        sockets: Sequence[socket.socket],
        environment: Mapping[str, str],
    ) -> None:
        self._origin, self._wanted, self._snapshot = origin, config, snapshot
        self._sockets, self._places = sockets, places(sockets)
        self._others = [place for place in self._places if not is_loopback(place)]
        self._folder = folder_of(environment)
        self._token = token_of(config, self._folder) if self._others else None
        self._limit_s = watchdog_s(environment, os.getpid())
        self._log = Log(config.serve.log, environment)
        self._states = States(self._log)
        self._manager = Manager(environment)
        self._board = Board()
        self._status = ""
        self._signal: signal.Signals | None = None
        self._stop, self._reloading = asyncio.Event(), asyncio.Lock()
        interval_s = math.inf if snapshot is not None else config.serve.interval_s
        self._loop = Loop(interval_s, self._publish, self._log)
        self._notifier = Notifier(self._addresses(), self._folder, self._log)
        self._app = Current(self._application())
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> int:
        """
        Begin, go on until a signal comes, and end in order; return the exit status.

        Raises:
            PortroomError: It cannot begin.
        """
        self._handle_signals()
        config, folder, snapshot = self._config, self._folder, self._snapshot
        await self._loop.open(lambda: observer(config, folder, snapshot))
        self._tell_begin()
        self._tasks = [asyncio.ensure_future(part) for part in self._parts()]
        try:
            await self._go_on()
        finally:
            await self._end()
        return INTERRUPTED if self._signal is signal.SIGINT else 0

    @property
    def _config(self) -> Config:
        """Return the configuration that holds, with the addresses that were really had."""
        serve = msgspec.structs.replace(self._wanted.serve, listen=self._places)
        return msgspec.structs.replace(self._wanted, serve=serve)

    def _addresses(self) -> tuple[str, ...]:
        """Return where alerts go; nobody is told of a saved Snapshot."""
        return () if self._snapshot is not None else checked_addresses(self._wanted.alerts)

    def _application(self) -> ASGIApp:
        """Return what answers requests, by the configuration that holds now."""
        file = None if self._snapshot is not None else history_of(self._config, self._folder)
        return application(self._board, self._config, self._token, file, self._stop, self._tell_bug)

    def _tell_begin(self) -> None:
        """Log where it listens, what it samples, and where history lies."""
        begins = begin(self._config, self._folder, self._snapshot)
        self._log.tell("info", "start", begins)
        if self._others:
            warning = (
                f"Other hosts may ask on {joined(self._others)}, unencrypted; they need the "
                f"token in {token_file(self._config, self._folder)}."
            )
            self._log.tell("warning", "open", warning)

    def _tell_bug(self, bug: str) -> None:
        """Log a bug, one that a request came upon for example."""
        self._log.tell("error", "bug", f"This is a bug in portroom: {bug}")

    def _parts(self) -> list[Coroutine[Any, Any, None]]:
        """Return all that goes on at the same time."""
        parts = [
            self._loop.run(),
            answer(self._app, list(self._sockets), self._stop),
            self._notifier.run(),
            self._get_ready(),
        ]
        return parts if self._limit_s is None else [*parts, self._feed_watchdog(self._limit_s)]

    async def _go_on(self) -> None:
        """
        Return when the daemon is to end.

        Raises:
            Exception: One of its parts ended by a bug.
        """
        stopping = asyncio.ensure_future(self._stop.wait())
        waiting: set[asyncio.Future[Any]] = {stopping, *self._tasks}
        while not stopping.done():
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()

    async def _end(self) -> None:
        """End all parts, none of them waited for too long."""
        self._stop.set()
        self._board.close()
        self._notifier.stop()
        self._manager.stopping()
        by = f" by {self._signal.name}" if self._signal else ""
        self._log.tell("notice", "end", f"portroom ends{by}.")
        closing = asyncio.ensure_future(self._loop.close(END_S))
        await asyncio.wait({closing, *self._tasks}, timeout=END_S)
        for task in self._tasks:
            task.cancel()
        self._manager.close()

    def _handle_signals(self) -> None:
        """Let signals end it, or read the configuration anew; and log what nobody awaits."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end_by, number)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        loop.set_exception_handler(lambda _, what: self._tell_bug(_bug(what)))

    def _end_by(self, number: signal.Signals) -> None:
        """Begin to end."""
        self._signal = self._signal or number
        self._stop.set()
        self._loop.stop()

    def _hang_up(self) -> None:
        """Read the configuration anew; end where the signal says that the terminal is gone."""
        if self._log.is_hung_up():
            self._end_by(signal.SIGHUP)
        elif self._tasks and not self._stop.is_set():
            self._tasks.append(asyncio.ensure_future(self._reload()))

    async def _reload(self) -> None:
        """Read the configuration anew and go by it; one time after the other."""
        async with self._reloading:
            self._manager.reloading()
            self._wanted = reloaded(self._origin, self._wanted, self._log)
            self._log.form = self._wanted.serve.log
            self._notifier.reload(self._addresses())
            self._app.use(self._application())
            await self._loop.reload(self._config)
            self._manager.ready(self._status)

    async def _get_ready(self) -> None:
        """Tell the service manager as soon as there is something to answer with."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._loop.looked.wait(), FIRST_LOOK_S)
        # What was imported stays: the collector need not look through it again and again.
        gc.collect()
        gc.freeze()
        self._manager.ready(self._status or "Takes its first sample.")

    async def _feed_watchdog(self, limit_s: float) -> None:
        """Give signs of life twice as often as is wanted, none while a look hangs."""
        while not self._stop.is_set():
            if not self._loop.is_hung():
                self._manager.alive()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), limit_s / 2)

    def _publish(self, watched: Watched) -> None:
        """Hand the newest to all who want to know."""
        failures = self._notifier.failures_total
        watched = msgspec.structs.replace(watched, notify_failures_total=failures)
        self._board.publish(watched)
        self._notifier.offer(watched)
        self._states.note(watched)
        status = status_line(watched)
        if status != self._status:
            self._status = status
            self._manager.status(status)


class Current:
    """
    What answers requests at present: another application after each reload.

    Args:
        first: The one until then.
    """

    def __init__(self, first: ASGIApp) -> None:
        self._application = first

    def use(self, another: ASGIApp) -> None:
        """Let another application answer from the next request on."""
        self._application = another

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer, see ASGI."""
        await self._application(scope, receive, send)


def begin(config: Config, folder: str, snapshot: str | None) -> str:
    """
    Return where the daemon listens, what it samples, and where history lies.

    >>> begin(Config(), "/var/lib/portroom-agent", "a.snapshot").rpartition("; ")[2]
    'it tells the Snapshot a.snapshot, and nothing is sampled.'
    """
    where = joined([link(place) for place in config.serve.listen])
    begins = f"portroom {__version__} answers on {where}; it "
    if snapshot is not None:
        return f"{begins}tells the Snapshot {snapshot}, and nothing is sampled."
    what = "every network namespace" if config.serve.all_netns else "its network namespace"
    every = duration(config.serve.interval_s)
    return f"{begins}samples {what} every {every}; history is in {history_of(config, folder)}."


def link(place: str) -> str:
    """
    Return what a browser is told to reach a place.

    >>> link("[::1]:9765"), link("unix:/run/portroom.sock")
    ('http://[::1]:9765/', 'unix:/run/portroom.sock')
    """
    return place if place.startswith("unix:") else f"http://{place}/"


def _bug(what: Mapping[str, Any]) -> str:
    """
    Return what asyncio tells of a bug, in one line.

    >>> _bug({"message": "a task failed", "exception": ValueError("no")})
    "a task failed: ValueError('no')"
    """
    error = what.get("exception")
    return f"{what['message']}: {error!r}" if error else str(what["message"])
