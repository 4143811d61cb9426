"""History: a line a key with its course, or its moments one by one, or a chart.

Rules of this file: a span is told by its tightest figures; texts of marks are
hostile; times are UTC.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec

from portroom.model.facts.watched import History, KeyName, Line, Mark, Moment
from portroom.render import gaps
from portroom.render.chart import AXIS_COLUMNS, Point, chart, spark
from portroom.render.document import as_json, as_json_lines
from portroom.render.flow import paragraphs, wrap
from portroom.render.table import Cell, Column, Row, as_csv, as_table
from portroom.render.units import (
    Style,
    cut,
    duration,
    endpoint,
    instant,
    number,
    paint,
    percent,
    plural,
    printable,
)

__all__ = ["Screen", "all_as_text", "as_csv_text", "as_json", "as_jsonl", "as_text"]

TIGHTEST = "tightest key"

COURSE, MOMENTS, CHART = "course", "moments", "chart"
"""Forms of the text: a line a key with its course, a line a moment, or a chart a key."""

SPARK_CELLS = 24

WIDTH = 80
"""Columns of a chart where nothing tells how many there are."""

SHOWN_MARKS = 20

COLUMNS = (
    Column("NETNS", least=4, drop=5),
    Column("DESTINATION", least=12, middle=True),
    Column("FROM", least=7, drop=4),
    Column("LATEST", right=True),
    Column("HIGHEST", right=True),
    Column("LEAST FREE", right=True, drop=1),
    Column("CONNECTS/S", right=True, drop=2),
    Column("COURSE", drop=3),
)

MOMENT_COLUMNS = (
    Column("WHEN (UTC)"),
    Column("OCCUPIED", right=True),
    Column("", drop=2),
    Column("HELD", right=True),
    Column("IN DOUBT", right=True, drop=1),
    Column("FREE", right=True),
    Column("TIME_WAIT", right=True, drop=3),
    Column("CONNECTS/S", right=True, drop=4),
    Column("FULL IN", right=True, drop=5),
)

LEAST_MINUTES_S = 600.0
"""What is shorter has its ends told in seconds."""

BAR_CELLS = 10

LATE = 1.5
"""How many times as long as usual the next sample may take before a blank is one."""

LOOKS = ((0.95, "red"), (0.8, "yellow"))


class Screen(NamedTuple):
    """
    How a history is shown: its text in one of COURSE, MOMENTS and CHART.

    It offers what ``cli.output`` asks of a module of this room.
    """

    form: str = COURSE

    def as_text(self, answer: History, style: Style) -> str:
        """Return a history for a terminal."""
        return as_text(answer, style, self.form)

    def all_as_text(self, answers: Sequence[History], style: Style) -> str:
        """Return several histories; there is one alone."""
        return "".join(self.as_text(answer, style) for answer in answers)

    def as_csv_text(self, answers: Sequence[History]) -> str:
        """Return a line a moment."""
        return as_csv_text(answers)

    def as_json(self, answer: History) -> str:
        """Return a history as a JSON object."""
        return as_json(answer)

    def as_jsonl(self, answer: History) -> str:
        """Return a JSON object a moment."""
        return as_jsonl(answer)


def as_text(answer: History, style: Style, form: str = COURSE) -> str:
    """Return the lines of a history, what happened meanwhile, and whose it is."""
    if not any(line.moments for line in answer.lines):
        told = [wrap("Nothing was seen in this time.", style)]
    elif form == CHART:
        told = [_chart(line, answer, style) for line in answer.lines]
    elif form == MOMENTS:
        told = [_moments(line, style) for line in answer.lines]
    else:
        told = [_overview(answer, style)]
    told += [_omitted(answer, style), _marks(answer.marks, style)]
    ends = [*_time(answer, style), *gaps.footer([answer], style)]
    return "\n".join(paragraphs([*told, ends])) + "\n"


def all_as_text(answers: Sequence[History], style: Style) -> str:
    """Return several histories; there is one alone."""
    return "".join(as_text(answer, style) for answer in answers)


def _time(answer: History, style: Style) -> list[str]:
    """Return which time a history is of, and how fine it is."""
    dash = "-" if style.ascii else "–"
    spans = f"spans of {duration(answer.step_s)}" if answer.step_s else "every sample"
    whole = f"{instant(answer.since)} {dash} {instant(answer.until)}, {spans}."
    return [paint(line, "dim", style) for line in wrap(whole, style, hang="  ")]


def _overview(answer: History, style: Style) -> list[str]:
    """Return a line a key."""
    several = len({line.netns for line in answer.lines}) > 1
    rows = [_overview_row(line, answer, style, several=several) for line in answer.lines]
    return as_table(COLUMNS, rows, style)


def _overview_row(line: Line, answer: History, style: Style, *, several: bool) -> Row:
    """Return the cells of one key."""
    ratios = [one.occupancy_ratio for one in line.moments if one.occupancy_ratio is not None]
    free = [one.free_ports for one in line.moments if one.free_ports is not None]
    rates = [one.connects_per_s for one in line.moments if one.connects_per_s is not None]
    highest = max(ratios, default=None)
    course = spark(_points(line.moments, answer), SPARK_CELLS, style)
    return (
        printable(line.netns) if several else "",
        _destination(line.key),
        _local(line.key),
        _latest(line.moments),
        Cell(_percent(highest), _look(highest)),
        number(min(free, default=None)),
        _rate(max(rates, default=None)),
        course if course.strip() else "",
    )


def _latest(moments: Sequence[Moment]) -> Cell:
    """Return how full a key was at the last moment."""
    if not moments:
        return Cell("-")
    last = moments[-1]
    return Cell(_full(last), _look(last.occupancy_ratio))


def _full(moment: Moment) -> str:
    """Return how full a key was, or why that is not known."""
    if moment.occupancy_ratio is None:
        return "below half" if moment.below_half else "-"
    return percent(moment.occupancy_ratio)


def _percent(ratio: float | None) -> str:
    """Return a ratio, "-" where it is not known."""
    return "-" if ratio is None else percent(ratio)


def _look(ratio: float | None) -> str:
    """Return the colour of an occupancy."""
    return next((look for least, look in LOOKS if ratio is not None and ratio >= least), "")


def _rate(per_s: float | None) -> str:
    """
    Return a rate, "-" where it is not known.

    >>> _rate(1234.5), _rate(0.25), _rate(None)
    ('1,234', '0.25', '-')
    """
    if per_s is None:
        return "-"
    return f"{int(per_s):,}" if per_s >= 10 else f"{per_s:.2g}"


def _destination(key: KeyName) -> str:
    """Return the remote endpoint of a key, or what it is instead of one."""
    if key.protocol is None:
        return TIGHTEST
    if key.remote_address is not None:
        return endpoint(printable(key.remote_address), key.remote_port)
    operation = " bind" if key.operation == "bind0" else ""
    return f"{key.protocol}{operation} on {_local(key)}"


def _local(key: KeyName) -> str:
    """Return the local address of a key, with its VRF; "" where it is any."""
    vrf = "" if key.vrf is None else f"%{key.vrf}"
    return printable(f"{key.local_address}{vrf}") if key.local_address else ""


def _title(line: Line) -> str:
    """Return in words which key a line is of."""
    origin = f" from {_local(line.key)}" if line.key.remote_address is not None else ""
    return f"{_destination(line.key)}{origin}, namespace {printable(line.netns)}"


def _moments(line: Line, style: Style) -> list[str]:
    """Return a line a moment of one key."""
    rows = [_moment_row(one, style) for one in line.moments]
    title = [paint(text, "bold", style) for text in wrap(_title(line), style, hang="  ")]
    return [*title, *as_table(MOMENT_COLUMNS, rows, style)]


def _moment_row(moment: Moment, style: Style) -> Row:
    """Return the cells of one moment."""
    look = _look(moment.occupancy_ratio)
    full = moment.exhausted_in_s
    return (
        instant(moment.at).removesuffix(" UTC"),
        Cell(_full(moment), look),
        Cell(_bar(moment.occupancy_ratio, style), look or "green"),
        number(moment.held_ports),
        number(moment.doubtful_ports),
        number(moment.free_ports),
        number(moment.time_wait_sockets),
        _rate(moment.connects_per_s),
        "-" if full is None else duration(full) if full else "full",
    )


def _bar(ratio: float | None, style: Style) -> str:
    """Return an occupancy as a bar that never overstates; "" where it is not known."""
    if ratio is None:
        return ""
    full, free = "#." if style.ascii else "█░"
    held = int(ratio * BAR_CELLS)
    return full * held + free * (BAR_CELLS - held)


def _begin(answer: History) -> datetime.datetime:
    """Return where a course begins: where something is known, not before that was asked."""
    known = (line.moments[0].at for line in answer.lines if line.moments)
    return max(answer.since, min(known, default=answer.since))


def _whole_s(answer: History) -> float:
    """Return how long a course is, in seconds; never 0."""
    return (answer.until - _begin(answer)).total_seconds() or 1.0


def _points(moments: Sequence[Moment], answer: History) -> list[Point]:
    """
    Return moments as points between the beginning and the end of a history.

    A single sample stands for the time until the next one if that came as soon as
    usual, or a terminal with more columns than samples would show a comb.
    """
    begin, whole_s = _begin(answer), _whole_s(answer)
    begins = [(one.at - begin).total_seconds() for one in moments]
    steps = [later - one for one, later in pairwise(begins)]
    usual_s = sorted(steps)[len(steps) // 2] if steps else 0.0
    lasts = [step if step <= LATE * usual_s else 0.0 for step in steps]
    return [
        Point(from_s / whole_s, one.occupancy_ratio, one.below_half, (one.span_s or last) / whole_s)
        for one, from_s, last in zip(moments, begins, [*lasts, 0.0], strict=False)
    ]


def _chart(line: Line, answer: History, style: Style) -> list[str]:
    """Return the chart of one key, with the times at both ends and marks below."""
    width = style.width or WIDTH
    text = cut(f"{_title(line)}: {_latest(line.moments).text} at the end", width, style)
    lines = [paint(text, "bold", style), *chart(_points(line.moments, answer), width, style)]
    marks = _mark_line(answer, width - AXIS_COLUMNS)
    if marks.strip():
        lines.append(" " * AXIS_COLUMNS + marks.rstrip())
    form = "%m-%d %H:%M" if _whole_s(answer) >= LEAST_MINUTES_S else "%H:%M:%S"
    ends = [f"{one:{form}}" for one in (_begin(answer), answer.until)]
    blanks = max(1, width - AXIS_COLUMNS - sum(map(len, ends)))
    return [*lines, " " * AXIS_COLUMNS + ends[0] + " " * blanks + ends[1]]


def _mark_line(answer: History, cells: int) -> str:
    """Return the first letter of each mark below its time."""
    begin, whole_s = _begin(answer), _whole_s(answer)
    line = [" "] * max(cells, 1)
    for mark in answer.marks:
        if mark.kind != "gap":
            place = int((mark.at - begin).total_seconds() / whole_s * len(line))
            line[min(max(place, 0), len(line) - 1)] = printable(mark.kind[:1])
    return "".join(line)


def _omitted(answer: History, style: Style) -> list[str]:
    """Return the line that tells of keys not shown."""
    if not answer.lines_omitted:
        return []
    text = f"{plural(answer.lines_omitted, 'less tight key')} not shown; --limit 0 shows all."
    return [paint(line, "dim", style) for line in wrap(text, style)]


def _marks(marks: Sequence[Mark], style: Style) -> list[str]:
    """Return what happened meanwhile, the latest last."""
    shown = marks if style.wide else marks[-SHOWN_MARKS:]
    left = len(marks) - len(shown)
    lines = wrap(f"{left:,} earlier marks not shown; -o wide shows all.", style) if left else []
    for mark in shown:
        text = f"{instant(mark.at).removesuffix(' UTC')} {printable(mark.kind)}: "
        lines += wrap(text + printable(mark.text), style, hang="  ")
    return lines


class _Row(msgspec.Struct, frozen=True):
    """One moment of one key, as a line of JSON or CSV has it."""

    namespace: str
    protocol: str | None
    operation: str | None
    local_address: str | None
    remote_address: str | None
    remote_port: int | None
    vrf: str | None
    at: datetime.datetime
    boot_id: str
    uptime_s: float
    span_s: float
    samples: int
    below_half: bool
    eligible_ports: int | None
    held_ports: int | None
    doubtful_ports: int | None
    free_ports: int | None
    occupancy_ratio: float | None
    time_wait_sockets: int | None
    connects_per_s: float | None
    exhausted_in_s: float | None


CSV_COLUMNS = _Row.__struct_fields__


def _rows(answers: Iterable[History]) -> Iterator[_Row]:
    """Yield each moment of each key."""
    for line in (line for answer in answers for line in answer.lines):
        key = msgspec.structs.astuple(line.key)
        for moment in line.moments:
            yield _Row(line.netns, *key, *msgspec.structs.astuple(moment))


def as_csv_text(answers: Sequence[History]) -> str:
    """Return a line a moment of each key."""
    return as_csv(CSV_COLUMNS, map(msgspec.structs.astuple, _rows(answers)))


def as_jsonl(answer: History) -> str:
    """Return one line a moment of each key, with the header of the answer."""
    return as_json_lines(answer, _rows([answer]))
