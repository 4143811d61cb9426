"""Outcomes: what became of each line that names a sysctl, and what is held in the end.

Part of the portable core: standard library and Python 3.9 syntax only.
"""

from __future__ import annotations

from typing import NamedTuple

from portroom.model.facts.sysctl_files import Unseen

APPLIED = "applied"
OVERRIDDEN = "overridden"
MASKED = "masked"
REFUSED = "refused"
EXCLUDED = "excluded"
BROKEN = "broken"
UNREAD = "unread"
UNCHECKED = "unchecked"

OUTCOMES = (APPLIED, OVERRIDDEN, MASKED, REFUSED, EXCLUDED, BROKEN, UNREAD, UNCHECKED)
"""What may become of a line; each has its section in docs/reference/outcomes.md."""


class Place(NamedTuple):
    """A line of a file, counted from 1 as editors do; 0 is the file as a whole."""

    path: bytes
    line: int


class Fate(NamedTuple):
    """
    What became of a line for one sysctl.

    ``by`` is the line, or the file, that the outcome comes from; ``reason``
    says more, as a clause.
    """

    outcome: str
    by: Place | None = None
    reason: str = ""


class Candidate(NamedTuple):
    """A line that names a sysctl; ``value`` is None for one that only excludes."""

    place: Place
    value: bytes | None
    fate: Fate


class Verdict(NamedTuple):
    """
    What a program leaves in one sysctl.

    ``value`` is the text that the kernel holds then, None where no line decides.
    Candidates stand as the program reads them, those that it never reads last.
    """

    key: str
    value: str | None
    winner: Place | None
    candidates: tuple[Candidate, ...] = ()


class Booted(NamedTuple):
    """
    What one program did: a verdict for each key, and what every sysctl holds.

    ``unseen`` tells what the program reads and portroom could not.
    """

    verdicts: tuple[Verdict, ...]
    state: dict[str, str]
    unseen: tuple[Unseen, ...] = ()

    def verdict(self, key: str) -> Verdict:
        """Return the verdict on one key."""
        return next(verdict for verdict in self.verdicts if verdict.key == key)
