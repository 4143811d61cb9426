"""Whatever the command is connected to, or is no longer: the documented end."""

import os
import shlex
import subprocess

import pytest

from tests.e2e.faults import CLEAN, COMMAND, DEADLINE_S, answered, ask, interrupted, refused
from tests.kernel.bystanders import bystander, named
from tests.kernel.sockets import fill, listener

READING = ("status", "headroom", "sessions", "settings", "boot")
COMMANDS = (*READING, "snapshot")
PORTROOM = shlex.join(COMMAND)
FORMATS = ("table", "wide", "json", "jsonl", "csv")


def shell(line, **environment):
    """Return how a line of bash ended, in which ``portroom`` is the command."""
    done = subprocess.run(
        ["bash", "-c", f'portroom() {{ {PORTROOM} "$@"; }}; {line}'],
        env=CLEAN | environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def crowded():
    """Hold so many sessions that an answer is longer than a pipe holds (64 KiB)."""
    listener("127.0.0.1", 9000)
    listener("127.0.0.1", 9001)
    for port in (9000, 9001):
        assert 800 == fill(("127.0.0.1", port), at_most=800).count


@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_that_goes_ends_the_command_quietly(netns, command):
    """``| head -1`` gets its line; the command ends with 0 and says nothing."""

    def job():
        crowded()
        outputs = ("snapshot", "json") if command == "snapshot" else FORMATS
        line = 'portroom {} -o {} | head -c 1 >/dev/null; echo "${{PIPESTATUS[0]}}"'
        return [shell(line.format(command, output)) for output in outputs]

    for status, answer, told in netns(job):
        assert (0, "0\n") == (status, answer), told
        # What could not be seen is told there, as CSV cannot.
        assert all(line.startswith("portroom: Not seen: ") for line in told.splitlines())


def test_ctrl_c_in_the_middle_of_a_long_answer_is_130(netns):
    """At any moment of the work: no traceback, no sentence, half an answer at most."""

    def job():
        crowded()
        moments = (0.0, 0.01, 0.03, 0.05)
        commands = [("headroom",), ("sessions", "-o", "json"), ("status", "--all-netns")]
        return [interrupted(*words, delay_s=at) for words in commands for at in moments]

    endings = netns(job)

    assert {(ended.status, ended.told) for ended in endings} <= {(130, ""), (0, "")}
    assert (130, "") in {(ended.status, ended.told) for ended in endings}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_closed_standard_output_is_one_sentence(command):
    """``>&-``: exit 4, as nothing could be written."""
    status, answer, told = shell(f"portroom {command} -o json >&-")

    assert (4, "", 1) == (status, answer, told.count("\n"))
    assert told.startswith("portroom: Could not write to standard output")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_closed_standard_input_changes_nothing(command):
    """``<&-``: nothing is ever read from there."""
    status, answer, told = shell(f"portroom {command} -o json <&-")

    assert (0, "{", "") == (status, answer[:1], told)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_closed_standard_error_changes_no_status(command):
    """``2>&-``: the status is all that is left of the sentence."""
    right = shell(f"portroom {command} -o json 2>&-")
    wrong = shell(f"portroom {command} --netns no-such 2>&-")
    all_closed = shell(f"portroom {command} -o json <&- >&- 2>&-")

    assert (0, "{") == (right[0], right[1][:1])
    assert (2, "") == (wrong[0], wrong[1])
    assert 4 == all_closed[0]


def test_a_full_disk_is_one_sentence_for_every_command():
    """``>/dev/full``: exit 4 and the reason of the kernel."""
    for command in (*COMMANDS, "completion bash"):
        status, _, told = shell(f"portroom {command} >/dev/full")

        assert (4, 1) == (status, told.count("\n")), (command, told)
        assert "No space left on device" in told


def test_a_full_disk_for_stderr_too_changes_no_status():
    """Where nothing can be said the exit status still says it."""
    assert 4 == shell("portroom status >/dev/full 2>/dev/full")[0]
    assert 2 == shell("portroom stauts 2>/dev/full")[0]


LOCALES = (
    {"LANG": "C"},
    {"LANG": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    {"LC_ALL": "C", "LANG": "C.UTF-8"},
    {"LANG": "de_DE.ISO-8859-1"},
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "latin-1:strict", "LANG": "C"},
    {"LANG": "", "LC_ALL": ""},
)


@pytest.mark.parametrize("locale", LOCALES, ids=str)
def test_what_the_locale_cannot_show_is_not_written(locale):
    """ASCII alone, for a name of another script too; JSON is JSON everywhere."""
    with bystander(named("näme日本".encode()), lambda: listener("127.0.0.1", 0)) as pid:
        sessions = ask("sessions", "--process", str(pid), environment=locale)
        data = ask("sessions", "--process", str(pid), "-o", "json", environment=locale)
    screens = [ask(command, environment=locale) for command in ("status", "headroom")]

    for ended in (*screens, sessions):
        answered(ended)
        assert ended.answer.isascii()
    answered(data, '"schema_version": 1')
    refused(ask("stätus", environment=locale), 2, "No such command")


@pytest.mark.parametrize(
    "environment",
    [
        {"TERM": "dumb"},
        {"NO_COLOR": "1", "CLICOLOR_FORCE": "1"},
        {"TERM": ""},
        {"TERM": "no-such-terminal"},
    ],
    ids=str,
)
def test_no_colour_where_none_is_wanted(environment):
    """Not one escape, in a pipe."""
    for command in READING:
        ended = ask(command, environment=environment)

        answered(ended)
        assert "\x1b" not in ended.answer


@pytest.mark.parametrize("columns", ["40", "20", "1", "x", "99999999999999999999"])
def test_any_width_is_survived(netns, columns):
    """From 40 columns on the status fits; below it still answers."""

    def job():
        listener("127.0.0.1", 9000)
        fill(("127.0.0.1", 9000), at_most=3)
        environment = {"COLUMNS": columns, "LINES": columns}
        return [ask(command, environment=environment) for command in READING]

    endings = netns(job)

    for ended in endings:
        answered(ended)
    if columns == "40":
        assert max(map(len, endings[0].answer.splitlines())) <= 40


def test_a_home_and_a_folder_that_are_gone_are_not_missed(tmp_path):
    """Neither $HOME nor the working directory nor $TMPDIR is needed."""
    gone = tmp_path / "gone"
    gone.mkdir()

    def leave():
        """Stand in a folder that is no more."""
        os.chdir(gone)
        gone.rmdir()

    environment = {"HOME": "/nowhere", "TMPDIR": "/nowhere", "PATH": ""}
    answered(ask("status", before=leave, environment=environment))
