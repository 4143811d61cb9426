"""Tables of very many rows: the look of ``table``, at a cost by column, not by cell.

Rules of this file: equal texts are fitted once, as most cells of a long table
repeat; the columns that stay are chosen by ``table``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from portroom.render.table import BETWEEN, Cell, Column, fit
from portroom.render.units import Style, columns, cut, paint


def as_lines(
    heading: Sequence[Column], texts: Sequence[Sequence[str]], style: Style
) -> Iterator[str]:
    """
    Yield the lines of a table fitted to the width of the style, heading first.

    Args:
        heading: The columns.
        texts: Of each column its cells, printable, all of the same number.
        style: Its width holds for each line.
    """
    shown, widths = fit_columns(heading, texts, style)
    fitted = []
    for (place, column), width in zip(shown, widths, strict=True):
        padded = _padded(set(texts[place]), column, width, style)
        fitted.append(list(map(padded.__getitem__, texts[place])))
    titles = []
    for (_, column), width in zip(shown, widths, strict=True):
        title = paint(column.title, "dim", style)
        titles.append(_pad(column.title, column, width).replace(column.title, title))
    yield BETWEEN.join(titles).rstrip()
    for row in zip(*fitted, strict=True):
        yield BETWEEN.join(row).rstrip()


def fit_columns(
    heading: Sequence[Column], texts: Sequence[Sequence[str]], style: Style
) -> tuple[list[tuple[int, Column]], list[int]]:
    """Return the columns that stay, by place, and how wide each is."""
    longest = [max(set(cells), key=columns, default="") for cells in texts]
    shown = [(i, column) for i, column in enumerate(heading) if longest[i]]
    return fit(shown, [[Cell(text) for text in longest]], style, 0)


def _padded(texts: set[str], column: Column, width: int, style: Style) -> dict[str, str]:
    """Return each text of a column, cut and padded to its width."""
    return {
        text: _pad(cut(text, width, style, middle=column.middle), column, width) for text in texts
    }


def _pad(text: str, column: Column, width: int) -> str:
    """Return a text with blanks up to *width* on the side that the column wants."""
    blanks = " " * (width - columns(text))
    return blanks + text if column.right else text + blanks
