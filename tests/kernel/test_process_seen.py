"""A process that is asked about: who and where it is, and the windows of its sockets."""

from __future__ import annotations

import os
import resource
import socket
import threading
from pathlib import Path

from portroom.errors import InvalidRequestError, NotPermittedError
from portroom.kernel import process_seen
from portroom.kernel.namespaces import identify, read_cookie
from portroom.kernel.probe import has_range_option
from portroom.kernel.process_seen import read_process, read_windows
from portroom.model.facts.gaps import Gap
from portroom.model.facts.scene import Window
from tests.kernel import needs
from tests.kernel.bystanders import bystander, drop_rights, ended_pid, named, own_namespace
from tests.kernel.harness import wait_until
from tests.kernel.sockets import connected, listener, tcp, udp

HAVE_WINDOWS = has_range_option() is True
HAVE_COOKIES = read_cookie() is not None

OPTIONS = [(40000, 40009)] * 3 + [(41000, 0)] * 2 + [(0, 42000)]


def with_windows():
    """
    Make sockets with the option, some without, and some that cannot have it.
    """
    for option in OPTIONS:
        tcp(range_option=option if HAVE_WINDOWS else None)
    udp(range_option=(40000, 40009) if HAVE_WINDOWS else None)
    tcp(family=socket.AF_INET6, range_option=(40000, 40009) if HAVE_WINDOWS else None)
    tcp()
    listener("127.0.0.1", 9000)
    os.dup(socket.socket(socket.AF_UNIX).detach())
    os.open("/dev/null", os.O_RDONLY)


WINDOWS = (
    Window(first=40000, last=40009, sockets=5),
    Window(first=41000, last=0, sockets=2),
    Window(first=0, last=42000, sockets=1),
)


@needs.range_option
def test_windows_are_those_that_the_process_has_set(netns):
    """
    Grouped, most used first; UDP and IPv6 sockets as well, an end that is not set is 0.
    """

    def job():
        with bystander(with_windows) as pid:
            return read_process(pid)

    assert WINDOWS == netns(job).windows


@needs.range_option
def test_what_was_accepted_has_the_window_of_its_listener(netns):
    """
    It is inherited, and so is told.
    """

    def job():
        server = listener("127.0.0.1", 9000, range_option=(40000, 40009))
        connected(("127.0.0.1", 9000))
        accepted = server.accept()[0]
        found = read_windows(os.getpid())
        accepted.close()
        return found

    assert (Window(first=40000, last=40009, sockets=2),) == netns(job)


def test_a_process_is_told_with_its_namespace_and_its_files(netns):
    """
    In another network namespace; the cookie is that namespace's own.
    """

    def limited():
        resource.setrlimit(resource.RLIMIT_NOFILE, (123, 123))

    def job():
        here = identify()
        with bystander(own_namespace, named(b"a) S"), limited) as pid:
            found = read_process(pid)
            real = Path(f"/proc/{pid}/ns/net").stat().st_ino
            files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
            return here, pid, found, real, files

    here, pid, found, real, files = netns(job)

    assert (pid, "a) S") == (found.owner.pid, found.owner.command)
    assert (real, pid, "process") == (found.netns.inode, found.netns.pid, found.netns.kind)
    assert {(here.cookie is None), (found.netns.cookie is None)} == {not HAVE_COOKIES}
    assert here.inode != found.netns.inode
    assert HAVE_COOKIES is (here.cookie != found.netns.cookie)
    assert (files, 123) == (found.open_files.used, found.open_files.limit)
    assert found.owner == found.open_files.owner
    assert () == found.windows


def test_a_thread_is_its_process(netns):
    """
    Whoever sees a thread's number somewhere may ask with it.
    """

    def job():
        ended = threading.Event()
        thread = threading.Thread(target=ended.wait)
        thread.start()
        found = read_process(thread.native_id)
        ended.set()
        thread.join()
        return os.getpid(), found

    pid, found = netns(job)

    assert (pid, pid) == (found.owner.pid, found.netns.pid)


def test_a_process_that_ended_is_refused(netns):
    """
    Gone, or not asked for by its parent yet.
    """

    def job():
        child = os.fork()
        if child == 0:
            os._exit(0)
        stat = Path(f"/proc/{child}/stat")
        wait_until(lambda: ") Z " in stat.read_text(), "the child is a zombie")
        refusals = []
        for pid in (child, ended_pid()):
            try:
                read_process(pid)
            except InvalidRequestError as error:
                refusals.append(
                    error.message == f"No process {pid}: it has ended, or cannot be seen from here."
                )
        os.waitpid(child, 0)
        return refusals

    assert [True, True] == netns(job)


def test_without_the_right_nothing_is_told(netns):
    """
    Its namespace is not to be seen, and the missing right is named; where no socket can have
    a window that is known without a right.
    """

    def job():
        with bystander(with_windows) as pid:
            drop_rights()
            try:
                return read_process(pid)
            except NotPermittedError as error:
                return error.message, read_windows(pid)

    message, windows = netns(job)

    assert "CAP_SYS_PTRACE" in message
    if HAVE_WINDOWS:
        assert isinstance(windows, Gap)
        assert "needs CAP_SYS_PTRACE" in windows.reason
    else:
        assert () == windows


@needs.range_option
def test_a_process_of_many_sockets_is_asked_about_some(netns, monkeypatch):
    """
    What is found is told; nothing found among some is a Gap.
    """
    monkeypatch.setattr(process_seen, "MOST_SOCKETS", 4)

    def job(windowed):
        for place in range(8):
            tcp(range_option=(40000, 40009) if place < windowed else None)
        return read_windows(os.getpid())

    found, nothing = netns(job, 2), netns(job, 0)

    assert (Window(first=40000, last=40009, sockets=2),) == found
    assert nothing.reason.endswith("has 8 sockets, 4 were asked")


@needs.range_option
def test_asking_leaves_the_sockets_as_they_were(netns):
    """
    Nothing of ours stays open, and a connection still carries data.
    """

    def job():
        server = listener("127.0.0.1", 9000)
        client = connected(("127.0.0.1", 9000), range_option=(40000, 40009))
        accepted = server.accept()[0]
        with bystander() as pid:
            before = len(list(Path("/proc/self/fd").iterdir()))
            for _ in range(50):
                read_windows(pid)
            after = len(list(Path("/proc/self/fd").iterdir()))
        client.sendall(b"x")
        return before, after, accepted.recv(1)

    before, after, data = netns(job)

    assert before == after
    assert b"x" == data


@needs.range_option
def test_thousands_of_sockets_are_asked(netns):
    """
    Up to the bound, each of them.
    """
    sockets = 3_000

    def job():
        for _ in range(sockets):
            tcp(range_option=(40000, 40009))
        return read_windows(os.getpid())

    assert (Window(first=40000, last=40009, sockets=sockets),) == netns(job)
