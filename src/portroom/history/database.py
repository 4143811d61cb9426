"""The database file of history: opened by one writer, checked, and set aside when damaged.

Rules of this file:

- only what is surely ours is written or moved: a database with our mark, or a file
  with the name that portroom gives it;
- a damaged file is renamed and never deleted;
- who writes holds the lock beside the file, which ends with its process.

Source: sqlite.org/wal.html, /pragma.html, /howtocorrupt.html.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import sqlite3
import stat
import time
from collections.abc import Sequence
from pathlib import Path

from portroom.history.schema import (
    APPLICATION_AT,
    APPLICATION_ID,
    HEADER,
    ForeignFileError,
    migrate,
    read_version,
)
from portroom.history.state_folder import HISTORY
from portroom.kernel.files import SAFELY, read_up_to
from portroom.kernel.locks import read_holder

MODE = 0o600

BUSY_S = 0.1
"""How long to wait for somebody who reads with other tools: sampling does not wait for them."""

CACHE_KIB = 512

CHECKPOINT_PAGES = 256
"""1 MiB of write-ahead log, some 20 minutes, is brought into the file at once."""

LOG_BYTES = 4 << 20

CHECK_S = 0.5
"""How long a file is looked through before the first write; most are done by then."""

CHECK_STEPS = 20_000
"""Instructions of the database between two looks at the clock, a few milliseconds."""

DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

BESIDE = ("-wal", "-shm")
"""Files that belong to a database and have its name."""

ASIDE = ".damaged-"
"""Between the name of a file that was set aside and when that was."""

LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
FILE_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC


class UnusableError(Exception):
    """The file cannot be used, and it is not damaged: a sentence that says why."""


def is_damage(error: Exception) -> bool:
    """Say whether an error of the database means that its file is damaged."""
    code = getattr(error, "sqlite_errorcode", None)
    # The upper bytes tell more of the same. Source: sqlite.org/rescode.html.
    return code is not None and code & 0xFF in DAMAGED


def reason_of(error: Exception) -> str:
    """Return in a clause why something failed."""
    if isinstance(error, OSError):
        return f"{error.strerror or error}"
    return str(error)


def lock(file: str) -> int:
    """
    Return a descriptor that holds the lock of who writes; it ends with the process.

    Raises:
        UnusableError: Somebody else writes there.
        OSError: The lock cannot be made.
    """
    descriptor = os.open(f"{file}.lock", LOCK_FLAGS, MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = None
        with contextlib.suppress(OSError):
            holder = read_holder(os.fstat(descriptor))
        os.close(descriptor)
        who = f"process {holder}" if holder else "another process"
        raise UnusableError(f"{who} writes there already") from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def connect(file: str) -> sqlite3.Connection:
    """
    Return a connection that writes, the file made or brought to today's form.

    Raises:
        UnusableError: It is no file of ours.
        ForeignFileError: It is another program's, or of a later version.
        sqlite3.Error: It is damaged, or cannot be written.
        OSError: Likewise.
    """
    is_new = _prepare(file)
    connection = sqlite3.connect(
        file, timeout=BUSY_S, isolation_level=None, check_same_thread=False, cached_statements=64
    )
    try:
        # Before anything is set: the mode of the log is written into the file.
        read_version(connection)
        if is_new:
            # Before the first table, or not at all: what is deleted goes back to the disk.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        for setting in (
            f"cache_size = -{CACHE_KIB}",
            "journal_mode = WAL",
            "synchronous = NORMAL",
            f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
            f"journal_size_limit = {LOG_BYTES}",
            "temp_store = MEMORY",
            "trusted_schema = OFF",
        ):
            connection.execute(f"PRAGMA {setting}").fetchall()
        migrate(connection)
        _look_through(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(file: str) -> bool:
    """Make an empty file for us alone, or check the one that is there; say whether it is empty."""
    descriptor = os.open(file, FILE_FLAGS, MODE)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnusableError("it is no regular file")
    finally:
        os.close(descriptor)
    if status.st_size and not _begins_right(file) and not is_ours(file):
        raise ForeignFileError("it is no database")
    return not status.st_size


def _begins_right(file: str) -> bool:
    """Say whether a file begins as a database does."""
    return _beginning(file).startswith(HEADER)


def _beginning(file: str) -> bytes:
    """Return the first bytes of a file, none where it cannot be read."""
    try:
        descriptor = os.open(file, SAFELY & ~os.O_NOFOLLOW)
    except OSError:
        return b""
    try:
        return read_up_to(descriptor, 100)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def is_ours(file: str) -> bool:
    """Say whether a file is surely one of ours, however damaged: by its name or its mark."""
    mark = _beginning(file)[APPLICATION_AT : APPLICATION_AT + 4]
    return Path(file).name == HISTORY or mark == APPLICATION_ID.to_bytes(4, "big")


def _look_through(connection: sqlite3.Connection) -> None:
    """
    Look for damage, for a short time.

    Raises:
        sqlite3.DatabaseError: There is some.
    """
    deadline = time.monotonic() + CHECK_S
    connection.set_progress_handler(lambda: time.monotonic() > deadline, CHECK_STEPS)
    try:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return  # large, and whole as far as it was seen
    finally:
        connection.set_progress_handler(None, 0)
    if found and found[0] != "ok":
        damage = sqlite3.DatabaseError(str(found[0]).splitlines()[0])
        damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damage


def set_aside(file: str, now: datetime.datetime) -> str:
    """
    Rename a damaged file and what belongs to it, and return its new name.

    Raises:
        OSError: It cannot be renamed.
    """
    stamp = f"{now.astimezone(datetime.UTC):%Y%m%dT%H%M%SZ}"
    aside, number = f"{file}{ASIDE}{stamp}", 1
    while os.path.lexists(aside):
        number += 1
        aside = f"{file}{ASIDE}{stamp}-{number}"
    for beside in BESIDE:
        with contextlib.suppress(FileNotFoundError):
            Path(file + beside).rename(aside + beside)
    Path(file).rename(aside)
    return aside


def those_set_aside(file: str) -> tuple[str, ...]:
    """Return the files that were set aside, the oldest first."""
    path = Path(file)
    try:
        found = sorted(path.parent.iterdir())
    except OSError:
        return ()
    return tuple(
        str(one)
        for one in found
        if one.name.startswith(path.name + ASIDE) and not one.name.endswith(BESIDE)
    )


def size_bytes(file: str) -> int:
    """Return what the file and its log take on the disk."""
    size = 0
    for one in (file, file + BESIDE[0]):
        with contextlib.suppress(OSError):
            size += Path(one).stat().st_size
    return size


def remove_log(file: str, identities: Sequence[tuple[int, int] | None]) -> None:
    """
    Remove the log of a file that was taken away, so that no other file gets what is in it.

    Args:
        file: Its name, under which another file may lie now.
        identities: Of what belonged to it, see ``BESIDE``; anything else stays.

    Source: sqlite.org/howtocorrupt.html, 1.4.
    """
    for beside, known in zip(BESIDE, identities, strict=True):
        if known is not None and identity(file + beside) == known:
            with contextlib.suppress(OSError):
                Path(file + beside).unlink()


def sizes(file: str) -> tuple[int, int]:
    """Return the bytes of the file and of its log, none for what is not there or no database."""
    log = Path(file + BESIDE[0])
    found = [0, 0]
    for place, one in enumerate((Path(file), log)):
        with contextlib.suppress(OSError):
            found[place] = one.stat().st_size
    return (found[0] if _begins_right(file) else 0), found[1]


def identity(file: str) -> tuple[int, int] | None:
    """Return what tells a file from another one of the same name, None where there is none."""
    try:
        status = Path(file).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
