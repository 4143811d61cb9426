"""The installed command does what its help says, whatever it is connected to."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

import portroom.render
from portroom import __version__

COMMAND = str(Path(sys.executable).with_name("portroom"))
COMMANDS = (
    "status", "headroom", "sessions", "settings", "boot", "explain", "doctor", "features",
    "snapshot", "completion",
)  # fmt: skip
READING = ("status", "headroom", "sessions", "settings")
SCHEMAS = Path(portroom.render.__file__).parent / "schemas"
DEADLINE_S = 30

CLEAN = {
    name: value
    for name, value in os.environ.items()
    if name not in {"NO_COLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES", "LC_ALL", "LC_CTYPE"}
} | {"LANG": "C.UTF-8", "TERM": "xterm"}


def run(*words, **others):
    """Return how the installed command ended and what it said."""
    environment = CLEAN | others.pop("environment", {})
    return subprocess.run(
        [COMMAND, *words],
        capture_output=True,
        env=environment,
        timeout=DEADLINE_S,
        check=False,
        **({"stdin": subprocess.DEVNULL} | others),
    )


def on_terminal(*words, columns=80, lines=24, **environment):
    """Return what the command writes on a terminal of that size, and how it ended."""
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    process = subprocess.Popen(
        [COMMAND, *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=CLEAN | environment,
        start_new_session=True,
    )
    os.close(theirs)
    said = read_all(ours)
    os.close(ours)
    return process.wait(DEADLINE_S), said.decode().replace("\r\n", "\n")


def read_all(terminal):
    """Return everything that is written to a terminal until it closes."""
    said, deadline = b"", time.monotonic() + DEADLINE_S
    while select.select([terminal], [], [], max(0, deadline - time.monotonic()))[0]:
        try:
            part = os.read(terminal, 65_536)
        except OSError:
            return said
        if not part:
            return said
        said += part
    raise AssertionError(f"not done after {DEADLINE_S} s: {said!r}")


def test_version():
    """`portroom --version` is one line."""
    result = run("--version")

    assert (0, f"portroom {__version__}\n", b"") == (
        result.returncode,
        result.stdout.decode(),
        result.stderr,
    )


def test_portroom_alone_is_status():
    """Without a word the one screen is shown, and the answer is its first line."""
    result = run()

    assert result.returncode == 0
    assert b" fit " in result.stdout.splitlines()[0]
    assert b"TCP BY STATE" in result.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_lists_exit_statuses(command):
    """Each command tells its exit statuses, on stdout, with status 0."""
    result = run(command, "--help")

    listed = set(re.findall(rb"^ +(\d+) +\w", result.stdout, re.MULTILINE))
    assert (0, b"") == (result.returncode, result.stderr)
    assert listed >= {b"0", b"2", b"3", b"70", b"130"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("ststus",), b"Did you mean 'status'?"),
        (("-o", "json", "status"), b"portroom status -o json"),
        (("headroom", "1.2.3.4:99999"), b"'99999' is not 1 to 65535"),
        (("headroom", "https://a"), b"is not a destination"),
        (("status", "--netns", "no-such-netns"), b"'no-such-netns'"),
        (("status", "--snapshot", "/nowhere/file"), b"/nowhere/file"),
        (("headroom", "198.51.100.77"), b"Nothing is connected to '198.51.100.77'"),
    ],
)
def test_wrong_words_are_one_line_and_exit_2(words, told):
    """The line says what is wrong and what to do; stdout stays empty."""
    result = run(*words)

    assert (2, b"") == (result.returncode, result.stdout)
    assert told in result.stderr
    assert result.stderr.count(b"\n") == 1


@pytest.mark.parametrize("command", READING)
def test_json_is_what_its_schema_says(command):
    """`-o json` is one object that the shipped schema holds for, alone and for all."""
    rules = json.loads((SCHEMAS / f"{command}.json").read_text())

    for words in ((), ("--all-netns",)):
        result = run(command, "-o", "json", *words)
        answer = json.loads(result.stdout)

        jsonschema.validate(answer, rules)
        assert (0, 1) == (result.returncode, answer["schema_version"])
        assert ("namespaces" in answer) == bool(words)


@pytest.mark.parametrize("command", READING)
def test_lines_are_lines(command):
    """Each line of `-o jsonl` is an object; CSV has as many fields in each line."""
    import csv

    objects = run(command, "-o", "jsonl").stdout.splitlines()
    rows = list(csv.reader(run(command, "-o", "csv").stdout.decode().splitlines()))

    assert all(json.loads(line)["schema_version"] == 1 for line in objects)
    assert len({len(row) for row in rows}) == 1


def test_a_saved_snapshot_answers_the_same_screen_twice(tmp_path):
    """`--snapshot` answers from the file, byte for byte, each time."""
    saved = str(tmp_path / "saved")

    assert run("snapshot", "--out", saved).returncode == 0
    first, second = (run("status", "--snapshot", saved) for _ in range(2))

    assert first.returncode == 0
    assert first.stdout == second.stdout
    assert Path(saved).stat().st_mode & 0o777 == 0o600


def test_a_snapshot_goes_to_a_pipe_but_not_to_a_terminal(tmp_path):
    """Bytes on a terminal help nobody; what a pipe gets is what a file gets."""
    status, said = on_terminal("snapshot")
    piped = run("snapshot")
    (tmp_path / "piped").write_bytes(piped.stdout)

    assert status == 2
    assert "--out FILE" in said
    assert run("status", "--snapshot", str(tmp_path / "piped")).returncode == 0


def test_an_existing_file_needs_force(tmp_path):
    """Without `--force` it stays as it is and the exit status is 2."""
    (tmp_path / "old").write_text("old")

    refused = run("snapshot", "--out", str(tmp_path / "old"))

    assert refused.returncode == 2
    assert b"--force" in refused.stderr
    assert (tmp_path / "old").read_text() == "old"
    assert run("snapshot", "--out", str(tmp_path / "old"), "--force").returncode == 0


@pytest.mark.parametrize("content", ["", "x", '{"format":"portroom-snapshot"}\n', "\x00" * 99])
def test_a_foreign_file_is_one_sentence(tmp_path, content):
    """What is no Snapshot is exit 3 and no traceback."""
    (tmp_path / "foreign").write_text(content)

    result = run("status", "--snapshot", str(tmp_path / "foreign"))

    assert (3, b"", 1) == (result.returncode, result.stdout, result.stderr.count(b"\n"))


@pytest.mark.parametrize("command", READING)
def test_a_closed_pipe_is_no_error(command):
    """Who reads no more ends the command quietly, with status 0."""
    reading, writing = os.pipe()
    os.close(reading)

    result = subprocess.run(
        [COMMAND, command, "-o", "json"],
        stdout=writing,
        stderr=subprocess.PIPE,
        env=CLEAN,
        timeout=DEADLINE_S,
        check=False,
    )
    os.close(writing)

    assert (0, b"") == (result.returncode, result.stderr)


def test_a_closed_pipe_for_help_too():
    """Help that nobody reads is no error either."""
    reading, writing = os.pipe()
    os.close(reading)

    result = subprocess.run(
        [COMMAND, "--help"], stdout=writing, stderr=subprocess.PIPE, env=CLEAN, check=False
    )
    os.close(writing)

    assert (0, b"") == (result.returncode, result.stderr)


@pytest.mark.parametrize("words", [("status",), ("--version",), ("headroom", "-o", "json")])
def test_a_full_disk_is_told(words):
    """Output that could not be written is exit 4 with the kernel's reason."""
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            [COMMAND, *words], stdout=full, stderr=subprocess.PIPE, env=CLEAN, check=False
        )

    assert result.returncode == 4
    assert b"No space left on device" in result.stderr
    assert result.stderr.count(b"\n") == 1


def test_a_closed_standard_output_is_told():
    """Nobody could read the answer, so it is none; a file needs no standard output."""
    result = subprocess.run(
        ["sh", "-c", f"exec '{COMMAND}' status >&-"],
        stderr=subprocess.PIPE,
        env=CLEAN,
        timeout=DEADLINE_S,
        check=False,
    )

    assert result.returncode == 4
    assert b"it is closed" in result.stderr


def test_ctrl_c_ends_with_130_and_no_traceback():
    """Interrupted in the midst of a command, nothing but the status."""
    # An answer may be there before a signal from outside is: so the command sends it
    # to itself, and waits.
    waiting = (
        "import os, signal, sys\n"
        "import portroom.cli.commands\n"
        "def interrupt(*_, **__):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    signal.pause()\n"
        "portroom.cli.commands.portroom.invoke = interrupt\n"
        "from portroom.cli import main\n"
        "main(['status'])\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", waiting],
        capture_output=True,
        env=CLEAN,
        timeout=DEADLINE_S,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )

    assert (130, b"") == (result.returncode, result.stdout)
    assert b"Traceback" not in result.stderr


@pytest.mark.parametrize("locale", [{"LANG": "C"}, {"LANG": "de_DE.ISO-8859-1"}])
@pytest.mark.parametrize("command", READING)
def test_a_terminal_without_utf8_gets_ascii(command, locale):
    """No glyph and no name outside of ASCII is written for such a locale."""
    result = run(command, environment=locale | {"PYTHONCOERCECLOCALE": "1"})

    assert result.returncode == 0
    assert result.stdout.isascii()


def test_colour_is_for_terminals_that_want_it():
    """A terminal has colours, NO_COLOR, a dumb terminal and a pipe have none."""
    _, coloured = on_terminal("status")
    _, forbidden = on_terminal("status", NO_COLOR="1")
    _, dumb = on_terminal("status", TERM="dumb")
    forced = run("status", environment={"CLICOLOR_FORCE": "1"})

    assert "\x1b[" in coloured
    assert "\x1b[" not in forbidden
    assert "\x1b[" not in dumb
    assert b"\x1b[" in forced.stdout
    assert b"\x1b[" not in run("status").stdout


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_no_line_is_wider_than_the_terminal(columns):
    """The screen fits, and at 80x24 it is one screen with the prompt."""
    status, said = on_terminal("status", columns=columns, NO_COLOR="1")
    lines = said.splitlines()

    assert status == 0
    assert max(map(len, lines)) <= columns
    assert columns < 80 or len(lines) < 24


def test_columns_hold_in_a_pipe():
    """COLUMNS=40 fits a pipe to 40 columns."""
    result = run("status", environment={"COLUMNS": "40"})

    assert max(map(len, result.stdout.decode().splitlines())) <= 40


def test_words_are_completed():
    """The script of `portroom completion` is answered with commands and options."""
    asked = {"_PORTROOM_COMPLETE": "bash_complete", "COMP_CWORD": "1"}

    commands = run(environment=asked | {"COMP_WORDS": "portroom s"}).stdout.split()

    assert commands == [
        b"plain,status",
        b"plain,sessions",
        b"plain,settings",
        b"plain,serve",
        b"plain,set",
        b"plain,snapshot",
    ]


def imported_by(*words):
    """Return the modules that a command line imports."""
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "portroom", *words],
        capture_output=True,
        env=CLEAN,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )

    assert result.returncode == 0, result.stderr
    return set(re.findall(r"^import time:[^|]*\|[^|]*\|\s*(\S+)$", result.stderr, re.MULTILINE))


HEAVY = frozenset(
    {"rich", "textual", "prometheus_client", "asyncio", "dataclasses", "importlib.metadata"}
)


@pytest.mark.parametrize(
    "words", [("status",), ("headroom", "-o", "json"), ("headroom",), ("--version",)]
)
def test_nothing_heavy_is_imported(words):
    """The path of the daily questions has no import that it does not need."""
    actual = imported_by(*words)

    assert HEAVY & actual == set()


@pytest.mark.parametrize("words", [("--version",), ("--help",)])
def test_version_and_help_import_no_command(words):
    """Neither a command nor what it stands on, msgspec included."""
    actual = imported_by(*words)

    commands = {f"portroom.cli.{name}" for name in COMMANDS}
    assert actual & (commands | {"msgspec", "portroom.api", "portroom.kernel"}) == set()
