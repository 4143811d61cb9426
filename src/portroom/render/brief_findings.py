"""Findings on a screen about something else: the gravest, a line each, and where all are."""

from __future__ import annotations

from collections.abc import Sequence

from portroom.model.facts.answers import (
    CRITICAL,
    INFO,
    SEVERITIES,
    WARNING,
    Answer,
    Finding,
    Status,
)
from portroom.render.flow import TIED, wrap
from portroom.render.headroom import option
from portroom.render.units import Style, cut, paint, plural, printable

LOOKS = {CRITICAL: "red", WARNING: "yellow", INFO: ""}

BRIEFLY = 3
"""Findings that are shown; of more it is told how many."""

TOLD_BESIDE = {"drift": "drift", "boot_conflict": "boot_conflicts"}
"""Rules of which a Status has a field of its own."""


def findings_beside(answer: Status) -> list[tuple[Answer, Finding]]:
    """Return the findings of a Status, but for what it tells by itself: drift, boot conflicts."""
    told = {name for name in TOLD_BESIDE if getattr(answer, TOLD_BESIDE[name])}
    return [(answer, one) for one in answer.findings if one.name not in told]


def brief_lines(
    found: Sequence[tuple[Answer, Finding]], style: Style, *, named: bool = False
) -> list[str]:
    """
    Return the gravest findings, a line each, and the command that has them all.

    Args:
        found: Each finding with the answer it stands in.
        style: A line is cut to its width, unless ``wide``.
        named: Whether there are several namespaces, so that each is named.
    """
    if not found:
        return []
    ranked = sorted(found, key=lambda pair: SEVERITIES.index(pair[1].severity))
    lines = []
    for answer, one in ranked[:BRIEFLY]:
        where = f" in {printable(answer.netns.name)}" if named else ""
        text = f"{one.severity.capitalize()}{where}: {printable(one.evidence)}"
        whole = style.wide or not style.width
        lines.append(
            paint(text if whole else cut(text, style.width, style), LOOKS[one.severity], style)
        )
    more = len(ranked) - BRIEFLY
    what = f"{plural(more, 'more finding')}, and what" if more > 0 else "What"
    command = "portroom doctor" + (" --all-netns" if named else option(ranked[0][0].netns))
    text = f"{what} to do: {command.replace(' ', TIED)}"
    return lines + [paint(line, "dim", style) for line in wrap(text, style)]
