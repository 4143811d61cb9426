"""Which commands run on which population, and the bars they should reach.

The bars were set before the program was written, from what prototypes reached:
the cost is the kernel's, and a program can only add to it.
"""

from pathlib import Path
from typing import NamedTuple

from bench import commands
from bench.commands import DRAIN, SS_AWK, SS_OWNERS, headroom
from bench.comparisons import Comparison, Figure
from bench.population import Population
from bench.process import Command

MEMORY_MIB = 60
"""Peak resident memory for a million sockets, outgoing or inbound."""


class Case(NamedTuple):
    """
    One population with what is measured on it.

    Args:
        population: The sockets.
        rounds: How often each command runs.
        commands: What runs, in turn.
        comparisons: The rows of the table.
    """

    population: Population
    rounds: int
    commands: tuple[Command, ...]
    comparisons: tuple[Comparison, ...]


def all_cases(folder: Path) -> list[Case]:
    """
    Return every case, the smallest first.

    Args:
        folder: Where the C drain is compiled.
    """
    drains = commands.drains(folder)
    return [
        idle(),
        ten_thousand(drains),
        hundred_thousand(drains),
        owners(),
        many_destinations(drains),
        million(drains),
        million_mixed(drains),
        million_inbound(drains),
    ]


def idle() -> Case:
    """Return the case of a host without a socket: what a start costs."""
    empty = commands.EMPTY_PYTHON
    return Case(
        Population("idle", "no sockets"),
        21,
        (
            commands.empty_python(),
            commands.portroom(commands.VERSION),
            commands.portroom(commands.STATUS),
        ),
        (
            Comparison(empty, empty, Figure.EXTRA),
            Comparison(commands.VERSION, empty, Figure.EXTRA, 40),
            Comparison(commands.STATUS, empty, Figure.EXTRA, 120),
        ),
    )


def ten_thousand(drains: tuple[Command, ...]) -> Case:
    """Return the case of 10,000 sockets, where Python's start is the cost."""
    return Case(
        Population("10k", "10,000 ESTABLISHED", established=10_000),
        15,
        (*peers(python_runs=3), *drains, counting(1)),
        (
            *against_ss(commands.NETSTAT_AWK, commands.PSUTIL, commands.PYROUTE2, *DRAIN),
            Comparison(headroom(1), SS_AWK, Figure.COST, 4),
        ),
    )


def hundred_thousand(drains: tuple[Command, ...]) -> Case:
    """Return the case of 100,000 sockets."""
    return Case(
        Population("100k", "100,000 ESTABLISHED", established=100_000),
        11,
        (*peers(python_runs=1), *drains, counting(1), counting(2)),
        (
            *against_ss(commands.NETSTAT_AWK, commands.PSUTIL, commands.PYROUTE2, *DRAIN),
            *faster_and_near_drain(1, faster=1.4, drain=None),
            *faster_and_near_drain(2, faster=None, drain=None),
        ),
    )


def owners() -> Case:
    """Return the case of 100,000 sockets with the processes that hold them."""
    return Case(
        Population("owners", "100,000 held by processes", established=100_000),
        5,
        (
            commands.ss_owners(),
            commands.psutil(runs_at_most=3),
            commands.portroom(commands.HEADROOM_OWNERS, commands.count_owned),
            commands.portroom(commands.SESSIONS, commands.count_sessions),
        ),
        (
            Comparison(SS_OWNERS, SS_OWNERS, Figure.SPEED),
            Comparison(commands.PSUTIL, SS_OWNERS, Figure.SPEED),
            Comparison(commands.HEADROOM_OWNERS, SS_OWNERS, Figure.SPEED, 4),
            Comparison(commands.SESSIONS, SS_OWNERS, Figure.SPEED),
        ),
    )


def many_destinations(drains: tuple[Command, ...]) -> Case:
    """Return the case where grouping costs most: few sockets a destination."""
    return Case(
        Population(
            "60k-destinations",
            "200,000 ESTABLISHED in 60,000 destinations",
            established=200_000,
            destinations=60_000,
        ),
        9,
        (commands.ss_awk(), drains[0], commands.portroom(headroom(1))),
        (
            *against_ss(DRAIN[0]),
            *faster_and_near_drain(1, faster=1.3, drain=None),
        ),
    )


def million(drains: tuple[Command, ...]) -> Case:
    """Return the case of a million outgoing connections."""
    return Case(
        Population("1M", "1,000,000 ESTABLISHED", established=1_000_000),
        5,
        (commands.ss_awk(), commands.netstat_awk(), *drains, counting(1), counting(2)),
        (
            *against_ss(commands.NETSTAT_AWK, *DRAIN),
            *faster_and_near_drain(1, faster=1.6, drain=1.35),
            *faster_and_near_drain(2, faster=2.5, drain=1.35),
            *(memory(threads) for threads in (1, 2)),
        ),
    )


def million_mixed(drains: tuple[Command, ...]) -> Case:
    """Return the case of a client that closes first: 40 % TIME_WAIT."""
    return Case(
        Population(
            "1M-mixed",
            "1,000,000, 40 % TIME_WAIT",
            established=600_000,
            time_wait=400_000,
        ),
        5,
        (commands.ss_awk(), *drains, counting(1), counting(2)),
        (
            *against_ss(*DRAIN),
            *faster_and_near_drain(1, faster=1.6, drain=1.6),
            *faster_and_near_drain(2, faster=1.6, drain=1.6),
        ),
    )


def million_inbound(drains: tuple[Command, ...]) -> Case:
    """Return the case of a server: a million accepted connections."""
    return Case(
        Population("1M-inbound", "1,000,000 accepted on one port", inbound=1_000_000),
        3,
        (
            commands.ss_awk(),
            drains[0],
            *(commands.portroom(headroom(threads)) for threads in (1, 2)),
        ),
        (
            *against_ss(DRAIN[0]),
            *faster_and_near_drain(1, faster=None, drain=None),
            *(memory(threads) for threads in (1, 2)),
        ),
    )


def peers(python_runs: int) -> tuple[Command, ...]:
    """Return the peers that count, the libraries at most *python_runs* times."""
    return (
        commands.ss_awk(),
        commands.netstat_awk(),
        commands.psutil(python_runs),
        commands.pyroute2(python_runs),
    )


def counting(threads: int) -> Command:
    """Return ``portroom headroom``, checked for having counted every socket."""
    return commands.portroom(headroom(threads), commands.sum_of_states)


def against_ss(*names: str) -> tuple[Comparison, ...]:
    """Return the row of ``ss | awk`` and rows without a bar that compare with it."""
    every = (SS_AWK, *names)
    return tuple(Comparison(name, SS_AWK, Figure.SPEED) for name in every)


def faster_and_near_drain(
    threads: int, *, faster: float | None, drain: float | None
) -> tuple[Comparison, ...]:
    """Return the two rows of ``portroom headroom`` with that many threads."""
    return (
        Comparison(headroom(threads), SS_AWK, Figure.SPEED, faster),
        Comparison(headroom(threads), DRAIN[threads - 1], Figure.COST, drain),
    )


def memory(threads: int) -> Comparison:
    """Return the row of peak memory with that many threads."""
    name = headroom(threads)
    return Comparison(name, name, Figure.MEMORY, MEMORY_MIB)
