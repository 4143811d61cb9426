"""Prove that each failure is told as it happened: what, who, and about what."""

import contextlib
import ctypes
import errno
import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from portroom.trace.live import watching
from tests.kernel.harness import LIBC, in_child, wait_until
from tests.kernel.sockets import fill, listener, tcp
from tests.kernel.traced import collect, failures_of, forked

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may watch failures")

SERVER, SERVER6 = ("127.0.0.1", 9000), ("::1", 9000)
_HELD = []
"""Sockets that stay open as long as their process."""

FEW = {"ip_local_port_range": "40000 40009"}


def refused(action, *arguments):
    """
    Do what fails.
    """
    with contextlib.suppress(OSError):
        action(*arguments)


def connect(remote, family=socket.AF_INET, kind=socket.SOCK_STREAM, **options):
    """
    Connect a socket that is closed at once, without what makes one fail that would not.
    """
    with socket.socket(family, kind, options.get("protocol", 0)) as made:
        if "bound" in options:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(options["bound"])
        made.setblocking(options.get("blocking", True))
        refused(made.connect, remote)


def bind(address, family=socket.AF_INET, kind=socket.SOCK_STREAM):
    """
    Bind a socket that is closed at once.
    """
    with socket.socket(family, kind) as made:
        refused(made.bind, address)


def fast_open(remote):
    """
    Connect by sending: no connect() is called.
    """
    with socket.socket() as made:
        refused(made.sendto, b"x", socket.MSG_FASTOPEN, remote)


def full_unix(name="\0portroom-test"):
    """
    Fill the queue of a unix server.
    """
    server = socket.socket(socket.AF_UNIX)
    server.bind(name)
    server.listen(0)
    clients = []
    with contextlib.suppress(BlockingIOError):
        while True:
            clients.append(socket.socket(socket.AF_UNIX))
            clients[-1].setblocking(False)
            clients[-1].connect(name)
    _HELD.extend([server, *clients])


def prepare():
    """
    Fill all that can be filled, before anybody watches: every port, and a unix server.
    """
    for remote in (SERVER, SERVER6):
        listener(*remote)
        fill(remote)
    tcp(("127.0.0.1", 30000), reuse_address=True).connect(SERVER)
    full_unix()


def told(raw):
    """
    Return what is told of a failure, without time and process.
    """
    return (
        *(raw.operation, errno.errorcode[raw.errno], raw.family, raw.protocol),
        *(raw.searched, raw.local, raw.remote, raw.told_by_call),
    )


ANY, ANY6 = ("127.0.0.1", 0), ("::1", 0)

CASES = [
    pytest.param(
        lambda: connect(SERVER),
        ("connect", "EADDRNOTAVAIL", 2, "tcp", True, ANY, SERVER, True),
        id="no port left",
    ),
    pytest.param(
        lambda: connect(SERVER, blocking=False),
        ("connect", "EADDRNOTAVAIL", 2, "tcp", True, ANY, SERVER, True),
        id="no port left, without waiting",
    ),
    pytest.param(
        lambda: connect(SERVER6, socket.AF_INET6),
        ("connect", "EADDRNOTAVAIL", 10, "tcp", True, ANY6, SERVER6, True),
        id="no port left for IPv6",
    ),
    pytest.param(
        lambda: connect(("::ffff:127.0.0.1", 9000), socket.AF_INET6),
        ("connect", "EADDRNOTAVAIL", 10, "tcp", True, ANY, SERVER, True),
        id="no port left for IPv4 within IPv6",
    ),
    pytest.param(
        lambda: fast_open(SERVER),
        ("connect", "EADDRNOTAVAIL", 2, "tcp", True, ANY, SERVER, False),
        id="no port left, without a call",
    ),
    pytest.param(
        lambda: connect(SERVER, bound=("127.0.0.1", 30000)),
        ("connect", "EADDRNOTAVAIL", 2, "tcp", False, ("127.0.0.1", 30000), SERVER, True),
        id="both ends given and in use",
    ),
    pytest.param(
        lambda: bind(("192.0.2.1", 80)),
        ("bind", "EADDRNOTAVAIL", 2, "tcp", False, None, None, True),
        id="not an address of this host",
    ),
    pytest.param(
        lambda: bind(("2001:db8::1", 80), socket.AF_INET6, socket.SOCK_DGRAM),
        ("bind", "EADDRNOTAVAIL", 10, "udp", False, None, None, True),
        id="not an IPv6 address of this host",
    ),
    pytest.param(
        lambda: bind(SERVER),
        ("bind", "EADDRINUSE", 2, "tcp", False, None, None, True),
        id="a port that is taken",
    ),
    pytest.param(
        lambda: bind(("127.0.0.1", 0)),
        ("bind", "EADDRINUSE", 2, "tcp", False, None, None, True),
        id="any port, none left",
    ),
    pytest.param(
        lambda: bind("\0portroom-test", socket.AF_UNIX),
        ("bind", "EADDRINUSE", 1, None, False, None, None, True),
        id="a unix name that is taken",
    ),
    pytest.param(
        lambda: connect("\0portroom-test", socket.AF_UNIX, blocking=False),
        ("connect", "EAGAIN", 1, None, False, None, None, True),
        id="a unix server whose queue is full",
    ),
]


@pytest.mark.parametrize(("fail", "expected"), CASES)
def test_each_failure_is_told_once(netns, fail, expected):
    """
    Operation, error, family, protocol, both ends as far as the kernel told them.
    """

    def job():
        prepare()
        return [told(raw) for raw in failures_of(fail, 1)]

    (found,) = netns(job, **FEW)

    # An address that only the memory had may be gone, and may be there.
    memory = {"bind": 5, "connect": 6}[expected[0]] if expected[5:7] == (None, None) else None
    assert expected == tuple(None if place == memory else one for place, one in enumerate(found))


def test_udp_without_a_port_is_told(netns):
    """
    An unbound connect of UDP gives EAGAIN, as a unix one may, and is told from it.
    """

    def job():
        full_unix()
        held = []
        for _ in range(10):
            held.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            held[-1].connect(("127.0.0.1", 53))
        fail = lambda: connect(("127.0.0.1", 53), kind=socket.SOCK_DGRAM)  # noqa: E731
        return [told(raw)[:5] for raw in failures_of(fail, 1)]

    assert [("connect", "EAGAIN", 2, "udp", False)] == netns(job, **FEW)


@pytest.mark.parametrize("number", [0, 9000])
def test_an_address_that_stays_in_memory_is_told(netns, number):
    """
    A program that keeps the address it passed has it read from its memory.
    """
    kept = ctypes.create_string_buffer(
        (2).to_bytes(2, "little") + number.to_bytes(2, "big") + bytes((127, 0, 0, 1)), 16
    )

    def fail():
        made = socket.socket()
        LIBC.bind(made.fileno(), kept, 16)

    def job():
        prepare()
        (raw,) = failures_of(fail, 1)
        return raw.local, raw.address_source

    assert (("127.0.0.1", number), "memory") == netns(job, **FEW)


def test_who_failed_is_told(netns):
    """
    Process, thread, start, command, user and namespace, of a thread that is not the first.
    """
    tids = os.pipe()

    def work():
        os.write(tids[1], b"%d" % threading.get_native_id())
        connect(SERVER)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        signal.sigwait([signal.SIGUSR1])

    def fail():
        os.setresuid(1000, 1000, 0)
        threading.Thread(target=work, daemon=True).start()

    def job():
        prepare()
        with watching() as watch, forked(fail) as pid:
            (raw,) = collect(watch, 1, {pid})
            start_time = int(stat_of(pid)[19])
            command = Path(f"/proc/{pid}/comm").read_text().strip()
        inode = Path("/proc/self/ns/net").stat().st_ino
        assert raw.process.netns is not None
        assert (pid, start_time, command, 1000, inode) == (
            raw.process.pid,
            raw.process.start_time,
            raw.process.command,
            raw.process.uid,
            raw.process.netns_inode,
        )
        return raw.tid, raw.process.tid, int(os.read(tids[0], 20)), pid

    tid, of_process, expected, pid = netns(job, **FEW)

    assert tid == of_process == expected != pid


def test_who_ended_is_told_by_the_command_that_was_noted(netns):
    """
    No process is left to be looked at: its number stays, and its last command.
    """

    def job():
        prepare()
        with watching() as watch:
            pid = os.fork()
            if pid == 0:
                Path("/proc/self/comm").write_text("gone by now")
                connect(SERVER)
                os._exit(0)
            os.waitpid(pid, 0)
            end_s = time.monotonic() + 20
            while time.monotonic() < end_s:
                for raw in watch.read(0.2):
                    if raw.tid == pid:
                        return raw.process.pid == pid, raw.process.command, raw.remote
        return None

    assert (True, "gone by now", SERVER) == netns(job, **FEW)


def test_a_thread_that_ended_belongs_to_its_process(netns):
    """
    Threads that fail and end at once are told with the process that made them.
    """
    times = 50

    def fail():
        for _ in range(times):
            thread = threading.Thread(target=connect, args=(SERVER,))
            thread.start()
            thread.join()

    def job():
        prepare()
        with watching() as watch, forked(fail) as pid:
            found = collect(watch, times, {pid})
            return {raw.tid == pid for raw in found}, {raw.process.tid == raw.tid for raw in found}

    assert ({False}, {True}) == netns(job, **FEW)


def test_times_are_those_of_the_monotonic_clock(netns):
    """
    A failure lies between two looks at the clock around it.
    """
    looks = os.pipe()

    def fail():
        before_ns = time.monotonic_ns()
        connect(SERVER)
        os.write(looks[1], b"%d %d" % (before_ns, time.monotonic_ns()))

    def job():
        prepare()
        with watching() as watch, forked(fail) as pid:
            (raw,) = collect(watch, 1, {pid})
            before_ns, after_ns = map(int, os.read(looks[0], 99).split())
        return before_ns <= raw.at_ns <= after_ns

    assert netns(job, **FEW)


def test_one_process_can_be_watched_alone(netns):
    """
    What others do meanwhile is not told.
    """

    def job():
        prepare()
        reading, writing = os.pipe()

        def fail():
            os.read(reading, 1)
            connect(SERVER)

        with forked(fail) as pid, watching(pid) as watch:
            with forked(lambda: [connect(SERVER) for _ in range(5)]) as other:
                wait_until(lambda: stat_of(other)[0] == "S", "the other one has failed")
            os.write(writing, b"1")
            return [raw.process.pid == pid for raw in [*collect(watch, 1, {pid}), *watch.rest()]]

    assert [True] == netns(job, **FEW)


def stat_of(pid):
    """
    Return what is told of a process from its state on.
    """
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def test_ones_own_failures_are_not_told(netns):
    """
    portroom's own questions to the kernel are nobody's failures.
    """

    def job():
        prepare()
        with watching() as watch:
            connect(SERVER)
            others = watch.read(0.1) + watch.rest()
        return [raw for raw in others if raw.process.pid == os.getpid()]

    assert [] == netns(job, **FEW)


def test_a_watch_can_be_stopped_while_it_waits():
    """
    By a signal handler, and by another thread; what is left can still be read.
    """

    def job(stopper):
        with watching(os.getppid()) as watch:
            stopper(watch)
            begin_s = time.monotonic()
            found = watch.read(20)
            again = watch.read(20)
            return found, again, watch.rest(), time.monotonic() - begin_s < 10

    def by_signal(watch):
        signal.signal(signal.SIGALRM, lambda *_: watch.stop())
        signal.setitimer(signal.ITIMER_REAL, 0.05)

    def by_thread(watch):
        threading.Timer(0.05, watch.stop).start()

    for stopper in (by_signal, by_thread):
        assert ([], [], [], True) == in_child(lambda stopper=stopper: job(stopper))


def test_waiting_ends_in_time():
    """
    Without failures the answer is none, after the time that was given.
    """

    def job():
        with watching(os.getppid()) as watch:
            begin_s = time.monotonic()
            found = watch.read(0.1)
            return found, 0.1 <= time.monotonic() - begin_s < 5

    assert ([], True) == in_child(job)
