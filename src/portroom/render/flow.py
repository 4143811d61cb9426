"""Text that flows: paragraphs wrapped to a width, and blocks side by side."""

from __future__ import annotations

from collections.abc import Sequence

from portroom.render.units import Style, columns

BETWEEN = "   "

TIED = "\u00a0"
"""A blank at which ``wrap`` does not break; it is written as a plain one."""


def wrap(text: str, style: Style, *, indent: str = "", hang: str = "") -> list[str]:
    """
    Return the lines of a paragraph, broken at blanks; a long word stays whole.

    Args:
        text: Printable text without colours.
        style: Its width holds for the lines; 0 or ``wide`` breaks nothing.
        indent: Beginning of the first line.
        hang: Beginning of the other lines.
    """
    lines, line, empty = [], indent, True
    for word in text.split(" "):
        room = style.width - columns(line) - columns(word) - (not empty)
        if not empty and style.width and not style.wide and room < 0:
            lines.append(line)
            line, empty = hang, True
        line, empty = line + ("" if empty else " ") + word, False
    return [line.replace(TIED, " ") for line in (*lines, line)]


def paragraphs(sections: Sequence[Sequence[str]]) -> list[str]:
    """
    Return the lines of some sections with a blank line between, empty ones left out.

    >>> paragraphs([["a", "b"], [], ["c"]])
    ['a', 'b', '', 'c']
    """
    told = [section for section in sections if section]
    return [line for section in told for line in ("", *section)][1:]


def joined(texts: Sequence[str]) -> str:
    """
    Return texts as one list in words.

    >>> joined(["a"]), joined(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    if len(texts) < 2:
        return "".join(texts)
    return f"{', '.join(texts[:-1])} and {texts[-1]}"


Block = Sequence[str]


def beside(blocks: Sequence[Block], widths: Sequence[int], style: Style) -> list[str]:
    """
    Return blocks side by side, a new band below wherever the width ends.

    Args:
        blocks: Lines of each block, colours allowed.
        widths: Columns that each block takes without its colours.
        style: Its width holds for each band.
    """
    bands: list[list[int]] = [[]]
    for place, width in enumerate(widths):
        taken = sum(widths[i] + len(BETWEEN) for i in bands[-1])
        if bands[-1] and style.width and taken + width > style.width:
            bands.append([])
        bands[-1].append(place)
    drawn = [_band(blocks, widths, band) for band in bands]
    return [line for band in drawn for line in ("", *band)][1:]


def _band(blocks: Sequence[Block], widths: Sequence[int], band: Sequence[int]) -> list[str]:
    """Return the lines of the blocks of one band."""
    lines = []
    for row in range(max((len(blocks[place]) for place in band), default=0)):
        parts = []
        for place in band:
            line = blocks[place][row] if row < len(blocks[place]) else ""
            parts.append(line + " " * (widths[place] - columns(_plain(line))))
        lines.append(BETWEEN.join(parts).rstrip())
    return lines


def _plain(line: str) -> str:
    """Return a line of ours without its colours."""
    head, *painted = line.split("\x1b[")
    return head + "".join(part.partition("m")[2] for part in painted)
