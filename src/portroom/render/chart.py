"""Charts: ratios over time in the cells of a terminal, in Braille or ASCII.

Rules of this file:

- a column shows the highest of what falls into it: no peak is lost to the width;
- nothing is drawn where nothing was seen, and what was not looked at because no key
  could be half full is a mark of its own, never a zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from portroom.render.units import Style, paint, percent

BRAILLE = 0x2800
"""The cell without dots; its eight dots are bits. Source: Unicode, Braille Patterns."""

DOTS = ((0x40, 0x04, 0x02, 0x01), (0x80, 0x20, 0x10, 0x08))
"""Bits of the left and of the right column of a cell, from below."""

HEIGHT = 8
"""Lines of a chart: with four dots each one is 3 %."""

AXIS_COLUMNS = len("100 % ") + 1

SPARKS = "▁▂▃▄▅▆▇█"
ASCII_SPARKS = "_.-=+*#@"
BELOW_HALF = "·"
ASCII_BELOW_HALF = ","

WARNING_RATIO, CRITICAL_RATIO = 0.8, 0.95


class Point(NamedTuple):
    """
    One moment: where between the beginning (0) and the end (1), and how full.

    ``ratio`` is None where it is not known, ``below_half`` where nobody looked since no
    key could be half full. ``length`` is what of the time it stands for.
    """

    place: float
    ratio: float | None
    below_half: bool = False
    length: float = 0.0


Column = tuple[float | None, bool]
"""The highest ratio in a column, and whether nothing but below half was in it."""


def spark(points: Sequence[Point], width: int, style: Style) -> str:
    """
    Return a line of *width* cells, one a time, the fuller the higher.

    >>> spark([Point(0.0, 0.0), Point(0.5, 0.5), Point(0.9, 1.0)], 4, Style(ascii=True))
    '_ +@'
    """
    levels = ASCII_SPARKS if style.ascii else SPARKS
    below = ASCII_BELOW_HALF if style.ascii else BELOW_HALF
    text = ""
    for ratio, is_below in _columns(points, width):
        if ratio is None:
            text += below if is_below else " "
        else:
            text += levels[min(int(ratio * len(levels)), len(levels) - 1)]
    return text


def chart(points: Sequence[Point], width: int, style: Style) -> list[str]:
    """
    Return the lines of a chart with its axis, the highest first.

    Args:
        points: What was seen.
        width: Columns in all, axis included.
        style: Tells which glyphs and colours.
    """
    cells = max(width - AXIS_COLUMNS, 1)
    rows = _ascii(points, cells) if style.ascii else _braille(points, cells)
    bar = "|" if style.ascii else "│"
    lines = []
    for row, text in enumerate(rows):
        top = 1 - row / HEIGHT
        label = percent(top) if row % 2 == 0 else ""
        lines.append(f"{label:>{AXIS_COLUMNS - 2}} {bar}{paint(text.rstrip(), _look(top), style)}")
    below = "".join(
        (ASCII_BELOW_HALF if style.ascii else BELOW_HALF) if seen == (None, True) else corner
        for seen, corner in zip(
            _columns(points, cells), ("-" if style.ascii else "─") * cells, strict=True
        )
    )
    lines.append(f"{'0 %':>{AXIS_COLUMNS - 2}} {'+' if style.ascii else '└'}{below}")
    return lines


def _look(top: float) -> str:
    """Return the colour of a line of a chart, by the ratio at its upper edge."""
    if top > CRITICAL_RATIO:
        return "red"
    return "yellow" if top > WARNING_RATIO else "green"


def _columns(points: Sequence[Point], width: int) -> list[Column]:
    """Return what each of *width* columns shows."""
    found: list[Column] = [(None, False)] * width
    for point in points:
        first = min(max(int(point.place * width), 0), width - 1)
        last = min(int((point.place + point.length) * width - 1e-9), width - 1)
        for place in range(first, max(first, last) + 1):
            ratio, below = found[place]
            if point.ratio is not None:
                found[place] = max(ratio or 0.0, point.ratio), below
            elif point.below_half:
                found[place] = ratio, True
    return found


def _braille(points: Sequence[Point], cells: int) -> list[str]:
    """Return the lines of a chart in Braille, two columns and four dots a cell."""
    heights = [_height(ratio, 4 * HEIGHT) for ratio, _ in _columns(points, 2 * cells)]
    lines = []
    for row in range(HEIGHT):
        under = 4 * (HEIGHT - 1 - row)
        pairs = zip(heights[::2], heights[1::2], strict=True)
        lines.append("".join(_cell(left - under, right - under) for left, right in pairs))
    return lines


def _cell(left: int, right: int) -> str:
    """Return a cell with so many dots of each column from below; a blank for none."""
    bits = 0
    for dots, height in zip(DOTS, (left, right), strict=True):
        bits |= sum(dots[: max(0, min(height, 4))])
    return chr(BRAILLE + bits) if bits else " "


def _ascii(points: Sequence[Point], cells: int) -> list[str]:
    """Return the lines of a chart in ASCII, one column a cell."""
    heights = [_height(ratio, HEIGHT) for ratio, _ in _columns(points, cells)]
    return [
        "".join("#" if height >= HEIGHT - row else " " for height in heights)
        for row in range(HEIGHT)
    ]


def _height(ratio: float | None, steps: int) -> int:
    """
    Return how high a ratio is drawn: what was seen is one step at least, full only what is.

    >>> [_height(ratio, 32) for ratio in (None, 0.0, 0.5, 0.999, 1.0)]
    [0, 1, 16, 31, 32]
    """
    return 0 if ratio is None else max(1, min(int(ratio * steps), steps))
