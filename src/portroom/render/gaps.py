"""Gaps: what could not be seen, one clear line each."""

from __future__ import annotations

from collections.abc import Sequence

from portroom.model.facts.answers import Answer
from portroom.model.facts.snapshot import NOT_LOOKED_AT, Gap
from portroom.render.flow import joined, wrap
from portroom.render.units import Style, instant, paint, plural, printable


def footer(answers: Sequence[Answer], style: Style) -> list[str]:
    """Return what stands below every answer: its gaps, and whose and when it is."""
    lines = as_lines([gap for answer in answers for gap in answer.gaps], style)
    if answers:
        first = answers[0]
        many = len(answers) > 1
        name = plural(len(answers), "namespace") if many else _namespace(first)
        text = f"{printable(first.host)}, {name}, {instant(first.taken_at)}"
        lines += [paint(line, "dim", style) for line in wrap(text, style)]
    return lines


def _namespace(answer: Answer) -> str:
    """Return the namespace of an answer in words."""
    return f"namespace {printable(answer.netns.name)}"


def as_lines(gaps: Sequence[Gap], style: Style) -> list[str]:
    """
    Return the lines that tell what could not be seen, each gap once.

    What nobody looked at is one dim line together, as it is no failure.
    """
    failed = [gap for gap in gaps if not is_unseen(gap)]
    unseen = [_unseen(gap) for gap in gaps if is_unseen(gap)]
    lines = []
    for text in dict.fromkeys(map(as_sentence, failed)):
        lines += [paint(line, "yellow", style) for line in _wrapped(text, style)]
    if unseen:
        text = f"Not looked at: {joined(list(dict.fromkeys(unseen)))}."
        lines += [paint(line, "dim", style) for line in _wrapped(text, style)]
    return lines


def is_unseen(gap: Gap) -> bool:
    """Say whether nobody looked: a choice, no failure."""
    return gap.reason.startswith(NOT_LOOKED_AT)


def hides(gaps: Sequence[Gap], field: str) -> bool:
    """Say whether a field of the answer could not be told at all."""
    return any(field in gap.affects for gap in gaps)


def _unseen(gap: Gap) -> str:
    """Return what nobody looked at, and why if a reason follows."""
    why = gap.reason.removeprefix(NOT_LOOKED_AT).lstrip(": ")
    return printable(f"{gap.source} ({why})" if why else gap.source)


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
