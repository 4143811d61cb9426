"""Prove that nothing is left behind, nothing of others touched, and refusals are told."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from portroom.errors import NotPermittedError, NotSupportedError
from portroom.kernel.processes import open_folder
from portroom.trace.instance import create, remove_left_overs
from portroom.trace.live import watching
from portroom.trace.tracefs import open_tracefs, read_whole
from tests.kernel.harness import LIBC, in_child, unshare
from tests.kernel.sockets import fill, listener
from tests.kernel.test_trace import SERVER, connect
from tests.kernel.traced import another_watch, collect, forked, instances, instances_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may watch failures")

CLONE_NEWNS, CLONE_NEWPID = 0x20000, 0x20000000
MS_RDONLY, MS_REC, MS_PRIVATE = 0x1, 0x4000, 0x40000
FEW = {"ip_local_port_range": "40000 40009"}


@pytest.fixture
def top():
    """
    Return a descriptor of the top folder of tracefs.
    """
    descriptor = open_tracefs()
    yield descriptor
    os.close(descriptor)


def test_nothing_is_left_of_a_watch_that_ends():
    """
    All instances are there while it runs, and gone when it ended.
    """

    def job():
        with watching() as watch:
            during = instances_of(os.getpid())
        watch.close()
        watch.stop()
        return len(during), instances_of(os.getpid()), watch.lost_events

    assert (3, set(), 0) == in_child(job)


def test_nothing_is_left_of_a_watch_that_cannot_start(monkeypatch):
    """
    What was made until then is removed.
    """
    monkeypatch.setattr("portroom.trace.live.FAILURES", (_unknown_event(),))

    def job():
        descriptors = len(list(Path("/proc/self/fd").iterdir()))
        with pytest.raises(NotSupportedError, match="no_such_event"):
            watching()
        return instances_of(os.getpid()), len(list(Path("/proc/self/fd").iterdir())) - descriptors

    assert (set(), 0) == in_child(job)


def _unknown_event():
    """
    Return an event that no kernel has, with fields that one has.
    """
    from portroom.trace.events import FAILURES

    return FAILURES[0]._replace(event="sock/no_such_event")


def test_no_mount_is_seen_by_anybody():
    """
    The mounts of this process are the same before, during and after.
    """

    def job():
        mounts = Path("/proc/self/mountinfo")
        before = mounts.read_text()
        with watching():
            during = mounts.read_text()
        return before == during == mounts.read_text()

    assert in_child(job)


@pytest.mark.parametrize("flags", [0, MS_RDONLY])
def test_tracefs_may_be_mounted_already(flags):
    """
    Where it is mounted it is used, and where it is mounted to be read only it is not.
    """

    def job():
        unshare(CLONE_NEWNS)
        LIBC.mount(None, b"/", None, MS_REC | MS_PRIVATE, None)
        assert LIBC.mount(b"tracefs", b"/sys/kernel/tracing", b"tracefs", flags, None) == 0
        with watching():
            return len(instances_of(os.getpid()))

    assert in_child(job) == 3


def test_a_killed_watch_records_nothing_and_the_next_one_removes_it(top):
    """
    The kernel stops and frees the buffer at once; the folders stay for the next run.
    """
    with another_watch() as killed:
        assert len(instances_of(killed.pid)) == 3
        during = sizes(top, killed.pid)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    inert = [
        (read(top, name, "tracing_on"), int(read(top, name, "buffer_size_kb").split()[0]) < 64)
        for name in sorted(instances_of(killed.pid))
    ]

    with another_watch():
        left = instances_of(killed.pid)

    assert [True, True, False] == [size >= 512 for size in during]
    assert [("0", True)] * 3 == inert
    assert set() == left


def sizes(top: int, pid: int) -> list[int]:
    """
    Return the size of the buffers of a process, in KB.
    """
    return [int(read(top, name, "buffer_size_kb")) for name in sorted(instances_of(pid))]


def read(top: int, name: str, file: str) -> str:
    """
    Return the text of a file of an instance.
    """
    folder = open_folder(f"instances/{name}", top)
    try:
        return read_whole(file, folder).strip()
    finally:
        os.close(folder)


def test_two_watches_at_once_both_tell(netns):
    """
    A run that lives is left alone by the next one, and both see the failure.
    """

    def job():
        listener(*SERVER)
        fill(SERVER)
        with another_watch() as other, watching() as watch:
            with watching() as second, forked(lambda: connect(SERVER)) as pid:
                found = [len(collect(each, 1, {pid})) for each in (watch, second)]
            return found, len(instances_of(other.pid)), len(instances_of(os.getpid()))

    assert ([1, 1], 3, 3) == netns(job, **FEW)


def test_only_what_nobody_holds_is_removed(top):
    """
    Neither what another holds, nor what has another name, nor what somebody reads.
    """
    made = [create(top, f"test-{os.getpid()}") for _ in range(2)]
    names = [instance.name for instance in made]
    reading = os.open("trace_pipe", os.O_RDONLY | os.O_NONBLOCK, dir_fd=made[1].folder)
    try:
        assert f"{names[0]}.2" == names[1]
        assert not {*names} & {*remove_left_overs(top)}
        for instance in made:
            os.close(instance.folder)
            instance.folder = -1
        assert names[0] in remove_left_overs(top)
        assert names[1] in instances()
    finally:
        os.close(reading)
        remove_left_overs(top)
    assert not {*names} & instances()


@pytest.mark.parametrize("with_user_namespace", [False, True])
def test_without_the_right_it_is_named(with_user_namespace):
    """
    A user without rights, and root of a user namespace, are told what is missing and how to get it.
    """

    def job():
        os.setresgid(1000, 1000, 1000)
        os.setresuid(1000, 1000, 1000)
        if with_user_namespace:
            unshare(0x10000000)
        try:
            watching()
        except NotPermittedError as error:
            return error.message, error.hint, error.exit_status
        return None

    message, hint, status = in_child(job)

    assert "CAP_SYS_ADMIN" in message
    assert "sudo" in hint
    assert status == 3


IN_PID_NAMESPACE = """
import json, os, sys, threading
from portroom.errors import NotSupportedError
from portroom.trace.live import watching
try:
    watching(os.getpid())
except NotSupportedError as error:
    print(error.message, flush=True)
with watching() as watch:
    print("watching", flush=True)
    while True:
        for raw in watch.read(60):
            print(raw.tid, raw.process.pid, raw.process.command, flush=True)
"""


def test_in_another_pid_namespace_numbers_are_not_looked_up(netns):
    """
    One process cannot be watched alone there, and of others only the noted command is told.
    """

    def job():
        listener(*SERVER)
        fill(SERVER)
        reading, writing = os.pipe()
        with forked(lambda: (os.read(reading, 1), connect(SERVER))) as pid:
            unshare(CLONE_NEWPID)
            with subprocess.Popen([sys.executable, "-c", IN_PID_NAMESPACE], stdout=-1) as child:
                refusal = child.stdout.readline().decode()
                assert child.stdout.readline() == b"watching\n"
                os.write(writing, b"1")
                line = next(line for line in child.stdout if line.split()[0] == b"%d" % pid)
                child.kill()
        return refusal, line.split()[1:]

    refusal, (pid, *command) = netns(job, **FEW)

    assert "pid namespace" in refusal
    assert pid == b"None"
    assert command
