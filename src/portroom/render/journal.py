"""The journal: a line a change, the latest first.

Rules of this file: the name of a user, a command line and a path are hostile
text; how a change ended is a word as well as a colour.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from portroom.model.facts.journal import (
    CONFLICT,
    DONE,
    NETNS_GONE,
    PERSISTING,
    PUT_BACK,
    TRIAL,
    UNDO,
    WRITING,
    Entry,
    Journal,
)
from portroom.render import gaps
from portroom.render.changes import options_text, where_text
from portroom.render.document import as_json, as_json_lines
from portroom.render.flow import wrap
from portroom.render.table import Cell, Column, Row, as_csv, as_table
from portroom.render.trials import trial_lines
from portroom.render.units import Style, instant, plural, printable

__all__ = ["all_as_text", "as_csv_text", "as_json", "as_jsonl", "as_text"]

COLUMNS = (
    Column("NO", right=True),
    Column("WHEN (UTC)", drop=2),
    Column("WHO", least=5, drop=3),
    Column("WHAT", least=16),
    Column("WHERE", least=6, middle=True, drop=1),
    Column("OUTCOME", least=10),
)

WIDE_COLUMNS = (
    *COLUMNS,
    Column("TERMINAL"),
    Column("COMMAND"),
    Column("HOW IT ENDED"),
)

WORDS = {
    WRITING: ("not finished", "red"),
    TRIAL: ("trial", "yellow"),
    PERSISTING: ("being written", "yellow"),
    DONE: ("done", "green"),
    PUT_BACK: ("put back", ""),
    CONFLICT: ("conflict", "red"),
    NETNS_GONE: ("namespace gone", ""),
}
"""The word for how a change stands, and its colour."""


def as_text(journal: Journal, style: Style) -> str:
    """Return a line a change, the trials that wait, and whose and when it is."""
    if not journal.entries:
        lines = wrap("No change was made with portroom here.", style)
    else:
        heading = WIDE_COLUMNS if style.wide else COLUMNS
        rows = [_wide(one) if style.wide else _row(one) for one in journal.entries]
        lines = as_table(heading, rows, style)
    lines += _advice(journal, style)
    return "\n".join([*lines, "", *gaps.footer([journal], style)]) + "\n"


def all_as_text(answers: Sequence[Journal], style: Style) -> str:
    """Return several journals; there is one alone."""
    return "".join(as_text(answer, style) for answer in answers)


def _advice(journal: Journal, style: Style) -> list[str]:
    """Return the trials that wait, and what is to be done about what broke off."""
    lines = trial_lines(journal.pending, style)
    broken = [one for one in journal.entries if one.phase in {WRITING, PERSISTING}]
    if broken:
        count = plural(len(broken), "change")
        verb = "is" if len(broken) == 1 else "are"
        lines += wrap(
            f"{count} {verb} not finished. If none is at work now: portroom recover.", style
        )
    return lines


def _row(entry: Entry) -> Row:
    """Return the cells of one change."""
    return (
        str(entry.number),
        instant(entry.started_at).removesuffix(" UTC"),
        printable(entry.who.name),
        what_text(entry),
        where_text(entry.steps),
        _outcome(entry),
    )


def _wide(entry: Entry) -> Row:
    """Return the cells of one change, none left out."""
    command = " ".join(map(printable, entry.who.command))
    return *_row(entry), printable(entry.who.terminal), command, printable(entry.outcome)


def _outcome(entry: Entry) -> Cell:
    """Return in a word how a change stands now."""
    if entry.undone_by is not None:
        return Cell(f"undone by {entry.undone_by}")
    if entry.phase == PUT_BACK and entry.trial is not None:
        return Cell("taken back")
    if entry.phase == PUT_BACK and entry.action == UNDO:
        return Cell("failed", "yellow")
    return Cell(*WORDS[entry.phase])


def what_text(entry: Entry) -> str:
    """Return what was asked for."""
    if entry.action == UNDO:
        return f"undo of {entry.undoes}" if entry.undoes else "undo"
    return options_text(entry.request)


CSV_COLUMNS = (
    "number",
    "started_at",
    "ended_at",
    "user",
    "login_user",
    "terminal",
    "action",
    "what",
    "where",
    "phase",
    "outcome",
    "undoes",
    "undone_by",
)


def as_csv_text(answers: Sequence[Journal]) -> str:
    """Return a line a change."""
    return as_csv(CSV_COLUMNS, _csv_rows(answers))


def _csv_rows(answers: Sequence[Journal]) -> Iterator[tuple[object, ...]]:
    """Yield the fields of each change."""
    for one in (entry for answer in answers for entry in answer.entries):
        yield (
            one.number,
            one.started_at,
            one.ended_at,
            one.who.user,
            one.who.login_user,
            one.who.terminal,
            one.action,
            what_text(one),
            where_text(one.steps),
            one.phase,
            one.outcome,
            one.undoes,
            one.undone_by,
        )


def as_jsonl(answer: Journal) -> str:
    """Return one line a change, each with the header of the answer."""
    return as_json_lines(answer, answer.entries)
