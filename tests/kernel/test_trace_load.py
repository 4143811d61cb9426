"""Prove that many failures are all counted, and that those that are not are."""

import collections
import contextlib
import os
import socket
import time
from pathlib import Path

import pytest

from portroom.trace.live import watching
from tests.kernel.sockets import fill, listener
from tests.kernel.test_trace import SERVER, connect, full_unix
from tests.kernel.traced import forked

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may watch failures")

FEW = {"ip_local_port_range": "40000 40009"}
FAILURES, PROCESSES, UNIX = 1000, 3, 200


def fail(times: int, unix: int = 0) -> None:
    """
    Fail to connect, and among it to a unix server.
    """
    for number in range(max(times, unix)):
        if number < times:
            connect(SERVER)
        if number < unix:
            connect("\0portroom-test", socket.AF_UNIX, blocking=False)


def named(name: str, times: int, unix: int) -> None:
    """
    Fail under a name.
    """
    Path("/proc/self/comm").write_text(name)
    fail(times, unix)


def test_a_thousand_failures_of_three_processes_are_counted_and_attributed(netns):
    """
    1,000 searches that found no port, each with its process, and unix servers beside them.
    """
    shares = [FAILURES // 2, FAILURES // 3, FAILURES - FAILURES // 2 - FAILURES // 3]

    def job():
        listener(*SERVER)
        fill(SERVER)
        full_unix()
        found = []
        with contextlib.ExitStack() as stack:
            watch = stack.enter_context(watching())
            pids = [
                stack.enter_context(
                    forked(lambda share=share, n=n: named(f"client {n}", share, UNIX))
                )
                for n, share in enumerate(shares)
            ]
            wanted, end_s = FAILURES + PROCESSES * UNIX, time.monotonic() + 30
            while len(found) < wanted and time.monotonic() < end_s:
                found += [raw for raw in watch.read(0.2) if raw.process.pid in pids]
            found += [raw for raw in watch.rest() if raw.process.pid in pids]
            lost = watch.lost_events
        counts = collections.Counter(
            (pids.index(raw.process.pid), raw.process.command, raw.family, raw.searched)
            for raw in found
        )
        return lost, counts, {raw.remote for raw in found if raw.searched}

    lost, counts, remotes = netns(job, **FEW)

    expected = {(n, f"client {n}", 2, True): share for n, share in enumerate(shares)} | {
        (n, f"client {n}", 1, False): UNIX for n in range(PROCESSES)
    }
    assert 0 == lost
    assert expected == counts
    assert {SERVER} == remotes


def test_what_there_was_no_room_for_is_counted(netns, monkeypatch):
    """
    A reader that does not come in time loses events, and says how many.
    """
    monkeypatch.setattr("portroom.trace.live.buffer_kb", lambda _: 8)
    times = 2000

    def job():
        listener(*SERVER)
        fill(SERVER)
        reading, writing = os.pipe()
        with (
            watching() as watch,
            forked(lambda: (fail(times), os.write(writing, b"1"))) as pid,
        ):
            os.read(reading, 1)
            before = watch.lost_events
            found = [raw for raw in watch.read(0.5) + watch.rest() if raw.process.pid == pid]
            return len(found), before, watch.lost_events

    told, before, after = netns(job, **FEW)

    # Each failure is two events; one of them may have found room.
    assert before == after > 0
    assert 0 < told < times <= told + after <= 2 * times
