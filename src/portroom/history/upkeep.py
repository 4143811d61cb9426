"""Upkeep of history: spans are made of samples, and what is old or too much goes.

Rules of this file:

- each call does a little, so that no sample waits: the rest is done with the next ones;
- age is counted in time that portroom's boots lasted, never by the wall clock: a clock
  that is wrong for a moment deletes nothing;
- nothing is deleted that was not made a part of a longer span first.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from portroom.history.schema import COLUMNS, HOUR, LEVELS, MARKS, MINUTE, RAW, TIGHTEST, Level
from portroom.model.facts.config import HistoryKept

SPANS_AT_ONCE = 3
"""Spans of each level that one call makes: more than time brings, so that it catches up."""

ROWS_AT_ONCE = 1000
"""Rows that one call deletes at most, and twice what was written where that is more."""

FREE_PAGES = 1024
PAGES_AT_ONCE = 64
"""4 MiB of free pages stay for what comes; of more, so many go back to the disk at once."""

AGGREGATES = (
    "sum(samples), min(below_half), max(eligible), max(held), max(doubtful), min(free),"
    " max(occupancy_ppm), max(time_wait), max(connects_per_s), min(exhausted_in_s)"
)
"""What a span keeps of its samples: always the tightest figure."""

_MAKE_SPAN = """
INSERT OR REPLACE INTO {target} ({columns})
SELECT :boot, :start, namespace, key, {kept} FROM (
    SELECT namespace, key, {aggregates}, row_number() OVER (
        PARTITION BY namespace, key = :tightest
        ORDER BY max(occupancy_ppm) DESC, max(held) DESC, key
    ) AS place
    FROM {source}
    WHERE boot = :boot AND start_ms >= :start AND start_ms < :end
    GROUP BY namespace, key
) WHERE place <= :keys
"""

_PLACES = range(1, 1 + AGGREGATES.count("("))
_KEPT = ", ".join(f"a{place}" for place in _PLACES)
_NAMED = ", ".join(
    f"{one} AS a{place}" for one, place in zip(AGGREGATES.split(", "), _PLACES, strict=True)
)


class Ages:
    """
    How long ago things were, by boots and their uptimes alone.

    Args:
        lasted_ms: How long each boot lasted as far as it was seen, by number.
        boot: The number of this boot.
        now_ms: Its uptime.
    """

    def __init__(self, lasted_ms: Mapping[int, int], boot: int, now_ms: int) -> None:
        self._boot = boot
        self._now_ms = now_ms
        self._since_end_ms: dict[int, int] = {boot: 0}
        since = now_ms
        for one in sorted((one for one in lasted_ms if one < boot), reverse=True):
            self._since_end_ms[one] = since
            since += lasted_ms[one]
        self._lasted_ms = {**lasted_ms, boot: now_ms}

    def age_ms(self, boot: int, start_ms: int) -> int:
        """
        Return how long ago something was at the least: time off is not counted.

        >>> Ages({1: 5000}, 2, 300).age_ms(1, 4000)
        1300
        """
        if boot not in self._since_end_ms:
            return 0  # of a boot that is later than this one: never old
        return self._since_end_ms[boot] + self._lasted_ms[boot] - start_ms

    def cut_ms(self, boot: int, horizon_ms: int) -> int:
        """Return the uptime in a boot before which things are older than *horizon_ms*."""
        return self._lasted_ms[boot] - (horizon_ms - self._since_end_ms[boot])


def read_lasted(connection: sqlite3.Connection) -> dict[int, int]:
    """Return how long each boot was seen to last, in milliseconds."""
    boots = [boot for (boot,) in connection.execute("SELECT id FROM boots")]
    # The finest level that has it: the end of an hour may lie behind that of the boot.
    return {
        boot: next(filter(None, (_end(connection, level, boot) for level in LEVELS)), 0)
        for boot in boots
    }


def _end(connection: sqlite3.Connection, level: Level, boot: int) -> int:
    """Return up to when a level has a boot: the end of its last span, 0 for none."""
    question = f"SELECT max(start_ms) FROM {level.table} WHERE boot = ?"  # noqa: S608
    (last,) = connection.execute(question, (boot,)).fetchone()
    return 0 if last is None else int(last) + max(level.span_ms, 1)


def make_spans(connection: sqlite3.Connection, boot: int, until_ms: int, keys: int) -> int:
    """
    Make minutes of samples and hours of minutes, a few at once.

    Args:
        connection: Inside a transaction.
        boot: Whose samples.
        until_ms: Spans that end later are not over yet.
        keys: How many keys of each namespace a span keeps, the tightest.

    Returns:
        How many spans were made.
    """
    made = 0
    for source, target in pairwise(LEVELS):
        over_ms = until_ms if source is RAW else min(until_ms, _whole(connection, boot, until_ms))
        for _ in range(SPANS_AT_ONCE):
            start_ms = _next(connection, source, target, boot)
            if start_ms is None or start_ms + target.span_ms > over_ms:
                break
            _make_span(connection, source, target, boot, start_ms, keys)
            made += 1
    return made


def _whole(connection: sqlite3.Connection, boot: int, until_ms: int) -> int:
    """Return up to when all minutes are made: the start of the first sample in none of them."""
    following = _next(connection, RAW, MINUTE, boot)
    return until_ms if following is None else following


def _next(connection: sqlite3.Connection, source: Level, target: Level, boot: int) -> int | None:
    """Return the start of the first span that is to be made, None where nothing is left."""
    question = (
        f"SELECT start_ms FROM {source.table} WHERE boot = ? AND start_ms >= ?"  # noqa: S608
        " ORDER BY start_ms LIMIT 1"
    )
    first = connection.execute(question, (boot, _end(connection, target, boot))).fetchone()
    return None if first is None else first[0] // target.span_ms * target.span_ms


def _make_span(
    connection: sqlite3.Connection,
    source: Level,
    target: Level,
    boot: int,
    start_ms: int,
    keys: int,
) -> None:
    """Make one span."""
    statement = _MAKE_SPAN.format(
        target=target.table,
        source=source.table,
        columns=COLUMNS,
        kept=_KEPT,
        aggregates=_NAMED,
    )
    values = {"boot": boot, "start": start_ms, "end": start_ms + target.span_ms}
    connection.execute(statement, {**values, "tightest": TIGHTEST, "keys": keys})


def forget(connection: sqlite3.Connection, ages: Ages, kept: HistoryKept, written: int = 0) -> None:
    """
    Delete what is too old, and the oldest where the file is too large.

    Args:
        connection: Inside a transaction.
        ages: How old things are.
        kept: For how long, and how much.
        written: Rows that were just written: at least as many can go.
    """
    most = max(ROWS_AT_ONCE, 2 * written)
    for level, into in (*pairwise((*LEVELS, None)), (MARKS, None)):
        assert level is not None
        horizon_ms = int(getattr(kept, level.horizon) * 1000)
        for boot, start_ms in _oldest(connection, level):
            if ages.age_ms(boot, start_ms) > horizon_ms:
                cut_ms = ages.cut_ms(boot, horizon_ms)
                _delete(connection, level, boot, _made(connection, level, into, boot, cut_ms), most)
    if used_bytes(connection) > kept.most_bytes:
        _make_room(connection, ages, kept, most)


def _made(
    connection: sqlite3.Connection, level: Level, into: Level | None, boot: int, cut_ms: int
) -> int:
    """Return *cut_ms*, or earlier where longer spans have not come so far."""
    if into is None:
        return cut_ms
    following = _next(connection, level, into, boot)
    return cut_ms if following is None else min(cut_ms, following)


def _oldest(connection: sqlite3.Connection, level: Level) -> Iterator[tuple[int, int]]:
    """Yield the boot and time of the oldest row of a level, if it has any."""
    question = f"SELECT boot, start_ms FROM {level.table} ORDER BY boot, start_ms LIMIT 1"  # noqa: S608
    yield from connection.execute(question).fetchall()


def _delete(
    connection: sqlite3.Connection, level: Level, boot: int, cut_ms: int, most: int
) -> None:
    """Delete the rows of a boot before *cut_ms*, about *most* at once, whole samples."""
    nth = connection.execute(
        f"SELECT start_ms FROM {level.table} WHERE boot = ? AND start_ms < ?"  # noqa: S608
        " ORDER BY start_ms LIMIT 1 OFFSET ?",
        (boot, cut_ms, most),
    ).fetchone()
    end_ms = cut_ms if nth is None else nth[0] + 1
    connection.execute(
        f"DELETE FROM {level.table} WHERE boot = ? AND start_ms < ?",  # noqa: S608
        (boot, end_ms),
    )


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return what the rows take, without pages that are free for others."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def _make_room(connection: sqlite3.Connection, ages: Ages, kept: HistoryKept, most: int) -> None:
    """Delete the oldest of that level which has the most of the time that it should have."""
    shares = [
        (ages.age_ms(boot, start_ms) / (getattr(kept, level.horizon) * 1000), level, boot)
        for level in (*LEVELS, MARKS)
        for boot, start_ms in _oldest(connection, level)
    ]
    if shares:
        _, level, boot = max(shares, key=lambda one: one[0])
        _delete(connection, level, boot, 1 << 62, most)


def tidy(connection: sqlite3.Connection, boot: int) -> None:
    """
    Delete boots and namespaces of which no row is left, and give back free pages.

    Args:
        connection: Inside a transaction.
        boot: The number of this boot, which stays.
    """
    tables = [level.table for level in (*LEVELS, MARKS)]
    unused = " AND ".join(
        f"NOT EXISTS (SELECT 1 FROM {table} WHERE boot = boots.id)"  # noqa: S608
        for table in tables
    )
    connection.execute(f"DELETE FROM boots WHERE id <> ? AND {unused}", (boot,))  # noqa: S608
    oldest = min((row for level in LEVELS for row in _oldest(connection, level)), default=None)
    if oldest is not None:
        connection.execute(
            "DELETE FROM namespaces WHERE (seen_boot, seen_ms) < (?, ?)",
            (oldest[0], oldest[1] - HOUR.span_ms),
        )


def give_back(connection: sqlite3.Connection) -> None:
    """Give some pages back to the disk, where many are free; outside of a transaction."""
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    if free > FREE_PAGES:
        connection.execute(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE})").fetchall()


def find_behind(connection: sqlite3.Connection, boot: int) -> list[int]:
    """Return the earlier boots whose spans are not all made."""
    boots: Sequence[tuple[int]] = connection.execute(
        "SELECT id FROM boots WHERE id <> ? ORDER BY id", (boot,)
    ).fetchall()
    return [
        one
        for (one,) in boots
        if any(_next(connection, *pair, one) is not None for pair in pairwise(LEVELS))
    ]
