"""Gaps: what could not be seen, one clear line each."""

from __future__ import annotations

from collections.abc import Sequence

from portroom.model.facts.answers import Answer
from portroom.model.facts.snapshot import NOT_LOOKED_AT, Gap
from portroom.render.flow import joined, wrap
from portroom.render.units import Style, instant, paint, plural, printable


def footer(answers: Sequence[Answer], style: Style) -> list[str]:
    """Return what stands below every answer: its gaps, and whose and when it is."""
    found = [gap for answer in answers for gap in answer.gaps]
    lines = [line for text in _failures(found) for line in _painted(text, "yellow", style)]
    words = [*(_whose(answers) if answers else []), *_unseen_together(found)]
    together = wrap(" ".join(words), style)
    texts = words if len(together) > 1 else together
    return [*lines, *(line for text in texts for line in _painted(text, "dim", style))]


def signature(answers: Sequence[Answer], style: Style) -> list[str]:
    """Return whose and when an answer is, where its gaps were told before."""
    return [line for text in _whose(answers) for line in _painted(text, "dim", style)]


def _whose(answers: Sequence[Answer]) -> list[str]:
    """Return host, namespace and time as a sentence."""
    first = answers[0]
    many = len(answers) > 1
    name = plural(len(answers), "namespace") if many else _namespace(first)
    return [f"{printable(first.host)}, {name}, {instant(first.taken_at)}."]


def _namespace(answer: Answer) -> str:
    """Return the namespace of an answer in words."""
    return f"namespace {printable(answer.netns.name)}"


def as_lines(gaps: Sequence[Gap], style: Style) -> list[str]:
    """
    Return the lines that tell what could not be seen, each gap once.

    What nobody looked at is one dim line together, as it is no failure.
    """
    lines = [line for text in _failures(gaps) for line in _painted(text, "yellow", style)]
    for text in _unseen_together(gaps):
        lines += _painted(text, "dim", style)
    return lines


def _failures(gaps: Sequence[Gap]) -> list[str]:
    """Return a sentence for each gap that is a failure, each once."""
    return list(dict.fromkeys(as_sentence(gap) for gap in gaps if not is_unseen(gap)))


def _unseen_together(gaps: Sequence[Gap]) -> list[str]:
    """Return one sentence, or none, for all that nobody looked at."""
    unseen = dict.fromkeys(_unseen(gap) for gap in gaps if is_unseen(gap))
    return [f"Not looked at: {joined(list(unseen))}."] if unseen else []


def _painted(text: str, look: str, style: Style) -> list[str]:
    """Return the lines of a sentence, the later ones set in."""
    return [paint(line, look, style) for line in wrap(text, style, hang="  ")]


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
