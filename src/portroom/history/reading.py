"""What was seen: read from the database while the daemon writes, and from the journal.

Rules of this file:

- nothing is written; what is missing is an error that says so, or a Gap;
- a moment at which no key could be half full is one of every key, without counts;
- the texts of marks are hostile.
"""

from __future__ import annotations

import datetime
import math
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from portroom.errors import InvalidRequestError
from portroom.history.asked import Asked, Place
from portroom.history.marks import MOST_MARKS, marks_gap, marks_of, of_change, silences
from portroom.history.opened import opened
from portroom.history.packed_keys import unpack
from portroom.history.rows import PPM
from portroom.history.schema import TIGHTEST
from portroom.history.spans import Plan, Segment, plan
from portroom.history.upkeep import AGGREGATES
from portroom.history.windows import Window, windows
from portroom.kernel.broken_off import JOURNAL
from portroom.kernel.changes import read_changes
from portroom.model.facts.questions import HistoryQuestion
from portroom.model.facts.sample import Instant
from portroom.model.facts.snapshot import NetnsId
from portroom.model.facts.watched import History, Line, Moment

LONGEST_S = 100 * 365 * 86_400.0

Cells = list[Any]
"""Figures as the statement gives them, in the order of AGGREGATES."""


class Bucket(NamedTuple):
    """A moment before it has a form: its boot and start, the length of its span, its figures."""

    window: Window
    start_ms: int
    span_ms: int
    cells: Cells


def read_history(
    file: str,
    question: HistoryQuestion,
    now: Instant,
    host: str,
    netns: NetnsId,
    journals: Sequence[str] = (JOURNAL,),
) -> History:
    """
    Return what was seen, and what happened meanwhile.

    Args:
        file: The database.
        question: Since when, of which keys, and how fine.
        now: The moment from which is counted back.
        host: Name of the host, as the answer tells it.
        netns: The namespace of who asks.
        journals: Folders whose changes are told as marks.

    Raises:
        InvalidRequestError: The question cannot be asked so.
        HistoryError: There is no history, or it cannot be read.
    """
    since, until = _ends(question, now)
    wanted = Asked(question)
    with opened(file) as connection:
        parts = windows(connection, now, question.since_s, question.until_s)
        asked_s = question.since_s - question.until_s
        read = _Reading(connection, plan(connection, parts, asked_s, question.points))
        lines, omitted = read.lines(wanted, question.limit)
        marks = marks_of(connection, parts)
    changes = (of_change(one) for one in read_changes(journals, since, until))
    happened = sorted([*marks, *changes, *silences(lines)], key=lambda one: one.at)
    return History(
        host=host,
        taken_at=now.at,
        netns=netns,
        gaps=marks_gap(len(happened)),
        since=since,
        until=until,
        step_s=read.plan.step_ms / 1000,
        lines=lines,
        lines_omitted=omitted,
        marks=tuple(happened[-MOST_MARKS:]),
    )


def _ends(question: HistoryQuestion, now: Instant) -> tuple[datetime.datetime, datetime.datetime]:
    """
    Return the first and the last moment that a question is about.

    Raises:
        InvalidRequestError: There is no time between them, or too much.
    """
    since_s, until_s = question.since_s, question.until_s
    if not all(map(math.isfinite, (since_s, until_s))) or not 0 <= until_s < since_s <= LONGEST_S:
        raise InvalidRequestError(
            f"There is no time from {since_s:g} s ago until {until_s:g} s ago.",
            "The beginning lies before the end, and within a hundred years.",
        )
    if question.points < 1 or question.limit < 0:
        raise InvalidRequestError("A history has at least one moment, and no fewer than 0 keys.")
    return tuple(now.at - datetime.timedelta(seconds=one) for one in (since_s, until_s))  # type: ignore[return-value]


class _Reading:
    """The lines of a plan."""

    def __init__(self, connection: sqlite3.Connection, plan: Plan) -> None:
        self.plan = plan
        self._connection = connection
        self._names: dict[int, tuple[str, str]] = {
            number: (name, kind)
            for number, name, kind in connection.execute("SELECT id, name, kind FROM namespaces")
        }

    def lines(self, wanted: Asked, limit: int) -> tuple[tuple[Line, ...], int]:
        """Return the lines, those of the tightest keys first, and how many keys are left out."""
        tightness = self._tightness()
        places = [place for place in tightness if wanted.is_in(place)]
        places.sort(key=lambda place: (-tightness[place][0], -tightness[place][1], place))
        keys = [place for place in places if place[1]]
        shown = keys[: limit or None]
        told = [place for place in places if not place[1]] + shown
        read = self._read(set(told) | {(name, TIGHTEST) for name, _ in told})
        told.sort(key=lambda place: (self._is_other(place[0]), place[0], bool(place[1])))
        return tuple(_line(place, read) for place in told), len(keys) - len(shown)

    def _is_other(self, name: str) -> bool:
        """Say whether a namespace is not the host's, which comes first."""
        return (name, "host") not in self._names.values()

    def _name(self, number: int) -> str:
        """Return the name of a namespace; a number that nobody knows is its own."""
        return self._names.get(number, (f"namespace {number}", ""))[0]

    def _tightness(self) -> dict[Place, tuple[int, int]]:
        """Return for each line how tight it was at the most: occupancy, and ports held."""
        found: dict[Place, tuple[int, int]] = {}
        for segment in self.plan.segments:
            question = (
                "SELECT namespace, key,"  # noqa: S608
                " max(coalesce(occupancy_ppm, 0)), max(coalesce(held, 0))"
                f" FROM {segment.level.table} WHERE boot = ? AND start_ms >= ? AND start_ms < ?"
                " GROUP BY namespace, key"
            )
            for number, key, occupancy, held in self._connection.execute(
                question, _bounds(segment)
            ):
                place = (self._name(number), bytes(key))
                found[place] = max(found.get(place, (0, 0)), (occupancy, held))
        return found

    def _read(self, places: set[Place]) -> dict[Place, list[Bucket]]:
        """Return the moments of some lines, the oldest first."""
        self._want(places)
        found: dict[Place, dict[tuple[int, int], Bucket]] = {place: {} for place in places}
        for segment in self.plan.segments:
            for place, bucket in self._buckets(segment):
                moments = found[place]
                when = (segment.window.boot, bucket.start_ms)
                before = moments.get(when)
                moments[when] = bucket if before is None else _together(before, bucket)
        return {
            place: [moments[when] for when in sorted(moments)] for place, moments in found.items()
        }

    def _want(self, places: set[Place]) -> None:
        """Tell the database which lines are wanted."""
        numbers: dict[str, list[int]] = {}
        for number, (name, _) in self._names.items():
            numbers.setdefault(name, []).append(number)
        self._connection.execute("DROP TABLE IF EXISTS temp.wanted")
        self._connection.execute(
            "CREATE TEMP TABLE wanted (namespace, key, PRIMARY KEY (namespace, key)) WITHOUT ROWID"
        )
        self._connection.executemany(
            "INSERT OR IGNORE INTO temp.wanted VALUES (?, ?)",
            [(number, key) for name, key in places for number in numbers.get(name, ())],
        )

    def _buckets(self, segment: Segment) -> Iterator[tuple[Place, Bucket]]:
        """Yield the moments of one segment."""
        level, window = segment.level, segment.window
        step_ms = max(self.plan.step_ms, level.span_ms, 1)
        question = (
            f"SELECT namespace, key, start_ms / ? * ? AS bucket, {AGGREGATES}"  # noqa: S608
            f" FROM {level.table} WHERE boot = ? AND start_ms >= ? AND start_ms < ?"
            " AND (namespace, key) IN (SELECT namespace, key FROM temp.wanted)"
            " GROUP BY namespace, key, bucket"
        )
        values = (step_ms, step_ms, *_bounds(segment))
        span_ms = step_ms if step_ms > 1 else 0
        for number, key, start_ms, *cells in self._connection.execute(question, values):
            place = (self._name(number), bytes(key))
            yield place, Bucket(window, max(start_ms, window.begin_ms), span_ms, cells)


def _bounds(segment: Segment) -> tuple[int, int, int]:
    """Return boot, begin and end of a segment, as the statements take them."""
    return segment.window.boot, segment.begin_ms, segment.end_ms


_COMBINE: tuple[Callable[[Cells], Any], ...] = (sum, min, max, max, max, min, max, max, max, min)
"""What becomes of the figures of two parts of a span; as in AGGREGATES."""


def _together(one: Bucket, other: Bucket) -> Bucket:
    """Return one span of which two levels have parts."""
    cells: Cells = []
    for combine, left, right in zip(_COMBINE, one.cells, other.cells, strict=True):
        known = [value for value in (left, right) if value is not None]
        cells.append(combine(known) if known else None)
    return one._replace(span_ms=max(one.span_ms, other.span_ms), cells=cells)


def _line(place: Place, read: dict[Place, list[Bucket]]) -> Line:
    """Return a line, with the moments at which no key could be half full."""
    name, packed = place
    buckets = read[place]
    if packed:
        known = {(one.window.boot, one.start_ms) for one in buckets}
        buckets = buckets + [
            one
            for one in read[name, TIGHTEST]
            if one.cells[1] and (one.window.boot, one.start_ms) not in known
        ]
        buckets.sort(key=lambda one: (one.window.boot, one.start_ms))
    return Line(name, unpack(packed), tuple(map(_moment, buckets)))


def _moment(bucket: Bucket) -> Moment:
    """Return a moment as answers have it."""
    samples, below, eligible, held, doubtful, free, ppm, waits, connects, ends = bucket.cells
    return Moment(
        at=bucket.window.at(bucket.start_ms),
        boot_id=bucket.window.boot_id,
        uptime_s=bucket.start_ms / 1000,
        span_s=bucket.span_ms / 1000,
        samples=int(samples or 0),
        below_half=bool(below),
        eligible_ports=_count(eligible),
        held_ports=_count(held),
        doubtful_ports=_count(doubtful),
        free_ports=_count(free),
        occupancy_ratio=None if ppm is None else ppm / PPM,
        time_wait_sockets=_count(waits),
        connects_per_s=connects,
        exhausted_in_s=ends,
    )


def _count(value: float | None) -> int | None:
    """Return a count, None where it is not known."""
    return None if value is None else int(value)
