"""Progress: one line that says what is done, how far it is, and for how long it goes on.

Rules of this file: what is known is drawn, what is not known is not guessed; a line
always fits, and what matters least goes first: the bar, then the time.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from portroom.render.units import Style, columns, cut, printable

BAR_COLUMNS = 20


class Work(NamedTuple):
    """
    Something that takes a while.

    Args:
        what: In words.
        total: How many there are to do, 0 where that is not known.
        done: How many of them are done.
        seconds: How long it takes, 0 where that is not known.
    """

    what: str
    total: int = 0
    done: int = 0
    seconds: float = 0.0


def as_line(work: Work, elapsed_s: float, style: Style) -> str:
    """
    Return the line of some work, no longer than the width; 0 is as long as it takes.

    >>> as_line(Work("reading", 40, 10), 2.4, Style(60, ascii=True))
    'reading  #####...............  10 of 40, 2 s'
    >>> as_line(Work("waiting", seconds=4.0), 1.0, Style(30, ascii=True))
    'waiting  1 s of 4 s'
    >>> as_line(Work("reading"), 3.9, Style(60))
    'reading  3 s'
    """
    what = printable(work.what)
    ratio, told = _told(work, elapsed_s)
    bar = "" if ratio is None else f"{_bar(ratio, style)}  "
    lines = (f"{what}  {bar}{told}", f"{what}  {told}", what)
    fitting = (line for line in lines if not style.width or columns(line) <= style.width)
    return next(fitting, cut(what, max(style.width, 1), style))


def _told(work: Work, elapsed_s: float) -> tuple[float | None, str]:
    """Return how much is done, None where that is not known, and the same in words."""
    if work.total:
        ratio = min(work.done, work.total) / work.total
        return ratio, f"{work.done:,} of {work.total:,}, {_seconds(elapsed_s)}"
    if work.seconds > 0:
        passed_s = min(elapsed_s, work.seconds)
        told = f"{_seconds(passed_s)} of {math.ceil(work.seconds):,} s"
        return passed_s / work.seconds, told
    return None, _seconds(elapsed_s)


def _bar(ratio: float, style: Style) -> str:
    """Return a bar; it is full only where all is done."""
    full, free = "#." if style.ascii else "█░"
    columns = int(ratio * BAR_COLUMNS)
    return full * columns + free * (BAR_COLUMNS - columns)


def _seconds(seconds: float) -> str:
    """Return whole seconds that have passed."""
    return f"{int(seconds):,} s"
