"""The commands that are measured: portroom and its peers."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bench.process import Command

PEERS = Path(__file__).with_name("peers")

BY_DESTINATION = """\
awk '{l=$4; sub(/:[^:]*$/,"",l); c[$1" "l" "$5]++} END{for(i in c)print i,c[i]}'"""
"""Counts lines of ``ss -Htan`` per state, local address and destination."""

NETSTAT_BY_DESTINATION = """\
awk '/^tcp/{l=$4; sub(/:[^:]*$/,"",l); c[$6" "l" "$5]++} END{for(i in c)print i,c[i]}'"""

SS_AWK = "ss -Htan | awk"
SS_OWNERS = "ss -Htanp"
NETSTAT_AWK = "netstat -tan | awk"
PSUTIL = "psutil net_connections"
PYROUTE2 = "pyroute2 DiagSocket"
DRAIN = ("C drain", "C drain, 2 threads")
EMPTY_PYTHON = "python -c pass"
VERSION = "portroom --version"
STATUS = "portroom status"
HEADROOM = "portroom headroom -o json"
SESSIONS = "portroom sessions -o json"
HEADROOM_OWNERS = "portroom headroom --owners -o json"


def headroom(threads: int) -> str:
    """Return the name of ``portroom headroom`` with that many threads."""
    return f"{HEADROOM} --threads {threads}"


def portroom(name: str, counted: Callable[[bytes], int] | None = None) -> Command:
    """
    Return the command that *name* spells.

    Its program is looked up in PATH, where the measured installation is first.
    """
    return Command(name, tuple(name.split()), counted)


def shell(name: str, line: str, counted: Callable[[bytes], int] | None = None) -> Command:
    """Return a pipe of commands, which fails if any of them does."""
    return Command(name, ("sh", "-c", line), counted)


def empty_python() -> Command:
    """Return the start and end of Python itself."""
    return Command(EMPTY_PYTHON, ("python", "-c", "pass"))


def ss_awk() -> Command:
    """Return what people type today to count sockets per destination."""
    return shell(SS_AWK, f"ss -Htan | {BY_DESTINATION}", sum_of_last_words)


def netstat_awk() -> Command:
    """Return the same count with netstat."""
    line = f"netstat -tan | {NETSTAT_BY_DESTINATION}"
    return shell(NETSTAT_AWK, line, sum_of_last_words)


def ss_owners() -> Command:
    """Return the list of sockets with their processes by ``ss``."""
    return Command(SS_OWNERS, ("ss", "-Htanp"), count_lines)


def python_peer(name: str, script: str, runs_at_most: int) -> Command:
    """Return a peer that is a Python script of ours around a library."""
    words = sys.executable, str(PEERS / script)
    return Command(name, words, first_number, runs_at_most)


def psutil(runs_at_most: int) -> Command:
    """Return the same count with psutil."""
    return python_peer(PSUTIL, "count_psutil.py", runs_at_most)


def pyroute2(runs_at_most: int) -> Command:
    """Return the same count with pyroute2."""
    return python_peer(PYROUTE2, "count_pyroute2.py", runs_at_most)


def drains(folder: Path) -> tuple[Command, ...]:
    """Return the C drain with one and two threads, compiled into *folder*."""
    program = folder / "drain"
    if not program.exists() and shutil.which("cc"):
        source = str(PEERS / "drain.c")
        words = ["cc", "-O2", "-pthread", "-o", str(program), source]
        subprocess.run(words, check=True)
    return tuple(
        Command(name, (str(program), str(threads))) for threads, name in enumerate(DRAIN, start=1)
    )


def sum_of_last_words(output: bytes) -> int:
    r"""
    Return the sum of the numbers that end the lines.

    >>> sum_of_last_words(b"ESTAB 10.0.0.1 10.1.0.0:443 3\nESTAB a b 4\n")
    7
    """
    return sum(int(line.rsplit(maxsplit=1)[1]) for line in output.splitlines())


def count_lines(output: bytes) -> int:
    """Return the number of lines."""
    return output.count(b"\n")


def first_number(output: bytes) -> int:
    """Return the number that the output begins with."""
    return int(output.split()[0])


def sum_of_states(output: bytes) -> int:
    """
    Return the sockets that the keys of a headroom answer hold, by state.

    >>> sum_of_states(b'{"keys": [{"states": {"ESTABLISHED": 2, "TIME_WAIT": 1}}]}')
    3
    """
    keys = json.loads(output)["keys"]
    return sum(sum(key["states"].values()) for key in keys)


def count_owned(output: bytes) -> int:
    """
    Return the sockets whose process a headroom answer names.

    >>> count_owned(b'{"keys": [{"owners": [{"sockets": 2}, {"sockets": 1}]}]}')
    3
    """
    keys = json.loads(output)["keys"]
    return sum(owner["sockets"] for key in keys for owner in key["owners"])


def count_sessions(output: bytes) -> int:
    """Return the number of TCP sockets in a sessions answer."""
    sessions = json.loads(output)["sessions"]
    return sum(one["protocol"].startswith("tcp") for one in sessions)
