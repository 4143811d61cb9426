"""Lines of sysctl files as the Answers tell them."""

from __future__ import annotations

import msgspec


class FilePlace(msgspec.Struct, frozen=True):
    """A line of a file, or with null the file as a whole."""

    file: str
    line: int | None


class BootCandidate(msgspec.Struct, frozen=True):
    """
    A line that names a sysctl, and what becomes of it.

    ``value`` is null for a line that gives none: it only keeps the key from
    being set, or is broken because there is no ``=`` in it.
    ``outcome`` is one of ``laws.outcomes.OUTCOMES``, ``by`` what it comes from,
    ``reason`` a clause; ``program`` is who reads the line, ``kernel`` for the
    kernel's command line. ``remedy`` says in a sentence what to do, "" for
    nothing.
    """

    file: str
    line: int
    value: str | None
    outcome: str
    by: FilePlace | None = None
    reason: str = ""
    program: str = ""
    remedy: str = ""
