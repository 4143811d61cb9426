"""What happened beside the samples: told by the daemon, in the journal, or by silence."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median

from portroom.history.schema import read_version
from portroom.history.windows import Window
from portroom.kernel.changes import ChangeSeen
from portroom.model.facts.gaps import Gap
from portroom.model.facts.watched import KeyName, Line, Mark

MOST_MARKS = 1000

MISSED = 3
"""A time without samples is told if so many of them would have been in it."""

DONE = "done"
"""The phase of a change of which nothing more is to be told, as ``model.facts.journal``."""

MARKS_SINCE = 2
"""The version of the file that first has marks."""


def marks_of(connection: sqlite3.Connection, parts: Sequence[Window]) -> list[Mark]:
    """Return what the daemon told, the earliest first."""
    if read_version(connection) < MARKS_SINCE:
        return []
    question = (
        "SELECT start_ms, kind, text FROM marks WHERE boot = ? AND start_ms BETWEEN ? AND ?"
        " ORDER BY start_ms DESC LIMIT ?"
    )
    return [
        Mark(one.at(start_ms), kind, text)
        for one in parts
        for start_ms, kind, text in connection.execute(
            question, (one.boot, one.begin_ms, one.end_ms, MOST_MARKS + 1)
        )
    ]


def marks_gap(count: int) -> tuple[Gap, ...]:
    """Return that there are more marks than are told, if it is so."""
    if count <= MOST_MARKS:
        return ()
    return (Gap("history", f"only the latest {MOST_MARKS:,} marks are told", ("marks",)),)


def of_change(change: ChangeSeen) -> Mark:
    """Return a change of the journal as a mark."""
    what = " ".join(change.words) or change.action
    if change.undoes is not None:
        what = f"undo of {change.undoes}"
    ended = "" if change.phase == DONE else f" ({change.phase.replace('_', ' ')})"
    return Mark(change.started_at, "change", f"{change.number}: {what}{ended}")


def silences(lines: Sequence[Line]) -> Iterator[Mark]:
    """Yield the times without samples within one boot, of the first namespace."""
    moments = lines[0].moments if lines and lines[0].key == KeyName() else ()
    apart = [
        (one.at, other.uptime_s - one.uptime_s)
        for one, other in pairwise(moments)
        if one.boot_id == other.boot_id
    ]
    usual_s = median(gap_s for _, gap_s in apart) if apart else 0.0
    for at, gap_s in apart:
        if gap_s > MISSED * usual_s:
            yield Mark(at, "gap", f"no samples for {datetime.timedelta(seconds=round(gap_s))}")
