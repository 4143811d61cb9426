"""`portroom check`: whatever is wrong, one line says so, and the exit status is 3."""

from __future__ import annotations

import threading

import pytest

from portroom import cli
from portroom.api import check as asking
from portroom.cli.check import Line


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--bogus",), "--bogus"),
        (("-w", "lots"), "'lots'"),
        (("-w", "1.5"), "1.5"),
        (("-w", "80%"), "'80%'"),
        (("-w", "nan"), "nan"),
        (("-t", "nan"), "nan"),
        (("-t", "0"), "0"),
        (("-t",), "requires an argument"),
        (("-w", "0.9", "-c", "0.5"), "-w 0.9 is above -c 0.5"),
        (("extra|word\n",), "extra\\x7cword"),
        (("--netns", "a", "--all-netns"), "exclude"),
        (("--netns", "there_is_none"), "there_is_none"),
        (("--snapshot", "/there/is/none"), "/there/is/none"),
        (("--snapshot", "/dev/null"), "/dev/null"),
        (("--key", "1.2.3.4:port:5"), "1.2.3.4:port:5"),
        (("--history", "x"), "--rate"),
        (("--rate", "--snapshot", "x"), "--rate"),
    ],
)
def test_wrong_usage_and_errors_are_unknown(capsys, words, part):
    """One line on standard output, nothing on stderr, and never the 2 that would be an alarm."""
    status = cli.run(("check", *words))

    said = capsys.readouterr()
    assert (3, "", 1) == (status, said.err, said.out.count("\n"))
    assert said.out.startswith("UNKNOWN: ")
    assert part in said.out


@pytest.mark.parametrize(
    "words", [("--netns", "web", "check"), ("-x", "check"), ("--all", "check")]
)
def test_an_option_before_the_command_is_unknown(capsys, words):
    """`portroom` itself finds it, and knows who is asked."""
    status = cli.run(words)

    assert (3, "UNKNOWN: ") == (status, capsys.readouterr().out[:9])


def test_a_bug_is_unknown(capsys, monkeypatch, tmp_path):
    """What nobody expected is a line, too, that says where the report is."""

    def broken(*_):
        """Do what no code of portroom should."""
        raise ZeroDivisionError("a|b")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(asking, "check", broken)
    status = cli.run(("check",))

    said = capsys.readouterr()
    assert (3, "", 1) == (status, said.err, said.out.count("\n"))
    assert said.out.startswith("UNKNOWN: This is a bug in portroom")


def test_one_line_is_said_however_many_want_to(capsys):
    """The answer and the deadline may come at once."""
    line = Line()
    saying = [threading.Thread(target=line.say, args=(f"OK: {n}",)) for n in range(20)]
    for one in saying:
        one.start()
    for one in saying:
        one.join()

    assert 1 == capsys.readouterr().out.count("\n")
