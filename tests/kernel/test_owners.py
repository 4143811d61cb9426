"""Owners of real sockets: shared, hostile by name, hidden, in another namespace."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from pathlib import Path

import psutil
import pytest

from portroom.kernel.namespaces import find_all
from portroom.kernel.owners import read_owners
from portroom.kernel.processes import hidden_processes
from tests.kernel.bystanders import bystander, drop_rights, ended_pid, named, own_namespace
from tests.kernel.harness import unshare, wait_until
from tests.kernel.sockets import listener

CLONE_NEWNS = 0x20000

HOSTILE = [
    b"\x1b]0;a\x07",
    b"a\nb 1 2",
    b") S 1 1 (",
    b"\xff\xfe\xc3(",
    "a\u202eb".encode(),
    b"\\x1b'\"=1+1",
    b"",
]


def inode_of(handle):
    """Return the inode of a socket."""
    return os.fstat(handle.fileno()).st_ino


def own_netns():
    """Return the inode of the calling thread's network namespace."""
    return Path("/proc/thread-self/ns/net").stat().st_ino


def look(inode, **options):
    """Return the owners of one socket, looking at processes of this namespace only."""
    options = {"netns_inode": own_netns(), "elsewhere": False} | options
    return read_owners([inode], **options)


def pids(inode, **options):
    """Return the pids of the owners of one socket, and whether that is all."""
    found, complete = look(inode, **options)
    return [owner.pid for owner in found.get(inode, ())], complete


def test_an_owner_is_what_another_reader_says_it_is(netns):
    """
    psutil reads the same command and uid; the start time is that of stat.
    """

    def job():
        inode = inode_of(listener("127.0.0.1", 9000))
        found, complete = look(inode)
        (owner,) = found[inode]
        stat = Path("/proc/self/stat").read_text(encoding="ascii")
        start_time = int(stat.rpartition(")")[2].split()[19])
        process = psutil.Process()
        return owner, (os.getpid(), start_time, process.name(), process.uids().effective), complete

    owner, expected, complete = netns(job)

    assert expected == (owner.pid, owner.start_time, owner.command, owner.uid)
    assert complete


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_is_read_as_it_is(netns, name):
    """
    No byte of a name moves another field; what is no UTF-8 becomes its number.
    """

    def job():
        server = listener("127.0.0.1", 9000)
        with bystander(named(name)) as pid:
            found, _ = look(inode_of(server))
            (owner,) = [owner for owner in found[inode_of(server)] if owner.pid == pid]
            ours = [owner for owner in found[inode_of(server)] if owner.pid == os.getpid()]
            return owner, ours[0].start_time

    owner, earlier = netns(job)

    assert name.decode("utf-8", "backslashreplace") == owner.command
    assert earlier <= owner.start_time < earlier + 100 * 60
    assert 0 == owner.uid


def test_a_shared_socket_has_every_owner(netns):
    """
    A listener inherited by two children has three owners, a later one two.
    """

    def job():
        server = listener("127.0.0.1", 9000)
        with bystander() as first:
            later = listener("127.0.0.1", 9001)
            with bystander() as second:
                found = [pids(inode_of(handle)) for handle in (server, later)]
                return [first, second], os.getpid(), found

    (first, second), own, (shared, later) = netns(job)

    assert ({own, first, second}, True) == (set(shared[0]), shared[1])
    assert ({own, second}, True) == (set(later[0]), later[1])


def test_a_child_of_a_thread_is_found_too(netns):
    """
    The kernel lists children by the thread that made them.
    """

    def job():
        inode = inode_of(listener("127.0.0.1", 9000))
        children, done = [], threading.Event()

        def fork():
            with bystander() as pid:
                children.append(pid)
                done.wait()

        thread = threading.Thread(target=fork)
        thread.start()
        wait_until(lambda: children, "the thread has a child")
        found, _ = pids(inode)
        done.set()
        thread.join()
        return [os.getpid(), *children], found

    expected, found = netns(job)

    assert expected == found


def test_a_socket_of_no_process_has_no_owner(netns):
    """
    Closed, it is nobody's.
    """

    def job():
        server = listener("127.0.0.1", 9000)
        inode = inode_of(server)
        server.close()
        return pids(inode)[0]

    assert [] == netns(job)


def test_a_process_of_another_namespace_may_own_a_socket_of_this_one(netns):
    """
    It is looked at last, for what is missing, and not at all if not wanted.
    """

    def job():
        server = listener("127.0.0.1", 9000)
        inode, here = inode_of(server), own_netns()
        with bystander(own_namespace) as pid:
            server.close()
            everywhere = pids(inode, netns_inode=here, elsewhere=True)
            return pid, everywhere, pids(inode, netns_inode=here)[0]

    pid, everywhere, here_only = netns(job)

    assert ([pid], True) == everywhere
    assert [] == here_only


def test_without_rights_the_answer_is_incomplete(netns):
    """
    A socket of a process that may not be looked at has no known owner.
    """

    def job():
        mine, theirs = listener("127.0.0.1", 9000), listener("127.0.0.1", 9001)
        inode = inode_of(theirs)
        with bystander(mine.close):
            theirs.close()
            drop_rights()
            return pids(inode), pids(inode_of(mine)), os.getpid()

    theirs, mine, own = netns(job)

    assert ([], False) == theirs
    assert ([own], True) == mine


def test_hidden_processes_make_the_answer_incomplete(netns, tmp_path):
    """
    With hidepid=2 and no right to see, processes of others are not listed.
    """

    def job():
        unshare(CLONE_NEWNS)
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        subprocess.run(
            ["mount", "-t", "proc", "-o", "hidepid=2", "proc", str(tmp_path)], check=True
        )
        theirs = listener("127.0.0.1", 9001)
        inode = inode_of(theirs)
        with bystander() as pid:
            theirs.close()
            proc = str(tmp_path)
            before = hidden_processes(proc), pids(inode, proc=proc)
            drop_rights()
            return pid, before, (hidden_processes(proc), pids(inode, proc=proc))

    pid, before, after = netns(job)

    assert (False, ([pid], True)) == before
    assert (True, ([], False)) == after


def test_processes_that_end_meanwhile_are_no_error(netns):
    """
    While processes come and go, each walk finds what stays.
    """

    def job():
        inode = inode_of(listener("127.0.0.1", 9000))
        stop = threading.Event()

        def churn():
            while not stop.is_set():
                ended_pid()

        with bystander(lambda: threading.Thread(target=churn, daemon=True).start()):
            walks = [pids(inode)[0][0] for _ in range(20)]
            # The walk for a socket that is not there visits every process.
            missing = [pids(1)[0] for _ in range(5)]
        return walks, missing, os.getpid()

    found, missing, own = netns(job)

    assert [own] * 20 == found
    assert [[]] * 5 == missing


def writable_cgroup():
    """Return a folder of cgroups in which a new one may be made, else None."""
    for line in Path("/proc/self/mounts").read_text().split("\n"):
        fields = line.split(" ")
        if len(fields) > 3 and fields[2] == "cgroup2" and os.access(fields[1], os.W_OK):
            return Path(fields[1])
    return None


@contextlib.contextmanager
def cgroup(name):
    """Have a cgroup, and remove it once nobody is in it."""
    root = writable_cgroup()
    if root is None:
        pytest.skip("no cgroup can be made: no cgroup2 is mounted, or it is read-only")
    path = root / name
    path.mkdir()
    try:
        yield path
    finally:
        wait_until(lambda: not (path / "cgroup.procs").read_text(), "the cgroup is empty")
        path.rmdir()


def test_the_container_and_its_namespace_are_told_by_the_cgroup(netns):
    """
    A process in the cgroup of a docker container is that container's.
    """
    identity = f"{os.getpid():064x}"[::-1]

    def job(path):
        server = listener("127.0.0.1", 9000)

        def join():
            (path / "cgroup.procs").write_text("0")

        with bystander(join, own_namespace) as pid:
            found, _ = look(inode_of(server))
            names = [ref.id.name for ref in find_all() if ref.id.pid == pid]
            return [owner.container for owner in found[inode_of(server)]], names

    with cgroup(f"docker-{identity}.scope") as path:
        containers, names = netns(job, path)

    assert [None, identity[:12]] == containers
    assert [f"docker:{identity[:12]}"] == names


def test_a_passed_socket_belongs_to_who_has_it_open(netns):
    """
    A socket sent to another process is that one's too, though it is no child.
    """

    def job():
        ours, theirs = socket.socketpair()

        def receive():
            theirs.recv(1)
            keep.append(socket.recv_fds(theirs, 1, 1))
            theirs.send(b"!")

        keep = []
        with bystander(lambda: threading.Thread(target=receive, daemon=True).start()) as pid:
            server = listener("127.0.0.1", 9000)
            inode = inode_of(server)
            ours.send(b"?")
            socket.send_fds(ours, [b"."], [server.fileno()])
            ours.recv(1)
            server.close()
            return pid, pids(inode)[0]

    pid, found = netns(job)

    assert [pid] == found
