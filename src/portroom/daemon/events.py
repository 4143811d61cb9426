"""Events: the newest status to all who stay on the line, rendered once for all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from sse_starlette import EventSourceResponse, ServerSentEvent

from portroom.daemon.board import Board
from portroom.model.facts.watched import Watched

PING_S = 15.0
"""So often something is sent, so that both ends notice when the other is gone."""

RETRY_MS = 2000
"""When a browser asks again after the stream ended."""

Render = Callable[[Watched], bytes]


def stream(board: Board, render: Render) -> EventSourceResponse:
    """
    Return the answer that tells of each new Watched until the board is closed.

    Args:
        board: Where it is put up.
        render: What makes a whole event of it, see ``as_event``.
    """
    return EventSourceResponse(_events(board, render), ping=PING_S, ping_message_factory=_ping)


async def _events(board: Board, render: Render) -> AsyncIterator[bytes]:
    """Yield an event for each Watched."""
    async for watched in board.updates():
        yield render(watched)


def as_event(name: str, number: int, data: bytes) -> bytes:
    r"""
    Return an event as it is sent.

    Args:
        name: What kind of event it is.
        number: Its id, which tells it from those before and after.
        data: One line.

    >>> as_event("status", 7, b"{}\n")
    b'id: 7\r\nevent: status\r\ndata: {}\r\nretry: 2000\r\n\r\n'
    """
    text = data.decode().rstrip("\n")
    return ServerSentEvent(text, event=name, id=str(number), retry=RETRY_MS).encode()


def _ping() -> ServerSentEvent:
    """Return a comment, which readers leave out."""
    return ServerSentEvent(comment="still here")
