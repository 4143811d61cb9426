"""Status: one screen, the answer first, then what it rests on.

Rules of this file: where the lines do not do, destinations give way, for
`portroom headroom` has them all, then the figures of
`ss -s`, which `portroom sessions --summary` has; nothing else is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from portroom.model.facts.answers import Key, RangeUse, Status
from portroom.render import gaps, headroom, summary
from portroom.render.brief_findings import brief_lines, findings_beside
from portroom.render.document import as_json, as_json_line
from portroom.render.drift import conflict_sentences, drift_sentences
from portroom.render.flow import wrap
from portroom.render.namespaces import all_as_text
from portroom.render.table import as_csv
from portroom.render.trials import broken_lines, trial_lines
from portroom.render.units import Style, number, paint, plural

__all__ = ["all_as_text", "as_csv_text", "as_json", "as_jsonl", "as_text"]

FEWEST_ROWS = 3
"""Destinations for whose sake the figures of `ss -s` go."""


def as_text(answer: Status, style: Style) -> str:
    """Return the screen of one namespace."""
    top = [*headline(answer, style), *range_lines(answer.range, style)]
    below = _below(answer, style)
    room = _room(top, below, style)
    if style.height and room < min(FEWEST_ROWS, len(answer.tightest)):
        below = _below(answer, style, short=True)
        room = max(1, _room(top, below, style))
    table = _tightest(answer, style, room)
    lines = [*top, *([""] if table else []), *table, *below]
    return "\n".join(lines) + "\n"


def _room(top: Sequence[str], below: Sequence[str], style: Style) -> int:
    """Return how many destinations fit between what is above and below; 0 is all."""
    # A blank line, the heading, the line that counts the others, and the prompt.
    return style.height - len(top) - len(below) - 4 if style.height else 0


def headline(answer: Status, style: Style) -> list[str]:
    """Return the answer in words."""
    if answer.tightest:
        key = min(answer.tightest, key=headroom.tightness)
        return _sentences(key, answer, style)
    if answer.range is None or gaps.hides(answer.gaps, "keys"):
        text, look = "How many more connections fit is not known.", "yellow"
    else:
        ports = number(answer.range.eligible_ports)
        text, look = f"Up to {ports} connections fit to each destination.", "bold"
        text += " None holds a port now."
    return [paint(line, look, style) for line in wrap(text, style)]


def _sentences(key: Key, answer: Status, style: Style) -> list[str]:
    """Return the sentences of the tightest key, in the colour of its state."""
    what = "destination" if key.remote_address is not None else "key"
    rank = f", the tightest {what}" if answer.keys_total > 1 else ""
    look = headroom.look(key, "bold")
    once = headroom.is_asked_once(answer.gaps)
    text = headroom.answered(key, rank, answer.netns, once=once)
    return [paint(line, look, style) for line in wrap(text, style)]


def range_lines(use: RangeUse | None, style: Style) -> list[str]:
    """Return the range and its size."""
    if use is None:
        return []
    text = (
        f"Local port range {use.first}-{use.last}: {plural(use.ports, 'port')}, "
        f"{number(use.reserved_ports)} reserved, "
        f"{number(use.eligible_ports)} eligible."
    )
    return wrap(text, style)


def _tightest(answer: Status, style: Style, most: int) -> list[str]:
    """Return the table of the tightest keys, at most so many; 0 is all."""
    keys = sorted(answer.tightest, key=headroom.tightness)
    # The line that would count one more key can show it as well.
    last = most + 1 if answer.keys_total == most + 1 else most
    shown = keys[:last] if most else keys
    if not shown:
        return []
    lines = headroom.key_table([(answer, key) for key in shown], style)
    more = answer.keys_total - len(shown)
    if more > 0:
        text = f"{plural(more, 'less tight key')}: portroom headroom{headroom.option(answer.netns)}"
        lines += [paint(line, "dim", style) for line in wrap(text, style)]
    return lines


def _below(answer: Status, style: Style, *, short: bool = False) -> list[str]:
    """Return all that stands below the destinations."""
    lines = [""]
    if answer.sessions is not None:
        lines += [*summary.as_lines(answer.sessions, style, gaps=answer.gaps, short=short), ""]
    lines += [*trial_lines(answer.trials, style), *broken_lines(answer.broken_off, style)]
    return [*lines, *_findings(answer, style), *gaps.footer([answer], style)]


def _findings(answer: Status, style: Style) -> list[str]:
    """Return drift and boot conflicts, a sentence each, and the gravest findings."""
    texts = drift_sentences(answer.drift, style)
    texts += conflict_sentences(answer.boot_conflicts, style)
    lines = [line for text in texts for line in wrap(text, style, hang="  ")]
    lines = [paint(line, "yellow", style) for line in lines]
    return lines + brief_lines(findings_beside(answer), style)


CSV_COLUMNS = (
    "netns",
    "range_first",
    "range_last",
    "ports",
    "reserved_ports",
    "range_eligible_ports",
    *headroom.CSV_COLUMNS[1:-1],
)


def as_csv_text(answers: Sequence[Status]) -> str:
    """Return a line a namespace: its range and its tightest key."""
    return as_csv(CSV_COLUMNS, _csv_rows(answers))


def _csv_rows(answers: Sequence[Status]) -> Iterator[list[object]]:
    """Yield the fields of each namespace; empty where there is no key."""
    for answer in answers:
        use = answer.range
        row: list[object] = [answer.netns.name]
        row += [use.first, use.last, use.ports] if use else [None] * 3
        row += [use.reserved_ports, use.eligible_ports] if use else [None] * 2
        if answer.tightest:
            key = min(answer.tightest, key=headroom.tightness)
            row += headroom.csv_row("", key)[1:-1]
        yield row + [None] * (len(CSV_COLUMNS) - len(row))


def as_jsonl(answer: Status) -> str:
    """Return the whole answer in one line."""
    return as_json_line(answer)
