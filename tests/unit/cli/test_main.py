"""Every end of a command is one sentence and a documented exit status."""

import os

import click
import pytest

from portroom import __version__, cli, errors
from portroom.cli.commands import COMMANDS, portroom


def ended(capsys, *words):
    """Return exit status, stdout and stderr of a command line."""
    status = cli.run(words)
    said = capsys.readouterr()
    return status, said.out, said.err


def test_the_version_is_told(capsys):
    """`portroom --version` is one line on stdout."""
    actual = ended(capsys, "--version")

    assert (0, f"portroom {__version__}\n", "") == actual


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_lists_every_command(capsys, option):
    """Each command is in the help of `portroom`, with one line."""
    status, out, _ = ended(capsys, option)

    assert status == 0
    for name, (_, line) in COMMANDS.items():
        assert f"  {name} " in out
        assert line in out


@pytest.mark.parametrize("name", COMMANDS)
def test_a_line_of_help_is_the_first_of_the_command(name):
    """What `portroom --help` says of a command is how its own help begins."""
    command = portroom.get_command(click.Context(portroom), name)

    _, expected = COMMANDS[name]
    actual = command.help.splitlines()[0]

    assert expected == actual


STATUSES_OF = {"check": ("0   OK", "1   WARNING", "2   CRITICAL", "3   UNKNOWN")}
"""Commands that other programs call, with statuses of their own."""


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_lists_exit_statuses(capsys, name):
    """The statuses that each command shares, and usage, are in its help."""
    status, out, _ = ended(capsys, name, "--help")

    assert status == 0
    assert "Exit status:" in out
    for line in STATUSES_OF.get(name, ("0   answered", "2   wrong usage", "70  a bug in portroom")):
        assert line in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["ststus"], "Did you mean 'status'?"),
        (["headroom", "--limt", "3"], "Did you mean '--limit'?"),
        (["-o", "json", "headroom"], "as in `portroom headroom -o json`"),
        (["--ascii"], "as in `portroom status --ascii`"),
        (["status", "-o", "xml"], "'xml' is not one of"),
        (["status", "--netns", "a", "--all-netns"], "exclude each other"),
        (["status", "--netns", "a", "--snapshot", "b"], "exclude each other"),
        (["headroom", "--all-netns", "--snapshot", "b"], "exclude each other"),
        (["headroom", "--probe"], "needs the destination"),
        (["headroom", "h:1", "--probe-last"], "goes with --probe"),
        (["headroom", "h:1", "--probe", "--proto", "udp"], "TCP connect alone"),
        (["headroom", "h:1", "--probe", "--operation", "bind0"], "TCP connect alone"),
        (["headroom", "h:1", "--probe", "--snapshot", "f"], "not with --snapshot"),
        (["headroom", "--limit", "-1"], "-1"),
        (["headroom", "1.2.3.4:0"], "'0' is not 1 to 65535"),
        (["headroom", "a", "b"], "unexpected extra argument"),
        (["snapshot", "--force"], "goes with --out"),
        (["completion", "tcsh"], "'tcsh' is not one of"),
    ],
)
def test_wrong_usage_is_told_in_one_line(capsys, words, told):
    """It says what is wrong, what was meant or what is right, and exits 2."""
    status, out, err = ended(capsys, *words)

    assert (2, "") == (status, out)
    assert told in err
    assert err.startswith("portroom: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidRequestError("No such thing.", "Name another."), 2),
        (errors.NotPermittedError("Not allowed."), 3),
        (errors.NotSupportedError("Not there."), 3),
        (errors.KernelDataError("Not read: '\x1b[31m\n'."), 3),
        (errors.WriteError("Not written."), 4),
    ],
)
def test_each_error_has_its_status(capsys, monkeypatch, error, status):
    """An error of ours is its sentence, printable, and its exit status."""
    monkeypatch.setattr(portroom, "main", raising(error))

    actual, out, err = ended(capsys)

    assert (status, "") == (actual, out)
    assert err.endswith("\n")
    assert err[:-1].isprintable()
    assert err.startswith(f"portroom: {error.message[:8]}")


def raising(error):
    """Return a function that raises, whatever it is called with."""

    def main(*_, **__):
        raise error

    return main


def test_a_bug_is_one_sentence_and_a_report(capsys, monkeypatch, tmp_path):
    """Exit 70, no traceback; the report lies in a file of the user alone."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(portroom, "main", raising(ZeroDivisionError("by zero")))

    status, out, err = ended(capsys)

    (report,) = tmp_path.iterdir()
    assert (70, "") == (status, out)
    assert str(report) in err
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert "ZeroDivisionError: by zero" in report.read_text()
    assert report.stat().st_mode & 0o777 == 0o600


def test_a_bug_is_told_although_no_report_can_be_written(capsys, monkeypatch, tmp_path):
    """Without a folder for it, the sentence has to do."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    monkeypatch.setattr(portroom, "main", raising(RuntimeError("why\n")))

    status, _, err = ended(capsys)

    assert status == 70
    assert "RuntimeError: why" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(("error", "status"), [(click.Abort(), 130), (BrokenPipeError(), 0)])
def test_interrupted_or_not_read_is_no_error(capfd, monkeypatch, error, status):
    """Ctrl-C is 130, a closed pipe 0, and neither says anything."""
    monkeypatch.setattr(portroom, "main", raising(error))
    monkeypatch.setattr(cli, "_closed_pipe", lambda: 0)

    actual = cli.run([])

    assert status == actual
    assert capfd.readouterr() == ("", "")


def test_ctrl_c_at_any_moment_ends_with_130(monkeypatch):
    """Before and after the command runs as well."""
    monkeypatch.setattr(cli, "run", raising(KeyboardInterrupt()))

    child = os.fork()
    if child == 0:
        cli.main([])
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 130
