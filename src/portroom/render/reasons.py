"""Reasons: why a change is refused, and what to know before it."""

from __future__ import annotations

from collections.abc import Sequence

from portroom.model.facts.change import FORCE, NOTE, REFUSAL, RESERVE, WARNING, ChangePlan, Reason
from portroom.render.changes import INDENT, fits, places
from portroom.render.flow import wrap
from portroom.render.units import Style, paint, printable

WORDS = {REFUSAL: ("Refused", "red"), WARNING: ("Warning", "yellow"), NOTE: ("Note", "")}
"""The word a reason begins with, and its colour; the gravest first."""


def reasons_lines(reasons: Sequence[Reason], style: Style) -> list[str]:
    """Return refusals, warnings and notes, the gravest first, each with its remedy."""
    return [line for one in ranked(reasons) for line in reason_lines(one, style)]


def ranked(reasons: Sequence[Reason]) -> list[Reason]:
    """Return reasons, the gravest first."""
    return sorted(reasons, key=lambda one: list(WORDS).index(one.severity))


def reason_lines(reason: Reason, style: Style, where: str = "") -> list[str]:
    """
    Return one reason as a paragraph, and what to do about it.

    Args:
        reason: A refusal, a warning or a note.
        style: Its width holds.
        where: A place to be named, as `` in web``.
    """
    word, look = WORDS[reason.severity]
    head = f"{word}{where}: {printable(reason.sentence)}"
    told = " ".join(filter(None, [printable(reason.remedy), _lifted(reason)]))
    if told and fits(f"{head} {told}", style):
        return [f"{paint(head, look, style)} {told}"]
    lines = [paint(line, look, style) for line in wrap(head, style, hang=INDENT)]
    return lines + (wrap(told, style, indent=INDENT, hang=INDENT) if told else [])


def _lifted(reason: Reason) -> str:
    """Return which options lift a refusal, where the remedy does not name them."""
    if reason.severity != REFUSAL:
        return ""
    missing = [name for name in reason.lifted_by if name not in reason.remedy]
    return f"{' or '.join(missing)} lifts it." if missing else ""


def refusal(plans: Sequence[ChangePlan]) -> str:
    """
    Return all that refuses some plans as one sentence, "" where nothing does.

    What refuses several namespaces alike is told once.
    """
    found: dict[str, list[str]] = {}
    for plan in plans:
        for reason in plan.refusals:
            found.setdefault(reason.sentence.rstrip("."), []).append(plan.netns.name)
    many = len(plans) > 1
    texts = [text + (f" ({places(names)})" if many else "") for text, names in found.items()]
    return f"Refused: {'; '.join(texts)}." if texts else ""


def way_out(plans: Sequence[ChangePlan]) -> str:
    """Return what to do about refused plans: what no option lifts, or which options lift all."""
    every = [reason for plan in plans for reason in plan.refusals]
    able = [name for name in (RESERVE, FORCE) if all(name in one.lifted_by for one in every)]
    if able:
        return f"Nothing was written; {' or '.join(able)} lifts it."
    fixed = dict.fromkeys(one.remedy for one in every if one.remedy and not one.lifted_by)
    return " ".join(["Nothing was written.", *fixed])
