"""Measure what `portroom trace` tells and costs while connects fail.

Rules of this file:

- each failing process has a namespace of ten ports that are all held, so that a
  search that finds none is as short as it can be; it counts what it made;
- what is compared with it is what the real command told in the end;
- CPU is that of the command alone, from its start to its end, start included.
"""

import json
import os
import signal
import socket
import subprocess
import time
from typing import NamedTuple

from bench import machine, namespace, table
from bench.errors import BenchError

BEGIN = "<!-- begin: written by ./run bench --trace -->"
END = "<!-- end: written by ./run bench --trace -->"

PROCESSES = 3
SECONDS = 5.0
RATES = (0, 100, 1_000, 10_000, 20_000)
"""Failures a second, of all processes together."""

REMOTE = (namespace.HOST_ADDRESS, 9000)
FIRST, LAST = 40000, 40009

BURST_S = 0.01
"""A process makes the failures of so long at once, then waits."""

LAST_ONES_S = 1.0
"""Until the command has read what happened last."""

HEADINGS = (
    "Failures a second",
    "Made",
    "Told",
    "Lost events",
    "CPU of one processor",
    "Peak memory",
)


class Measured(NamedTuple):
    """What was made and told in one run, and what the command took."""

    rate: int
    made: int
    told: int
    lost_events: int
    cpu_ratio: float
    peak_bytes: int

    @property
    def is_whole(self) -> bool:
        """Say whether every failure was told."""
        return self.told == self.made and not self.lost_events


class Failing(NamedTuple):
    """A process that fails once it is told to, and then tells how often it did."""

    process: int
    begin: int
    report: int


def run() -> int:
    """Measure every rate, print and keep the table; return 1 if a failure was not told."""
    rows = [_measured(rate) for rate in RATES]
    text = f"{machine.describe()}\n\n{_markdown(rows)}"
    print(text)
    table.write(text, BEGIN, END)
    return int(not all(row.is_whole for row in rows))


def _measured(rate: int) -> Measured:
    """Return one run: processes fail so often for some seconds, and the command watches."""
    failing = [_start(rate / PROCESSES) for _ in range(PROCESSES)]
    started = time.monotonic()
    watch = subprocess.Popen(
        ["portroom", "trace", "--count", "-o", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert watch.stdout
    assert watch.stderr
    if b"Watching" not in watch.stderr.readline():
        raise BenchError("portroom trace did not start to watch.")
    for one in failing:
        os.write(one.begin, b"!")
    made = sum(int(os.read(one.report, 64)) for one in failing)
    time.sleep(LAST_ONES_S)
    watch.send_signal(signal.SIGTERM)
    answer = json.loads(watch.stdout.read())
    _, _, used = os.wait4(watch.pid, 0)
    seconds = time.monotonic() - started
    for one in failing:
        os.kill(one.process, signal.SIGKILL)
        os.waitpid(one.process, 0)
    return Measured(
        rate,
        made,
        answer["exhausted_total"],
        answer["lost_events"],
        (used.ru_utime + used.ru_stime) / seconds,
        used.ru_maxrss * 1024,
    )


def _start(rate: float) -> Failing:
    """Return a process whose ports are all held, ready to fail."""
    parent = os.getpid()
    reading, begin = os.pipe()
    report, writing = os.pipe()
    process = os.fork()
    if process == 0:
        namespace.die_with_parent(parent)
        held = _full_namespace()
        os.write(writing, b"r")
        os.read(reading, 1)
        made = _fail(rate)
        os.write(writing, str(made).encode())
        signal.pause()
        os._exit(len(held) > LAST)
    if os.read(report, 1) != b"r":
        raise BenchError("a process that shall fail did not get ready.")
    return Failing(process, begin, report)


def _full_namespace() -> list[socket.socket]:
    """Move to a namespace in which every port is held towards one destination."""
    namespace.unshare()
    path = "/proc/sys/net/ipv4/ip_local_port_range"
    with open(path, "w", encoding="ascii") as setting:  # noqa: PTH123 - one write
        setting.write(f"{FIRST} {LAST}\n")
    server = socket.create_server(REMOTE, backlog=LAST - FIRST + 1)
    return [server, *(socket.create_connection(REMOTE) for _ in range(FIRST, LAST + 1))]


def _fail(rate: float) -> int:
    """Connect in vain at a rate for SECONDS, and return how often."""
    made = 0
    began = time.monotonic()
    while (passed := time.monotonic() - began) < SECONDS:
        while made < rate * passed:
            with socket.socket() as one:
                if not one.connect_ex(REMOTE):
                    raise BenchError("a connect that shall fail got a port.")
            made += 1
        time.sleep(BURST_S)
    return made


def _markdown(rows: list[Measured]) -> str:
    """Return the rows as a Markdown table."""
    lines = [HEADINGS, tuple("---" for _ in HEADINGS), *map(_cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(row: Measured) -> tuple[str, ...]:
    """Return one row as HEADINGS has it."""
    return (
        f"{row.rate:,}",
        f"{row.made:,}",
        f"{row.told:,}",
        f"{row.lost_events:,}",
        f"{row.cpu_ratio * 100:.1f} %",
        f"{row.peak_bytes / (1 << 20):.0f} MiB",
    )
