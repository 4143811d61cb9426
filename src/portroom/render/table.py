"""Tables: aligned columns for people, CSV for spreadsheets.

Rules of this file: a number is never cut; where the width does not do, texts
are shortened first and then whole columns left out, never a row.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from portroom.render.units import Style, columns, cut, paint, printable

BETWEEN = "  "

NARROWEST = 8
"""Columns to which any text may be cut once every column that may go is gone."""


class Column(NamedTuple):
    """
    One column of a table.

    Args:
        title: Its heading.
        right: Align right, as numbers are.
        least: Columns to which a text may be cut; 0 cuts nothing.
        middle: Cut the middle out, so that both ends stay.
        drop: 0 stays always; of the others the highest is left out first.
        firm: Not cut below *least* even where every other text is at NARROWEST.
    """

    title: str
    right: bool = False
    least: int = 0
    middle: bool = False
    drop: int = 0
    firm: bool = False


class Cell(NamedTuple):
    """A text that has a look of its own."""

    text: str
    look: str = ""


Row = Sequence[str | Cell]


def as_table(
    heading: Sequence[Column], rows: Sequence[Row], style: Style, indent: str = ""
) -> list[str]:
    """
    Return the lines of a table fitted to the width of the style.

    A column without any text is left out. Cells must be printable.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    shown = [
        (place, column)
        for place, column in enumerate(heading)
        if any(row[place].text for row in cells)
    ]
    shown, widths = fit(shown, cells, style, len(indent))
    title = [Cell(column.title, "dim") for column in heading]
    return [indent + _line(row, shown, widths, style) for row in ([title, *cells])]


def _cell(value: str | Cell) -> Cell:
    """Return a value as a cell."""
    return value if isinstance(value, Cell) else Cell(value)


Shown = list[tuple[int, Column]]


def fit(
    shown: Shown, cells: list[list[Cell]], style: Style, indent: int
) -> tuple[Shown, list[int]]:
    """Return the columns that stay, and how wide each is."""
    while True:
        widths = [
            max(columns(text) for text in (c.title, *(row[p].text for row in cells)))
            for p, c in shown
        ]
        if style.wide or not style.width:
            return shown, widths
        over = sum(widths) + len(BETWEEN) * (len(widths) - 1) + indent - style.width
        last = max((column.drop for _, column in shown), default=0)
        widths = _shrink(shown, widths, over, at_last=not last)
        if sum(widths) <= _room(len(widths), style, indent) or not last:
            return shown, widths
        shown = [(p, column) for p, column in shown if column.drop != last]


def _room(count: int, style: Style, indent: int) -> int:
    """Return what is left for texts between so many columns."""
    return style.width - indent - len(BETWEEN) * (count - 1)


def _shrink(shown: Shown, widths: list[int], over: int, *, at_last: bool) -> list[int]:
    """Return widths with *over* taken from the texts that may be cut, widest first."""
    widths = list(widths)
    least = [min(c.least, NARROWEST) if at_last and not c.firm else c.least for _, c in shown]
    while over > 0:
        able = [i for i, width in enumerate(widths) if 0 < least[i] < width]
        if not able:
            break
        widths[max(able, key=lambda i: widths[i])] -= 1
        over -= 1
    return widths


def _line(row: Sequence[Cell], shown: Shown, widths: Sequence[int], style: Style) -> str:
    """Return one line, without blanks at its end."""
    parts = []
    for (place, column), width in zip(shown, widths, strict=True):
        text = cut(row[place].text, width, style, middle=column.middle)
        blanks = " " * (width - columns(text))
        painted = paint(text, row[place].look, style)
        parts.append(blanks + painted if column.right else painted + blanks)
    return BETWEEN.join(parts).rstrip()


def as_csv(heading: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    r"""
    Return CSV lines (RFC 4180 quoting, ``\n`` at the end of each).

    Texts are made printable, and one that a spreadsheet would take for a
    formula begins with an apostrophe. None is an empty field, an instant as in JSON.

    >>> as_csv(["who", "n"], [["=1+1", -1], ['a "b", c', None]])
    'who,n\n\'=1+1,-1\n"a ""b"", c",\n'
    """
    lines = (",".join(map(_field, row)) for row in (heading, *rows))
    return "".join(f"{line}\n" for line in lines)


def _field(value: object) -> str:
    """Return one CSV field."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.datetime):
        return str(msgspec.to_builtins(value))
    if not isinstance(value, str):
        return str(value)
    text = printable(value)
    # OWASP, "CSV Injection": these begin a formula; a leading apostrophe makes text.
    if text.startswith(("=", "+", "-", "@")):
        text = f"'{text}"
    if any(mark in text for mark in ',"'):
        return '"' + text.replace('"', '""') + '"'
    return text
