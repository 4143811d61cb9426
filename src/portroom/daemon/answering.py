"""Answering: what each endpoint says, from the newest Watched and from the history alone.

Rules of this file:

- no request reads the kernel;
- what all who ask are told alike is rendered once, see ``Board.body``.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec
from starlette.responses import RedirectResponse, Response

from portroom.daemon import guard, openapi, page
from portroom.daemon.board import Board
from portroom.daemon.endpoints import ENDPOINTS, HTML, JSON, METRICS, Endpoint
from portroom.daemon.events import as_event, stream
from portroom.daemon.query import Values
from portroom.errors import InvalidRequestError
from portroom.model.facts.config import Config
from portroom.model.facts.questions import HistoryQuestion
from portroom.model.facts.sockets import Protocol
from portroom.model.facts.watched import Known, Watched
from portroom.model.facts.watched_answers import Health, Problem
from portroom.model.laws import watched_answers as law
from portroom.model.laws.watched_keys import MISSED
from portroom.render import metrics
from portroom.render.document import as_json_line

MOST_READERS = 2
"""Requests that read the history at once; others wait for their turn."""

MOST_WAITING = 16
"""More than these are told to come again."""

MOST_RETRY_S = 60

MOST_MOMENTS = 20_000
"""In one answer: some 8 MB of JSON."""

NAMED = 20
"""Namespaces that are named to who asked for another one."""

HistoryOf = Callable[[HistoryQuestion, Watched], msgspec.Struct]
"""What reads the history; called in a thread."""


class UnansweredError(Exception):
    """
    Say that a request cannot be answered, and how that is told.

    Args:
        problem: What is told.
        retry_after_s: When to ask again, None for never.
    """

    def __init__(self, problem: Problem, retry_after_s: int | None = None) -> None:
        super().__init__(problem.message)
        self.problem = problem
        self.retry_after_s = retry_after_s


class Desk(NamedTuple):
    """What answers are made from."""

    board: Board
    config: Config
    token: str | None
    archive: Archive
    stop: asyncio.Event


class Archive:
    """
    The history, read by few at once and not by the thread that answers.

    Args:
        history_of: What reads it.
    """

    def __init__(self, history_of: HistoryOf) -> None:
        self._history_of = history_of
        self._turns = asyncio.Semaphore(MOST_READERS)
        self._waiting = 0

    async def body(self, board: Board, question: HistoryQuestion) -> bytes:
        """
        Return what the history tells, as JSON.

        Raises:
            UnansweredError: Too many ask already.
        """
        if self._waiting >= MOST_WAITING:
            raise unavailable("Too many ask for the history at once.", 1)
        watched = newest(board)
        name = f"history {question!r}"
        self._waiting += 1
        try:
            async with self._turns:
                found = board.found(name)
                if found is not None and board.newest is watched:
                    return found
                told = await asyncio.to_thread(self._read, question, watched)
                return board.body(name, watched, lambda: told)
        finally:
            self._waiting -= 1

    def _read(self, question: HistoryQuestion, watched: Watched) -> bytes:
        """Return what the history tells, as JSON."""
        return as_json_line(self._history_of(question, watched)).encode()


def unavailable(message: str, retry_after_s: int, hint: str = "") -> UnansweredError:
    """Return that something is not there yet, and when to ask again."""
    return UnansweredError(Problem(status=503, message=message, hint=hint), retry_after_s)


def newest(board: Board) -> Watched:
    """
    Return the newest Watched.

    Raises:
        UnansweredError: There is none.
    """
    if board.newest is None:
        raise unavailable("There is no sample yet: the daemon has just begun.", 1)
    return board.newest


def known_of(watched: Watched, name: str | None) -> Known:
    """
    Return the namespace that is asked for.

    Raises:
        UnansweredError: There is none of that name, or it was not sampled yet.
    """
    if not watched.namespaces:
        reason = f": {watched.error}" if watched.error else "."
        raise unavailable(f"No namespace could be sampled yet{reason}", retry_s(watched))
    known = law.known_as(watched, name)
    if known is None:
        names = [repr(one.sample.netns.name) for one in watched.namespaces[:NAMED]]
        more = ", …" if len(watched.namespaces) > NAMED else ""
        raise UnansweredError(
            Problem(
                status=404,
                message=f"No namespace {name!r} is watched.",
                hint=f"Watched are {', '.join(names)}{more}; see /api/v1/namespaces.",
            )
        )
    return known


def retry_s(watched: Watched) -> int:
    """Return after how many seconds there is another sample."""
    return max(1, min(MOST_RETRY_S, math.ceil(min(watched.interval_s, MOST_RETRY_S))))


# ---------------------------------------------------------------- what is answered


async def _page(desk: Desk, values: Values) -> Response:
    """Answer with what there is to ask; who shows the token there keeps it in a cookie."""
    token = values["token"]
    if token is None:
        return Response(page.as_html(ENDPOINTS), media_type=HTML)
    if not guard.is_token(token, desk.token):
        raise UnansweredError(Problem(status=401, message="This is not the token."))
    response = RedirectResponse("/", 303)
    response.set_cookie(guard.COOKIE, token, httponly=True, samesite="strict")
    return response


async def _status(desk: Desk, values: Values) -> Response:
    """Answer with the status of a namespace."""
    return _of_namespace(desk, values, "status", law.status)


async def _sessions(desk: Desk, values: Values) -> Response:
    """Answer with the sessions of a namespace in numbers."""
    return _of_namespace(desk, values, "sessions", law.sessions)


async def _headroom(desk: Desk, values: Values) -> Response:
    """Answer with the keys of a namespace, a page of them."""
    limit, offset = values["limit"], values["offset"]
    return _of_namespace(
        desk,
        values,
        f"headroom {limit} {offset}",
        lambda watched, known: law.headroom(watched, known, limit, offset),
    )


async def _findings(desk: Desk, values: Values) -> Response:
    """Answer with the findings of a namespace."""
    return _of_namespace(desk, values, "findings", _findings_of)


async def _settings(desk: Desk, values: Values) -> Response:
    """Answer with the settings of a namespace."""
    return _of_namespace(desk, values, "settings", _settings_of)


def _findings_of(watched: Watched, known: Known) -> msgspec.Struct:
    """Return the findings of the last full sample."""
    if known.findings is None:
        raise unavailable("Findings come with the first full sample.", retry_s(watched))
    return law.told_with_misses(watched, known.findings)


def _settings_of(watched: Watched, known: Known) -> msgspec.Struct:
    """Return the settings of the last full sample."""
    if known.settings is None:
        raise unavailable("Settings come with the first full sample.", retry_s(watched))
    return law.told_with_misses(watched, known.settings)


async def _namespaces(desk: Desk, values: Values) -> Response:
    """Answer with the namespaces that are watched, a page of them."""
    limit, offset = values["limit"], values["offset"]
    watched = newest(desk.board)
    body = desk.board.body(
        f"namespaces {limit} {offset}",
        watched,
        lambda: as_json_line(law.namespaces(watched, limit, offset)).encode(),
    )
    return Response(body, media_type=JSON)


async def _history(desk: Desk, values: Values) -> Response:
    """
    Answer with what was seen.

    Raises:
        InvalidRequestError: That would be too much for one answer.
    """
    moments = values["limit"] * values["points"]
    if moments > MOST_MOMENTS:
        raise InvalidRequestError(
            f"{values['limit']} keys of {values['points']} moments are {moments:,}; "
            f"one answer has at most {MOST_MOMENTS:,}.",
            "Ask for fewer keys with limit, or fewer moments with points.",
        )
    protocol = values["protocol"]
    question = HistoryQuestion(
        since_s=values["since"],
        until_s=values["until"],
        key=values["key"],
        protocol=None if protocol is None else Protocol(protocol),
        netns=_remembered(desk.board.newest, values["netns"]),
        limit=values["limit"],
        points=values["points"],
    )
    return Response(await desk.archive.body(desk.board, question), media_type=JSON)


def _remembered(watched: Watched | None, name: str | None) -> str | None:
    """Return how history calls a namespace; what is not there any more is asked as it is."""
    if watched is None or name is None:
        return name
    try:
        return known_of(watched, name).sample.netns.lasting_name
    except UnansweredError:
        return name


async def _events(desk: Desk, values: Values) -> Response:
    """Answer with a status after each sample, for as long as somebody listens."""
    name = values["netns"]
    if desk.board.newest is not None:
        known_of(desk.board.newest, name)

    def render(watched: Watched) -> bytes:
        """Return the event of one Watched, made once for all who are told."""
        return desk.board.body(f"event {name}", watched, lambda: _event(desk.board, watched, name))

    return stream(desk.board, render)


def _event(board: Board, watched: Watched, name: str | None) -> bytes:
    """Return the status of a namespace as an event, or that it is gone."""
    try:
        answer: msgspec.Struct = law.status(watched, known_of(watched, name))
    except UnansweredError as error:
        return as_event("gone", board.published, as_json_line(error.problem).encode())
    return as_event("status", board.published, as_json_line(answer).encode())


async def _openapi(_: Desk, __: Values) -> Response:
    """Answer with the description of all this."""
    return Response(openapi.as_json(), media_type=JSON)


async def _metrics(desk: Desk, _: Values) -> Response:
    """Answer with the metrics."""
    watched = newest(desk.board)
    body = desk.board.body("metrics", watched, lambda: _metrics_text(desk, watched).encode())
    return Response(body, headers={"content-type": METRICS})


def _metrics_text(desk: Desk, watched: Watched) -> str:
    """Return the metrics, and remember which labels are in them."""
    board, config = desk.board, desk.config.metrics
    text = metrics.as_text(watched, config, board.seen)
    board.seen = metrics.remembered(board.seen, watched, config)
    return text


async def _healthz(desk: Desk, _: Values) -> Response:
    """Answer whether samples are taken."""
    watched = newest(desk.board)
    if watched.missed_samples >= MISSED:
        count = watched.missed_samples
        message = f"The last {count} samples could not be taken: {watched.error}"
        raise unavailable(message, retry_s(watched))
    health = Health(state="ok", taken_at=watched.now.at, missed_samples=watched.missed_samples)
    return Response(as_json_line(health).encode(), media_type=JSON)


def _of_namespace(
    desk: Desk,
    values: Values,
    name: str,
    answer: Callable[[Watched, Known], msgspec.Struct],
) -> Response:
    """Answer with something of one namespace, rendered once for all who ask."""
    watched = newest(desk.board)
    known = known_of(watched, values["netns"])
    netns = known.sample.netns
    body = desk.board.body(
        f"{name} {netns.cookie or netns.inode}",
        watched,
        lambda: as_json_line(answer(watched, known)).encode(),
    )
    return Response(body, media_type=JSON)


Handler = Callable[[Desk, Values], Awaitable[Response]]

HANDLERS: dict[str, Handler] = {
    "page": _page,
    "status": _status,
    "headroom": _headroom,
    "sessions": _sessions,
    "history": _history,
    "findings": _findings,
    "settings": _settings,
    "namespaces": _namespaces,
    "events": _events,
    "openapi": _openapi,
    "metrics": _metrics,
    "healthz": _healthz,
}
"""Who answers, by the name of the endpoint."""

BY_PATH: dict[str, Endpoint] = {endpoint.path: endpoint for endpoint in ENDPOINTS}
