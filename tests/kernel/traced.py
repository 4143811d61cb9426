"""Watching failures that a test makes in a namespace of its own.

Rules of this file:

- a watch sees the whole host, and other tests fail on purpose meanwhile: only
  failures of the test's own processes are looked at;
- who fails starts only when the watch runs, and stays until it is told to end.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from portroom.trace.live import Watch, watching
from portroom.trace.raw import Raw
from portroom.trace.tracefs import open_tracefs

PATIENCE_S = 20.0


@contextmanager
def forked(job: Callable[[], object]) -> Iterator[int]:
    """Run *job* in a forked child that then waits to be killed; give its process id."""
    pid = os.fork()
    if pid == 0:
        try:
            job()
            signal.pause()
        finally:
            os._exit(1)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def collect(watch: Watch, wanted: int, pids: set[int] | None = None) -> list[Raw]:
    """
    Return the first *wanted* failures of some processes, this namespace's if None are given.

    Raises:
        TimeoutError: They did not come in time; what came is told.
    """
    end_s = time.monotonic() + PATIENCE_S
    netns = Path("/proc/thread-self/ns/net").stat().st_ino
    found: list[Raw] = []
    while len(found) < wanted:
        if time.monotonic() > end_s:
            raise TimeoutError(f"expected {wanted} failures, got {found}")
        found += [raw for raw in watch.read(0.2) if is_ours(raw, netns, pids)]
    return found


def is_ours(raw: Raw, netns: int, pids: set[int] | None) -> bool:
    """Say whether a failure is one of the test's own."""
    return raw.process.pid in pids if pids is not None else raw.process.netns_inode == netns


def failures_of(job: Callable[[], object], wanted: int) -> list[Raw]:
    """Return what is told of the failures of *job*, run in a child while a watch runs."""
    with watching() as watch, forked(job) as pid:
        found = collect(watch, wanted, {pid})
        return found + [raw for raw in watch.rest() if raw.process.pid == pid]


def instances() -> set[str]:
    """Return the names of all instances of tracing."""
    top = open_tracefs()
    try:
        return {path.name for path in Path(f"/proc/self/fd/{top}/instances").iterdir()}
    finally:
        os.close(top)


def instances_of(pid: int) -> set[str]:
    """Return the instances that a process made."""
    names = {f"portroom-{pid}", f"portroom-{pid}-before", f"portroom-{pid}-names"}
    return {name for name in instances() if name in names}


WATCH = """
import sys
from portroom.trace.live import watching
with watching() as watch:
    print("watching", flush=True)
    while True:
        watch.read(60)
"""


@contextmanager
def another_watch() -> Iterator[subprocess.Popen[bytes]]:
    """Run a watch in a process of its own; it is killed in the end."""
    child = subprocess.Popen([sys.executable, "-c", WATCH], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"watching\n"
        yield child
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
