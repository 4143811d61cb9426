"""`portroom features` turns words into a question and answers in every format."""

import json

import pytest

from portroom.cli import run
from portroom.cli.features import complete_name
from portroom.model.laws.feature_table import FEATURES


def ask(capfd, *words):
    """Return exit status, standard output and error of ``portroom features``."""
    status = run(["features", *words])
    return status, *capfd.readouterr()


def test_every_feature_is_told(capfd):
    """Without a name all are told, each with an answer."""
    status, out, err = ask(capfd)

    assert (0, "") == (status, err)
    for row in FEATURES:
        assert f" {row.name}: " in out


def test_names_are_told_in_their_order_and_once(capfd):
    """What is asked for twice is told once."""
    _, out, _ = ask(capfd, "vrf", "tcp_rows", "vrf", "-o", "json")

    assert ["vrf", "tcp_rows"] == [one["name"] for one in json.loads(out)["features"]]


def test_a_typo_is_wrong_usage(capfd):
    """An unknown name exits 2 with the nearest name, in one sentence, and no output."""
    status, out, err = ask(capfd, "vrv")

    assert (2, "") == (status, out)
    assert "portroom: There is no feature 'vrv'. Did you mean 'vrf'?\n" == err


@pytest.mark.parametrize("words", [["--all-netns"], ["--netns", "1", "--snapshot", "f"]])
def test_what_makes_no_sense_is_wrong_usage(capfd, words):
    """A kernel is asked once, here, there, or in a file."""
    status, out, _ = ask(capfd, *words)

    assert (2, "") == (status, out)


def test_a_saved_snapshot_tells_what_it_holds(capfd, tmp_path):
    """The same of those that the laws use, and nothing of the others."""
    file = tmp_path / "saved"
    run(["snapshot", "--out", str(file)])

    _, live, _ = ask(capfd, "range_option", "vrf", "-o", "json")
    _, saved, _ = ask(capfd, "range_option", "vrf", "-o", "json", "--snapshot", str(file))

    first, second = json.loads(live)["features"], json.loads(saved)["features"]
    assert first[0]["answer"] == second[0]["answer"]
    assert ("unknown", "a Snapshot does not hold it") == (second[1]["answer"], second[1]["detail"])


def test_a_name_is_completed():
    """With what begins so."""
    assert ["tcp_rows"] == complete_name(None, None, "tcp")
