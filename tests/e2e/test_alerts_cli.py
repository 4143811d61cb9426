"""`portroom alerts` tells what holds, and a wrong configuration by file and line."""

import os

import pytest

from tests.e2e.faults import (
    answered,
    as_nobody,
    ask,
    needs_root,
    open_ways,
    refused,
)
from tests.kernel.harness import in_child


def test_it_tells_each_rule_with_the_threshold_that_holds():
    """Options prevail; no address is told, only its kind."""
    ended = ask(
        "alerts", "-o", "json", "--set", "alerts.critical=0.9", "--set", "alerts.notify=json://s@h/"
    )
    found = {one["name"]: one for one in ended.json["rules"]}

    answered(ended)
    assert "a key is 0.9 full or more" == found["key_critical"]["when"]
    assert (True, False) == (found["key_tight"]["is_sent"], found["key_half"]["is_sent"])
    assert ["json"] == ended.json["addresses"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[alerts]\nwarnin = 0.7\n", ":2: [alerts] has no key 'warnin'. Did you mean 'warning'?"),
        ("[alerts]\nfor = 'soon'\n", ":2: for: expected a time such as"),
        ("[alerts\n", ":1: this is not TOML:"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(tmp_path, text, expected):
    """The daemon reads it by the same words."""
    file = tmp_path / "p.toml"
    file.write_text(text)

    refused(ask("alerts", "--config", str(file)), 2, f"{file}{expected}")


def test_nobody_to_notify_is_an_error():
    """Who tests wants to know that nothing would ever come."""
    refused(ask("alerts", "test", "--config", os.devnull), 2)


def test_an_address_without_a_kind_is_not_shown(tmp_path):
    """It may be a password on the wrong line."""
    file = tmp_path / "p.toml"
    file.write_text('[alerts]\nnotify = ["hunter2"]\n')
    ended = ask("alerts", "test", "--config", str(file))

    refused(ended, 2, "address 1 of 1 (no kind) is none that Apprise knows")
    assert "hunter2" not in ended.told


@needs_root
def test_a_file_of_addresses_that_another_owns_is_a_gap(tmp_path):
    """The rules are told all the same; what would be sent cannot be tried."""
    secret = tmp_path / "notify"
    secret.write_text("json://me:secret@127.0.0.1:1/\n")
    secret.chmod(0o600)
    words = ("--set", f"alerts.notify_file={secret}")

    def job():
        """Ask as somebody else."""
        open_ways()
        return as_nobody("alerts", "-o", "json", *words), as_nobody("alerts", "test", *words)

    listed, tried = in_child(job)

    assert "notify_file" in [gap["source"] for gap in listed.json["gaps"]]
    refused(tried, 3, "alerts.notify_file")
