"""Doctor: let every rule look at a Scene, and say which could not.

A Scene may be partial: the status screen has a Snapshot and little beside, and the
rules that need more are told as unchecked.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from portroom.errors import InvalidRequestError
from portroom.model.advice.findings.myths import MYTHS, Myth, myth_named
from portroom.model.advice.findings.parts import missing
from portroom.model.advice.findings.table import FINDINGS, Row
from portroom.model.facts.answers import SEVERITIES, Finding
from portroom.model.facts.scene import Scene
from portroom.model.laws.headroom import KeysWanted, as_key, find_keys, owners_by_key

TIGHTEST = 5
"""Keys that are judged where the caller names none."""


class Diagnosis(NamedTuple):
    """The findings, the gravest first, the rules that could look, and those that could not."""

    findings: tuple[Finding, ...]
    checked: tuple[str, ...]
    unchecked: tuple[str, ...]


def diagnose(scene: Scene) -> Diagnosis:
    """
    Return what the rules find in a Scene.

    Args:
        scene: As far as it was read; without keys the tightest ones are found.
    """
    seen = scene if scene.keys else _with_keys(scene)
    checked = [name for name, row in FINDINGS.items() if missing(seen, row.needs) is None]
    findings = [finding for name in checked for finding in FINDINGS[name].rule(seen)]
    findings.sort(key=lambda one: SEVERITIES.index(one.severity))
    return Diagnosis(
        tuple(findings),
        tuple(checked),
        tuple(name for name in FINDINGS if name not in checked),
    )


def _with_keys(scene: Scene) -> Scene:
    """Return a Scene with its tightest keys, and their owners as far as they are known."""
    read = scene.read
    known = owners_by_key(read.owners)
    measured = find_keys(read, KeysWanted(limit=TIGHTEST)).measured
    if not measured:
        return scene
    keys = tuple(
        as_key(one, known.get((one.id.protocol.value, one.id.group_key, one.id.family), ()))
        for one in measured
    )
    return msgspec.structs.replace(scene, keys=keys)


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
    myth = myth_named(word)
    name = myth.name if myth else word.strip().lower().replace("-", "_")
    if name not in FINDINGS:
        raise InvalidRequestError(f"There is no finding {word!r}.", _suggestion(word))
    return name, FINDINGS[name], myth


def _suggestion(word: str) -> str:
    """Return a sentence with the nearest name, or with all names."""
    # Only the way of an error pays for difflib.
    from difflib import get_close_matches

    known = {name: name for name in FINDINGS}
    known |= {said: said for myth in MYTHS for said in myth.words}
    nearest = get_close_matches(word, known, n=1)
    if nearest:
        return f"Did you mean {known[nearest[0]]!r}?"
    return f"Known are {', '.join(FINDINGS)}."
