"""Backlogs of unix sockets: full where connect() says EAGAIN, and not one connection earlier."""

from __future__ import annotations

import os
import socket

import pytest

from portroom.kernel.unix_sockets import read_backlogs
from tests.kernel.bystanders import bystander, own_namespace
from tests.kernel.sockets import attempt

STREAM, PACKETS = socket.SOCK_STREAM, socket.SOCK_SEQPACKET

HELD = []


def unix_listener(name, backlog, kind=STREAM):
    """
    Return a listening unix socket that stays open.
    """
    made = socket.socket(socket.AF_UNIX, kind)
    made.bind(name)
    made.listen(backlog)
    HELD.append(made)
    return made


def connect_until_refused(name, kind=STREAM):
    """
    Return how many non-blocking connections were taken, and the errno of the next.
    """
    taken = 0
    while True:
        made = socket.socket(socket.AF_UNIX, kind)
        made.setblocking(False)
        HELD.append(made)
        if (refusal := attempt(lambda made=made: made.connect(name))) != "ok":
            return taken, refusal
        taken += 1


def told(limit=10):
    """
    Return path, waiting and limit of the fullest sockets.
    """
    return [(one.path, one.waiting, one.limit) for one in read_backlogs(limit)]


@pytest.mark.parametrize("kind", [STREAM, PACKETS])
@pytest.mark.parametrize("backlog", [0, 1, 5])
def test_a_backlog_is_full_when_more_than_its_limit_wait(netns, kind, backlog):
    """
    One more than listen() was told is taken; then EAGAIN.
    """

    def job():
        unix_listener("\0a", backlog, kind)
        return connect_until_refused("\0a", kind), told()

    refused, found = netns(job)

    assert (backlog + 1, "EAGAIN") == refused
    assert [("@a", backlog + 1, backlog)] == found


def test_the_fullest_comes_first_and_no_more_than_asked_for_come(netns):
    """
    By how full it is, not by how many wait.
    """

    def job():
        unix_listener("\0long", 100)
        for _ in range(30):
            socket_of = socket.socket(socket.AF_UNIX)
            socket_of.connect("\0long")
            HELD.append(socket_of)
        unix_listener("\0full", 2)
        connect_until_refused("\0full")
        unix_listener("\0idle", 9)
        return told(), told(2)

    every, two = netns(job)

    assert [("@full", 3, 2), ("@long", 30, 100), ("@idle", 0, 9)] == every
    assert every[:2] == two


def test_accepted_connections_wait_no_more(netns):
    """
    Nor do they keep anybody out.
    """

    def job():
        server = unix_listener("\0a", 1)
        first = connect_until_refused("\0a")
        HELD.append(server.accept()[0])
        return first, told(), connect_until_refused("\0a")

    first, found, then = netns(job)

    assert (2, "EAGAIN") == first
    assert [("@a", 1, 1)] == found
    assert (1, "EAGAIN") == then


def test_a_path_is_told_as_it_was_bound_with_its_owner(netns, tmp_path):
    """
    Any byte of it; owners are looked for where anybody waits.
    """
    path = os.fsencode(tmp_path) + b"/a\n\xff.sock"

    def job():
        unix_listener(path, 0)
        unix_listener("\0idle", 0)
        connect_until_refused(path)
        full, idle = read_backlogs(5)
        return os.getpid(), full, idle

    pid, full, idle = netns(job)

    assert f"{tmp_path}/a\n\\xff.sock" == full.path
    assert [pid] == [owner.pid for owner in full.owners]
    assert () == idle.owners


def test_a_socket_made_in_another_namespace_is_not_listed_though_its_path_is_reached(
    netns, tmp_path
):
    """
    unix_diag tells the sockets of one network namespace; a path is of the file system.
    """
    path = os.fspath(tmp_path / "x.sock")

    def job():
        with bystander(own_namespace, lambda: unix_listener(path, 0)):
            return connect_until_refused(path), told()

    assert ((1, "EAGAIN"), []) == netns(job)


def test_a_socket_that_does_not_listen_is_none(netns):
    """
    Datagrams wait elsewhere.
    """

    def job():
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        made.bind("\0datagrams")
        HELD.append(made)
        return told()

    assert [] == netns(job)
