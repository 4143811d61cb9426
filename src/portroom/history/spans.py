"""Which rows of history answer: the finest that are not too many, and what each level lacks."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from portroom.history.schema import HOUR, LEVELS, MINUTE, RAW, TIGHTEST, Level
from portroom.history.windows import Window

STEPS_S = (
    1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10_800, 14_400,
    21_600, 43_200, 86_400, 172_800, 604_800, 1_209_600, 2_592_000,
)  # fmt: skip
"""Lengths of spans that people count in; of whole minutes and hours where those are read."""


class Segment(NamedTuple):
    """Rows of one level and one boot: from ``begin_ms`` to before ``end_ms``."""

    level: Level
    window: Window
    begin_ms: int
    end_ms: int


class Plan(NamedTuple):
    """What is read, in the order of time, and how long a span becomes; 0 for each sample."""

    step_ms: int
    segments: tuple[Segment, ...]


def plan(
    connection: sqlite3.Connection, windows: Sequence[Window], asked_s: float, points: int
) -> Plan:
    """
    Return what to read for a time, so that each line has no more moments than *points*.

    Args:
        connection: Of the file.
        windows: The time, boot by boot.
        asked_s: How long it is; what nothing is known of does not count.
        points: The most moments of a line.
    """
    asked_s = min(asked_s, _known_s(connection, windows))
    if _are_few(connection, windows, points):
        return Plan(0, tuple(_segments(connection, windows, RAW)))
    step_s = _step_s(asked_s, points)
    level = RAW
    if step_s >= MINUTE.span_ms // 1000 or not _is_covered(connection, windows):
        step_s, level = max(step_s, MINUTE.span_ms // 1000), MINUTE
    if step_s >= HOUR.span_ms // 1000:
        level = HOUR
    return Plan(step_s * 1000, tuple(_segments(connection, windows, level)))


def _step_s(asked_s: float, points: int) -> int:
    """
    Return the length of a span so that no more than *points* are asked for.

    >>> _step_s(7200, 1000), _step_s(30 * 86_400, 1000)
    (10, 3600)
    """
    # One span more than fits may be cut at both ends.
    wanted = asked_s / max(points - 1, 1)
    longest = STEPS_S[-1]
    return next((step for step in STEPS_S if step >= wanted), int(wanted // longest + 1) * longest)


def _are_few(connection: sqlite3.Connection, windows: Sequence[Window], points: int) -> bool:
    """Say whether every single sample can be told."""
    most = 0
    for one in windows:
        question = (
            "SELECT count(*), count(DISTINCT namespace) FROM raw"
            " WHERE boot = ? AND start_ms BETWEEN ? AND ? AND key = ?"
        )
        values = (one.boot, one.begin_ms, one.end_ms, TIGHTEST)
        moments, namespaces = connection.execute(question, values).fetchone()
        most += -(-moments // max(namespaces, 1))
    return most <= points and _is_covered(connection, windows)


def _known_s(connection: sqlite3.Connection, windows: Sequence[Window]) -> float:
    """Return how long it is from the first row of a time to its end, in seconds."""
    for one in windows:
        first_ms = min(_ends(connection, level, one.boot)[0] for level in LEVELS)
        if first_ms < NEVER:
            begin_s = one.booted_at + max(first_ms, one.begin_ms) / 1000
            last = windows[-1]
            return max(1.0, last.booted_at + last.end_ms / 1000 - begin_s)
    return 1.0


def _is_covered(connection: sqlite3.Connection, windows: Sequence[Window]) -> bool:
    """Say whether all samples of a time are still there one by one."""
    for one in windows:
        first = [_ends(connection, level, one.boot)[0] for level in LEVELS]
        raw, *longer = (max(start, one.begin_ms) for start in first)
        # A span begins before the first sample in it.
        if any(
            start + level.span_ms <= raw for start, level in zip(longer, LEVELS[1:], strict=True)
        ):
            return False
    return True


NEVER = 1 << 62


def _ends(connection: sqlite3.Connection, level: Level, boot: int) -> tuple[int, int]:
    """Return from when to when a level has a boot; NEVER and 0 where it has not."""
    # Apart: one statement that asks for both looks at every row.
    first, last = (
        connection.execute(
            f"SELECT {end}(start_ms) FROM {level.table} WHERE boot = ?",  # noqa: S608
            (boot,),
        ).fetchone()[0]
        for end in ("min", "max")
    )
    return (NEVER, 0) if first is None else (first, last + max(level.span_ms, 1))


def _segments(
    connection: sqlite3.Connection, windows: Sequence[Window], level: Level
) -> Iterator[Segment]:
    """Yield what to read: *level*, before it longer spans, after it what is no span yet."""
    place = LEVELS.index(level)
    for one in windows:
        ends = {each: _ends(connection, each, one.boot) for each in LEVELS}
        found, since = [], 0
        for finer in reversed(LEVELS[: place + 1]):
            found.append((finer, since, NEVER))
            since = max(since, ends[finer][1])
        first = min(ends[each][0] for each in LEVELS[: place + 1])
        for longer in LEVELS[place + 1 :]:
            # A span that reaches beyond is left out: what it has of later is told finer.
            found.insert(0, (longer, 0, first - longer.span_ms + 1))
            first = min(first, ends[longer][0])
        for each, begin_ms, end_ms in found:
            begin, end = max(begin_ms, one.begin_ms), min(end_ms, one.end_ms + 1)
            if begin < end:
                yield Segment(each, one, begin, end)
