"""``portroom sessions`` on a command line: pipes, signals, pagers, hostile names."""

import contextlib
import csv
import ctypes
import io
import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.kernel.harness import wait_until

PORTROOM = [sys.executable, "-m", "portroom"]
PR_SET_NAME = 15
HOSTILE = b'\x1b[31m=1,"\n\x9b;x'
"""Colour, a formula, a separator, a quote, a new line, C1: 15 bytes, no UTF-8."""


def portroom(*words, **options):
    """Return what ``portroom`` printed, and its exit status."""
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 60} | options
    return subprocess.run([*PORTROOM, *words], check=False, **given)


@pytest.fixture
def listening():
    """Return a port that this process listens on, one of very many sockets."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def hostile_name():
    """Give this process a name that would act on a terminal, a log and a sheet."""
    libc = ctypes.CDLL(None)
    before = ctypes.create_string_buffer(16)
    libc.prctl(16, before, 0, 0, 0)  # PR_GET_NAME
    libc.prctl(PR_SET_NAME, HOSTILE, 0, 0, 0)
    yield
    libc.prctl(PR_SET_NAME, before.value, 0, 0, 0)


@pytest.mark.usefixtures("listening")
def test_a_closed_pipe_is_no_error():
    """``portroom sessions | head -1`` exits 0 without a word on stderr."""
    script = '"$@" -m portroom sessions -o wide | head -1; echo "${PIPESTATUS[0]}"'
    result = subprocess.run(
        ["bash", "-c", script, "bash", sys.executable],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    heading, status = result.stdout.splitlines()

    assert heading.startswith("PROTO  STATE")
    assert ("0", "") == (status, result.stderr)


@pytest.mark.usefixtures("listening")
def test_a_reader_that_is_gone_before_the_first_byte_is_no_error():
    """Whoever reads may have ended before anything was printed."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        result = portroom("sessions", stdout=closed)

    assert (0, b"") == (result.returncode, result.stderr)


@pytest.mark.usefixtures("hostile_name")
@pytest.mark.parametrize("output", ["table", "wide", "csv", "json", "jsonl"])
def test_a_hostile_process_name_does_not_act(listening, output):
    """No byte of it is a control character, whatever the format."""
    result = portroom("sessions", "--local", f":{listening}", "-o", output)
    lines = result.stdout.decode("utf-8").splitlines()
    acting = [c for line in lines for c in line if not c.isprintable()]

    assert (0, b"") == (result.returncode, result.stderr)
    assert [] == acting
    assert {"table": 2, "wide": 2, "csv": 2, "jsonl": 1}.get(output, len(lines)) == len(lines)


@pytest.mark.usefixtures("hostile_name")
def test_a_hostile_process_name_is_one_field_of_csv(listening):
    """The row has as many fields as the heading, and none begins a formula."""
    result = portroom("sessions", "--local", f":{listening}", "-o", "csv")
    heading, row = csv.reader(io.StringIO(result.stdout.decode()))
    name = row[heading.index("commands")]

    assert len(heading) == len(row)
    assert name.startswith("\\x1b[31m=1,")
    assert "\\x0a" in name


@pytest.mark.usefixtures("hostile_name")
def test_a_hostile_process_name_is_whole_in_json(listening):
    """Programs get the name itself, its invalid byte as an escape."""
    result = portroom("sessions", "--local", f":{listening}", "-o", "json")
    (session,) = json.loads(result.stdout)["sessions"]
    (owner,) = session["owners"]

    assert owner["command"].startswith('\x1b[31m=1,"\n')
    assert os.getpid() == owner["pid"]


def test_a_process_is_found_by_its_id(listening):
    """``--process`` with this process's id lists its listener."""
    result = portroom("sessions", "--process", str(os.getpid()), "-o", "json")
    ports = [one["local_port"] for one in json.loads(result.stdout)["sessions"]]

    assert listening in ports


@pytest.mark.parametrize(
    ("words", "seen"),
    [
        (["--state", "establishedd"], "'establishedd'"),
        (["--proto", "unix"], "out of scope"),
        (["--local", "443"], "'443'"),
        (["--remote", "10.0.0.0/99"], "'10.0.0.0/99'"),
        (["--sort", "size"], "'size'"),
        (["--limit", "-1"], "-1"),
        (["--summary", "--state", "listen"], "--summary"),
        (["--netns", "no-such-namespace"], "'no-such-namespace'"),
        (["--all-netns", "--snapshot", "x"], "--all-netns"),
    ],
)
def test_wrong_words_are_one_sentence_and_status_2(words, seen):
    """A typo is quoted; nothing is printed on stdout."""
    result = portroom("sessions", *words, text=True)

    assert (2, "") == (result.returncode, result.stdout)
    assert 1 == len(result.stderr.splitlines())
    assert seen in result.stderr


def test_nothing_that_matches_is_an_answer():
    """No session is no error; the sentence says so."""
    result = portroom("sessions", "--local", "192.0.2.1:1", text=True)

    assert (0, "No session matches.\n") == (result.returncode, result.stdout)


def test_a_list_longer_than_the_terminal_goes_through_the_pager(tmp_path):
    """``$PAGER`` gets the text on a terminal."""
    text = on_terminal(["sessions"], PAGER=pager(tmp_path), LINES="2", NO_COLOR="1")

    assert "PROTO" not in text
    assert (tmp_path / "paged").read_text().startswith("PROTO")


def pager(folder):
    """Return a pager that writes what it gets to the file ``paged``."""
    script = folder / "pager"
    script.write_text(f"#!/bin/sh\ncat >{folder}/paged\n")
    script.chmod(0o700)
    return str(script)


@pytest.mark.usefixtures("listening")
def test_without_a_terminal_there_is_no_pager(tmp_path):
    """Into a pipe the text goes as it is."""
    environment = os.environ | {"PAGER": pager(tmp_path), "LINES": "2"}
    result = portroom("sessions", env=environment)

    assert result.stdout.startswith(b"PROTO")
    assert not (tmp_path / "paged").exists()


def on_terminal(words, **environment):
    """Return what ``portroom`` writes to a terminal that it is started on."""
    with socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0)):
        pid, terminal = pty.fork()
        if pid == 0:
            os.execvpe(PORTROOM[0], [*PORTROOM, *words], os.environ | environment)
        text = b""
        end = time.monotonic() + 30
        while time.monotonic() < end and select.select([terminal], [], [], 30)[0]:
            try:
                text += os.read(terminal, 65536)
            except OSError:  # EIO: the other side has ended
                break
        os.close(terminal)
        os.waitpid(pid, 0)
    return text.decode()


@pytest.mark.usefixtures("listening")
def test_ctrl_c_ends_with_130_and_no_traceback():
    """An interrupt while the answer waits for its reader is a quiet end."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(4096))
    os.set_blocking(writing, True)
    process = subprocess.Popen(
        [*PORTROOM, "sessions"],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        # The tests may run in the background of a shell, which makes it ignored.
        preexec_fn=lambda: signal.signal(  # noqa: PLW1509 - one thread alone runs
            signal.SIGINT, signal.default_int_handler
        ),
    )
    wait_until(lambda: waits_for_its_reader(process.pid), "portroom waits for its reader")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    os.close(reading)
    os.close(writing)

    assert (128 + signal.SIGINT, "") == (process.returncode, said.strip())


def waits_for_its_reader(pid):
    """Say whether a process sleeps in a system call on its standard output."""
    words = Path(f"/proc/{pid}/syscall").read_text().split()
    return words[1:2] == ["0x1"] and " S " in Path(f"/proc/{pid}/stat").read_text()


@pytest.mark.usefixtures("listening")
def test_a_snapshot_with_sessions_answers_in_each_format(tmp_path):
    """It lists the listener, byte for byte the same every time."""
    file = tmp_path / "whole"
    portroom("snapshot", "--sessions", "--out", str(file))
    for output in ("table", "wide", "json", "csv", "jsonl"):
        words = ["sessions", "--snapshot", str(file), "-o", output]
        first, second = portroom(*words), portroom(*words)

        assert (0, first.stdout) == (first.returncode, second.stdout)
        assert b"LISTEN" in first.stdout


def test_a_snapshot_without_sessions_says_how_to_save_them(tmp_path):
    """Exit 3 and one sentence, nothing on stdout."""
    file = tmp_path / "poor"
    portroom("snapshot", "--out", str(file))
    result = portroom("sessions", "--snapshot", str(file), text=True)

    assert (3, "") == (result.returncode, result.stdout)
    assert "portroom snapshot --sessions" in result.stderr
