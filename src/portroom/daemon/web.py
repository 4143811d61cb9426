"""The web: a request in, an answer out; nothing in between writes, and nothing ends the daemon."""

from __future__ import annotations

import asyncio
import difflib
import os
import traceback
from collections.abc import Callable
from email.utils import formatdate
from functools import partial
from typing import Any

from sse_starlette import EventSourceResponse
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from portroom.daemon import guard
from portroom.daemon.answering import (
    BY_PATH,
    HANDLERS,
    Archive,
    Desk,
    UnansweredError,
    unavailable,
)
from portroom.daemon.board import Board
from portroom.daemon.endpoints import JSON, PATHS
from portroom.daemon.limits import MOST_STREAMS
from portroom.daemon.query import parse_query
from portroom.errors import HistoryError, InvalidRequestError, PortroomError
from portroom.model.facts.config import Config
from portroom.model.facts.questions import HistoryQuestion
from portroom.model.facts.watched import History, Watched
from portroom.model.facts.watched_answers import Problem
from portroom.render.document import as_json_line

RETRY_S = 10
"""When to ask again for what could not be read."""

MOST_BUGS = 20
"""That are reported, one line each."""

OWN_HEADERS = frozenset(name for name, _ in guard.HEADERS) | {b"date"}


def application(
    board: Board,
    config: Config,
    token: str | None,
    history_file: str | None,
    stop: asyncio.Event,
    report: Callable[[str], None] | None = None,
) -> Application:
    """
    Return what answers requests.

    Args:
        board: Where the newest Watched is put up; who closes it ends all streams.
        config: What holds until another application takes the place of this one.
        token: What must be shown at any address but loopback; None lets nobody in there.
        history_file: Where the history lies; None where a saved Snapshot is told.
        stop: Set once the daemon is to end: then no stream begins.
        report: Told of a bug, in one line.
    """
    allowed = guard.Allowed(
        config.serve.hosts,
        own_names(os.uname().nodename),
        token,
        open_metrics=not config.metrics.destinations,
    )
    desk = Desk(board, config, token, Archive(partial(_history, history_file)), stop)
    return Application(desk, allowed, report or _tell_nobody)


def _history(file: str | None, question: HistoryQuestion, watched: Watched) -> History:
    """
    Return what the history tells.

    Raises:
        HistoryError: There is none: a Snapshot is one moment, and what this host
            remembers is not of it.
    """
    from portroom.api.history import history

    if file is None:
        raise HistoryError(
            "A saved Snapshot has no history: it is one moment.",
            "`portroom history` tells what was seen on this host.",
        )
    return history(question, file, watched)


def _tell_nobody(bug: str) -> None:
    """Leave a bug untold."""


class Application:
    """
    Answers requests, as ASGI has it.

    Args:
        desk: What answers are made from.
        allowed: Who may ask.
        report: Told of a bug, in one line.
    """

    def __init__(self, desk: Desk, allowed: guard.Allowed, report: Callable[[str], None]) -> None:
        self._desk = desk
        self._allowed = allowed
        self._report = report
        self._told: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        asked = asked_of(scope)
        response = await self._respond(asked)
        board, is_stream = self._desk.board, isinstance(response, EventSourceResponse)
        board.streams += is_stream
        try:
            await response(scope, receive, _with_headers(send))
        except Exception as error:
            self._tell(error)
            raise  # the server ends the connection: half of an answer is none
        finally:
            board.streams -= is_stream

    def _tell(self, error: Exception) -> None:
        """Report a bug, each once: who comes upon it again and again fills no log."""
        bug = _place(error)
        if bug not in self._told and len(self._told) < MOST_BUGS:
            self._told.add(bug)
            self._report(bug)

    async def _respond(self, asked: guard.Asked) -> Response:
        """Return the answer to a request, be it a problem."""
        refused = guard.refusal(asked, self._allowed)
        if refused is not None:
            return _problem(refused.problem, dict(refused.headers))
        try:
            return await self._answer(asked)
        except UnansweredError as error:
            after = error.retry_after_s
            return _problem(error.problem, {} if after is None else {"retry-after": str(after)})
        except PortroomError as error:
            status = 400 if isinstance(error, InvalidRequestError) else 503
            headers = {"retry-after": str(RETRY_S)} if status == 503 else {}
            problem = Problem(status=status, message=error.message, hint=error.hint)
            return _problem(problem, headers)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others are answered on
            self._tell(error)
            return _problem(Problem(status=500, message="This is a bug in portroom; see its log."))

    async def _answer(self, asked: guard.Asked) -> Response:
        """Return the answer of the endpoint that is asked."""
        endpoint = BY_PATH.get(asked.path)
        if endpoint is None:
            raise UnansweredError(_no_such(asked.path))
        streams = self._desk.board.streams
        if asked.path == PATHS.events and self._desk.stop.is_set():
            raise unavailable("The daemon ends.", 10)
        if asked.path == PATHS.events and streams >= MOST_STREAMS:
            raise unavailable(f"{streams} streams are open already.", 10)
        values = parse_query(asked.query, endpoint.parameters)
        return await HANDLERS[endpoint.name](self._desk, values)


def asked_of(scope: Scope) -> guard.Asked:
    """Return what of a request decides who may ask."""
    headers: dict[str, list[str]] = {}
    size = len(scope["raw_path"]) + len(scope["query_string"])
    for name, value in scope["headers"]:
        size += len(name) + len(value) + 4
        headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    return guard.Asked(
        method=scope["method"],
        path=scope["path"],
        target=scope["raw_path"],
        query=scope["query_string"],
        headers=headers,
        header_bytes=size,
        local=scope.get("server"),
        version=scope["http_version"],
    )


def own_names(nodename: str) -> tuple[str, ...]:
    """
    Return the names by which monitors may ask for this host.

    >>> own_names("Web1.example.org")
    ('web1.example.org', 'web1')
    """
    name = nodename.lower()
    return tuple(dict.fromkeys((name, name.partition(".")[0])))


def _with_headers(send: Send) -> Send:
    """Return what sends an answer with the headers that every one has."""

    async def sending(message: Message) -> None:
        """Send a part of the answer."""
        if message["type"] == "http.response.start":
            date = (b"date", formatdate(usegmt=True).encode())
            kept = [pair for pair in message["headers"] if pair[0] not in OWN_HEADERS]
            message = {**message, "headers": [*kept, *guard.HEADERS, date]}
        await send(message)

    return sending


def _problem(problem: Problem, headers: dict[str, str] | None = None) -> Response:
    """Return the answer to a request that is not answered."""
    body = as_json_line(problem).encode()
    return Response(body, problem.status, headers, media_type=JSON)


def _no_such(path: str) -> Problem:
    """Return that there is no such path, and the nearest that there is."""
    near: list[str] = difflib.get_close_matches(path[:100], BY_PATH, 1)
    hint = f"Did you mean {near[0]}?" if near else "See / for all that there is."
    return Problem(status=404, message=f"There is nothing at {path[:100]!r}.", hint=hint)


def _place(error: BaseException) -> str:
    """Return a bug in one line: what it is and where."""
    frames: Any = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__}: {error} ({frames[-1].filename}:{frames[-1].lineno})"
