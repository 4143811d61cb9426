"""The store: samples are written as they come, whatever becomes of the file.

Rules of this file:

- nothing here raises, and nothing waits: sampling goes on, and the state says how
  remembering goes;
- one transaction a call: a sample is there as a whole or not at all;
- what could not be written waits for the next call, within bounds;
- a file that was removed is made anew, one that is damaged is set aside.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from portroom.history import database, upkeep
from portroom.history.rows import Taken, as_rows, uptime_ms
from portroom.history.schema import COLUMNS, ForeignFileError
from portroom.history.state_folder import make
from portroom.model.facts.config import HistoryKept
from portroom.model.facts.sample import Forecast, Instant, Sample
from portroom.model.facts.snapshot import NetnsId
from portroom.model.facts.watched import HistoryState, Mark

MOST_WAITING_ROWS = 5000
"""What could not be written and waits: some 2 MB, 40 minutes of one namespace."""

MOST_WAITING_MARKS = 100

LONGEST_MARK = 1000

DRIFTED_S = 0.01
"""A clock that differs by more from when the boot was last told is written down."""

LOOKED_THROUGH_S = 3600.0
"""So often the file is opened anew: what is damaged in place is read from memory until then."""

OK, DEGRADED, OFF = "ok", "degraded", "off"

_INSERT = f"INSERT OR REPLACE INTO raw ({COLUMNS}) VALUES ({', '.join('?' * 14)})"  # noqa: S608

_NAMESPACE = "SELECT id FROM namespaces WHERE (name, kind, boot, number) = (?, ?, ?, ?)"

_NEW_NAMESPACE = (
    "INSERT INTO namespaces (name, kind, boot, number, seen_boot, seen_ms)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)

Waiting = tuple[Instant, Mark]


class Store:
    """
    The history of this host, written by one process.

    Args:
        file: The database; "" keeps nothing.
        kept: For how long, how much, and how many keys. It may be exchanged.
    """

    def __init__(self, file: str, kept: HistoryKept) -> None:
        self.kept = kept
        self._file = str(Path(file).absolute()) if file else ""
        self._open: _Open | None = None
        self._aside: tuple[str, ...] = ()
        self._taken: list[Taken] = []
        self._marks: list[Waiting] = []
        self._guard = threading.Lock()
        reason = "" if file else "it is not asked for"
        self._state = HistoryState(OFF, reason, self._file)

    def add(
        self, entries: Sequence[tuple[Sample, tuple[Forecast, ...]]], now: Instant
    ) -> HistoryState:
        """
        Write samples, make a few spans, forget what is old, and return how that went.

        Args:
            entries: Samples, each with the forecasts of its keys.
            now: The moment, of the same boot as the samples.
        """
        if not self._file:
            return self._state
        with self._guard:
            self._taken += [as_rows(*one, self.kept.keys) for one in entries]
            self._drop_surplus()
            return self._write(now)

    def mark(self, mark: Mark, now: Instant) -> None:
        """Write down that something happened beside the samples."""
        if not self._file:
            return
        with self._guard:
            self._marks.append((now, mark))
            del self._marks[:-MOST_WAITING_MARKS]
            self._write(now)

    def state(self) -> HistoryState:
        """Return how remembering goes."""
        return self._state

    def close(self) -> None:
        """Let go of the file; what is written afterwards opens it again."""
        with self._guard:
            self._shut()

    def _drop_surplus(self) -> None:
        """Drop the oldest of what waits, if it is too much."""
        rows = sum(len(one.cells) for one in self._taken)
        while rows > MOST_WAITING_ROWS and len(self._taken) > 1:
            rows -= len(self._taken.pop(0).cells)

    def _write(self, now: Instant) -> HistoryState:
        """Write what waits, once more after a damaged file was set aside."""
        for is_last in (False, True):
            try:
                self._write_once(now)
            except (sqlite3.Error, OSError, database.UnusableError, ForeignFileError) as error:
                if self._failed(error, now) and not is_last:
                    continue
            break
        return self._state

    def _write_once(self, now: Instant) -> None:
        """
        Write what waits.

        Raises:
            sqlite3.Error: It could not be written.
            OSError: Likewise.
            UnusableError: The file cannot be used.
            ForeignFileError: It is not ours.
        """
        if self._open is not None and not self._open.is_as_it_was(now):
            self._shut()
        if self._open is None:
            self._open = _Open(self._file, now)
            self._aside = database.those_set_aside(self._file)
        self._open.write(self._taken, self._marks, self.kept, now)
        self._taken, self._marks = [], []
        self._tell(OK, "")

    def _failed(self, error: Exception, now: Instant) -> bool:
        """Tell what went wrong, and say whether it is worth another try at once."""
        reason, again = database.reason_of(error), False
        # A full disk and a busy file pass; of all else the file is opened anew.
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code not in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY}:
            self._shut()
        if database.is_damage(error):
            reason, again = self._set_aside(reason, now)
        self._tell(DEGRADED, f"{self._file}: {reason}.")
        return again

    def _set_aside(self, reason: str, now: Instant) -> tuple[str, bool]:
        """Set a damaged file aside; return what to tell, and whether it was possible."""
        if not database.is_ours(self._file):
            return f"{reason}; it is none of portroom's and stays where it is", False
        try:
            # Who writes alone may move it.
            descriptor = database.lock(self._file)
        except (OSError, database.UnusableError) as error:
            return f"{reason}, and {database.reason_of(error)}", False
        try:
            aside = database.set_aside(self._file, now.at)
            self._aside = database.those_set_aside(self._file)
        except OSError as error:
            return f"{reason}, and it cannot be set aside: {database.reason_of(error)}", False
        finally:
            os.close(descriptor)
        return f"{reason}; it was set aside as {aside}", True

    def _tell(self, state: str, reason: str) -> None:
        """Keep how it goes."""
        size = database.size_bytes(self._file)
        self._state = HistoryState(state, reason, self._file, size, self._aside)

    def _shut(self) -> None:
        """Close the file, if it is open."""
        opened, self._open = self._open, None
        if opened is not None:
            opened.close()


class _Open:
    """
    The file while it is open, and the numbers that it gave to boots and namespaces.

    Raises:
        sqlite3.Error: It is damaged, or cannot be written.
        OSError: Likewise.
        UnusableError: Somebody else writes there, or it is no file.
        ForeignFileError: It is not ours.
    """

    def __init__(self, file: str, now: Instant) -> None:
        self._file, self._opened = file, now
        make(str(Path(file).parent))
        self._lock = database.lock(file)
        try:
            self._connection = database.connect(file)
        except BaseException:
            os.close(self._lock)
            raise
        self._identity = database.identity(file)
        self._beside = self._read_beside()
        self._sizes = database.sizes(file)
        self._boot: _Boot | None = None

    def is_in_place(self) -> bool:
        """Say whether the file is still the one of its name."""
        return self._identity == database.identity(self._file)

    def is_as_it_was(self, now: Instant) -> bool:
        """
        Say whether nobody else touched the file, and it was looked through lately.

        The database itself notices neither a log that was removed nor a file that was
        made shorter: it goes on writing what nobody can read.
        """
        opened = self._opened
        is_lately = (
            opened.boot_id == now.boot_id and 0 <= now.uptime_s - opened.uptime_s < LOOKED_THROUGH_S
        )
        left = zip(database.sizes(self._file), self._sizes, strict=True)
        return (
            is_lately
            and self.is_in_place()
            and self._beside == self._read_beside()
            and all(size >= before for size, before in left)
        )

    def _read_beside(self) -> list[tuple[int, int] | None]:
        """Return what tells the files that belong to it from others of their names."""
        return [database.identity(self._file + one) for one in database.BESIDE]

    def close(self) -> None:
        """Close the file, and let others write."""
        is_in_place = self.is_in_place()
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()
        if not is_in_place:
            database.remove_log(self._file, self._beside)
        os.close(self._lock)

    def write(
        self,
        taken: Sequence[Taken],
        marks: Sequence[Waiting],
        kept: HistoryKept,
        now: Instant,
    ) -> None:
        """
        Write all of it or nothing.

        Raises:
            sqlite3.Error: It could not be written.
        """
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            boot = self._known(now)
            boot.write(taken, marks)
            boot.keep_up(kept, sum(len(one.cells) for one in taken), now)
            connection.execute("COMMIT")
        except BaseException:
            # What was numbered is undone with the rest.
            self._boot = None
            with contextlib.suppress(sqlite3.Error):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            raise
        upkeep.give_back(connection)
        self._beside, self._sizes = self._read_beside(), database.sizes(self._file)

    def _known(self, now: Instant) -> _Boot:
        """Return the boot of *now* as this file knows it."""
        if self._boot is None or self._boot.boot_id != now.boot_id:
            self._boot = _Boot(self._connection, now)
        self._boot.set_clock(now)
        return self._boot


class _Boot:
    """One boot in the file: its number, and those of its namespaces."""

    def __init__(self, connection: sqlite3.Connection, now: Instant) -> None:
        self._connection = connection
        self.boot_id = now.boot_id
        self._booted_at = _booted_at(now)
        connection.execute(
            "INSERT OR IGNORE INTO boots (boot_id, booted_at) VALUES (?, ?)",
            (now.boot_id, self._booted_at),
        )
        self._number, self._booted_at = connection.execute(
            "SELECT id, booted_at FROM boots WHERE boot_id = ?", (now.boot_id,)
        ).fetchone()
        self._namespaces: dict[NetnsId, int] = {}
        self._lasted_ms = upkeep.read_lasted(connection)
        self._behind = upkeep.find_behind(connection, self._number)

    def set_clock(self, now: Instant) -> None:
        """Keep when this boot was, by the clock as it is now."""
        booted_at = _booted_at(now)
        if abs(booted_at - self._booted_at) > DRIFTED_S:
            self._connection.execute(
                "UPDATE boots SET booted_at = ? WHERE id = ?", (booted_at, self._number)
            )
            self._booted_at = booted_at

    def write(self, taken: Sequence[Taken], marks: Sequence[Waiting]) -> None:
        """Write samples and marks; those of another boot are too late."""
        for one in taken:
            if one.instant.boot_id == self.boot_id:
                self._connection.executemany(_INSERT, self._rows(one))
        self._connection.executemany(
            "INSERT OR IGNORE INTO marks (boot, start_ms, kind, text) VALUES (?, ?, ?, ?)",
            [
                (self._number, _when_ms(now, mark), mark.kind, _clean(mark.text))
                for now, mark in marks
                if now.boot_id == self.boot_id
            ],
        )

    def _rows(self, taken: Taken) -> Iterator[tuple[object, ...]]:
        """Yield the rows of one sample."""
        start_ms = uptime_ms(taken.instant)
        place = (self._number, start_ms, self._namespace(taken.netns, start_ms))
        for cells in taken.cells:
            yield *place, *cells

    def _namespace(self, netns: NetnsId, start_ms: int) -> int:
        """Return the number of a namespace; the host's is one for all boots."""
        number = self._namespaces.get(netns)
        if number is not None:
            return number
        told = (_clean(netns.lasting_name), netns.kind, self._number, netns.cookie or netns.inode)
        if netns.kind == "host":
            told = (*told[:2], 0, 0)
        found = self._connection.execute(_NAMESPACE, told).fetchone()
        if found is None:
            values = (*told, self._number, start_ms)
            found = (self._connection.execute(_NEW_NAMESPACE, values).lastrowid,)
        self._namespaces[netns] = int(found[0] or 0)
        return self._namespaces[netns]

    def keep_up(self, kept: HistoryKept, written: int, now: Instant) -> None:
        """Make a few spans, and forget a little of what is old."""
        now_ms = uptime_ms(now)
        made = upkeep.make_spans(self._connection, self._number, now_ms, kept.keys)
        self._catch_up(kept)
        ages = upkeep.Ages(self._lasted_ms, self._number, now_ms)
        upkeep.forget(self._connection, ages, kept, written)
        if made:
            self._seen(now_ms)
            upkeep.tidy(self._connection, self._number)

    def _catch_up(self, kept: HistoryKept) -> None:
        """Make spans of an earlier boot, which ended before they were over."""
        if not self._behind:
            return
        if not upkeep.make_spans(self._connection, self._behind[0], 1 << 62, kept.keys):
            self._behind.pop(0)

    def _seen(self, now_ms: int) -> None:
        """Keep that the namespaces of this boot are still there."""
        self._connection.executemany(
            "UPDATE namespaces SET seen_boot = ?, seen_ms = ? WHERE id = ?",
            [(self._number, now_ms, one) for one in self._namespaces.values()],
        )
        # Those that ended are not counted as seen for ever.
        self._namespaces.clear()


def _booted_at(now: Instant) -> float:
    """Return when the boot was, in seconds since 1970, by the clock of *now*."""
    return now.at.timestamp() - now.uptime_s


def _when_ms(now: Instant, mark: Mark) -> int:
    """Return when a mark was, in milliseconds since the boot; at the most *now*."""
    ago_s = max(0.0, (now.at - mark.at).total_seconds())
    return max(0, uptime_ms(now) - round(ago_s * 1000))


def _clean(text: str) -> str:
    """Return text that a database takes, not too long."""
    return text.encode("utf-8", "backslashreplace").decode()[:LONGEST_MARK]
