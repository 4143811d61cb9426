"""Entries of the journal that a command touched: what each was, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence

from portroom.model.facts.change import SettingStep, Step, file_steps, inverse
from portroom.model.facts.journal import (
    CONFLICT,
    DONE,
    IN_FILE,
    NETNS_GONE,
    PERSISTING,
    PUT_BACK,
    REBOOTED,
    SET,
    TRIAL,
    UNDO,
    WRITING,
    Entry,
    Journal,
)
from portroom.render import gaps
from portroom.render.changes import (
    INDENT,
    namespaces_of,
    options_text,
    places,
    step_lines,
    written_lines,
)
from portroom.render.document import as_json
from portroom.render.flow import TIED, paragraphs, wrap
from portroom.render.journal import as_csv_text, as_jsonl
from portroom.render.trials import trial_lines
from portroom.render.units import Style, instant, paint, printable

__all__ = ["as_csv_text", "as_json", "as_jsonl", "as_text", "conflict", "touched_text"]

PHASES = {
    WRITING: ("Not finished", "red"),
    TRIAL: ("On trial", "yellow"),
    PERSISTING: ("Its file is being written", "yellow"),
    DONE: ("Done", "green"),
    PUT_BACK: ("Taken back", "green"),
    CONFLICT: ("Conflict", "red"),
    NETNS_GONE: ("The network namespace is gone", ""),
}
"""How an entry stands, and its colour."""

LEFT = "The kernel's values stay as they are."
"""What is told of an entry that is about files alone."""

UNTOLD = frozenset({CONFLICT, NETNS_GONE})
"""Phases of which the outcome alone knows what became of each value."""

CALM = frozenset({DONE, PUT_BACK})
"""Phases of which the outcome says all."""


def as_text(journal: Journal, style: Style) -> str:
    """Return what a command touched, and whose and when it is."""
    return touched_text(journal, style, "Nothing was touched.")


def touched_text(journal: Journal, style: Style, nothing: str, *, dry_run: bool = False) -> str:
    """
    Return what a command touched.

    Args:
        journal: Its entries are those that were touched.
        style: How it is to look.
        nothing: A sentence for no entry.
        dry_run: They would have been touched.
    """
    sections = [entry_lines(entry, style, dry_run=dry_run) for entry in journal.entries]
    sections = sections or [wrap(nothing, style)]
    if dry_run:
        sections.append(wrap("Dry run: nothing was written.", style))
    sections += [trial_lines(journal.pending, style), gaps.footer([journal], style)]
    return "\n".join(paragraphs(sections)) + "\n"


def entry_lines(entry: Entry, style: Style, *, dry_run: bool = False) -> list[str]:
    """Return an entry: its request, what became of its values, and how it ended."""
    head = f"Entry {entry.number}: {title(entry)}" if entry.number else title(entry)
    lines = [paint(line, "bold", style) for line in wrap(head, style, hang=INDENT)]
    steps = effective(entry, dry_run=dry_run)
    lines += written_lines(steps, style, INDENT)
    if entry.steps and not any(isinstance(step, SettingStep) for step in entry.steps):
        lines += wrap(LEFT, style, indent=INDENT, hang=INDENT)
    if not dry_run:
        lines += outcome_lines(entry, style)
    return [*lines, *(["", *step_lines(steps, style)] if style.wide and steps else [])]


def effective(entry: Entry, *, dry_run: bool = False) -> tuple[Step, ...]:
    """
    Return what really happened, from what there was to what there is now.

    Args:
        entry: As it ended.
        dry_run: It would be taken back, if it is a trial.
    """
    if entry.phase in UNTOLD:
        return ()
    if entry.phase != PUT_BACK and not (dry_run and entry.phase == TRIAL):
        return entry.steps
    if entry.outcome.lower().startswith((REBOOTED, IN_FILE)):
        return inverse(file_steps(entry.steps))
    return inverse(entry.steps)


def title(entry: Entry) -> str:
    """Return what an entry was, as it was asked for, and where."""
    text = f"set {options_text(entry.request)}"
    if entry.action == UNDO:
        text = "undo" + (f" of entry {entry.undoes}" if entry.undoes else "")
    names = namespaces_of(entry.steps)
    return f"{text}, in {places(names)}" if names else text


def outcome_lines(entry: Entry, style: Style) -> list[str]:
    """Return how an entry ended, or until when it is a trial."""
    word, look = PHASES[entry.phase]
    if entry.phase == TRIAL and entry.trial is not None:
        word += f" until {instant(entry.trial.deadline_at)}"
    text = f"{word}: {printable(entry.outcome)}" if entry.outcome else f"{word}."
    if entry.outcome and entry.phase in CALM:
        text = printable(entry.outcome)
    lines = [paint(line, look, style) for line in wrap(text, style, indent=INDENT, hang=INDENT)]
    if entry.phase == DONE and entry.action == SET and entry.undone_by is None:
        lines += wrap(f"Take it back: portroom{TIED}undo.", style, indent=INDENT, hang=INDENT)
    return lines


def conflict(journal: Journal) -> str:
    """Return a sentence about what was left to somebody else, "" where nothing was."""
    left = [entry for entry in journal.entries if entry.phase == CONFLICT]
    return " ".join(f"Entry {entry.number}: {entry.outcome}" for entry in left)


def all_as_text(answers: Sequence[Journal], style: Style) -> str:
    """Return what several answers touched; there is one alone."""
    return "".join(as_text(answer, style) for answer in answers)
