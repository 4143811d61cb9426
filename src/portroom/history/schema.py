"""The tables of history, and how an older file becomes one of today.

Rules of this file:

- time is a boot and milliseconds since it, never the wall clock: rows come in the
  order in which they happened, no jump of a clock makes two of them one, and what is
  written next to each other is deleted together;
- every level has the same columns, so that one statement reads them all;
- a key stands in its row, packed: no table of keys could outgrow the samples.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

APPLICATION_ID = 0x70727472
"""``prtr``; what tells our file from another program's database."""

HEADER = b"SQLite format 3\0"
"""How every database begins. Source: sqlite.org/fileformat.html, 1.3."""

APPLICATION_AT = 68
"""Where the application id lies in it, four bytes, big-endian."""


class Level(NamedTuple):
    """
    One resolution: its table, and the length of a span in it.

    ``horizon`` is the field of ``HistoryKept`` that says for how long it is kept.
    """

    table: str
    span_ms: int
    horizon: str


RAW = Level("raw", 0, "raw_s")
MINUTE = Level("minute", 60_000, "minute_s")
HOUR = Level("hour", 3_600_000, "hour_s")
LEVELS = (RAW, MINUTE, HOUR)
"""The finest first; each is made of the one before it."""

MARKS = Level("marks", 0, "hour_s")
"""What happened beside the samples lasts as long as anything."""

COLUMNS = (
    "boot, start_ms, namespace, key, samples, below_half, eligible, held, doubtful, free,"
    " occupancy_ppm, time_wait, connects_per_s, exhausted_in_s"
)
"""Of every level. ``key`` is empty for the tightest key at each moment."""

TIGHTEST = b""

_LEVEL_TABLE = """
CREATE TABLE {table} (
    boot INTEGER NOT NULL,
    start_ms INTEGER NOT NULL,
    namespace INTEGER NOT NULL,
    key BLOB NOT NULL,
    samples INTEGER NOT NULL,
    below_half INTEGER NOT NULL,
    eligible INTEGER,
    held INTEGER,
    doubtful INTEGER,
    free INTEGER,
    occupancy_ppm INTEGER,
    time_wait INTEGER,
    connects_per_s REAL,
    exhausted_in_s REAL,
    PRIMARY KEY (boot, start_ms, namespace, key)
) WITHOUT ROWID
"""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        f"PRAGMA application_id = {APPLICATION_ID}",
        # ``booted_at``: seconds since 1970, by the clock as it was last seen in that boot.
        """
        CREATE TABLE boots (
            id INTEGER PRIMARY KEY,
            boot_id TEXT NOT NULL UNIQUE,
            booted_at REAL NOT NULL
        )
        """,
        """
        CREATE TABLE namespaces (
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            kind TEXT NOT NULL,
            boot INTEGER NOT NULL,
            number INTEGER NOT NULL,
            seen_boot INTEGER NOT NULL,
            seen_ms INTEGER NOT NULL,
            UNIQUE (name, kind, boot, number)
        )
        """,
        *(_LEVEL_TABLE.format(table=level.table) for level in LEVELS),
    ),
    (
        """
        CREATE TABLE marks (
            boot INTEGER NOT NULL,
            start_ms INTEGER NOT NULL,
            kind TEXT NOT NULL,
            text TEXT NOT NULL,
            PRIMARY KEY (boot, start_ms, kind, text)
        ) WITHOUT ROWID
        """,
    ),
)
"""What brings a file from each version to the next; a file without tables has version 0."""

VERSION = len(MIGRATIONS)


class ForeignFileError(Exception):
    """The file is another program's, or of a later version: a sentence that says so."""


def read_version(connection: sqlite3.Connection) -> int:
    """
    Return the version of a file.

    Raises:
        ForeignFileError: It is none that this portroom may write or can read.
    """
    version, application, tables = (
        connection.execute(question).fetchone()[0]
        for question in (
            "PRAGMA user_version",
            "PRAGMA application_id",
            "SELECT count(*) FROM sqlite_master",
        )
    )
    if (tables or version) and application != APPLICATION_ID:
        raise ForeignFileError("it is the database of another program")
    if version > VERSION:
        raise ForeignFileError(
            f"it has version {version} of a later portroom, and this one knows up to {VERSION}"
        )
    return int(version)


def migrate(connection: sqlite3.Connection) -> None:
    """
    Bring a file to today's version, all of it or nothing.

    Raises:
        ForeignFileError: It is none that this portroom may write.
        sqlite3.Error: It cannot be written.
    """
    version = read_version(connection)
    if version == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Somebody else may have done it meanwhile.
        for statements in MIGRATIONS[read_version(connection) :]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
