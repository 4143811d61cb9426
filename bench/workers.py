"""Processes that make sockets, hold them, and die with whoever started them."""

import os
import resource
import signal
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple, NoReturn

from bench.errors import BenchError
from bench.namespace import die_with_parent

DESCRIPTORS = 19_000
"""Sockets that one worker holds; 20,000 is a common limit in containers."""


class Worker(NamedTuple):
    """A forked process, and where to read whether it is ready."""

    process: int
    report: int


def start(job: Callable[[], object]) -> Worker:
    """Return a process that has begun *job* and holds its result when done."""
    parent = os.getpid()
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reader)
        _work(job, writer, parent)
    os.close(writer)
    return Worker(process, reader)


def _work(job: Callable[[], object], report: int, parent: int) -> NoReturn:
    """Do *job*, report "" or the error, hold the result until killed."""
    try:
        die_with_parent(parent)
        ignore_interrupts()
        raise_descriptor_limit()
        held = job()
        os.close(report)
        _hold(held)
    except BaseException as error:  # noqa: BLE001, whatever it was, the parent tells it
        os.write(report, f"{type(error).__name__}: {error}".encode())
    os._exit(1)


def _hold(_held: object) -> NoReturn:
    """Keep a reference to what was made, until this process is killed."""
    while True:
        signal.pause()


def ignore_interrupts() -> None:
    """Leave Ctrl-C to the process at the head, which ends the others in order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def raise_descriptor_limit() -> None:
    """Let this process hold as many descriptors as its hard limit allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def await_ready(workers: Sequence[Worker]) -> None:
    """Wait until every worker has done its job.

    Raises:
        BenchError: A worker could not; the first one's reason.
    """
    reasons = [_read_all(worker.report).decode() for worker in workers]
    for reason in filter(None, reasons):
        raise BenchError(f"a worker of the population ended: {reason}")


def _read_all(descriptor: int) -> bytes:
    """Read *descriptor* to its end and close it."""
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read()


def stop(workers: Sequence[Worker]) -> None:
    """Kill the workers and wait until their sockets are gone."""
    for worker in workers:
        os.kill(worker.process, signal.SIGKILL)
    for worker in workers:
        os.waitpid(worker.process, 0)


def shares(total: int, largest: int = DESCRIPTORS) -> list[range]:
    """
    Return *total* split into equal ranges, two or more, none over *largest*.

    >>> shares(5, largest=2)
    [range(0, 1), range(1, 3), range(3, 5)]
    >>> shares(0)
    []
    """
    if not total:
        return []
    count = max(2, -(-total // largest))
    edges = [total * number // count for number in range(count + 1)]
    return [range(first, end) for first, end in pairwise(edges)]
