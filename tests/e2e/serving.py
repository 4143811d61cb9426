"""
The daemon, started as a service manager starts it, and asked as a monitor asks it.

It is a process of its own in the network namespace of the caller; its state lies in a
folder of the test's own, and what it logs in a file there.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e.faults import CLEAN, COMMAND, DEADLINE_S
from tests.kernel.harness import wait_until

PORT = 9765

FULL = os.environ.get("PORTROOM_TESTS") == "full"
deep = pytest.mark.deep


class Answer(NamedTuple):
    """What a request got."""

    status: int
    text: str

    @property
    def json(self) -> Any:
        """Return it as a value."""
        return json.loads(self.text)


class Served:
    """
    A daemon that runs.

    Args:
        folder: Where its state lies, and its log.
        words: Arguments of `portroom serve`.
        environment: Variables besides those of CLEAN.
        command: Another way to start it.
        options: For ``subprocess.Popen``.
    """

    def __init__(
        self,
        folder: Path,
        *words: str,
        environment: Mapping[str, str] | None = None,
        command: list[str] | None = None,
        port: int = PORT,
        **options: Any,
    ) -> None:
        self.log = folder / f"log-{time.monotonic_ns()}"
        self.port = port
        self._asking = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command or [*COMMAND, "serve", *words],
                env=CLEAN | {"XDG_STATE_HOME": str(folder)} | dict(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                **({"stderr": log} | options),
            )

    @property
    def told(self) -> str:
        """Return what it has logged so far."""
        return self.log.read_text()

    def wait_for(self, words: str) -> None:
        """Return once the log has these words."""
        wait_until(lambda: words in self.told, f"the log has {words!r}", deadline_s=DEADLINE_S)

    def wait_until_sampled(self, times: int = 1) -> None:
        """Return once it has taken so many samples."""

        def is_sampled() -> bool:
            """Ask, however early that is."""
            assert self.process.poll() is None, self.told
            with contextlib.suppress(OSError, http.client.HTTPException):
                return self.metric("portroom_samples_total") >= times
            return False

        wait_until(is_sampled, f"{times} samples were taken", deadline_s=DEADLINE_S)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """
        Return what a path answers.

        One connection serves all requests, as far as it can: who asks again and again
        would else fill the range that is to be looked at.
        """
        try:
            self._asking.request("GET", path, headers=dict(headers or {}))
            answer = self._asking.getresponse()
            return Answer(answer.status, answer.read().decode())
        except (OSError, http.client.HTTPException):
            self._asking.close()  # the next request opens it again
            raise

    def metric(self, name: str) -> float:
        """Return a metric without labels; -1 where there is none."""
        lines = self.get("/metrics").text.splitlines()
        return next((float(line.split()[1]) for line in lines if line.startswith(f"{name} ")), -1.0)

    def stream(self) -> socket.socket:
        """Return the connection of somebody who reads events, the first of which has come."""
        one = socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_S)
        host = f"127.0.0.1:{self.port}"
        one.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        seen = b""
        while b"data:" not in seen:
            chunk = one.recv(1 << 16)
            assert chunk, seen
            seen += chunk
        return one

    def close(self) -> None:
        """Let go of the connection by which it was asked."""
        self._asking.close()

    def end(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """End it by a signal, and return its exit status and how long that took."""
        began_s = time.monotonic()
        self.process.send_signal(number)
        status = self.process.wait(DEADLINE_S)
        return status, time.monotonic() - began_s


@contextlib.contextmanager
def served(folder: Path, *words: str, **options: Any) -> Iterator[Served]:
    """Serve for the length of a ``with`` block, whatever happens in it."""
    one = Served(folder, *words, **options)
    try:
        yield one
    finally:
        one.process.kill()
        one.process.wait()
        one.close()


def cpu_s(pid: int) -> float:
    """Return how much processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wakings(pid: int) -> int:
    """Return how often the threads of a process have gone to sleep, which each time woke."""
    total = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        lines = status.read_text().splitlines()
        total += next(
            int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches")
        )
    return total
