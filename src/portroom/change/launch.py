"""
Start the guardian of a trial, out of reach of whatever may happen to this process.

Rules of this file:

- it returns once the guardian is ready, and before that nothing was written;
- where systemd is process 1 that runs it, so that it is started again if it
  dies, and does not end with a session; where that does not work it is a
  detached process;
- it inherits nothing: no terminal, no pipe, no lock, no folder.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple, Protocol

from portroom.change import trials
from portroom.change.places import Places
from portroom.errors import WriteError
from portroom.kernel.trials import GUARD, is_guarded
from portroom.model.facts.journal import Entry

READY_S = 10.0
"""How long a guardian may take to be ready, in all ways together."""

SYSTEMD_S = 5.0
"""How long systemd may take to answer, or the kernel to end a process."""

LOOK_S = 0.01
TOLD_BYTES = 2000
PID_BYTES = 20

BOOTED_BY_SYSTEMD = "/run/systemd/system"
"""Source: sd_booted(3)."""

PROPERTIES = (
    "Restart=on-failure",
    "RestartSec=1s",
    # As long as the longest trial: it is to come back however often somebody kills it.
    "StartLimitIntervalSec=1h",
    "StartLimitBurst=1000",
    "OOMScoreAdjust=-900",
    # It ignores what asks it to end; a host that goes down need not wait for it.
    "KillSignal=SIGKILL",
    "StandardInput=null",
    "StandardOutput=null",
)

KEPT_VARIABLES = ("HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "PYTHONPATH")
"""What decides where the journal lies, and where portroom itself is found."""


class Guardian(Protocol):
    """
    A guardian that was started and is not ready yet.

    ``share`` is how much of the time it gets; what is left is for another way.
    """

    @property
    def share(self) -> float:
        """Return the share of the time, 1 for all of it."""

    def has_ended(self) -> bool:
        """Say whether it ended."""

    def told(self) -> str:
        """Return what it told on its way."""

    def kill(self) -> None:
        """End it for sure."""

    def forget(self) -> None:
        """Let go of what leads to it; one that is ready goes on."""


def start(places: Places, entry: Entry, ready_s: float = READY_S) -> None:
    """
    Start the guardian of an entry, and return once it is ready.

    Args:
        places: Where the journal lies, with the entry on the disk.
        entry: A change with a trial, of which nothing is written yet.
        ready_s: How long it may take, in all ways together.

    Raises:
        WriteError: It is not ready in time; it is gone, and its trial has no file.
    """
    told = ""
    begun_s = time.monotonic()
    for way in (by_systemd, detached):
        guardian = way(entry.number)
        if guardian is None:
            continue
        try:
            until_s = begun_s + ready_s * guardian.share
            if _is_ready(places, entry.number, guardian, until_s):
                return
            guardian.kill()
            told = guardian.told() or told
        finally:
            guardian.forget()
    trials.remove(places, entry.number)
    why = f": {told}" if told else "."
    raise WriteError(
        f"The guardian that takes the trial back was not ready within {ready_s:.0f} s; "
        f"nothing was written{why}",
        "Without `--try` a change needs no guardian.",
    )


def _is_ready(places: Places, number: int, guardian: Guardian, until_s: float) -> bool:
    """Wait for a guardian, and say whether it is ready."""
    pause = threading.Event()
    while not is_guarded(places.run, number):
        if guardian.has_ended() or time.monotonic() > until_s:
            # It may have become ready between both looks.
            return is_guarded(places.run, number)
        pause.wait(LOOK_S)
    return True


def command(number: int) -> list[str]:
    """Return the command line of a guardian: this very portroom, by absolute paths."""
    # -P: the folder in which it stands is no place for programs.
    return [sys.executable, "-P", "-m", "portroom", "recover", GUARD, str(number)]


def environment() -> dict[str, str]:
    """Return the variables of a guardian, which stands in another folder."""
    variables = dict(os.environ)
    if places := variables.get("PYTHONPATH"):
        absolute = (str(Path(one).absolute()) for one in places.split(os.pathsep))
        variables["PYTHONPATH"] = os.pathsep.join(absolute)
    return variables


class Unit(NamedTuple):
    """A guardian that systemd runs."""

    name: str
    systemctl: str
    share: float = 0.5

    def has_ended(self) -> bool:
        """Say whether it ended: systemd would start it again."""
        return False

    def told(self) -> str:
        """Return where it told something."""
        return f"see: journalctl --unit {self.name}"

    def kill(self) -> None:
        """End it, and let systemd forget it."""
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            _quietly([self.systemctl, "stop", f"{self.name}.service"])

    def forget(self) -> None:
        """Do nothing: it is but a name."""


def by_systemd(number: int) -> Guardian | None:
    """Have systemd run the guardian; None where there is none or it does not."""
    run, systemctl = shutil.which("systemd-run"), shutil.which("systemctl")
    if not run or not systemctl or not Path(BOOTED_BY_SYSTEMD).is_dir():
        return None
    name = f"portroom-trial-{number}"
    words = [run, f"--unit={name}", "--collect", "--quiet", "--no-ask-password"]
    words += [f"--description=Take trial {number} of portroom back unless it is confirmed"]
    words += [f"--property={one}" for one in PROPERTIES]
    variables = environment()
    words += [f"--setenv={one}={variables[one]}" for one in KEPT_VARIABLES if one in variables]
    try:
        if _quietly([*words, "--", *command(number)]).returncode:
            return None
    except (OSError, subprocess.SubprocessError):
        return None
    return Unit(name, systemctl)


def _quietly(words: list[str]) -> subprocess.CompletedProcess[bytes]:
    """Run a program that says nothing and does not wait for long."""
    return subprocess.run(  # noqa: S603 - programs of systemd
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=SYSTEMD_S,
        check=False,
    )


class Detached(NamedTuple):
    """A guardian that belongs to nobody: its process, and the memory that it tells into."""

    process: int
    memory: int
    share: float = 1.0

    def has_ended(self) -> bool:
        """Say whether it ended."""
        return bool(select.select([self.process], [], [], 0)[0])

    def told(self) -> str:
        """Return the end of what it told, as one line."""
        size = os.fstat(self.memory).st_size
        content = os.pread(self.memory, TOLD_BYTES, max(0, size - TOLD_BYTES))
        return " ".join(content.decode("utf-8", "backslashreplace").split())

    def kill(self) -> None:
        """End it, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.process, signal.SIGKILL)
        select.select([self.process], [], [], SYSTEMD_S)

    def forget(self) -> None:
        """Close what leads to it."""
        os.close(self.process)
        os.close(self.memory)


def detached(number: int) -> Guardian:
    """
    Start the guardian as a process without terminal, session and parent of ours.

    It tells into memory of its own: a pipe would end with us, and a file would
    be left over.

    Raises:
        WriteError: It cannot be started.
    """
    memory = os.memfd_create("portroom-guardian", os.MFD_CLOEXEC)
    try:
        return Detached(os.pidfd_open(_spawn(command(number), memory)), memory)
    except (OSError, subprocess.SubprocessError) as error:
        os.close(memory)
        raise WriteError(
            f"The guardian that takes the trial back could not be started: {error}. "
            "Nothing was written."
        ) from None


def _spawn(words: list[str], memory: int) -> int:
    """Start a program that nothing of ours leads to, and return its process id."""
    reading, writing = os.pipe()
    try:
        with subprocess.Popen(  # noqa: S603 - portroom itself
            words,
            cwd="/",
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=memory,
            start_new_session=True,
            preexec_fn=lambda: _leave(writing),  # noqa: PLW1509 - it forks, and no more
        ):
            pass
        return int(os.read(reading, PID_BYTES))
    finally:
        os.close(reading)
        os.close(writing)


def _leave(writing: int) -> None:
    """Fork, tell the process id of the child, and end: the child goes on alone."""
    child = os.fork()
    if child:
        os.write(writing, str(child).encode())
        os._exit(0)
