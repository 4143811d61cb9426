"""Doctor: let every rule look at a Scene, and say which could not.

A Scene may be partial: the status screen has a Snapshot and little beside, and the
rules that need more are told as unchecked. So is a rule that saw some of what it needs:
what it found is told, and that it found no more proves nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from portroom.errors import InvalidRequestError
from portroom.model.advice.findings.parts import incomplete, missing
from portroom.model.advice.findings.table import FINDINGS, Row
from portroom.model.facts.answers import SEVERITIES, Finding
from portroom.model.facts.scene import Scene

if TYPE_CHECKING:
    from portroom.model.advice.findings.myths import Myth  # a screen does without


class Diagnosis(msgspec.Struct, frozen=True):
    """The findings, the gravest first, the rules that saw all they need, and those that did not."""

    findings: tuple[Finding, ...]
    checked: tuple[str, ...]
    unchecked: tuple[str, ...]


def diagnose(scene: Scene) -> Diagnosis:
    """
    Return what the rules find in a Scene.

    Args:
        scene: As far as it was read; its keys are the ones that are judged.
    """
    looking = {name: row for name, row in FINDINGS.items() if missing(scene, row.needs) is None}
    findings = [finding for row in looking.values() for finding in row.rule(scene)]
    findings.sort(key=lambda one: SEVERITIES.index(one.severity))
    checked = [name for name, row in looking.items() if incomplete(scene, row.needs) is None]
    return Diagnosis(
        tuple(findings),
        tuple(checked),
        tuple(name for name in FINDINGS if name not in checked),
    )


def named(word: str) -> tuple[str, Row, Myth | None]:
    """
    Return the finding that a person means, and the myth behind it, if it is one.

    Args:
        word: The name of a finding, or what people call a myth by.

    Raises:
        InvalidRequestError: There is none; the nearest is named.

    >>> name, row, myth = named("tcp_tw_recycle")
    >>> name, myth.command
    ('myth_tw_recycle', 'portroom set tcp_tw_reuse=1 --try')
    """
    from portroom.model.advice.findings.myths import myth_named

    myth = myth_named(word)
    name = myth.name if myth else word.strip().lower().replace("-", "_")
    if name not in FINDINGS:
        raise InvalidRequestError(f"There is no finding {word!r}.", _suggestion(word))
    return name, FINDINGS[name], myth


def _suggestion(word: str) -> str:
    """Return a sentence with the nearest name, or with all names."""
    # Only the way of an error pays for difflib.
    from difflib import get_close_matches

    from portroom.model.advice.findings.myths import MYTHS

    known = {name: name for name in FINDINGS}
    known |= {said: said for myth in MYTHS for said in myth.words}
    nearest = get_close_matches(word, known, n=1)
    if nearest:
        return f"Did you mean {known[nearest[0]]!r}?"
    return f"Known are {', '.join(FINDINGS)}."
