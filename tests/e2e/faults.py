"""The real command, started where something is missing, broken or hostile.

Rules of this file:

- the command is a process of its own; what it lacks is taken away before it starts;
- what it says is judged alike everywhere: ``refused`` for a failure, ``answered``
  for an answer.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import site
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import portroom
from tests.kernel import needs
from tests.kernel.harness import LIBC, enter_new_namespace, in_child, unshare, wait_until

COMMAND = [sys.executable, "-m", "portroom"]
DEADLINE_S = 30 * needs.SLOWNESS
NOBODY = 65534
CLONE_NEWNS, CLONE_NEWPID = 0x20000, 0x20000000
MS_NOSUID_NODEV_NOEXEC, MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = (
    0xE, 0x1, 0x20, 0x1000, 0x4000, 0x40000,
)  # fmt: skip

CLEAN = {
    name: value
    for name, value in os.environ.items()
    if name not in {"NO_COLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES", "LC_ALL", "LC_CTYPE", "PAGER"}
} | {"LANG": "C.UTF-8", "TERM": "xterm"}


needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can mount, enter namespaces and become somebody else"
)


class Ended(NamedTuple):
    """How a command ended: its exit status, its answer, and what it told on stderr."""

    status: int
    answer: str
    told: str

    @property
    def json(self) -> Any:
        """Return the answer of ``-o json``."""
        return json.loads(self.answer)

    @property
    def reasons(self) -> str:
        """Return the source and reason of each gap of ``-o json``."""
        return "\n".join(f"{gap['source']}: {gap['reason']}" for gap in self.json["gaps"])


def ask(
    *words: str,
    before: Callable[[], None] | None = None,
    environment: dict[str, str] | None = None,
    command: list[str] | None = None,
    **others: Any,
) -> Ended:
    """
    Run the command and return how it ended.

    Args:
        words: Its arguments.
        before: What takes something away, called in the child before it starts.
        environment: Variables besides those of CLEAN.
        command: Another way to start it.
        others: For ``subprocess.run``.
    """
    done = subprocess.run(
        [*(command or COMMAND), *words],
        env=CLEAN | (environment or {}),
        timeout=DEADLINE_S,
        check=False,
        preexec_fn=before,
        **({"stdin": subprocess.DEVNULL} | {"capture_output": "stdout" not in others} | others),
    )
    return Ended(done.returncode, *map(_text, (done.stdout, done.stderr)))


def _text(content: bytes | None) -> str:
    """Return what was captured as text, whatever the locale made of it."""
    return (content or b"").decode("utf-8", "replace")


def interrupted(*words: str, delay_s: float = 0.0) -> Ended:
    """
    Press Ctrl-C while the command is at work, and return how it ended.

    The new line that ends the terminal's ``^C`` is left out of what it told.

    Args:
        words: Its arguments.
        delay_s: How long it may work before.
    """
    process = subprocess.Popen(
        [*COMMAND, *words],
        env=CLEAN,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A terminal signals the whole group, the command's own children too.
        process_group=0,
        # The tests may run in the background of a shell, which makes it ignored.
        preexec_fn=lambda: signal.signal(  # noqa: PLW1509 - one thread alone runs
            signal.SIGINT, signal.default_int_handler
        ),
    )
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        # Before, Python itself is starting, and not yet portroom.
        maps = Path(f"/proc/{process.pid}/maps")
        wait_until(lambda: "msgspec" in maps.read_text(), "the command is at work")
        threading.Event().wait(delay_s)
        os.killpg(process.pid, signal.SIGINT)
    answer, told = process.communicate(timeout=DEADLINE_S)
    # At the very end Python lets the signal itself end it, which shells call 130 too.
    status = 128 + signal.SIGINT if process.returncode == -signal.SIGINT else process.returncode
    return Ended(status, answer, told.removeprefix("\n"))


def refused(ended: Ended, status: int, *parts: str) -> None:
    """
    Check that one sentence tells why there is no answer.

    Args:
        ended: How the command ended.
        status: The documented exit status.
        parts: What the sentence must say.
    """
    seen = ended.status, ended.answer, ended.told.count("\n"), ended.told[:10]

    assert (status, "", 1, "portroom: ") == seen, ended
    assert "Traceback" not in ended.told
    assert [] == [part for part in parts if part not in ended.told], ended.told
    assert ended.told[:-1].isprintable()


def answered(ended: Ended, *parts: str) -> None:
    """Check that there is an answer, nothing on stderr, and *parts* in the answer."""
    assert (0, "") == (ended.status, ended.told), ended
    assert [] == [part for part in parts if part not in ended.answer], ended.answer


def alone(job: Callable[[], Any]) -> Any:
    """
    Return what *job* returns where no process and no namespace of others is seen.

    It has process ids, mounts and a network of its own, and is process 1: its
    network namespace is called ``host``.
    """

    def within() -> Any:
        """Have a procfs that shows the new process ids, and an empty /run."""
        private_mounts()
        mount("proc", "/proc", "proc")
        mount("tmpfs", "/run", "tmpfs", options="mode=755")
        enter_new_namespace()
        return job()

    def outside() -> Any:
        """Let the next child be process 1."""
        unshare(CLONE_NEWPID)
        return in_child(within)

    return in_child(outside)


def private_mounts() -> None:
    """Give this process a tree of mounts of its own."""
    unshare(CLONE_NEWNS)
    mount("none", "/", "", MS_REC | MS_PRIVATE)


def mount(source: str, target: str, kind: str, flags: int = 0, options: str = "") -> None:
    """Mount a file system, or a folder of one, on a target."""
    words = (source.encode(), target.encode(), kind.encode())
    if LIBC.mount(*words, ctypes.c_ulong(flags), options.encode()):
        raise OSError(ctypes.get_errno(), f"mount {target}: {os.strerror(ctypes.get_errno())}")


def open_ways() -> None:
    """
    Let every user reach Python and the package, in mounts of this process's own.

    A checkout or a Python may lie in a folder that only its owner may enter. A
    folder in the way gives place to an empty one that holds what is needed and
    nothing else, at the same paths; the folder itself is not touched.
    """
    private_mounts()  # also where they are private already: the machine's own stay as they are
    pythons = Path(sys._base_executable), Path(sys.executable).resolve()
    needed = {Path(place) for place in (sys.prefix, sys.base_prefix, *site.getsitepackages())}
    needed |= {Path(portroom.__file__).parents[1], *(python.parent for python in pythons)}
    there = sorted(filter(Path.exists, needed))
    handles = {place: os.open(place, os.O_PATH) for place in there}
    for folder in set(map(_barred, there)) - {None}:
        mount("tmpfs", str(folder), "tmpfs", options="mode=755")
    for place, handle in handles.items():
        if not place.exists():
            place.mkdir(parents=True)
            mount(f"/proc/self/fd/{handle}", str(place), "", MS_BIND | MS_REC)
        os.close(handle)


def _barred(place: Path) -> Path | None:
    """Return the first folder on the way to *place* that not everybody may enter."""
    way = [*reversed(place.parents), place]
    return next((folder for folder in way if not folder.stat().st_mode & 1), None)


def as_nobody(*words: str, **others: Any) -> Ended:
    """Run the command as a user without any right, after ``open_ways``."""
    return ask(*words, user=NOBODY, group=NOBODY, extra_groups=[], **others)
