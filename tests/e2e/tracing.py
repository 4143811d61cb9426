"""
A trace that runs beside what a test does.

It sees the whole machine, so each names its namespace; what fails does so only once the
command says that it watches.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess

import pytest

from tests.e2e.faults import CLEAN, COMMAND
from tests.kernel.sockets import connected, fill, listener

RANGE = {"ip_local_port_range": "40000 40009"}
SERVER = ("127.0.0.1", 9000)
DEADLINE_S = 20


class Traced:
    """A trace that runs: its process, and what it told on stderr so far."""

    def __init__(self, *words):
        self.process = subprocess.Popen(
            [*COMMAND, "trace", *words],
            env=CLEAN,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # The tests may run in the background of a shell, which makes it ignored.
            preexec_fn=lambda: signal.signal(  # noqa: PLW1509 - one thread alone runs
                signal.SIGINT, signal.default_int_handler
            ),
        )
        # What is watched, and what is not seen: then it watches.
        self.first = [self.process.stderr.readline() for _ in range(2)]

    def end(self, number=signal.SIGINT):
        """End it by a signal; return exit status, answer, and what it told."""
        self.process.send_signal(number)
        answer, told = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, answer, "".join([*self.first, told])


@contextlib.contextmanager
def traced(*words, here=True):
    """Trace the namespace of this process for the length of a ``with`` block."""
    netns = ["--netns", f"/proc/{os.getpid()}/ns/net"] if here else []
    seen = Traced(*netns, *words)
    try:
        yield seen
    finally:
        seen.process.kill()
        seen.process.communicate()


def failures(job, *words):
    """Return the failures of a job in this namespace, and how the trace ended."""
    with traced(*words, "-o", "jsonl") as seen:
        job()
        status, answer, told = seen.end()
    return [json.loads(line) for line in answer.splitlines()], status, told


def refuse(remote=SERVER, times=1, **options):
    """Fail to connect so many times."""
    for _ in range(times):
        with pytest.raises(OSError, match="Errno"):
            connected(remote, **options)


def full():
    """Fill the range towards a server of this namespace."""
    listener(*SERVER)
    fill(SERVER)
