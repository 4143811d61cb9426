"""A plan: what would be written, what that gains, and why it may not be.

Rules of this file: values first, then what is gained, then what stands against
it; a refusal, a warning and a note are words as well as colours; a long list is
cut to those that tell most, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from portroom.model.facts.change import (
    PERSIST_ONLY,
    REFUSAL,
    WARNING,
    Capacity,
    ChangePlan,
    KeyChange,
    Limit,
    Persistence,
    Reason,
    file_steps,
)
from portroom.model.laws.boot_notes import PROGRAM_NAMES
from portroom.render import gaps
from portroom.render.changes import INDENT, change_lines, file_text, step_lines, value_text
from portroom.render.collisions import collision_lines, held_lines
from portroom.render.document import as_json, as_json_line
from portroom.render.flow import joined, paragraphs, wrap
from portroom.render.plans import all_as_text
from portroom.render.reasons import reasons_lines
from portroom.render.table import Cell, Column, as_csv, as_table
from portroom.render.units import (
    Style,
    endpoint,
    in_sentence,
    number,
    paint,
    plural,
    printable,
)

__all__ = ["all_as_text", "as_csv_text", "as_json", "as_jsonl", "as_text", "plan_lines"]

CHOICE = frozenset({"range", "reserved"})
"""Settings that say which ports the kernel may choose."""

NOTHING_TO_DO, HELD_NOW = "nothing_to_do", "held_now"
"""Codes of reasons that have a place of their own here."""

KEY_COLUMNS = (
    Column("DESTINATION", least=21, middle=True),
    Column("FREE NOW", right=True),
    Column("FREE THEN", right=True),
)

UNAPPLIED = "nothing is known to apply it at boot here"
"""What is told of a file for the next boot where no boot program is known."""

MOST_KEYS = 5
"""Destinations that are told unless wide."""


def as_text(plan: ChangePlan, style: Style) -> str:
    """Return all of a plan, and whose and when it is."""
    return "\n".join([*plan_lines(plan, style), "", *gaps.signature([plan], style)]) + "\n"


def plan_lines(plan: ChangePlan, style: Style) -> list[str]:
    """Return all of a plan but whose and when it is."""
    sections = [
        _values(plan, style),
        _gain(plan, style),
        collision_lines(plan.collisions, style),
        held_lines(plan.held_now, style),
        reasons_lines(_told(plan), style),
        _proposals(plan, style),
        _limits(plan.limits, style),
        _next_boot(plan, style),
        durable_lines(plan.durable, style),
        step_lines(plan.steps, style) if style.wide else [],
        gaps.as_lines(plan.gaps, style),
    ]
    return paragraphs(sections)


def _values(plan: ChangePlan, style: Style) -> list[str]:
    """Return each setting from its old value to the new one, or that nothing changes."""
    if plan.changes:
        then = "NEXT BOOT" if plan.request.where == PERSIST_ONLY else "THEN"
        return change_lines(plan.changes, style, titles=("NOW", then))
    if plan.refusals:
        return []
    held = [one.sentence.rstrip(".") for one in plan.reasons if one.code == NOTHING_TO_DO]
    text = f"{'Only the file is written' if plan.steps else 'Nothing to do'}"
    return wrap(printable(f"{text}: {'; '.join(held)}." if held else f"{text}."), style)


def _told(plan: ChangePlan) -> list[Reason]:
    """Return the reasons that no other part of the text tells."""
    elsewhere = {HELD_NOW} if plan.held_now else set()
    elsewhere |= set() if plan.changes else {NOTHING_TO_DO}
    return [one for one in plan.reasons if one.code not in elsewhere]


def _gain(plan: ChangePlan, style: Style) -> list[str]:
    """Return how many connections fit then, to any destination and to the tightest."""
    if plan.capacity is None or CHOICE.isdisjoint(one.name for one in plan.changes):
        return []
    lines = wrap(capacity_sentence(plan.capacity), style)
    shown = plan.tightest if style.wide else plan.tightest[:MOST_KEYS]
    if shown:
        lines += as_table(KEY_COLUMNS, [_key(one) for one in shown], style)
    return lines


def capacity_sentence(capacity: Capacity) -> str:
    """
    Return how many connections fit to one destination.

    >>> capacity_sentence(Capacity(28_232, 49_002))
    '49,002 connections fit to each destination then, 20,770 more than now (28,232).'
    """
    before, after = capacity.eligible_ports_before, capacity.eligible_ports_after
    if before == after:
        return f"{plural(after, 'connection')} fit to each destination, as now."
    more = f"{number(after - before)} more" if after > before else f"{number(before - after)} fewer"
    return (
        f"{plural(after, 'connection')} fit to each destination then, "
        f"{more} than now ({number(before)})."
    )


def _key(one: KeyChange) -> tuple[str | Cell, ...]:
    """Return the cells of one destination."""
    if one.remote_address is None:
        name = f"{one.protocol} on {printable(one.local_address)}"
    else:
        name = endpoint(printable(one.remote_address), one.remote_port)
    before, after = one.free_ports_before, one.free_ports_after
    look = "green" if after > before else "yellow" if after < before else ""
    return name, number(before), Cell(number(after), look)


def _proposals(plan: ChangePlan, style: Style) -> list[str]:
    """Return the reserved ports and the range that would be better."""
    texts = []
    if plan.reserved_proposal and not plan.request.reserve:
        ports = in_sentence(plan.reserved_proposal, style)
        texts.append(
            f"Reserved ports that keep all of it safe, with those reserved already: {ports}."
        )
    if plan.suggestion is not None:
        better = f"range={value_text(plan.suggestion)}"
        if all(better not in reason.remedy for reason in plan.reasons):
            texts.append(f"Better: {better}.")
    return [line for text in texts for line in wrap(text, style, hang=INDENT)]


def _limits(limits: Sequence[Limit], style: Style) -> list[str]:
    """Return the limit that bites next; wide has all that were looked at."""
    shown = limits if style.wide else limits[:1]
    words = ["Next limit", *["Then"] * len(shown)]
    told = zip(words, shown, strict=False)
    texts = [f"{word}: {printable(limit.sentence)}" for word, limit in told]
    return [line for text in texts for line in wrap(text, style, hang=INDENT)]


def _next_boot(plan: ChangePlan, style: Style) -> list[str]:
    """Return by which file the change holds at the next boot, and which program differs."""
    if plan.persistence is None:
        return []
    lines = wrap(persistence_sentence(plan.persistence, plan), style, hang=INDENT)
    for other in plan.persistence.others:
        text = wrap(printable(other), style, indent=INDENT, hang=INDENT)
        lines += [paint(line, "yellow", style) for line in text]
    return lines


def persistence_sentence(kept: Persistence, plan: ChangePlan) -> str:
    """Return which file keeps a change, and which program applies it at boot."""
    files = [file_text(step) for step in file_steps(plan.steps)]
    what = joined(files) or f"{printable(kept.path)} stays as it is"
    if not files and plan.request.trial_s:
        what = f"the confirmation writes {printable(kept.path)}"
    if kept.program is None:
        return f"Next boot: {what}; {UNAPPLIED}."
    name = PROGRAM_NAMES.get(kept.program, printable(kept.program))
    return f"Next boot: {what}; {name} applies it."


def durable_lines(durable: Sequence[str], style: Style) -> list[str]:
    """Return the lines that keep a setting of a container or pod; they are never broken."""
    if not durable:
        return []
    text = "A value written into a running container or pod dies with it. To keep it:"
    return [*wrap(text, style), *(INDENT + printable(line) for line in durable)]


CSV_COLUMNS = ("netns", "name", "key", "before", "after", "refusals", "warnings")


def as_csv_text(answers: Sequence[ChangePlan]) -> str:
    """Return a line a setting of each namespace; none where there is nothing to do."""
    return as_csv(CSV_COLUMNS, _csv_rows(answers))


def _csv_rows(answers: Sequence[ChangePlan]) -> Iterator[tuple[object, ...]]:
    """Yield the fields of each setting that changes."""
    for plan in answers:
        told = [_sentences(plan, REFUSAL), _sentences(plan, WARNING)]
        for one in plan.changes:
            before, after = (_csv_value(value) for value in (one.before, one.after))
            yield plan.netns.name, one.name, one.key, before, after, *told


def _csv_value(value: object) -> object:
    """Return a value for a field; an empty set of ports is empty text."""
    return value if isinstance(value, (int, str)) else value_text(value)  # type: ignore[arg-type]


def _sentences(plan: ChangePlan, severity: str) -> str:
    """Return all reasons of one severity."""
    return " ".join(one.sentence for one in plan.reasons if one.severity == severity)


def as_jsonl(answer: ChangePlan) -> str:
    """Return the whole plan in one line."""
    return as_json_line(answer)
