"""Words and options of a change are taken as a whole or refused in one sentence."""

import pytest

from portroom import cli
from portroom.cli.change_options import complete_word, parse_duration, request
from portroom.model.facts.change import LIVE, PERSIST, PERSIST_ONLY

NONE = {
    "persist": False,
    "persist_only": False,
    "trial": False,
    "trial_s": None,
    "reserve": False,
    "force": False,
}


@pytest.mark.parametrize(
    ("given", "where", "trial_s"),
    [
        ({}, LIVE, 0),
        ({"persist": True}, PERSIST, 0),
        ({"persist_only": True}, PERSIST_ONLY, 0),
        ({"trial": True}, LIVE, 120),
        ({"trial_s": 300, "persist": True}, PERSIST, 300),
    ],
)
def test_options_become_a_request(given, where, trial_s):
    """Where it is to hold, and how long a trial is."""
    made = request(("range=15000-64001",), NONE | given)

    assert (where, trial_s) == (made.where, made.trial_s)
    assert ("range=15000-64001",) == made.words


@pytest.mark.parametrize(
    "text", ["", "s", "x", "-5", "1.5m", "5 m", "5ms", "1d", "９", "9" * 10, "5mm", "0x5", "+5"]
)
def test_what_is_no_time_is_none(text):
    """Nothing is guessed."""
    assert parse_duration(text) is None


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["set"], "Missing argument"),
        (["set", "range"], "Write range="),
        (["set", "range", "15000-64001"], "Write range=15000-64001."),
        (["set", "range=15000"], "15000"),
        (["set", "a=1", "--try", "--try-for", "60"], "exclude each other"),
        (["set", "a=1", "--persist", "--persist-only"], "exclude each other"),
        (["set", "a=1", "--persist-only", "--try"], "exclude each other"),
        (["set", "a=1", "--try-for", "9s"], "'9s' is not between 10s and 1h"),
        (["set", "a=1", "--try-for", "61m"], "'61m' is not between 10s and 1h"),
        (["set", "a=1", "--try-for", "soon"], "'soon' is no time: write 300s, 5m"),
        (["set", "a=1", "--netns", "x", "--all-netns"], "exclude each other"),
        (["set", "a=1", "--all-netns"], "add --yes"),
        (["plan", "a=1", "--replace"], "goes with --out"),
        (["plan", "a=1", "--dry-run"], "No such option"),
        (["apply"], "Missing argument"),
        (["apply", "/nowhere/plan"], "No such file"),
        (["undo", "--steps", "0"], "0 is not in the range"),
        (["confirm", "0"], "0 is not in the range"),
        (["journal", "--limit", "-1"], "-1 is not in the range"),
    ],
)
def test_wrong_usage_is_one_sentence(capsys, words, told):
    """Whatever is wrong, it ends with 2, and nothing is read or written."""
    status = cli.run(words)
    said = capsys.readouterr()

    assert (2, "", 1) == (status, said.out, said.err.count("\n"))
    assert told in said.err


def test_words_are_completed():
    """Names of writable settings with their operators; keys after a dot."""
    assert ["range=", "reserved=", "reserved+=", "reserved-="] == complete_word(None, None, "r")
    assert ["net.ipv4.ip_local_port_range="] == complete_word(
        None, None, "net.ipv4.ip_local_port_r"
    )
    assert [] == complete_word(None, None, "tcp_fin")


def test_the_guardian_is_not_in_the_help(capsys):
    """It is for the program alone."""
    assert 0 == cli.run(["recover", "--help"])
    assert "guard" not in capsys.readouterr().out.replace("guarded", "")
