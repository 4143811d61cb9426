"""The terminal and the user's wishes decide how an answer looks."""

import io
import sys
from pathlib import Path

import pytest

from portroom.cli import output
from portroom.errors import WriteError
from portroom.model.facts.snapshot import Gap
from portroom.render import headroom
from tests.unit.render import examples


class Terminal(io.TextIOWrapper):
    """A standard output that says it is a terminal."""

    def isatty(self):
        """Say yes."""
        return True


def use_terminal(monkeypatch):
    """Make standard output a terminal that takes UTF-8 and has no size."""
    for name in ("NO_COLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES", "LC_ALL", "LC_CTYPE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    monkeypatch.setenv("TERM", "xterm-256color")
    screen = Terminal(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", screen)
    return screen


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
        ({"TERM": "dumb", "CLICOLOR_FORCE": "1"}, True),
        ({"NO_COLOR": "1", "CLICOLOR_FORCE": "1"}, False),
    ],
)
def test_colour_on_a_terminal(monkeypatch, environment, expected):
    """NO_COLOR forbids, CLICOLOR_FORCE wants, a dumb terminal has none."""
    use_terminal(monkeypatch)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    actual = output.has_colour()

    assert expected == actual


@pytest.mark.parametrize(
    ("environment", "expected"), [({}, False), ({"CLICOLOR_FORCE": "1"}, True)]
)
def test_colour_in_a_pipe(monkeypatch, environment, expected):
    """A pipe gets colours only by CLICOLOR_FORCE."""
    use_terminal(monkeypatch)
    monkeypatch.setattr(Terminal, "isatty", lambda _: False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    actual = output.has_colour()

    assert expected == actual


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"LANG": "en_US.UTF-8"}, True),
        ({"LANG": "en_US.utf8"}, True),
        ({"LANG": "C.UTF-8"}, True),
        ({"LANG": "C"}, False),
        ({"LANG": ""}, False),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, False),
        ({"LANG": "C", "LC_CTYPE": "en_US.UTF-8"}, True),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "C"}, False),
        ({"LANG": "de_DE.ISO-8859-1"}, False),
        ({"LC_ALL": "C.UTF-8", "LANG": "C"}, True),
    ],
)
def test_glyphs_follow_the_locale(monkeypatch, environment, expected):
    """What the user set decides, not what Python made of it."""
    use_terminal(monkeypatch)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    actual = output.is_utf8()

    assert expected == actual


@pytest.mark.parametrize(("columns", "expected"), [("40", 40), ("0", 0), ("wide", 0)])
def test_columns_say_how_wide(monkeypatch, columns, expected):
    """COLUMNS counts if it is a number; without it and a terminal nothing limits."""
    use_terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", columns)

    actual = output.style().width

    assert expected == actual


def test_text_is_written_in_ascii_where_it_must(monkeypatch):
    """A name that is no ASCII is escaped, never an error."""
    terminal = use_terminal(monkeypatch)
    output.write_text("naïve …\n", output.style(plain=True))

    assert terminal.buffer.getvalue() == b"na\\xefve \\u2026\n"


@pytest.mark.parametrize(
    ("form", "start"),
    [
        ("table", b"42 more"),
        ("wide", b"42 more"),
        ("json", b'{\n  "schema_version": 1'),
        ("jsonl", b'{"schema_version":1'),
        ("csv", b"netns,protocol"),
    ],
)
def test_each_format_is_written(monkeypatch, form, start):
    """One place decides what `-o` writes."""
    terminal = use_terminal(monkeypatch)
    monkeypatch.setenv("NO_COLOR", "1")
    answer = examples.headroom([examples.TIGHT])

    output.show([answer], headroom, output=form, plain=True)

    assert terminal.buffer.getvalue().startswith(start)


def test_all_namespaces_are_a_list_although_there_is_one(monkeypatch):
    """`--all-netns -o json` has one shape, however many there are."""
    terminal = use_terminal(monkeypatch)
    output.show([examples.headroom()], headroom, output="json", plain=True, all_netns=True)

    assert b'"namespaces": [' in terminal.buffer.getvalue()


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_format_without_a_place_for_gaps_tells_them_on_stderr(monkeypatch, capsys, form):
    """Each once, and not what nobody looked at."""
    use_terminal(monkeypatch)
    gap = Gap("owners", "not permitted", ("keys.owners",))
    answer = examples.headroom(gaps=[gap, gap, examples.PERSISTED])

    output.show([answer, answer], headroom, output=form, plain=True)

    assert capsys.readouterr().err == (
        "portroom: Not seen: owners: not permitted. Uncertain: keys.owners.\n"
    )


def test_a_full_disk_is_told(monkeypatch):
    """Output that could not be written is an error and not an answer."""
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)

        with pytest.raises(WriteError, match="No space left"):
            output.write(b"text")


def test_a_missing_standard_output_is_told(monkeypatch):
    """A command whose standard output was closed does not claim to have answered."""
    monkeypatch.setattr(sys, "stdout", None)

    with pytest.raises(WriteError, match="closed"):
        output.write(b"text")
