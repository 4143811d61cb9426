"""
`portroom trace` on the real kernel: failures of a namespace of the test's own, as they happen.

The trace sees the whole machine, so each test names its namespace. It starts to fail only once
the command says that it watches.
"""

from __future__ import annotations

import contextlib
import csv
import ctypes
import io
import json
import os
import re
import signal
import socket
import struct
from pathlib import Path

import jsonschema
import pytest

from portroom.render import schema
from tests.e2e.faults import (
    as_nobody,
    ask,
    needs_root,
    open_ways,
    private_mounts,
    refused,
)
from tests.e2e.tracing import DEADLINE_S, RANGE, SERVER, failures, full, refuse, traced
from tests.kernel.harness import in_child, wait_until
from tests.kernel.sockets import connected, listener, take, tcp, udp

pytestmark = needs_root


def test_each_failure_is_told_with_all_that_is_known(netns):
    """Time, process, both ends, errno and cause; Ctrl-C ends it, and the sum is told."""

    def job():
        """Fail three times where the destination is full."""
        full()
        found = failures(lambda: refuse(times=3))
        return os.getpid(), Path("/proc/self/ns/net").stat().st_ino, *found

    pid, inode, found, status, told = netns(job, **RANGE)
    first = found[0]
    rules = json.loads(schema.as_json_schema("trace"))
    for one in found:
        jsonschema.validate(one, rules)

    assert (3, 130) == (len(found), status)
    assert [("connect", "EADDRNOTAVAIL", 99, "key_full")] * 3 == [
        (one["operation"], one["error"], one["errno"], one["cause"]) for one in found
    ]
    assert ("127.0.0.1", None, "127.0.0.1", 9000, "kernel") == (
        first["local_address"],
        first["local_port"],
        first["remote_address"],
        first["remote_port"],
        first["address_source"],
    )
    assert (pid, inode) == (first["process"]["pid"], first["process"]["netns_inode"])
    assert "Not seen: trace: a send of an unbound UDP socket" in told
    assert "3 failures in" in told
    assert "all for want of a free local port" in told


def blocked():
    """Bind every port, and connect to where nobody is connected."""
    listener(*SERVER)
    take(lambda: tcp(("127.0.0.9", 0)), at_most=10)
    refuse()


def narrowed():
    """Fill a window of two ports that the sockets have set, in a range that is free."""
    listener(*SERVER)
    for _ in range(2):
        connected(SERVER, range_option=(40000, 40001))
    refuse(range_option=(40000, 40001))


def clashing():
    """Connect a second time from a port to the same remote."""
    listener(*SERVER)
    tcp(("127.0.0.1", 40009), reuse_address=True).connect(SERVER)
    with pytest.raises(OSError, match="Errno 99"):
        tcp(("127.0.0.1", 40009), reuse_address=True).connect(SERVER)


def udp_full():
    """Connect UDP sockets until no port is left."""
    take(lambda: connected(("127.0.0.1", 9), udp))


def unix_full():
    """Connect to a unix socket whose backlog is full."""
    server = socket.socket(socket.AF_UNIX)
    server.bind("\0portroom-test")
    server.listen(0)
    clients = [socket.socket(socket.AF_UNIX) for _ in range(3)]
    for client in clients:
        client.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            client.connect("\0portroom-test")


def bind_in_memory(address, port):
    """Bind as a C program does, whose address stays where it was."""
    one = tcp()
    packed = struct.pack("=H", socket.AF_INET) + struct.pack(">H", port)
    kept = ctypes.create_string_buffer(packed + socket.inet_aton(address) + bytes(8), 16)
    assert -1 == ctypes.CDLL(None).bind(one.fileno(), kept, 16)
    # It must stay until the trace has read it.
    KEPT.append(kept)


KEPT = []


def taken():
    """Bind a port that a listener has."""
    listener("0.0.0.0", 8080)
    bind_in_memory("0.0.0.0", 8080)


def held_by_outgoing():
    """Bind a port from which a connection goes out."""
    listener(*SERVER)
    port = connected(SERVER).getsockname()[1]
    bind_in_memory("127.0.0.1", port)


def bind0_full():
    """Bind to any port where none is left."""
    take(lambda: tcp(("127.0.0.1", 0)))


def not_local():
    """Bind an address that this host does not have."""
    with pytest.raises(OSError, match="Errno 99"):
        tcp(("192.0.2.99", 0))


@pytest.mark.parametrize(
    ("cause", "fail"),
    [
        ("ports_blocked", blocked),
        ("narrowed_range", narrowed),
        ("tuple_clash", clashing),
        ("udp_pool_full", udp_full),
        ("unix_backlog_full", unix_full),
        ("port_taken", taken),
        ("port_held_by_outgoing", held_by_outgoing),
        ("bind0_pool_full", bind0_full),
        ("address_not_local", not_local),
    ],
)
def test_each_cause_is_named(netns, cause, fail):
    """As `explain` names it, and no other."""
    found, _, told = netns(lambda: failures(fail), **RANGE)
    is_exhaustion = cause in {
        "ports_blocked", "narrowed_range", "udp_pool_full", "bind0_pool_full"
    }  # fmt: skip

    assert {cause} == {one["cause"] for one in found}, (found, told)
    assert ("none for want" in told) is not is_exhaustion


@contextlib.contextmanager
def failing(*numbers):
    """Have a process a number that fails to connect so many times, and stays for a while."""
    done, reports = os.pipe()
    waits, lasts = os.pipe()
    for number in numbers:
        if os.fork() == 0:
            os.close(lasts)
            for _ in range(number):
                with contextlib.suppress(OSError), socket.socket() as one:
                    one.connect(SERVER)
            os.write(reports, b".")
            os.read(waits, 1)
            os._exit(0)
    for _ in numbers:
        os.read(done, 1)
    try:
        yield
    finally:
        os.close(lasts)


def test_a_thousand_failures_of_three_processes_are_counted(netns):
    """Each with its cause; full unix backlogs beside them are shown, and are no exhaustion."""

    def job():
        """Fail in three processes, and beside them for want of a backlog."""
        full()
        with traced("--count", "-o", "json") as seen:
            unix_full()
            with failing(300, 300, 400):
                return json.loads(seen.end()[1])

    answer = netns(job, **RANGE)
    rules = json.loads(schema.as_json_schema("trace"))
    jsonschema.validate(answer, rules)
    causes = {}
    for row in answer["counts"]:
        causes[row["cause"]] = causes.get(row["cause"], 0) + row["failures"]

    assert 1000 == answer["exhausted_total"] == causes["key_full"], answer
    assert {"key_full", "unix_backlog_full"} == set(causes)
    assert 0 == answer["lost_events"]
    assert "unbound UDP" in answer["gaps"][0]["reason"]


def test_lines_come_as_it_fails_and_counts_at_the_end(netns):
    """A person sees each at once, in columns; a closed reader ends it quietly."""

    def job():
        """Fail, read the line, and close the pipe."""
        full()
        with traced() as seen:
            refuse()
            lines = [seen.process.stdout.readline() for _ in range(2)]
            refuse()
            shown = seen.end()
        with traced() as cut:
            cut.process.stdout.readline()
            cut.process.stdout.close()
            refuse(times=2)
            status = cut.process.wait(timeout=DEADLINE_S)
        return lines, shown, status

    (heading, line), (status, rest, _), closed = netns(job, **RANGE)

    assert heading.startswith("TIME (UTC)")
    assert re.match(r"\d\d:\d\d:\d\d\.\d{3}  \S+\(\d+\)", line)
    assert "127.0.0.1:9000" in line
    assert "2 failures in" in rest
    assert "key_full: connections to the same destination hold every local port." in rest
    assert (130, 0) == (status, closed)


def test_only_what_was_asked_for_is_told(netns):
    """By process id, by name, by namespace; a duration ends it with status 0."""

    def job():
        """Fail in this process, and ask for it, and for others."""
        full()
        mine = failures(refuse, "--pid", str(os.getpid()))[0]
        name = Path("/proc/self/comm").read_text().strip()
        named = failures(refuse, "--process", f"{name[:3]}*")[0]
        others = failures(refuse, "--process", "nginx")[0]
        with traced("--duration", "1s", "--count", "-o", "csv") as seen:
            refuse()
            answer, _ = seen.process.communicate(timeout=DEADLINE_S)
        return len(mine), len(named), len(others), seen.process.returncode, answer

    mine, named, others, status, answer = netns(job, **RANGE)
    (row,) = csv.DictReader(io.StringIO(answer))

    assert (1, 1, 0, 0) == (mine, named, others, status)
    assert ("1", "key_full", "9000") == (row["failures"], row["cause"], row["remote_port"])


def read_counts(path):
    """Return the document that the socket gives."""
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(DEADLINE_S)
        one.connect(str(path))
        chunks = []
        while chunk := one.recv(1 << 16):
            chunks.append(chunk)
    return json.loads(b"".join(chunks))


def test_counts_are_given_to_who_connects(netns, tmp_path):
    """One document a client; SIGTERM ends it in order and the socket is gone, even a stale one."""
    path = tmp_path / "counts.sock"

    def job():
        """Leave a stale socket, serve, fail, and read twice."""
        full()
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(path))
        with traced("--serve", str(path)) as seen:
            mode = path.stat().st_mode & 0o777
            before = read_counts(path)
            refuse(times=5)
            wait_until(lambda: read_counts(path)["failures_total"] == 5, "all are counted")
            after = read_counts(path)
            second = ask("trace", "--serve", str(path))
            ended = seen.end(signal.SIGTERM)
        return mode, before, after, second, ended, path.exists()

    mode, before, after, second, (status, answer, _), is_left = netns(job, **RANGE)

    assert (0o660, 0, 5) == (mode, before["failures_total"], after["exhausted_total"])
    assert "key_full" == after["counts"][0]["cause"]
    refused(second, 2, "somebody serves there already")
    assert (0, False) == (status, is_left)
    assert "5 failures in" in answer


def test_nobody_without_the_right_may_watch():
    """One sentence, and the line that would do it."""

    def job():
        """Ask as a user without any right."""
        private_mounts()
        open_ways()
        return as_nobody("trace", "--duration", "1s")

    refused(in_child(job), 3, "sudo")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--duration", "0s"], "no time"),
        (["--duration", "soon"], "no time"),
        (["--netns", "no-such-namespace"], "no-such-namespace"),
        (["--serve", "/proc/version"], "no socket"),
        (["--serve", "/no/such/folder/counts.sock"], "no socket can be made"),
        (["--pid", "0"], "--pid"),
    ],
)
def test_what_cannot_be_is_refused(words, part):
    """With a sentence, and status 2."""
    refused(ask("trace", *words), 2, part)
