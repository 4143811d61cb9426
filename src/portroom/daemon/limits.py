"""Limits: what one connection, and all of them together, may take of the daemon.

Rules of this file:

- who says nothing, or not enough, is the first to go: a request that is there is
  always answered, however many connections are half open;
- each wait has an end: for the headers, for the body that nobody wanted, and for a
  reader that does not read.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from portroom.daemon.guard import HEADERS
from portroom.model.facts.watched_answers import Problem
from portroom.render.document import as_json_line

MOST_CONNECTIONS = 64
"""That wait or are answered, beside those that stream."""

MOST_STREAMS = 128

HEADER_TIMEOUT_S = 10.0
"""From the first moment of a connection, or the first byte of its next request."""

IDLE_TIMEOUT_S = 5
"""How long a connection may wait for its next request."""

STUCK_TIMEOUT_S = 30.0
"""How long an answer may wait for its reader."""

MOST_UNWANTED_BYTES = 64 << 10
"""Of what a client sends beyond its headers; nothing here reads a body."""

AT_ONCE = struct.pack("ii", 1, 0)
"""
A time of 0 for what was not sent yet: the connection is reset.

Else the kernel keeps it, and what was to be sent, for who does not read.
Source: socket(7), SO_LINGER.
"""

SENTENCES = {
    400: "The request cannot be read: it is no HTTP/1.1.",
    408: f"The headers did not come within {HEADER_TIMEOUT_S:g} s.",
    431: "The headers are too large.",
    503: "Too many connections are open.",
}
"""What is told below HTTP's own meaning, where no request was read yet."""

RETRY_AFTER_S = 1


class LimitedProtocol(H11Protocol):
    """HTTP/1.1 over one connection, with the limits of this file."""

    def __init__(self, *arguments: Any, **names: Any) -> None:
        super().__init__(*arguments, **names)
        self.waits_since_s = self.loop.time()
        self._header_timer: asyncio.TimerHandle | None = None
        self._stuck_timer: asyncio.TimerHandle | None = None
        self._unwanted_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, instead of one that waits where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS + MOST_STREAMS and not self._made_room():
            self._refuse(503)
            return
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection that ended."""
        self._stop_timers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what a client sent; the wait for headers ends with the headers."""
        if self.transport.is_closing():
            return
        if not self._may_send(len(data)):
            self.break_off()
            return
        if self._header_timer is None and self.is_waiting():
            self._expect_headers()
        super().data_received(data)
        if not self.is_waiting():
            self._stop_header_timer()

    def pause_writing(self) -> None:
        """Wait for a reader that does not read, but not for ever."""
        super().pause_writing()
        self._stuck_timer = self.loop.call_later(STUCK_TIMEOUT_S, self.break_off)

    def resume_writing(self) -> None:
        """Go on: somebody read."""
        super().resume_writing()
        if self._stuck_timer is not None:
            self._stuck_timer.cancel()
            self._stuck_timer = None

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the end of a body that nobody wanted."""
        self.waits_since_s = self.loop.time()
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY and not self.transport.is_closing():
            self._expect_headers()

    def send_400_response(self, msg: str) -> None:
        """
        Answer what cannot be read, as every other problem is answered.

        Args:
            msg: What h11 thinks of it, which is left out.
        """
        del msg
        hint = getattr(sys.exc_info()[1], "error_status_hint", 400)
        self._refuse(hint if hint in SENTENCES else 400)

    def is_waiting(self) -> bool:
        """Say whether no request is being answered."""
        # uvicorn's types leave out that there is none before the first request.
        return self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]

    def _may_send(self, count: int) -> bool:
        """Say whether a client may send so much more, be it for a request or beyond one."""
        wanted = self.is_waiting() and self.conn.their_state is not h11.SEND_BODY
        self._unwanted_bytes = 0 if wanted else self._unwanted_bytes + count
        return self._unwanted_bytes <= MOST_UNWANTED_BYTES

    def _made_room(self) -> bool:
        """End the connection that waits longest; say whether there was one."""
        waiting = [
            one
            for one in self.connections
            if isinstance(one, LimitedProtocol) and one is not self and one.is_waiting()
        ]
        if not waiting:
            return False
        oldest = min(waiting, key=lambda one: one.waits_since_s)
        self.connections.discard(oldest)
        oldest.break_off()
        return True

    def _expect_headers(self) -> None:
        """Begin to wait for headers."""
        self._stop_header_timer()
        self._header_timer = self.loop.call_later(HEADER_TIMEOUT_S, self._give_up)

    def _give_up(self) -> None:
        """End a connection whose headers did not come, with a word if it said something."""
        self._header_timer = None
        if self.transport.is_closing():
            return
        if self.conn.our_state is h11.IDLE and self.conn.trailing_data[0]:
            self._refuse(408)
        else:
            self.break_off()

    def break_off(self) -> None:
        """End a connection at once: neither this process nor the kernel keeps anything of it."""
        one = self.transport.get_extra_info("socket")
        if one is not None and one.family != socket.AF_UNIX:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        self.transport.abort()

    def _refuse(self, status: int) -> None:
        """Answer with a problem, and end the connection."""
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            self.transport.write(_response(status))
        self.transport.close()

    def _stop_header_timer(self) -> None:
        """Wait for headers no more."""
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _stop_timers(self) -> None:
        """Wait for nothing any more."""
        self._stop_header_timer()
        if self._stuck_timer is not None:
            self._stuck_timer.cancel()


def _response(status: int) -> bytes:
    """Return the whole answer to a request that could not be read."""
    body = as_json_line(Problem(status=status, message=SENTENCES[status])).encode()
    phrase = HTTPStatus(status).phrase.encode()
    headers = [
        *HEADERS,
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    if status == 503:
        headers.append((b"retry-after", b"%d" % RETRY_AFTER_S))
    lines = [b"HTTP/1.1 %d %b" % (status, phrase), *(b"%b: %b" % pair for pair in headers)]
    return b"\r\n".join([*lines, b"", body])
