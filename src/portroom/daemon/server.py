"""The server: HTTP/1.1 by uvicorn on sockets that are bound already, until it is told to stop.

Rules of this file:

- signals belong to who runs the loop: ``stop`` is all that ends the server;
- nothing wakes it while nobody asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Generator, Sequence

import uvicorn
from starlette.types import ASGIApp

from portroom.daemon.limits import IDLE_TIMEOUT_S, LimitedProtocol

BACKLOG = 128

LAST_WORDS_S = 0.3
"""How long answers may still be sent once the server stops."""


async def serve(
    application: ASGIApp, sockets: Sequence[socket.socket], stop: asyncio.Event
) -> None:
    """
    Answer requests until *stop* is set; streams end with the board that they are of.

    Args:
        application: What answers.
        sockets: Bound, and perhaps listening; they are closed in the end.
        stop: Set it to end.
    """
    await Server(application, stop).serve(sockets=list(sockets))


class Server(uvicorn.Server):
    """
    A server of uvicorn's that leaves signals alone and waits without looking at a clock.

    Args:
        application: What answers.
        stop: What ends it.
    """

    def __init__(self, application: ASGIApp, stop: asyncio.Event) -> None:
        super().__init__(_settings(application))
        self._stop = stop

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Take no signal over."""
        yield

    async def main_loop(self) -> None:
        """Wait until it is to stop."""
        await self._stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let answers end; what is not sent soon is given up."""
        ending = asyncio.create_task(super().shutdown(sockets=sockets))
        await asyncio.wait({ending}, timeout=LAST_WORDS_S)
        self.force_exit = True
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await ending


def _settings(application: ASGIApp) -> uvicorn.Config:
    """Return what uvicorn is told: nothing of its own in answers, logs and headers."""
    return uvicorn.Config(
        application,
        interface="asgi3",
        http=LimitedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level=logging.CRITICAL,
        access_log=False,
        # Who asks is judged by the connection; a header of the client's tells nothing.
        proxy_headers=False,
        server_header=False,
        date_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=IDLE_TIMEOUT_S,
    )
