"""`portroom settings` turns words into a question and answers in every format."""

import json

import pytest

from portroom.cli import run
from portroom.cli.settings import complete_name, settings
from portroom.model.facts.settings import SETTINGS


def ask(capfd, *words):
    """Return exit status, standard output and error of ``portroom settings``."""
    status = run(["settings", *words])
    return status, *capfd.readouterr()


def test_every_setting_is_told(capfd):
    """
    Without a name all are told, each with its explanation.
    """
    status, out, err = ask(capfd)

    assert (0, "") == (status, err)
    for row in SETTINGS:
        assert f"\n{row.name} ({row.key})\n" in out


def test_one_setting_by_name_and_by_key_is_the_same(capfd):
    """
    A name, a key and its last part ask the same.
    """
    told = [
        json.loads(ask(capfd, word, "-o", "json")[1])["settings"]
        for word in ("range", "net.ipv4.ip_local_port_range", "ip_local_port_range")
    ]

    assert told[0] == told[1] == told[2]
    assert ["first", "last"] == list(told[0][0]["current"])


def test_a_typo_is_wrong_usage(capfd):
    """
    An unknown name exits 2 with the nearest name, in one sentence, and no output.
    """
    status, out, err = ask(capfd, "rnage")

    assert (2, "") == (status, out)
    assert "portroom: There is no setting 'rnage'. Did you mean 'range'?\n" == err


def test_a_hostile_name_does_not_act(capfd):
    """
    What was typed is quoted so that nothing in it acts on the terminal.
    """
    status, out, err = ask(capfd, "\x1b[31mrange")

    assert (2, "") == (status, out)
    assert "\x1b" not in err


@pytest.mark.parametrize("output", ["table", "wide", "json", "jsonl", "csv"])
def test_each_format_tells_the_value(capfd, output):
    """
    Whatever the format, the meaning and the name are there.
    """
    status, out, _ = ask(capfd, "tcp_fin_timeout", "-o", output)

    assert 0 == status
    assert "tcp_fin_timeout" in out
    assert "It does not shorten TIME_WAIT" in out


def test_names_are_completed():
    """
    A beginning is completed to names, one with a dot to sysctl keys.
    """
    argument = settings.params[0]

    assert ["range", "reserved"] == complete_name(None, argument, "r")
    assert ["net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_fastopen"] == complete_name(
        None, argument, "net.ipv4.tcp_f"
    )
