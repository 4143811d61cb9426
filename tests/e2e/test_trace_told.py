"""
What `portroom trace` tells of failures that are easily told wrong, on the real kernel.
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import json
import os
import selectors
import shutil
import signal
import sys
import threading
from pathlib import Path

import pytest

from tests.e2e.faults import ask, needs_root, refused
from tests.e2e.tracing import DEADLINE_S, RANGE, failures, full, refuse, traced
from tests.kernel.harness import in_namespace, wait_until
from tests.kernel.sockets import connected, fill_bind0, udp

pytestmark = needs_root

REMOTE = ("127.0.0.1", 9)


def all_reserved():
    """Reserve the whole range, and connect a UDP socket."""
    Path("/proc/sys/net/ipv4/ip_local_reserved_ports").write_text("40000-40009")
    refuse(REMOTE, make=udp)


def window_full():
    """Fill the range that UDP sockets have set, in one that is free."""
    for _ in range(2):
        connected(REMOTE, udp, range_option=(40002, 40003))
    refuse(REMOTE, make=udp, range_option=(40002, 40003))


@pytest.mark.parametrize("fail", [all_reserved, window_full])
def test_a_udp_connect_in_a_narrowed_range(netns, fail):
    """EAGAIN is no full pool where next to no UDP socket is; it is a want of ports all the same."""
    (found,), _, told = netns(lambda: failures(fail), **RANGE)

    assert ("EAGAIN", "udp", "narrowed_range") == tuple(
        found[name] for name in ("error", "protocol", "cause")
    )
    assert "it was for want of a free local port" in told


@contextlib.contextmanager
def failed(*jobs):
    """Do each in a child that stays for the length of a ``with`` block; give their numbers."""
    reads, writes = os.pipe()
    pids = []
    for job in jobs:
        pids.append(os.fork())
        if pids[-1] == 0:
            try:
                job(lambda: os.write(writes, b"."))
                signal.pause()
            finally:
                os._exit(1)
    try:
        for _ in jobs:
            os.read(reads, 1)
        yield pids
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def call_oneself(name):
    """Have a name."""
    Path("/proc/self/comm").write_bytes(name)


def called(pid):
    """Return the name of a process."""
    return Path(f"/proc/{pid}/comm").read_text().strip()


def fail_and_exec(done):
    """Fail under one name, and become another program at once."""
    call_oneself(b"failing")
    refuse()
    done()
    os.execv("/bin/sleep", ["sleep", "60"])


def failures_of(*jobs):
    """Return process number, name and user of each failure of some children."""
    with traced("-o", "jsonl") as seen, failed(*jobs) as pids:
        answer = seen.end()[1]
    told = [json.loads(line)["process"] for line in answer.splitlines()]
    return pids, [(one["pid"], one["command"], one["uid"]) for one in told]


def test_exec_after_a_failure_does_not_change_who_failed(netns):
    """A shell that fails may be another program before anybody looks."""

    def job():
        """Fail and exec, many times."""
        full()
        with traced("-o", "jsonl") as seen, failed(*[fail_and_exec] * 5) as pids:
            wait_until(lambda: {"sleep"} == set(map(called, pids)), "all are other programs")
            answer = seen.end()[1]
        return pids, [json.loads(line)["process"] for line in answer.splitlines()]

    pids, found = netns(job, **RANGE)

    assert [(pid, "failing") for pid in sorted(pids)] == sorted(
        (one["pid"], one["command"]) for one in found
    )


def blocked():
    """Bind every port, and connect to where nobody is connected."""
    fill_bind0("127.0.0.9", 10)
    refuse()


def filled():
    """Fill the range towards a server of this namespace."""
    full()
    refuse()


def test_namespaces_of_one_inode_are_told_apart():
    """One ends and the next one has its inode: each failure has the cause of its own."""

    def job(fail):
        """Fail, and stay until it is told; return what is told."""
        signal.alarm(DEADLINE_S)
        fail()
        own = str(os.getpid())
        rows = csv.DictReader(seen.process.stdout, heading)
        return next(row for row in rows if (row["pid"], row["errno"]) == (own, "99"))

    with traced("-o", "csv", here=False) as seen:
        heading = seen.process.stdout.readline().strip().split(",")
        fails = [(filled, blocked)[number % 2] for number in range(10)]
        found = [in_namespace(lambda fail=fail: job(fail), **RANGE) for fail in fails]

    assert ["key_full", "ports_blocked"] * 5 == [row["cause"] for row in found]
    assert 10 == len({row["netns_cookie"] for row in found})


def fail_as_user(done):
    """Fail as a user, in the same interpreter."""
    call_oneself(b"portroom")
    os.setresuid(1000, 1000, 1000)
    refuse()
    done()


def fail_as_root(done):
    """Fail as portroom would, which is run by root in this interpreter."""
    call_oneself(b"portroom")
    refuse()
    done()


def fail_under_another_name(done):
    """Fail as anybody."""
    call_oneself(b"anybody")
    refuse()
    done()


FAIL = """
import os, pathlib, signal, socket, sys
pathlib.Path("/proc/self/comm").write_text("portroom")
socket.socket().connect_ex(("127.0.0.1", 9000))
os.write(int(sys.argv[1]), b".")
signal.pause()
"""


def test_nobody_hides_by_a_name(netns, tmp_path):
    """Only portroom itself is not shown: that program, run by the user who traces."""
    copy = shutil.copy(Path(sys.executable).resolve(), tmp_path / "copy")

    def fail_as_another_program(done):
        """Fail in another file of the same name, whatever it does."""
        reads, writes = os.pipe()
        os.set_inheritable(writes, True)
        if os.fork() == 0:
            os.execv(copy, [copy, "-c", FAIL, str(writes)])
        os.read(reads, 1)
        done()

    def job():
        """Fail four times, three of them under the name of portroom."""
        full()
        every = (fail_as_user, fail_as_root, fail_under_another_name, fail_as_another_program)
        return failures_of(*every)[1]

    found = netns(job, **RANGE)

    assert [("anybody", 0), ("portroom", 0), ("portroom", 1000)] == sorted(
        (command, uid) for _, command, uid in found
    )


def test_a_hostile_name_does_nothing_though_its_process_is_another_by_now(netns):
    """What the kernel tells of names is escaped as any other text."""

    def fail(done):
        """Fail under a name that would colour the screen."""
        call_oneself(b"\x1b[31m\n7 x")
        refuse()
        call_oneself(b"another")
        done()

    def job():
        """Fail, and read the screen."""
        full()
        with traced() as seen, failed(fail):
            return seen.end()[1]

    shown = netns(job, **RANGE)

    assert "\x1b" not in shown
    assert "[31m" in shown
    assert "another(" not in shown


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--serve", ""], "no path"),
        (["--process", ""], "no name"),
        (["--process", " "], "no name"),
        (["--pid", "99999999"], "No process 99999999"),
    ],
)
def test_what_can_tell_nothing_is_refused(words, part):
    """With a sentence, and status 2: it would watch for ever, or be no place to ask."""
    refused(ask("trace", *words, "--duration", "1s"), 2, part)


def test_a_thread_stands_for_its_process(netns):
    """As `explain --pid` takes it."""

    def job():
        """Fail in this process, and ask for it by the number of another thread of it."""
        full()
        with contextlib.ExitStack() as opened:
            done = threading.Event()
            opened.callback(done.set)
            thread = threading.Thread(target=done.wait, daemon=True)
            thread.start()
            return failures(refuse, "--pid", str(thread.native_id))[0]

    assert 1 == len(netns(job, **RANGE))


def test_gaps_are_told_once(netns):
    """At the beginning or at the end, not at both."""

    def job():
        """Count nothing, as CSV."""
        with traced("--count", "-o", "csv") as seen:
            return seen.end()[2]

    assert 1 == netns(job, **RANGE).count("a send of an unbound UDP socket")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_reader_that_reads_nothing_does_not_hold_up_the_end(netns, number, status):
    """One signal ends it, though what it writes is not read."""

    def job():
        """Fail more often than a pipe has room for, and end it by one signal."""
        full()
        with traced("-o", "jsonl") as seen:
            fcntl.fcntl(seen.process.stdout, fcntl.F_SETPIPE_SZ, 4096)
            refuse(times=50)
            with selectors.DefaultSelector() as ready:
                ready.register(seen.process.stdout, selectors.EVENT_READ)
                assert ready.select(DEADLINE_S)
            seen.process.send_signal(number)
            return seen.process.wait(timeout=DEADLINE_S)

    assert status == netns(job, **RANGE)
