"""Why an operation on a port fails: the question, and the answer with its causes.

Rules of this file:

- a cause is decided by evidence: found, possible where the kernel leaves a doubt,
  ruled out, or not known where something could not be looked at;
- every cause that gives the errno is told, the ruled out ones too, with how.
"""

from __future__ import annotations

import msgspec

from portroom.model.facts.answers import Answer, Key
from portroom.model.facts.sockets import Owner, Protocol

FOUND, POSSIBLE, UNKNOWN, RULED_OUT = "found", "possible", "unknown", "ruled_out"
VERDICTS = (FOUND, POSSIBLE, UNKNOWN, RULED_OUT)
"""In the order in which causes are told."""

ERRORS: dict[str, int] = {
    "EADDRNOTAVAIL": 99,
    "EADDRINUSE": 98,
    "EAGAIN": 11,
    "ETIMEDOUT": 110,
    "EPERM": 1,
    "EMFILE": 24,
    "ENFILE": 23,
}
"""What `explain` takes, by name: x86 and ARM numbers."""


class ExplainQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """
    What fails, as far as the user knows.

    Args:
        error: Name of the errno, None for whatever would fail now.
        remote: ``ADDRESS:PORT`` or ``NAME:PORT`` of a connect or send; None for
            the tightest destinations.
        from_address: The local address, as the user wrote it; None for any.
        from_port: The local port, 0 where none is named.
        protocol: TCP or UDP; None is TCP, or what the errno can come from.
        pid: The process that fails, looked at from inside its namespace.
        probe: Let the kernel itself settle ports in doubt.
    """

    error: str | None = None
    remote: str | None = None
    from_address: str | None = None
    from_port: int = 0
    protocol: Protocol | None = None
    pid: int | None = None
    probe: bool = True


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """
    One cause of a failure, and what was found out about it.

    ``name`` is one of ``model.advice.causes``; ``errors`` are the errnos that it
    gives. ``sentence`` says what was seen, or how it was ruled out, or what could
    not be looked at; ``numbers`` has the figures in it. ``remedy`` says what to
    do, ``command`` is the next command to run, each "" where there is none.
    ``page`` is the page of the documentation.
    """

    name: str
    verdict: str
    errors: tuple[str, ...]
    sentence: str
    numbers: dict[str, int | float | str] = {}
    remedy: str = ""
    command: str = ""
    page: str = ""


class Explanation(Answer, frozen=True, kw_only=True):
    """
    Why it fails: every cause of the errno, what is found first.

    ``errno`` and ``error`` are null where any failure was asked for. ``keys`` are
    the keys that were judged: the destination's, or the tightest ones. ``process``
    is the one asked about. ``found`` has the names of the causes found.
    """

    error: str | None
    errno: int | None
    protocol: str | None
    remote_address: str | None
    remote_port: int | None
    local_address: str | None
    local_port: int | None
    process: Owner | None
    found: tuple[str, ...]
    causes: tuple[Cause, ...]
    keys: tuple[Key, ...] = ()
