"""Run several commands in turn and keep their figures pair by pair."""

import os
import time
from collections.abc import Callable, Sequence
from statistics import median

from bench.errors import BenchError
from bench.process import Command, Run, run

A_FEW_IN = 100_000
"""Sockets of which one may be missing: an entry in TIME_WAIT may end early."""


class Series:
    """
    The runs of one command, by round; a round may lack one.

    Attributes:
        seconds: Time of each round.
        cpu_s: Time on a processor, likewise.
        peak_bytes: Highest peak memory, or None where it cannot be told.
        failure: Why the command was given up, or "".
    """

    def __init__(self) -> None:
        self.seconds: dict[int, float] = {}
        self.cpu_s: dict[int, float] = {}
        self.peak_bytes: int | None = None
        self.failure = ""

    def add(self, number: int, one: Run) -> None:
        """Keep run *one* of round *number*."""
        self.seconds[number] = one.seconds
        self.cpu_s[number] = one.cpu_s
        self.peak_bytes = max(self.peak_bytes or 0, one.peak_bytes or 0) or None

    @property
    def median_s(self) -> float:
        """Return the median time."""
        return median(self.seconds.values())

    @property
    def median_cpu_s(self) -> float:
        """Return the median time on a processor."""
        return median(self.cpu_s.values())


def pairs(one: Series, other: Series) -> list[tuple[float, float]]:
    """Return the times of both in each round that both were run in."""
    return [
        (seconds, other.seconds[number])
        for number, seconds in one.seconds.items()
        if number in other.seconds
    ]


def alternate(
    commands: Sequence[Command],
    rounds: int,
    *,
    sockets: int,
    until: float,
    tell: Callable[[str], None],
) -> dict[str, Series]:
    """
    Run every command once to check it, then all of them in turn, *rounds* times.

    Each round begins with another command, so that none always follows the same.

    Args:
        commands: What to run, with different names.
        rounds: How many rounds.
        sockets: What a command that counts sockets should count.
        until: Moment of ``time.monotonic()`` after which no round begins.
        tell: Takes a line about each command that failed.
    """
    series = {command.name: Series() for command in commands}
    for command in commands:
        series[command.name].failure = _check_once(command, sockets)
    for number in range(rounds):
        if time.monotonic() > until:
            tell(f"  only {number} rounds: the sockets would not live longer")
            break
        for place in range(len(commands)):
            command = commands[(place + number) % len(commands)]
            _run_once(command, series[command.name], number)
    return series


def _run_once(command: Command, series: Series, number: int) -> None:
    """Run *command* for round *number*, unless it failed or is done."""
    if series.failure or len(series.seconds) >= command.runs_at_most:
        return
    try:
        series.add(number, run(command))
    except BenchError as error:
        series.failure = str(error)


def _check_once(command: Command, sockets: int) -> str:
    """
    Run *command* and return why it cannot be measured, or "".

    This run also warms what the command reads. It happens in a process of its
    own, because keeping the output would add to our peak memory.
    """
    if command.runs_at_most == 1:
        return ""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, _complaint(command, sockets).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        complaint = stream.read().decode()
    os.waitpid(child, 0)
    return complaint


def _complaint(command: Command, sockets: int) -> str:
    """Return what is wrong with one run of *command*, or ""."""
    try:
        output = run(command, keep=command.counted is not None).output
        found = command.counted(output) if command.counted else sockets
    except (BenchError, LookupError, ValueError) as error:
        return str(error) or repr(error)
    if not sockets - sockets // A_FEW_IN <= found <= sockets:
        return f"{command.name}: counted {found:,} sockets of {sockets:,}"
    return ""
