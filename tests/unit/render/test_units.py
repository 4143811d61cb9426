"""Values are written so that nobody reads more into them than there is."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portroom.render.units import (
    Style,
    columns,
    cut,
    duration,
    endpoint,
    in_sentence,
    instant,
    number,
    paint,
    percent,
    plural,
    printable,
    span,
)


@pytest.mark.parametrize(
    "hostile",
    [
        "\x1b[31mred",
        "\x1b]0;title\x07",
        "\x9b31m",
        "two\nlines",
        "back\x08space",
        "\x7f",
        "\u202egnp.exe",
        "\u2066isolated\u2069",
        "zero\u200bwidth",
        "\u2028line",
        "\ufeffmark",
        "\udcff",
        "\U000e0041tag",
        "\x00",
        "no\u00a0break",
    ],
)
def test_no_character_of_a_hostile_text_acts(hostile):
    """Controls, escapes, bidirectional and zero-width marks come out as escapes."""
    actual = printable(hostile)

    assert actual.isprintable()
    assert actual.isascii()
    assert actual != hostile


@given(st.text())
def test_any_text_becomes_printable_and_stays_so(text):
    """What was made printable is printable, and making it so again changes nothing."""
    actual = printable(text)

    assert actual.isprintable()
    assert actual == printable(actual)


@pytest.mark.parametrize("text", ["nginx", "日本語", "naïve", "a b"])
def test_a_harmless_text_is_not_touched(text):
    """Letters of any script and blanks pass."""
    actual = printable(text)

    assert text == actual


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (0.0, "0 %"),
        (1e-9, "<1 %"),
        (0.0099, "<1 %"),
        (0.01, "1 %"),
        (0.999999, "99 %"),
        (1.0, "100 %"),
    ],
)
def test_percent_never_says_more_than_was_reached(ratio, expected):
    """Only nothing is 0 %, and only all is 100 %."""
    actual = percent(ratio)

    assert expected == actual


@given(st.text(st.characters(exclude_categories=["C", "Z"])), st.integers(1, 40))
def test_a_cut_text_fits(text, width):
    """A cut text takes at most the columns it was given, cut at the end or within."""
    for middle in (False, True):
        actual = cut(text, width, Style(), middle=middle)

        assert columns(actual) <= width
        assert actual == text or "…" in actual


def test_a_cut_endpoint_keeps_its_port():
    """The middle of an endpoint gives way, not its port."""
    actual = cut("[2001:db8:aaaa:bbbb::1234]:443", 16, Style(), middle=True)

    assert actual.endswith(":443")
    assert actual.startswith("[2001:")


def test_colour_is_written_only_where_it_is_wanted():
    """A style without colour leaves a text alone, and so does no look."""
    assert paint("x", "red", Style()) == "x"
    assert paint("x", "", Style(colour=True)) == "x"
    assert paint("x", "red", Style(colour=True)) == "\x1b[31mx\x1b[0m"


def test_small_formats():
    """Numbers, spans, plurals, endpoints, spans of time and instants."""
    east = datetime.timezone(datetime.timedelta(hours=2))
    noon = datetime.datetime(2026, 3, 1, 14, 0, 0, tzinfo=east)

    assert number(None) == "-"
    assert span(3, 3, Style()) == "3"
    assert span(3, 1000, Style()) == "3–1,000"
    assert plural(1000, "port") == "1,000 ports"
    assert endpoint("10.0.0.1", None) == "10.0.0.1"
    assert duration(3) == "3 s"
    assert duration(90_000) == "1 d 1 h"
    assert instant(noon) == "2026-03-01 12:00:00 UTC"


def test_a_value_in_a_sentence_is_cut_in_its_middle():
    """As much as fits the screen, 48 columns at most; nothing with wide; never what acts."""
    ports = ",".join(map(str, range(10_000, 10_100)))
    lengths = [len(in_sentence(ports, Style(width=width))) for width in (0, 200, 40, 1)]

    assert [48, 48, 32, 8] == lengths
    assert in_sentence(ports, Style(ascii=True)).startswith("10000,")
    assert in_sentence(ports, Style(ascii=True)).endswith(",10099")
    assert ports == in_sentence(ports, Style(wide=True))
    assert r"\x1b" == in_sentence("\x1b", Style())
