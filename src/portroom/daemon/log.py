"""The log: one event is one line on stderr, which a service manager hands to its journal.

Rules of this file:

- nothing that is logged can end the line, act on a terminal or look like another line;
- a reader that does not read cannot hold the daemon up: lines are lost then, and
  counted, and the count is told as soon as somebody reads again.
"""

from __future__ import annotations

import datetime
import json
import os
import select
from collections.abc import Callable, Mapping

from portroom.render.units import instant, printable

TEXT, JSON = "text", "json"

PRIORITIES = {"error": 3, "warning": 4, "notice": 5, "info": 6}
"""The levels, and what syslog calls each. Source: sd-daemon(3), SD_ERR and the like."""

MOST_BYTES = 4000
"""Of a line; less than PIPE_BUF: a pipe that poll() calls writable takes as much at once."""

STDERR = 2


def utc_now() -> datetime.datetime:
    """Return what the wall clock shows."""
    return datetime.datetime.now(datetime.UTC)


class Log:
    """
    Writes events as lines.

    Args:
        form: ``text`` or ``json``; may be set anew at any time.
        environment: Tells whether *descriptor* is the journal's.
        descriptor: Where lines go.
        now: What tells the time.
    """

    def __init__(
        self,
        form: str = TEXT,
        environment: Mapping[str, str] | None = None,
        descriptor: int = STDERR,
        now: Callable[[], datetime.datetime] = utc_now,
    ) -> None:
        self.form = form
        self.lost_lines = 0
        self._descriptor = descriptor
        self._now = now
        self._is_terminal = os.isatty(descriptor)
        self._is_journal = is_journal(environment or {}, descriptor)

    def tell(self, level: str, event: str, message: str) -> None:
        """
        Write one event.

        Args:
            level: One of PRIORITIES.
            event: What happened, as one word that never changes.
            message: A sentence; whatever it quotes is escaped.
        """
        if self.lost_lines:
            lost = f"{self.lost_lines:,} lines before this one were lost: nobody read the log."
            if not self._write(self._line("warning", "log_lost", lost)):
                self.lost_lines += 1
                return
            self.lost_lines = 0
        if not self._write(self._line(level, event, message)):
            self.lost_lines += 1

    def is_hung_up(self) -> bool:
        """Say whether the log goes to a terminal that is gone."""
        waiting = select.poll()
        waiting.register(self._descriptor, 0)
        try:
            found = waiting.poll(0)
        except OSError:
            return False
        return self._is_terminal and any(event & select.POLLHUP for _, event in found)

    def _line(self, level: str, event: str, message: str) -> bytes:
        """Return the line of an event, its newline included."""
        make = as_json_line if self.form == JSON else as_text_line
        at = None if self._is_journal and self.form == TEXT else self._now()
        mark = f"<{PRIORITIES[level]}>" if self._is_journal else ""
        return (mark + make(at, level, event, message)).encode() + b"\n"

    def _write(self, line: bytes) -> bool:
        """Write a line if that is possible without waiting; say whether it was."""
        waiting = select.poll()
        waiting.register(self._descriptor, select.POLLOUT)
        try:
            if not waiting.poll(0):
                return False
            return os.write(self._descriptor, line) == len(line)
        except OSError:
            return False


def is_journal(environment: Mapping[str, str], descriptor: int) -> bool:
    """
    Say whether a descriptor leads to systemd's journal, which knows the time itself.

    Source: systemd.exec(5), ``$JOURNAL_STREAM``: device and inode of the stream.
    """
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def as_text_line(at: datetime.datetime | None, level: str, event: str, message: str) -> str:
    r"""
    Return an event as a line for people, without its newline.

    >>> as_text_line(None, "info", "begin", "Samples\nevery 10 s.")
    'Samples\\x0aevery 10 s.'
    """
    del event  # the sentence says it
    when = f"{instant(at)} {level}: " if at else ""
    return cut(when + printable(message))


def as_json_line(at: datetime.datetime | None, level: str, event: str, message: str) -> str:
    r"""
    Return an event as a JSON object in one line of ASCII, without its newline.

    >>> as_json_line(None, "info", "begin", "caf\u00e9\x1b")
    '{"at": null, "level": "info", "event": "begin", "message": "caf\\u00e9\\\\x1b"}'
    """
    # Characters that act are escaped as everywhere; the rest by JSON, six bytes for each.
    text = cut(printable(message), MOST_BYTES // 7)
    told = {"at": at and at.isoformat(), "level": level, "event": event, "message": text}
    return json.dumps(told)


def cut(text: str, most_bytes: int = MOST_BYTES) -> str:
    """
    Return a text cut so that it has at most so many bytes, which its end then shows.

    >>> cut("abcdefgh", 6)
    'abc…'
    """
    if len(text.encode()) <= most_bytes:
        return text
    return text.encode()[: most_bytes - 3].decode(errors="ignore") + "…"
