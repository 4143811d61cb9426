"""Run one command as a whole process and take its time and memory."""

import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NamedTuple

from bench.errors import BenchError

LONGEST_S = 180
"""A command that takes longer has failed."""

BLOCK_BYTES = 1 << 16


class Command(NamedTuple):
    """
    What to run, and how the table calls it.

    Args:
        name: What the table calls it.
        words: Program and arguments; the program is looked up in PATH.
        counted: Number of sockets told by the output, to check that the command
            saw them all; None where it tells no number.
        runs_at_most: Rounds after which a slow command is left out.
    """

    name: str
    words: tuple[str, ...]
    counted: Callable[[bytes], int] | None = None
    runs_at_most: int = 1000


class Run(NamedTuple):
    """
    What one run took.

    ``cpu_s`` is the time on a processor of all its processes, in user and kernel
    mode; ``peak_bytes`` is None where it is below our own.
    """

    seconds: float
    cpu_s: float
    peak_bytes: int | None
    output: bytes


def run(command: Command, *, keep: bool = False) -> Run:
    """
    Run *command* from fork to exit, reading all of its output through a pipe.

    Args:
        command: What to run.
        keep: Whether to return the output.

    Raises:
        BenchError: The command failed or was not found.
    """
    errors = os.memfd_create("stderr")
    reader, writer = os.pipe()
    with _time_limit(command.name):
        started = time.perf_counter()
        child = _spawn(command, writer, errors)
        try:
            output = _drain(reader, keep=keep)
            _, status, usage = os.wait4(child, 0)
            seconds = time.perf_counter() - started
        except BaseException:
            _kill(child)
            raise
        finally:
            os.close(reader)
    _check(command, status, errors)
    peak = usage.ru_maxrss * 1024
    cpu_s = usage.ru_utime + usage.ru_stime
    return Run(seconds, cpu_s, peak if peak > own_peak_bytes() else None, output)


def own_peak_bytes() -> int:
    """
    Return this process's own peak resident memory.

    A child starts as a copy of its parent and the kernel counts that in its
    peak, so a smaller one cannot be told.
    """
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def environment() -> dict[str, str]:
    """Return our environment without what changes how Python starts.

    PYTHONDONTWRITEBYTECODE, for one, makes a command compile itself each time.
    """
    kept = {"PYTHONPATH"}
    return {
        name: value
        for name, value in os.environ.items()
        if name in kept or not name.startswith("PYTHON")
    } | {"LC_ALL": "C.UTF-8"}


def _spawn(command: Command, output: int, errors: int) -> int:
    """Start *command* in a process group of its own."""
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, output, 1),
        (os.POSIX_SPAWN_DUP2, errors, 2),
    ]
    try:
        return os.posix_spawnp(
            command.words[0],
            command.words,
            environment(),
            file_actions=actions,
            setpgroup=0,
        )
    except OSError as error:
        raise BenchError(f"{command.name}: {error}") from error
    finally:
        os.close(output)


def _drain(descriptor: int, *, keep: bool) -> bytes:
    """Read *descriptor* to its end; return what was read if *keep*."""
    kept = []
    while block := os.read(descriptor, BLOCK_BYTES):
        if keep:
            kept.append(block)
    return b"".join(kept)


def _check(command: Command, status: int, errors: int) -> None:
    """Raise BenchError if *command* failed, with its last words."""
    with os.fdopen(errors, "rb") as stream:
        stream.seek(0)
        words = stream.read(65536).decode(errors="replace").strip().splitlines()
    code = os.waitstatus_to_exitcode(status)
    if code:
        last = words[-1] if words else ""
        raise BenchError(f"{command.name}: exit status {code}: {last!r}")


def _kill(child: int) -> None:
    """Kill a command with all it started, and wait for it."""
    try:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    except (ProcessLookupError, ChildProcessError):
        return


@contextmanager
def _time_limit(name: str) -> Iterator[None]:
    """Raise BenchError here once LONGEST_S have passed."""

    def give_up(_number: int, _frame: FrameType | None) -> None:
        """Say that the command takes too long."""
        raise BenchError(f"{name}: took longer than {LONGEST_S} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(LONGEST_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
