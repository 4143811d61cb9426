"""Failures as lines, and their counts, for people and for programs."""

import csv
import io
import json

import jsonschema
import msgspec
import pytest

from portroom.model.facts.questions import WatchQuestion
from portroom.render import failures, schema
from portroom.render.units import Style, columns
from tests.unit.made_failures import BACKLOG, BIND, EVERY, UNKNOWN, UNSEEN, counts, failure, process
from tests.unit.render.examples import HOSTILE


def lines(*found, **look):
    """Return the heading and the line of each failure."""
    shown = failures.Lines(Style(**look))
    return (shown.heading() + shown.lines(found)).splitlines()


def test_a_line_has_all_that_is_known():
    """Time, process, where it belongs, both ends, call, errno, cause."""
    _, line = lines(failure(), width=0)

    assert [
        "12:00:00.250",
        "gunicorn(4312)",
        "shop.service",
        "10.0.0.10",
        "10.0.0.20:5432",
        "connect",
        "EADDRNOTAVAIL",
        "key_full",
    ] == line.split()


def test_columns_stand_below_each_other():
    """Though each line is made before the next failure happens."""
    heading, *rest = lines(*EVERY, width=160)
    places = {heading.index(word) for word in ("WHERE", "TO", "ERROR", "CAUSE")}

    assert [] == [line for line in rest for place in places if line[place - 2 : place].strip()]


def test_what_is_not_known_says_so():
    """No process, no cause, no address: never a guess."""
    _, line = lines(UNKNOWN, width=200)

    assert "ended(4312)" in line
    assert line.endswith("not known")
    assert " - " in lines(BACKLOG, width=200)[1]
    assert "at 0.0.0.0:8080" in lines(BIND, width=80)[1]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120])
def test_lines_fit(width):
    """Columns are left out, and error and cause stay as long as there is room."""
    found = lines(*EVERY, width=width)

    assert max(map(columns, found)) <= max(width, 66)
    assert "EADDRNOTAVAIL" in found[1]


def test_wide_cuts_nothing_and_tells_the_source_of_addresses():
    """An address that was read from memory says so."""
    _, line = lines(BIND, width=80, wide=True)

    assert line.endswith("memory")
    assert "0.0.0.0:8080" in line


def test_a_port_that_was_read_too_late_says_so():
    """Which it was is not known, and so is the cause; what it can be, explain tells."""
    late = failure(
        operation="bind",
        error="EADDRINUSE",
        errno=98,
        local_address=None,
        remote_address=None,
        remote_port=None,
        cause=None,
    )
    unix = msgspec.structs.replace(late, protocol=None)
    read = msgspec.structs.replace(late, local_address="0.0.0.0", local_port=8080)
    words = [lines(one, width=200)[1].split("EADDRINUSE")[1].strip() for one in (late, unix, read)]
    end = " ".join(failures.as_text(counts([late, UNKNOWN]), Style()).split())

    assert ["port not known", "not known", "not known"] == words
    assert "portroom explain EADDRINUSE --pid PID" in end
    assert "portroom explain EADDRNOTAVAIL --pid PID" in end


def test_wide_lines_stand_below_each_other():
    """Those that come after one that is longer than usual stand below it."""
    short, long = failure(), failure(process=process(unit=None, netns="pid:12345 (a-long-command)"))
    _, first, second, third = lines(short, long, short, width=80, wide=True)

    assert first.index("10.0.0.10 ") < second.index("10.0.0.10 ") == third.index("10.0.0.10 ")
    usual = failure(process=process(unit=None, netns="pid:7437 (python)"))
    heading, line = lines(usual, width=80, wide=True)
    assert heading.index("FROM") == line.index("10.0.0.10 ")


def test_only_a_want_of_ports_is_red():
    """Other failures are shown, and are no exhaustion."""
    full, backlog = (lines(one, width=200, colour=True)[1] for one in (failure(), BACKLOG))

    assert "\x1b[31mEADDRNOTAVAIL" in full
    assert "\x1b[33mEAGAIN" in backlog


def test_hostile_names_do_nothing():
    """Neither in lines, nor in counts, nor in what is watched."""
    one = failure(process=process(command=HOSTILE, unit=HOSTILE, netns=HOSTILE))
    texts = [
        "\n".join(lines(one)),
        failures.as_text(counts([one]), Style()),
        failures.scope(WatchQuestion(process=HOSTILE, netns=HOSTILE, socket=HOSTILE)),
        failures.json_lines([one], counts([])),
        failures.csv_lines([one]),
    ]

    assert [] == [text for text in texts if "\x1b" in text or "\u202e" in text]
    assert ["\x1b"] * 2 + ["\u202e"] * 0 != texts


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_counts_have_a_sum_a_table_and_what_causes_mean(width):
    """And the gaps, unless they were told before."""
    answer = counts(times=250)
    text = failures.as_text(answer, Style(width=width))
    told = failures.as_text(answer, Style(width=width), told=[UNSEEN])

    assert text.startswith("1,000 failures in 30 s, 500 for want of a free local port.")
    assert "key_full: connections to the same destination hold every local port." in " ".join(
        text.split()
    )
    assert ("Not seen: trace" in text, "Not seen" in told) == (True, False)
    assert max(map(columns, text.splitlines())) <= width


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        ([], "No failed connect or bind was seen in 30 s."),
        ([failure()], "1 failure in 30 s, it was for want of a free local port."),
        ([BACKLOG], "1 failure in 30 s, none for want of a free local port."),
        ([failure()] * 2, "2 failures in 30 s, all for want of a free local port."),
    ],
)
def test_the_sum_in_words(found, sentence):
    """How many there were, and how many of them for want of a port."""
    assert sentence == failures.summary(counts(found))


def test_rows_left_out_are_told():
    """The totals have them all the same."""
    text = failures.as_text(counts(omitted=7), Style())

    assert "7 rarer rows not shown; the totals have them." in text


def test_json_and_its_lines_are_valid():
    """The answer, each line of a failure, and each line of the counts."""
    rules = json.loads(schema.as_json_schema("trace"))
    answer = counts()

    jsonschema.validate(json.loads(failures.as_json(answer)), rules)
    for line in failures.json_lines(EVERY, answer).splitlines():
        jsonschema.validate(json.loads(line), rules)
        assert "web1" == json.loads(line)["host"]
    assert len(answer.counts) == len(failures.as_jsonl(answer).splitlines())


def test_csv_has_a_heading_and_the_same_fields():
    """Of failures and of counts."""
    rows = list(csv.reader(io.StringIO(failures.csv_heading() + failures.csv_lines(EVERY))))
    totals = list(csv.DictReader(io.StringIO(failures.as_csv_text([counts()]))))

    assert {len(rows[0])} == set(map(len, rows))
    assert "2026-03-01T12:00:00.250000Z" == rows[1][0]
    assert ["1"] * 4 == [row["failures"] for row in totals]
