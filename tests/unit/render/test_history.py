"""A history is told on any terminal, no text of others acts, and no figure is made up."""

import datetime
import json
import re

import hypothesis
import hypothesis.strategies as st
import pytest

from portroom.model.facts.gaps import Gap
from portroom.model.facts.watched import History, KeyName, Line, Mark, Moment
from portroom.render import history
from portroom.render.chart import Point, chart, spark
from portroom.render.units import Style, columns
from tests.unit.render.examples import AT, HOST, HOSTILE

SINCE = AT - datetime.timedelta(hours=1)

KEY = KeyName("tcp", "connect", "10.0.0.1", "10.0.0.9", 443)


def moment(minute, ratio=None, *, below=False, span_s=60.0, **figures):
    """Return a moment so many minutes after the beginning."""
    held = None if ratio is None else round(ratio * 28_232)
    return Moment(
        at=SINCE + datetime.timedelta(minutes=minute),
        boot_id="b",
        uptime_s=60.0 * minute,
        span_s=span_s,
        samples=6,
        below_half=below,
        eligible_ports=None if held is None else 28_232,
        held_ports=held,
        doubtful_ports=None if held is None else 0,
        free_ports=None if held is None else 28_232 - held,
        occupancy_ratio=ratio,
        time_wait_sockets=None if held is None else held // 2,
        **figures,
    )


def line(*moments, key=KEY, netns="host"):
    """Return the moments of a key."""
    return Line(netns, key, tuple(moments))


def answer(*lines, **others):
    """Return a history of an hour."""
    fields = {"host": "web1", "taken_at": AT, "netns": HOST, "since": SINCE, "until": AT}
    return History(**fields, step_s=60.0, lines=tuple(lines), **others)


HOUR = answer(
    line(moment(0, below=True), moment(30, 0.9), moment(59, 0.6), key=KeyName()),
    line(moment(0, below=True), moment(30, 0.9, connects_per_s=450.4), moment(59, 0.6)),
    line(moment(30, 0.2), key=KeyName("udp", "connect", "::1", None, None, "blue")),
    lines_omitted=7,
    marks=(
        Mark(SINCE + datetime.timedelta(minutes=30), "change", "7: range=15000-64001"),
        Mark(SINCE + datetime.timedelta(minutes=31), "alert", HOSTILE),
    ),
)


def test_the_course_of_each_key():
    """Latest, highest, least free, the highest rate."""
    text = history.as_text(HOUR, Style(width=100, ascii=True))
    row = next(one for one in text.splitlines() if one.startswith("10.0.0.9:443"))

    assert ["10.0.0.9:443", "10.0.0.1", "60", "%", "90", "%", "2,823", "450"] == row.split()[:8]
    assert "udp on ::1%blue" in text
    assert "7 less tight keys not shown" in text
    assert "change: 7: range=15000-64001" in text


def test_what_was_not_looked_at_is_said():
    """Neither a zero nor a blank."""
    text = history.as_text(answer(line(moment(1, below=True))), Style(ascii=True), history.MOMENTS)

    assert "below half" in text
    assert " 0 %" not in text


@pytest.mark.parametrize("form", [history.COURSE, history.MOMENTS, history.CHART])
@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("width", [40, 80, 200, 0])
def test_it_fits_and_nothing_acts(form, plain, width):
    """On a narrow terminal as well, with colours or without."""
    text = history.as_text(HOUR, Style(width=width, ascii=plain), form)

    assert not plain or text.isascii()
    assert all(one.isprintable() for one in text.splitlines())
    assert not width or max(map(columns, text.splitlines())) <= max(width, 48)
    assert "\\x1b[31m" in text


def test_a_namespace_is_a_column_where_there_are_several():
    """Its name is hostile text."""
    lines = [line(moment(1, 0.2), netns=name) for name in ("host", HOSTILE)]
    text = history.as_text(answer(*lines), Style(wide=True))

    assert "NETNS" in text
    assert "NETNS" not in history.as_text(HOUR, Style())
    assert "\x1b" not in text


def test_many_marks_are_cut_unless_wide():
    """The latest stay, and how many are left out is said."""
    marks = tuple(Mark(AT, "alert", f"number {number}") for number in range(50))
    short, whole = (
        history.as_text(answer(line(moment(1, 0.2)), marks=marks), Style(wide=wide))
        for wide in (False, True)
    )

    assert "30 earlier marks not shown" in short
    assert "number 49" in short
    assert "number 0\n" in whole


def test_a_gap_is_told():
    """As with every answer."""
    text = history.as_text(answer(gaps=(Gap("history", "it is odd", ("marks",)),)), Style())

    assert "Not seen: history: it is odd." in text
    assert "Nothing was seen in this time." in text


def test_the_marks_stand_below_their_time():
    """In a chart a letter each."""
    text = history.as_text(HOUR, Style(width=67, ascii=True), history.CHART)
    (marks, *_) = [one for one in text.splitlines() if one.strip() in {"ca", "c a", "c  a"}]

    assert 7 + 30 <= marks.index("c") <= 7 + 31


def test_lines_of_json_and_csv_have_the_namespace():
    """A row each moment, the namespace beside that of who asked."""
    rows = [json.loads(one) for one in history.as_jsonl(HOUR).splitlines()]
    text = history.as_csv_text([HOUR]).splitlines()

    assert 7 == len(rows)
    assert {"host"} == {row["namespace"] for row in rows}
    assert [None, "10.0.0.9", None] == [rows[place]["remote_address"] for place in (0, 3, 6)]
    assert text[0].startswith("namespace,protocol,operation,local_address,remote_address")
    assert 1 + 7 == len(text)


def test_samples_leave_no_comb_in_a_wide_chart():
    """Each stands for the time until the next one; a blank is a sample that did not come."""
    every = [moment(minute, 0.9, span_s=0.0) for minute in range(60)]
    rows = [
        history.as_text(answer(line(*moments)), Style(width=187, ascii=True), history.CHART)
        for moments in (every, every[:20] + every[25:])
    ]
    whole, missed = (text.splitlines()[-6].split("|")[1].rstrip() for text in rows)

    assert set(whole) == {"#"}
    assert "#" * 58 + " " * 17 + "#" in missed


def test_a_key_that_is_full_is_told_as_full():
    """Not as one that will be in 0 ms."""
    moments = [moment(1, 1.0, exhausted_in_s=0.0), moment(2, 0.9, exhausted_in_s=90.0)]
    text = history.as_text(answer(line(*moments)), Style(width=120, ascii=True), history.MOMENTS)

    assert " full\n" in text
    assert " 1 min 30 s\n" in text


POINTS = st.lists(
    st.builds(
        Point,
        st.floats(-0.5, 1.5),
        st.none() | st.floats(0, 1),
        st.booleans(),
        st.floats(0, 1),
    ),
    max_size=30,
)


@hypothesis.given(POINTS, st.integers(1, 200), st.booleans())
def test_a_chart_is_as_wide_as_it_may_be(points, width, plain):
    """Whatever the points; one column at the least."""
    style = Style(ascii=plain)
    lines = chart(points, width, style)

    assert max(map(len, lines)) <= max(width, 8)
    assert width == len(spark(points, width, style))


@hypothesis.given(st.floats(0, 1), st.integers(1, 50))
def test_no_peak_is_lost_to_the_width(peak, width):
    """One point among a thousand is drawn as high as it was."""
    points = [Point(place / 1000, 0.0) for place in range(1000)]
    alone = chart([Point(0.5, peak)], width, Style(ascii=True))
    among = chart([*points, Point(0.5, peak)], width, Style(ascii=True))

    assert sum("#" in one for one in alone) == sum("#" in one for one in among)


def test_a_course_begins_where_something_is_known():
    """A chart of an hour in which the daemon ran for ten minutes shows the ten minutes."""
    late = answer(line(moment(50, 0.6), moment(55, 0.9), moment(59, 0.6)))
    begins = late.lines[0].moments[0].at

    text = history.as_text(late, Style(width=80, ascii=True), history.CHART)

    assert [[f"{begins:%m-%d %H:%M}", f"{AT:%m-%d %H:%M}"]] == [
        re.findall(r"[\d-]+ [\d:]+", one)
        for one in text.splitlines()
        if " 0 %" not in one and re.fullmatch(r"\s+\d\d-\d\d .*", one)
    ]
