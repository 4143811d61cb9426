"""
Progress, for whoever waits at a terminal: one line on stderr, gone when the work is.

Rules of this file:

- only where a person looks, and only once it takes long: what is quick draws nothing;
- the line is drawn by a thread that does nothing else, and the work never waits for it:
  not where the terminal takes nothing, nor at the end;
- the cursor stays as it is: whatever ends the process, the terminal is in order.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading

    from portroom.render.units import Style

STDERR = 2

PATIENCE_S = 0.4
"""What takes no longer shows no line: a line that flashes up is noise."""

EVERY_S = 0.2

LEAVE_S = 0.3
"""How long the end waits for the line to be gone: a terminal may take nothing."""

USUAL_COLUMNS = 80

CLEAR = "\r\x1b[K"
"""To the beginning of the line, and nothing right of it. Source: ECMA-48, EL."""


class Progress:
    """
    How far some work is.

    Args:
        what: What is done, in words.
        total: How many steps there are, 0 where that is not known.
        seconds: How long it takes, 0 where that is not known.
    """

    def __init__(self, what: str, total: int = 0, seconds: float = 0.0) -> None:
        self.what, self.total, self.seconds = what, total, seconds
        self.done = 0
        self.is_drawn = False

    def step(self) -> None:
        """Note that one more step is done."""
        self.done += 1


_shown: list[Progress] = []
"""What is drawn now: work within work has no line of its own."""


@contextlib.contextmanager
def working(what: str, total: int = 0, seconds: float = 0.0) -> Iterator[Progress]:
    """
    Show that something goes on for the length of a ``with`` block.

    Args:
        what: What is done, in words: "reading network namespaces".
        total: How many steps there are, 0 where that is not known.
        seconds: How long it takes, 0 where that is not known.
    """
    work = Progress(what, total, seconds)
    if _shown or not is_watched():
        yield work
        return
    import threading

    over = threading.Event()
    thread = threading.Thread(target=_draw, args=(work, over, is_plain()), daemon=True)
    _shown.append(work)
    thread.start()
    try:
        yield work
    finally:
        over.set()
        thread.join(LEAVE_S)
        _shown.clear()


def clear() -> None:
    """Take the line away for what is told now; it is drawn again below."""
    if _shown and _shown[0].is_drawn:
        with contextlib.suppress(OSError):
            os.write(STDERR, CLEAR.encode())


def is_watched() -> bool:
    """Say whether a person looks at stderr: at a terminal that can clear a line, in front."""
    if os.environ.get("TERM", "dumb") == "dumb":
        return False
    try:
        # In the background a line would be drawn over what is typed, or stop the process.
        return os.isatty(STDERR) and os.tcgetpgrp(STDERR) == os.getpgrp()
    except OSError:
        return False


def is_plain() -> bool:
    """Say whether the command was asked for ASCII alone; only its own thread knows."""
    import click

    context = click.get_current_context(silent=True)
    return bool(context and context.params.get("plain"))


def _draw(work: Progress, over: threading.Event, plain: bool) -> None:
    """Draw the line again and again, once it takes long, and clear it when the work is over."""
    began_s = time.monotonic()
    if over.wait(PATIENCE_S):
        return
    with contextlib.suppress(OSError):
        from portroom.cli.output import style

        _draw_until(over, work, style(plain=plain), began_s)


def _draw_until(over: threading.Event, work: Progress, look: Style, began_s: float) -> None:
    """
    Draw until the work is over.

    Raises:
        OSError: The terminal is gone.
    """
    from portroom.render.progress import Work, as_line

    while is_watched():
        state = Work(work.what, work.total, work.done, work.seconds)
        line = as_line(state, time.monotonic() - began_s, look._replace(width=_columns()))
        work.is_drawn = True
        os.write(STDERR, f"{CLEAR}{line}".encode(errors="replace"))
        if over.wait(EVERY_S):
            os.write(STDERR, CLEAR.encode())
            return
    over.wait()


def _columns() -> int:
    """
    Return the columns that a line may take: the last one would wrap on some terminals.

    A terminal that does not know its size, as many a serial one, says 0.
    """
    wanted = os.environ.get("COLUMNS", "")
    known = int(wanted) if wanted.isdecimal() else 0
    return max((known or os.get_terminal_size(STDERR).columns or USUAL_COLUMNS) - 1, 1)
