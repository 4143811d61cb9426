"""`portroom boot` turns words into a question and answers in every format."""

import json

import pytest

from portroom.cli import run
from portroom.cli.boot import boot, complete_key
from portroom.model.facts.settings import SETTINGS

KEY = "net.ipv4.ip_local_port_range"


def ask(capfd, *words):
    """Return exit status, standard output and error of ``portroom boot``."""
    status = run(["boot", *words])
    return status, *capfd.readouterr()


@pytest.fixture
def article(tmp_path):
    """Return a tree with the two files of the article, which disagree."""
    folder = tmp_path / "etc/sysctl.d"
    folder.mkdir(parents=True)
    (folder / f"{KEY}.conf").write_text(f"{KEY} = 15000 65000\n")
    (tmp_path / "etc/sysctl.conf").write_text(f"{KEY} = 15000 64000\n")
    return str(tmp_path)


def test_this_host_is_told(capfd):
    """
    Without an option: all settings of this host, and how the program is known.
    """
    status, out, err = ask(capfd)

    assert (0, "") == (status, err)
    assert "Rules of " in out
    assert ", because " in " ".join(out.split())
    for row in SETTINGS:
        assert row.name in out


@pytest.mark.parametrize(
    ("program", "value", "place"),
    [
        ("systemd", "15000 65000", f"/etc/sysctl.d/{KEY}.conf"),
        ("procps", "15000 64000", "/etc/sysctl.conf"),
        ("tuned", "15000 64000", "/etc/sysctl.conf"),
    ],
)
def test_a_program_and_a_root_may_be_named(capfd, article, program, value, place):
    """
    JSON of one key is flat, and its paths are those of the tree.
    """
    words = ("--program", program, "--root", article, "--key", "range", "-o", "json")
    status, out, err = ask(capfd, *words)
    told = json.loads(out)

    assert (0, "") == (status, err)
    assert (program, KEY, value) == (told["program"], told["key"], told["value"])
    assert {"file": place, "line": 1} == told["winner"]
    assert told["programs_differ"]
    assert article == told["root"]


def test_several_keys_are_a_list(capfd, article):
    """
    In the order asked for, each once, settings by name and any other sysctl.
    """
    words = ("--key", "kernel.panic", "--key", "range", "--key", KEY, "-o", "json")
    told = json.loads(ask(capfd, "--root", article, *words)[1])

    assert ["kernel.panic", KEY] == [one["key"] for one in told["keys"]]


@pytest.mark.parametrize("output", ["table", "wide", "json", "jsonl", "csv"])
def test_each_format_tells_value_and_place(capfd, article, output):
    """
    Whatever the format, the value and the line that decides are there.
    """
    status, out, _ = ask(capfd, "--root", article, "--program", "procps", "-o", output)

    assert 0 == status
    assert "15000 64000" in out
    assert "/etc/sysctl.conf" in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--key", "rnage"], "There is no setting 'rnage'. Did you mean 'range'?"),
        (["--key", "somaxconn"], "nr_open. Write any other sysctl as a.b.c."),
        (["--key", "net.ipv4.*"], "'net.ipv4.*' is not the key of one sysctl. Write it as a.b.c."),
        (["--root", "/nowhere"], "'/nowhere' is no folder"),
        (["--root", "/proc/version"], "'/proc/version' is no folder: Not a directory."),
        (["--root", ""], "'' is no folder"),
        (["--root", "/", "--snapshot", "x"], "--root and --snapshot exclude each other."),
        (["--program", "sysctl"], "'sysctl' is not one of 'systemd', 'procps', 'tuned'."),
        (["--netns", "1"], "--netns"),
    ],
)
def test_a_mistake_is_wrong_usage(capfd, words, told):
    """
    It exits 2 with one sentence that quotes it, and no output.
    """
    status, out, err = ask(capfd, *words)

    assert (2, "", 1) == (status, out, err.count("\n"))
    assert told in err


def test_every_name_of_this_system_is_this_system(capfd):
    """
    A root that is / by another name has values of now.
    """
    told = json.loads(ask(capfd, "--root", "/../.", "--key", "range", "-o", "json")[1])

    assert "/" == told["root"]
    assert told["current"]


def test_keys_are_completed():
    """
    As names of settings are.
    """
    option = next(one for one in boot.params if one.name == "keys")

    assert ["range", "reserved"] == complete_key(None, option, "r")
