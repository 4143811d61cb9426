"""Measure what `portroom serve` takes: processor, memory, its samples, its answers.

Rules of this file:

- the daemon is the installed command, in the namespace of the population, with
  its usual settings; nothing of it is called by hand;
- processor time is that of the process over a span of WATCHED_S, read from /proc,
  after it began to serve and took its first, full sample;
- how long a sample takes is what the daemon itself tells.
"""

import contextlib
import http.client
import os
import re
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench import machine, table, workers
from bench.errors import BenchError
from bench.population import Population, populated

BEGIN = "<!-- begin: written by ./run bench --watch -->"
END = "<!-- end: written by ./run bench --watch -->"

WATCHED_S = 60.0
PORT = 9765
READY_WITHIN_S = 60.0
REQUESTS = 50
STREAMS = 100
ONE_SHOTS = 5

MEBIBYTE = 1 << 20

IDLE = Population("idle", "no sockets")
MANY = Population("100k", "100,000 ESTABLISHED", established=100_000)
MOST = Population("1M", "1,000,000 ESTABLISHED", established=1_000_000)

HEADINGS = ("Sockets", "What", "Measured", "Target", "Reached")


class Figure(NamedTuple):
    """
    One row: what was measured, in its unit, and the most that it may be.

    Args:
        sockets: Which population.
        what: What was measured.
        value: The figure.
        target: The most it may be, ends included; None for no target.
        unit: Of both.
    """

    sockets: str
    what: str
    value: float
    target: float | None
    unit: str


class Daemon(NamedTuple):
    """A daemon that serves, by its process."""

    process: int

    def cpu_s(self) -> float:
        """Return the processor time that it took so far, in user and kernel mode."""
        fields = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        # utime and stime are fields 14 and 15 of proc(5); the text begins with field 3.
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self, name: str = "VmRSS") -> int:
        """Return its resident memory, now or (VmHWM) at its most."""
        status = Path(f"/proc/{self.process}/status").read_text()
        found = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
        if not found:
            raise BenchError("the daemon ended while it was measured.")
        return int(found[1]) * 1024

    def busy_ratio(self) -> float:
        """Watch it for WATCHED_S, and return which part of one processor it took."""
        before = self.cpu_s()
        time.sleep(WATCHED_S)
        return (self.cpu_s() - before) / WATCHED_S

    def sample_s(self) -> float:
        """Return how long its newest sample took."""
        return float(_metric("portroom_sample_duration_seconds"))


def run() -> int:
    """Measure all, print and keep the table; return 1 if a target was missed."""
    workers.raise_descriptor_limit()
    figures = [*_idle(), *_many(), *_most()]
    text = f"{machine.describe()}\n\n{_markdown(figures)}"
    print(text)
    table.write(text, BEGIN, END)
    return int(not all(map(_is_reached, figures)))


def _idle() -> Iterator[Figure]:
    """Yield what it takes where nothing is in use, alone and with open streams."""
    with populated(IDLE), _serving() as daemon:
        alone = daemon.busy_ratio()
        resident = daemon.resident_bytes()
        yield Figure(IDLE.title, "processor", alone * 100, 0.3, "% of one")
        yield Figure(IDLE.title, "resident memory", resident / MEBIBYTE, 50, "MiB")
        with _streams():
            with_streams = daemon.busy_ratio()
            more = daemon.resident_bytes() - resident
        title = f"{STREAMS} open streams: "
        yield Figure(IDLE.title, f"{title}processor", with_streams * 100, 5, "% of one")
        yield Figure(IDLE.title, f"{title}more memory", more / MEBIBYTE, 60, "MiB")


def _many() -> Iterator[Figure]:
    """Yield what it takes at 100,000 sockets."""
    with populated(MANY), _serving() as daemon:
        samples = []
        before, until_s = daemon.cpu_s(), time.monotonic() + WATCHED_S
        while time.monotonic() < until_s:
            time.sleep(10)
            samples.append(daemon.sample_s())
        busy = (daemon.cpu_s() - before) / WATCHED_S
        yield Figure(MANY.title, "a sample", statistics.median(samples) * 1000, 150, "ms")
        yield Figure(MANY.title, "processor", busy * 100, 2, "% of one")
        answers = statistics.median(_metrics_s() for _ in range(REQUESTS))
        yield Figure(MANY.title, "`/metrics`", answers * 1000, 20, "ms")


def _most() -> Iterator[Figure]:
    """Yield what it takes at a million sockets, beside an answer of the command."""
    with populated(MOST), _serving() as daemon:
        samples, answers = [], []
        for _ in range(ONE_SHOTS):
            time.sleep(10)
            samples.append(daemon.sample_s())
            answers.append(_one_shot_s())
        ratio = statistics.median(samples) / statistics.median(answers)
        yield Figure(MOST.title, "a sample", ratio, 1.3, "× `portroom headroom -o json`")
        highest = daemon.resident_bytes("VmHWM")
        yield Figure(MOST.title, "resident memory, at its most", highest / MEBIBYTE, 70, "MiB")


@contextmanager
def _serving() -> Iterator[Daemon]:
    """Serve in the namespace of the caller, with history, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="portroom-bench-") as folder:
        environment = os.environ | {"STATE_DIRECTORY": folder}
        words = ["portroom", "serve", "--listen", f"127.0.0.1:{PORT}"]
        process = subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL)
        try:
            _await_ready(process)
            yield Daemon(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def _await_ready(process: "subprocess.Popen[bytes]") -> None:
    """
    Wait until the daemon took two samples: the first is a full one.

    Raises:
        BenchError: It ended, or did not get so far.
    """
    until_s = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < until_s:
        if process.poll() is not None:
            raise BenchError(f"portroom serve ended with {process.returncode}.")
        with contextlib.suppress(OSError, BenchError):
            if float(_metric("portroom_samples_total")) > 1:
                return
        time.sleep(0.2)
    raise BenchError("portroom serve took no sample.")


def _metric(name: str) -> str:
    """
    Return the value of a metric without labels.

    Raises:
        BenchError: There is none of that name.
    """
    found = re.search(rf"^{name} (\S+)$", _get("/metrics"), re.MULTILINE)
    if not found:
        raise BenchError(f"/metrics tells no {name}.")
    return found[1]


def _get(path: str) -> str:
    """Return what the daemon answers."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status != http.client.OK:
            raise BenchError(f"{path}: {answer.status} {text!r}")
        return text


def _metrics_s() -> float:
    """Return how long ``/metrics`` takes, its connection included."""
    began_s = time.perf_counter()
    _get("/metrics")
    return time.perf_counter() - began_s


@contextmanager
def _streams() -> Iterator[None]:
    """Hold so many streams of events open, and read what comes."""
    opened = [_stream() for _ in range(STREAMS)]
    reader = os.fork()
    if reader == 0:
        _read_all(opened)
    try:
        yield
    finally:
        os.kill(reader, signal.SIGKILL)
        os.waitpid(reader, 0)
        for one in opened:
            one.close()


def _stream() -> socket.socket:
    """Return a connection on which events come."""
    one = socket.create_connection(("127.0.0.1", PORT))
    one.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1:{PORT}\r\n\r\n".encode())
    if b" 200 " not in one.recv(65536):
        raise BenchError("/api/v1/events gave no stream.")
    return one


def _read_all(opened: list[socket.socket]) -> None:
    """Read what comes, for ever: in a process of its own, whose time is not the daemon's."""
    import selectors

    waiting = selectors.DefaultSelector()
    for one in opened:
        waiting.register(one, selectors.EVENT_READ)
    while True:
        for ready, _ in waiting.select():
            assert isinstance(ready.fileobj, socket.socket)
            ready.fileobj.recv(1 << 20)


def _one_shot_s() -> float:
    """Return how long the command takes that answers once."""
    began_s = time.perf_counter()
    subprocess.run(["portroom", "headroom", "-o", "json"], capture_output=True, check=True)
    return time.perf_counter() - began_s


def _is_reached(figure: Figure) -> bool:
    """Say whether a figure is no more than it may be."""
    return figure.target is None or figure.value <= figure.target


def _markdown(figures: list[Figure]) -> str:
    """Return the figures as a Markdown table."""
    lines = [HEADINGS, tuple("---" for _ in HEADINGS), *map(_cells, figures)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(figure: Figure) -> tuple[str, ...]:
    """Return one row as HEADINGS has it."""
    target = "" if figure.target is None else f"≤ {figure.target:g} {figure.unit}"
    reached = "" if figure.target is None else "yes" if _is_reached(figure) else "**no**"
    return (figure.sockets, figure.what, f"{figure.value:.2f} {figure.unit}", target, reached)
