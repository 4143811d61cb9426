"""Signals: a change is finished or taken back before one ends the process.

Rules of this file:

- signals that end a process, and the one that stops it from the keyboard, wait
  while something is half done, and are delivered at the end;
- whoever works asks between two steps whether one waits, and takes back;
- a program started meanwhile inherits that they wait: it must let them pass
  itself if it wants them.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

ENDING = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT})

# A process that Ctrl-Z stopped half way would hold the lock until somebody wakes it.
HELD_BACK = ENDING | {signal.SIGTSTP}


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """
    Let signals wait for the length of a ``with`` block; blocks may be nested.

    Raises:
        KeyboardInterrupt: At the end, if Ctrl-C came; as it was raised inside, with
            the sentence that it carries there, if it was.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
    try:
        yield
    except KeyboardInterrupt as asked:
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        except KeyboardInterrupt:
            # The same Ctrl-C, which was only waiting.
            raise asked from None
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def stop_if_asked() -> None:
    """
    Raise where a signal waits that would end the process.

    Raises:
        KeyboardInterrupt: One does. At the end of ``held_back`` it is delivered,
            and ends the process in its own way if it was no Ctrl-C.
    """
    for one in signal.sigpending() & ENDING:
        # Under nohup a hang-up waits too, and means nothing.
        if signal.getsignal(one) is not signal.SIG_IGN:
            raise KeyboardInterrupt
