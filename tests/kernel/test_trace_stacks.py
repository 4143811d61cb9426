"""Prove that the address of a failed call is the kernel's own word, whoever called."""

import contextlib
import ctypes
import errno
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from portroom.trace.live import watching
from tests.e2e.seccomp import no_perf_events
from tests.kernel import needs
from tests.kernel.harness import LIBC, in_child
from tests.kernel.sockets import connected, listener, take, tcp, udp
from tests.kernel.test_trace import bind, connect
from tests.kernel.traced import PATIENCE_S, collect, failures_of, forked

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may watch failures")

FEW = {"ip_local_port_range": "40000 40009"}
SERVER, SERVER6 = ("127.0.0.1", 9000), ("::1", 9000)
UDP = socket.SOCK_DGRAM

TRIES = needs.rounds(1, in_guest=4)

ENDS_AT_ONCE = """
import os, socket
made = socket.socket()
try:
    made.bind(("127.0.0.1", 9000))
finally:
    os._exit(0)
"""

CASES = [
    pytest.param(lambda: bind(SERVER), ("EADDRINUSE", 2, "tcp", SERVER), id="IPv4"),
    pytest.param(
        lambda: bind(SERVER6, socket.AF_INET6), ("EADDRINUSE", 10, "tcp", SERVER6), id="IPv6"
    ),
    pytest.param(
        lambda: bind(("::ffff:127.0.0.1", 9000), socket.AF_INET6),
        ("EADDRINUSE", 10, "tcp", SERVER),
        id="IPv4 within IPv6",
    ),
    pytest.param(lambda: bind(SERVER, kind=UDP), ("EADDRINUSE", 2, "udp", SERVER), id="UDP"),
    pytest.param(
        lambda: bind(("127.0.0.1", 0)), ("EADDRINUSE", 2, "tcp", ("127.0.0.1", 0)), id="any port"
    ),
    pytest.param(
        lambda: bind(("192.0.2.1", 80)),
        ("EADDRNOTAVAIL", 2, "tcp", ("192.0.2.1", 80)),
        id="not an address of this host",
    ),
    pytest.param(
        lambda: connect(("127.0.0.1", 53), kind=UDP),
        ("EAGAIN", 2, "udp", ("127.0.0.1", 53)),
        id="a connect of UDP",
    ),
    pytest.param(
        lambda: bind(("127.0.0.1", 0), kind=UDP),
        ("EADDRINUSE", 2, "udp", ("127.0.0.1", 0)),
        id="any port of UDP",
    ),
]


def prepare():
    """
    Have a server, and no port left that is free.
    """
    for remote in (SERVER, SERVER6):
        listener(*remote)
    held = socket.socket(socket.AF_INET, UDP)
    held.bind(SERVER)
    take(lambda: connected(("127.0.0.1", 53), udp))
    take(lambda: tcp(("127.0.0.1", 0)))
    return held


def told(raw):
    """
    Return what is told of a failure and its address.
    """
    return errno.errorcode[raw.errno], raw.family, raw.protocol, raw.local or raw.remote


@pytest.mark.parametrize(("fail", "expected"), CASES)
def test_the_address_is_told_by_the_kernel(netns, fail, expected):
    """
    CPython has it on the stack of C, where nothing is left of it a moment later.

    An emulated machine that loses its processor in between may tell none of some.
    """

    def job():
        held = prepare()
        made = failures_of(lambda: [fail() for _ in range(TRIES)], TRIES)
        held.close()
        return [(told(raw), raw.address_source) for raw in made]

    found = netns(job, **FEW)

    assert TRIES == len(found)
    assert (expected, "kernel") in found
    # Nothing may be told, never something else.
    lost = ((*expected[:3], None), None)
    assert {(expected, "kernel"), lost} >= set(found)


def test_the_address_of_who_ended_at_once_is_told(netns):
    """
    Its memory is gone with it, and what the kernel copied is not.
    """

    def job():
        prepare()
        with watching() as watch:
            pid = subprocess.Popen([sys.executable, "-c", ENDS_AT_ONCE])
            pid.wait()
            (raw,) = of_thread(watch, pid.pid, 1)
        return told(raw), raw.address_source

    assert (("EADDRINUSE", 2, "tcp", SERVER), "kernel") == netns(job, **FEW)


def of_thread(watch, tid, wanted):
    """
    Return so many failures of a thread, which may have ended.
    """
    end_s, found = time.monotonic() + PATIENCE_S, []
    while len(found) < wanted and time.monotonic() < end_s:
        found += [raw for raw in watch.read(0.2) if raw.tid == tid]
    return found


TIMES = 2000


def bind_each(times):
    """
    Bind to one port after the other of an address that this host does not have.

    On one processor and on another, as a thread may be moved.
    """
    processors = sorted(os.sched_getaffinity(0))
    with socket.socket() as made:
        for number in range(1, times + 1):
            if number % 100 == 0:
                os.sched_setaffinity(0, {processors[number // 100 % len(processors)]})
            with contextlib.suppress(OSError):
                made.bind(("192.0.2.1", number))


def test_no_call_is_told_with_the_address_of_another(netns):
    """
    2,000 calls at one place in memory, faster than anybody reads: the right port or none.
    """

    def job():
        found = failures_of(lambda: bind_each(TIMES), TIMES)
        return [raw.local and raw.local[1] for raw in found if raw.address_source == "kernel"], [
            (number, raw.local)
            for number, raw in enumerate(found, 1)
            if raw.local not in (None, ("192.0.2.1", number))
        ]

    ports, wrong = netns(job)

    assert [] == wrong
    assert len(ports) > 50


def test_an_address_elsewhere_is_read_from_memory(netns):
    """
    What a program keeps on its heap is not in its stack.
    """
    kept = ctypes.create_string_buffer(b"\x02\0\x23\x28\x7f\0\0\1", 16)

    def fail():
        LIBC.bind(socket.socket().detach(), kept, 16)

    def job():
        prepare()
        (raw,) = failures_of(fail, 1)
        return told(raw), raw.address_source

    assert (("EADDRINUSE", 2, "tcp", SERVER), "memory") == netns(job, **FEW)


def test_without_perf_failures_are_told_and_what_is_missed_is_said(netns):
    """
    Where the kernel refuses, addresses come from memory only, as far as they are left.
    """

    def job():
        prepare()
        no_perf_events()
        with watching() as watch, forked(lambda: bind(SERVER)) as pid:
            (raw,) = collect(watch, 1, {pid})
            return told(raw)[:3], raw.address_source in (None, "memory"), watch.gaps

    failure, is_late, (gap,) = netns(job, **FEW)

    assert (("EADDRINUSE", 2, "tcp"), True) == (failure, is_late)
    assert "perf_event_open: Operation not permitted" in gap.reason


def test_no_event_of_perf_is_left():
    """
    While a watch runs it holds some, and after it none.
    """

    def job():
        with watching() as watch:
            return watch.gaps, perf_events() > 0, (watch.close(), perf_events())[1]

    assert ((), True, 0) == in_child(job)


def perf_events():
    """
    Return how many events of perf this process holds.
    """
    targets = []
    for path in Path("/proc/self/fd").iterdir():
        # One of them is that of the folder, which is closed by then.
        with contextlib.suppress(FileNotFoundError):
            targets.append(str(path.readlink()))
    return sum("perf_event" in target for target in targets)
