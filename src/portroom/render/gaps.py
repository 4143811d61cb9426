"""Gaps: what could not be seen, one clear line each."""

from __future__ import annotations

from collections.abc import Sequence

from portroom.model.facts.snapshot import NOT_LOOKED_AT, Gap
from portroom.render.flow import joined, wrap
from portroom.render.units import Style, paint, printable


def as_lines(gaps: Sequence[Gap], style: Style) -> list[str]:
    """
    Return the lines that tell what could not be seen, each gap once.

    What nobody looked at is one dim line together, as it is no failure.
    """
    failed = [gap for gap in gaps if gap.reason != NOT_LOOKED_AT]
    unseen = [gap.source for gap in gaps if gap.reason == NOT_LOOKED_AT]
    lines = []
    for text in dict.fromkeys(map(as_sentence, failed)):
        lines += [paint(line, "yellow", style) for line in _wrapped(text, style)]
    if unseen:
        text = f"Not looked at: {joined(list(dict.fromkeys(map(printable, unseen))))}."
        lines += [paint(line, "dim", style) for line in _wrapped(text, style)]
    return lines


def as_sentence(gap: Gap) -> str:
    """
    Return one gap as a sentence in one line.

    >>> as_sentence(Gap("owners", "no CAP_SYS_PTRACE", ("owners",)))
    'Not seen: owners: no CAP_SYS_PTRACE. Uncertain: owners.'
    """
    reason = printable(gap.reason.rstrip("."))
    text = f"Not seen: {printable(gap.source)}: {reason}."
    if gap.affects:
        text += f" Uncertain: {joined([printable(name) for name in gap.affects])}."
    return text


def _wrapped(text: str, style: Style) -> list[str]:
    """Return the lines of a sentence, the later ones set in."""
    return wrap(text, style, hang="  ")
