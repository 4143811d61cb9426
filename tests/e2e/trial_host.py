"""Trials of the real command, short ones, and ways to lose what started them.

Rules of this file:

- the command is the real one; only the shortest trial that it admits is shorter;
- it can be made to stand still, or die, when all is written and the entry is not
  yet that of a trial: the worst moment there is;
- who waits, waits for a condition.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from portroom.kernel.trials import is_guarded
from tests.e2e.change_host import NET, RUN, STATE
from tests.e2e.faults import CLEAN, Ended, ask
from tests.kernel.harness import wait_until

SHORT = """
from portroom.cli import change_options, main
change_options.SHORTEST_S = 1
"""

AT_THE_WORST_MOMENT = """
import os
from portroom.change import journal
really = journal.close
def close(*words):
    journal.close = really
    os.kill(os.getpid(), {number})
    return really(*words)
journal.close = close
"""

SETTING = "tcp_tw_reuse"
WORD = "tw_reuse=1"
BEFORE, TRIED, OTHER = "2\n", "1\n", "0\n"

LONG = "600s"
"""A trial that does not end while a test runs."""


def command(signal: int | None = None) -> list[str]:
    """Return the command, with short trials; *signal* comes at the worst moment."""
    worst = AT_THE_WORST_MOMENT.format(number=int(signal)) if signal is not None else ""
    return [sys.executable, "-c", f"{SHORT}{worst}main()"]


def tried(length: str = "1s", *others: str, **how: Any) -> Ended:
    """Try a value for some time."""
    return ask("set", WORD, "--try-for", length, *others, command=command(), **how)


def begun(length: str, *, signal: int | None = None, **how: Any) -> subprocess.Popen[bytes]:
    """Begin to try a value, and return the process."""
    return subprocess.Popen(
        [*command(signal), "set", WORD, "--try-for", length],
        env=CLEAN,
        **(dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL) | how),
    )


def now(name: str = SETTING) -> str:
    """Return what a setting holds."""
    return (NET / name).read_text()


def wait_for(value: str, *, deadline_s: float = 20.0) -> None:
    """Wait until the setting holds a value."""
    wait_until(lambda: now() == value, f"{SETTING} is {value!r}", deadline_s=deadline_s)


def phase(number: int = 1) -> str:
    """Return the phase of an entry, "" where there is none yet."""
    try:
        return str(entry_of(number)["phase"])
    except FileNotFoundError:
        return ""


def entry_of(number: int) -> dict[str, Any]:
    """Return an entry of the journal."""
    found: dict[str, Any] = json.loads((STATE / f"journal/{number:010d}.json").read_text())
    return found


def wait_for_end(number: int = 1, *, deadline_s: float = 20.0) -> dict[str, Any]:
    """Wait until a trial has ended, and return its entry."""
    wait_until(
        lambda: phase(number) not in {"writing", "trial", "persisting"},
        f"trial {number} has ended",
        deadline_s=deadline_s,
    )
    wait_until(lambda: not (RUN / f"trial-{number}").exists(), "its file is gone")
    return entry_of(number)


def guardian(number: int = 1) -> int:
    """Return the process id of the guardian that is awake."""
    wait_until(
        lambda: is_guarded(str(RUN), number) and guardians(number), f"trial {number} is guarded"
    )
    return guardians(number)[0]


def guardians(number: int = 1) -> list[int]:
    """Return the process ids of all guardians of a trial."""
    words = f"\0--guard\0{number}\0".encode()
    return [
        int(one.parent.name) for one in Path("/proc").glob("[0-9]*/cmdline") if _has(one, words)
    ]


def _has(path: Path, words: bytes) -> bool:
    """Say whether a command line ends with words, and is that of a process that lives."""
    try:
        return path.read_bytes().endswith(words)
    except OSError:
        return False


def kill(pid: int, signal: int) -> None:
    """Send a signal, and wait until a deadly one had its effect."""
    os.kill(pid, signal)
    if signal == 9:
        wait_until(lambda: not _has(Path(f"/proc/{pid}/cmdline"), b"\0"), f"{pid} is dead")
