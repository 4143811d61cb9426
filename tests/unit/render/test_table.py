"""Tables fit their width without ever cutting a number; CSV is safe to open."""

import csv
import datetime
import io

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portroom.render.table import Cell, Column, as_csv, as_table
from portroom.render.units import Style

HEADING = (
    Column("NAME", least=6),
    Column("COUNT", right=True),
    Column("EXTRA", drop=1),
    Column("EMPTY"),
)

ROWS = (
    ("a-rather-long-name", "28,232", Cell("more", "red"), ""),
    ("short", "7", "less", ""),
)


def test_columns_are_aligned():
    """Texts stand left, numbers right, and a column without any text is left out."""
    actual = as_table(HEADING, ROWS, Style(width=80))

    assert actual == [
        "NAME                 COUNT  EXTRA",
        "a-rather-long-name  28,232  more",
        "short                    7  less",
    ]


def test_texts_are_cut_before_a_column_goes():
    """A little too narrow, the text that may be cut is."""
    actual = as_table(HEADING, ROWS, Style(width=24))

    assert actual == [
        "NAME        COUNT  EXTRA",
        "a-rather…  28,232  more",
        "short           7  less",
    ]


def test_the_column_that_may_go_goes_when_texts_are_at_their_least():
    """Much too narrow, the droppable column is left out and no number is cut."""
    actual = as_table(HEADING, ROWS, Style(width=16, ascii=True))

    assert actual == ["NAME       COUNT", "a-rathe~  28,232", "short          7"]


def test_a_wide_table_cuts_nothing():
    """`-o wide` shows every column whole, however narrow the terminal."""
    actual = as_table(HEADING, ROWS, Style(width=10, wide=True))

    assert "a-rather-long-name  28,232  more" in actual


def test_colours_do_not_disturb_alignment():
    """Without its colours, a coloured table is the plain one."""
    plain = as_table(HEADING, ROWS, Style(width=80))
    coloured = as_table(HEADING, ROWS, Style(width=80, colour=True))

    stripped = [
        line.replace("\x1b[31m", "").replace("\x1b[2m", "").replace("\x1b[0m", "")
        for line in coloured
    ]

    assert plain == [line.rstrip() for line in stripped]
    assert plain != coloured


TEXT = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=30)


@given(st.lists(st.tuples(TEXT, st.integers(0, 10**6).map(str)), max_size=5))
def test_no_number_is_cut_at_any_width(rows):
    """However narrow it gets, each row still shows its number."""
    heading = (Column("T", least=3), Column("N", right=True))

    for width in (1, 5, 12, 40):
        lines = as_table(heading, rows, Style(width=width))

        assert all(row[1] in line for row, line in zip(rows, lines[1:], strict=True))


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_a_spreadsheet_takes_no_text_for_a_formula(start):
    """A text that begins like a formula begins with an apostrophe; numbers do not."""
    actual = as_csv(["a", "b"], [[f"{start}cmd|' /C calc'!A0", -5]])

    assert actual.splitlines()[1].startswith(f"'{start}")
    assert actual.endswith(",-5\n")


@given(st.lists(st.lists(st.text(), min_size=2, max_size=2), max_size=5))
def test_csv_has_one_line_a_row_and_is_read_back(rows):
    """Whatever the texts are, each row is one line of two printable fields."""
    text = as_csv(["a", "b"], rows)

    read = list(csv.reader(io.StringIO(text)))

    assert text.count("\n") == len(rows) + 1
    assert all(len(row) == 2 for row in read)
    assert all(line.isprintable() for line in text.split("\n"))


def test_csv_writes_missing_and_truth_plainly():
    """None is an empty field, truth is a word."""
    actual = as_csv(["a", "b", "c"], [[None, True, 0.5]])

    assert actual == "a,b,c\n,true,0.5\n"


def test_csv_writes_an_instant_as_json_does():
    """One reader understands both."""
    at = datetime.datetime(2026, 3, 1, 12, 0, 0, 250_000, datetime.UTC)

    assert as_csv(["a"], [[at]]) == f"a\n{msgspec.json.encode(at).decode().strip(chr(34))}\n"
    assert as_csv(["a"], [[at]]) == "a\n2026-03-01T12:00:00.250000Z\n"
