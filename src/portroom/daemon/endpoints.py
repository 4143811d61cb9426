"""What may be asked, one row an endpoint: routes, OpenAPI and the reference are made of it."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from portroom.model.facts.answers import Findings, SettingsAnswer
from portroom.model.facts.watched import History
from portroom.model.facts.watched_answers import (
    Health,
    WatchedHeadroom,
    WatchedNamespaces,
    WatchedSessions,
    WatchedStatus,
)

JSON = "application/json"
EVENTS = "text/event-stream"
HTML = "text/html; charset=utf-8"
METRICS = "text/plain; version=0.0.4; charset=utf-8"

COUNT, DURATION, TEXT = "count", "duration", "text"

MOST_ITEMS = 1000
"""Of a list in one answer."""

MOST_SECONDS = 100 * 31_536_000
"""A hundred years: longer is a mistake."""

LONGEST_TEXT = 300

TEXT_FORM = f"[ -~]{{1,{LONGEST_TEXT}}}"
"""ASCII: what has another name can be asked for by its number."""

DURATION_FORM = r"[0-9]{1,12}(\.[0-9]{1,9})?[smhdy]?"
"""As in the configuration, without blanks; seconds without a unit."""


class Parameter(NamedTuple):
    """
    A part of the query.

    ``kind`` is COUNT, DURATION or TEXT; ``least`` and ``most`` are both included.
    ``words`` are all that a text may be, none for any; ``default`` is what holds where
    it is not asked, None for nothing.
    """

    name: str
    kind: str
    meaning: str
    default: int | float | str | None = None
    least: int = 0
    most: int = MOST_ITEMS
    words: tuple[str, ...] = ()


NETNS = Parameter(
    "netns",
    TEXT,
    "Name, cookie or inode of the network namespace; without it, the daemon's own.",
)
LIMIT = Parameter("limit", COUNT, "Items at most.", 100, least=1)
OFFSET = Parameter("offset", COUNT, "Items to leave out before.", 0, most=1_000_000)

TOKEN = Parameter(
    "token", TEXT, "The token, which the browser then keeps: it is sent back to the page without."
)

OF_HISTORY = (
    Parameter("since", DURATION, "How far back, such as 2h; seconds without a unit.", 3600.0),
    Parameter("until", DURATION, "How long ago to end.", 0.0),
    Parameter("key", TEXT, "`ADDRESS` or `ADDRESS:PORT` of the remote; without it, the tightest."),
    Parameter("protocol", TEXT, "Without it, both.", words=("tcp", "udp")),
    Parameter("netns", TEXT, "Name of the network namespace; without it, all of them."),
    Parameter("limit", COUNT, "Keys at most, those that were tightest first.", 10, 1, 100),
    Parameter(
        "points", COUNT, "Moments of each at most; spans are as long as that needs.", 1000, 1
    ),
)


class Endpoint(NamedTuple):
    """
    One path that is answered.

    ``name`` is what its handler goes by. ``answer`` is the type of its JSON, None where
    it is something else. ``statuses`` are those of a problem that is its own; those of
    every endpoint are in COMMON.
    """

    name: str
    path: str
    summary: str
    answer: type[msgspec.Struct] | None = None
    parameters: tuple[Parameter, ...] = ()
    media: str = JSON
    statuses: tuple[int, ...] = (404, 503)


ENDPOINTS = (
    Endpoint(
        "page",
        "/",
        "What there is to ask, for a person.",
        parameters=(TOKEN,),
        media=HTML,
        statuses=(),
    ),
    Endpoint(
        "status",
        "/api/v1/status",
        "One screen: the range, the tightest keys, sessions, drift, findings, and how watching goes.",
        WatchedStatus,
        (NETNS,),
    ),
    Endpoint(
        "headroom",
        "/api/v1/headroom",
        "How many more connections fit, the tightest key first, with forecasts.",
        WatchedHeadroom,
        (NETNS, LIMIT, OFFSET),
    ),
    Endpoint("sessions", "/api/v1/sessions", "Sessions in numbers.", WatchedSessions, (NETNS,)),
    Endpoint(
        "history",
        "/api/v1/history",
        "What was seen since a time.",
        History,
        OF_HISTORY,
        statuses=(503,),
    ),
    Endpoint(
        "findings",
        "/api/v1/findings",
        "What is wrong or will be, the gravest first.",
        Findings,
        (NETNS,),
    ),
    Endpoint(
        "settings",
        "/api/v1/settings",
        "The settings that matter for local ports.",
        SettingsAnswer,
        (NETNS,),
    ),
    Endpoint(
        "namespaces",
        "/api/v1/namespaces",
        "The network namespaces that are watched, a line each.",
        WatchedNamespaces,
        (LIMIT, OFFSET),
        statuses=(503,),
    ),
    Endpoint(
        "events",
        "/api/v1/events",
        "Server-sent events: a `status` at once, and one after each sample.",
        parameters=(NETNS,),
        media=EVENTS,
    ),
    Endpoint("openapi", "/api/v1/openapi.json", "This description.", statuses=()),
    Endpoint("metrics", "/metrics", "Metrics for Prometheus.", media=METRICS, statuses=(503,)),
    Endpoint("healthz", "/healthz", "Whether samples are taken.", Health, statuses=(503,)),
)
"""Every path that is answered."""

COMMON = {
    400: "The request cannot be read, or a parameter cannot be so.",
    401: "The token is missing, at any address but loopback.",
    403: "A page of another site asks.",
    405: "Another method than GET and HEAD.",
    421: "The Host header does not name this daemon.",
    431: "The headers are too large.",
    500: "A bug in portroom.",
}
"""Statuses of a problem that every endpoint may have."""

OWN = {
    404: "There is no such network namespace.",
    503: "There is no sample yet, or too much is asked at once; `Retry-After` says when to ask again.",
}
"""Statuses of a problem that some endpoints have."""


class _Paths(NamedTuple):
    """Paths by name."""

    page: str
    metrics: str
    healthz: str
    events: str


PATHS = _Paths(*(next(e.path for e in ENDPOINTS if e.name == name) for name in _Paths._fields))
"""Those that the rest of the daemon names."""

FOR_MONITORS = frozenset({PATHS.metrics, PATHS.healthz})
"""What Prometheus and kubelet ask, which name a host by its address."""
