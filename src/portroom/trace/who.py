"""
Who failed: from the number of a thread to its process.

Rules of this file:

- the kernel tells threads by their numbers in the first pid namespace: where
  ``/proc`` is of another one, they mean nothing here and are not looked up;
- a number may have become another's: what started after the failure is not it;
- who is gone is told by the last command that tracing noted for the number, and
  by who made it: a thread belongs to the process of the thread that made it.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from portroom.kernel.files import PROC
from portroom.kernel.owners import read_cgroup
from portroom.kernel.processes import (
    INITIAL_PID_NAMESPACE,
    open_folder,
    parse_stat,
    parse_thread_group,
    parse_uid,
    read_file,
)
from portroom.model.facts.failure import FailedProcess
from portroom.trace.recorder import Recorder
from portroom.trace.tracefs import read_whole
from portroom.trace.where import Where

FRESH_NS = 250_000_000
"""How long what was read of a thread holds: it may exec, or enter another namespace."""

MOST_OPEN = 256
"""Threads whose folder stays open; a process may often have 1,024 descriptors."""


class Seen(NamedTuple):
    """A thread as it was read; ``folder`` is a descriptor of ``/proc/TID``, None if gone."""

    process: FailedProcess
    folder: int | None
    read_at_ns: int


class Who:
    """
    Finds processes, and remembers them for a moment.

    Args:
        top: Descriptor of the top folder of tracefs.
        recorder: Knows who made whom.
        proc: Where procfs is mounted.
    """

    def __init__(self, top: int, recorder: Recorder, proc: str = PROC) -> None:
        self._top = top
        self._recorder = recorder
        self._proc = proc
        self._seen: dict[int, Seen] = {}
        self._open_folders = 0
        self._where = Where(proc)
        self.numbers_mean_something = sees_first_namespace(proc)

    def find(self, tid: int, at_ns: int) -> Seen:
        """
        Return the thread *tid* that failed at the monotonic time *at_ns*.

        Its ``folder`` stays open until the next ``refresh``.
        """
        seen = self._seen.get(tid)
        if seen is None:
            seen = self._seen[tid] = self._look(tid, at_ns)
        return seen

    def refresh(self) -> None:
        """Forget what was read a while ago."""
        old_ns = time.monotonic_ns() - FRESH_NS
        for tid in [tid for tid, seen in self._seen.items() if seen.read_at_ns < old_ns]:
            self._forget(tid)

    def close(self) -> None:
        """Forget all, and close what is open."""
        for tid in list(self._seen):
            self._forget(tid)

    def _forget(self, tid: int) -> None:
        """Forget a thread."""
        folder = self._seen.pop(tid).folder
        if folder is not None:
            os.close(folder)
            self._open_folders -= 1

    def _look(self, tid: int, at_ns: int) -> Seen:
        """Read a thread."""
        now_ns = time.monotonic_ns()
        if self.numbers_mean_something:
            with contextlib.suppress(OSError, ValueError), contextlib.ExitStack() as opened:
                folder = open_folder(f"{self._proc}/{tid}")
                opened.callback(os.close, folder)
                process = self._read(tid, folder, at_ns)
                if self._open_folders >= MOST_OPEN:
                    return Seen(process, None, now_ns)
                opened.pop_all()
                self._open_folders += 1
                return Seen(process, folder, now_ns)
        return Seen(self._gone(tid, at_ns), None, now_ns)

    def _read(self, tid: int, folder: int, at_ns: int) -> FailedProcess:
        """Return whom the thread in *folder* belongs to; ValueError if it is another's."""
        thread = parse_stat(read_file("stat", folder))
        if started_after(thread.start_time, at_ns):
            raise ValueError(f"thread {tid} is another one now")
        status = read_file("status", folder)
        pid = parse_thread_group(status)
        leader = thread if pid == tid else parse_stat(_read_leader(pid, self._proc))
        cgroup, place = read_cgroup(folder), self._where.find(tid, pid, leader.start_time)
        return FailedProcess(
            tid=tid,
            pid=pid,
            start_time=leader.start_time,
            command=leader.command,
            uid=parse_uid(status),
            unit=cgroup.unit,
            container=cgroup.container,
            netns=place.name,
            netns_inode=place.inode,
            netns_cookie=place.cookie,
        )

    def _gone(self, tid: int, at_ns: int) -> FailedProcess:
        """Return whom a thread belonged to of which nothing can be read any more."""
        self._recorder.look()
        born = self._recorder.birth_of(tid, at_ns)
        if born is not None and born.is_thread:
            # Who made it did so before, so this comes to an end.
            maker = self.find(born.tid, born.at_ns).process
            if maker.pid is not None:
                return msgspec.structs.replace(maker, tid=tid)
        is_process = born is not None and not born.is_thread and self.numbers_mean_something
        return FailedProcess(
            tid=tid,
            pid=tid if is_process else None,
            start_time=None,
            command=self._noted_command(tid),
            uid=None,
            unit=None,
            container=None,
            netns=None,
            netns_inode=None,
        )

    def _noted_command(self, tid: int) -> str | None:
        """Return the command that tracing noted last for a thread."""
        try:
            return parse_commands(read_whole("saved_cmdlines", self._top)).get(tid)
        except OSError:
            return None


def sees_first_namespace(proc: str = PROC) -> bool:
    """Say whether *proc* has the processes by their numbers in the first pid namespace."""
    try:
        own = Path(proc, "self").readlink().name
        first = Path(proc, "self/ns/pid").readlink().name == INITIAL_PID_NAMESPACE
    except OSError:
        return False
    return first and own == str(os.getpid())


def started_after(start_ticks: int, at_ns: int) -> bool:
    """
    Say whether what started at *start_ticks* after boot did so after *at_ns*.

    Start times count time that the machine slept, the monotonic clock does not; a
    tick is rounded down, so what started within the same one may be either.
    """
    asleep_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
    return start_ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK") > at_ns + asleep_ns


def parse_commands(text: str) -> dict[int, str]:
    r"""
    Return commands by thread from ``saved_cmdlines``.

    A command may hold a newline: a line that is none belongs to the one before.

    >>> parse_commands("7 nginx\n12 a b\n")
    {7: 'nginx', 12: 'a b'}
    """
    found: dict[int, str] = {}
    for line in text.split("\n"):
        number, _, command = line.partition(" ")
        if number.isascii() and number.isdecimal():
            found[int(number)] = command
    return found


def _read_leader(pid: int, proc: str) -> bytes:
    """Return the ``stat`` of a process."""
    folder = open_folder(f"{proc}/{pid}")
    try:
        return read_file("stat", folder)
    finally:
        os.close(folder)
