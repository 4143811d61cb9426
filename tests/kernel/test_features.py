"""What this kernel can do, asked without harming anyone."""

from __future__ import annotations

import ctypes
import os
import signal
from pathlib import Path

import pytest

from portroom.kernel.abilities import read_abilities
from portroom.kernel.features import read_features
from portroom.model.facts.snapshot import Features
from tests.kernel.harness import (
    CLONE_NEWUSER,
    in_child,
    own_user_namespace,
    read_setting,
    unshare,
)
from tests.kernel.predict import predict, span
from tests.kernel.sockets import attempt, fill, fill_bind0, tcp

PR_SET_DUMPABLE = 4
FIRST = ("127.0.0.1", 9000)
SECOND = ("127.0.0.1", 9001)


def done_by_hand():
    """Return the features as this kernel shows them when they are used."""
    fill_bind0("127.0.0.9", at_most=1)
    counts_bound = span(predict(FIRST))[1] == 9
    lists_bound = counts_bound if read_abilities()["tcp_rows"].holds else None
    (port,) = fill(FIRST, at_most=1).ports
    tcp(("127.0.0.8", port)).close()
    return Features(
        bucket_forgets=port in fill(SECOND).ports,
        range_option=attempt(lambda: tcp(range_option=(40_000, 40_001))) == "ok",
        bound_inactive_rows=lists_bound,
        tw_reuse_by_age=read_setting("tcp_tw_reuse_delay") is not None,
    )


def test_features_are_what_the_kernel_does(ten_ports):
    """Each feature found is confirmed by doing it."""
    found, seen = ten_ports(lambda: (read_features(), done_by_hand()))

    assert seen == found


def test_an_ordinary_user_finds_the_same(netns):
    """Uid 1000 without any capability finds the features that root finds."""

    def ordinary():
        os.setgroups([])
        os.setresgid(1000, 1000, 1000)
        os.setresuid(1000, 1000, 1000)
        # A process that changed its user is closed to itself in /proc.
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
        return read_features()

    asked = ordinary if os.geteuid() == 0 else read_features

    assert netns(read_features) == netns(in_child, asked)


def test_who_was_started_with_ended_children_ignored_finds_the_same(netns):
    """The kernel forgets a child at once then: neither waiting for it nor ending it fails."""

    def ignoring():
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        return read_features()

    assert netns(read_features) == netns(in_child, ignoring)


def test_asking_takes_no_port_and_leaves_no_process(netns):
    """
    Not one socket appears, and a port in use stays shared, on sticky kernels too.
    """

    def job():
        fill(FIRST, at_most=1)
        before = tables()
        read_features()
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
        return before == tables(), fill(SECOND).outcome

    still, outcome = netns(job, ip_local_port_range="40000 40000")

    assert still
    assert (0, "ECONNREFUSED") == outcome


def test_where_no_namespace_can_be_made_the_answer_is_unknown(netns):
    """What only a trial in a namespace tells is None without one, never a guess."""

    def job():
        # The limit of a user namespace of our own, which ends with this child.
        unshare(CLONE_NEWUSER)
        own_user_namespace(0, 0)
        Path("/proc/sys/user/max_net_namespaces").write_text("0")
        return read_features(), span(predict(FIRST))

    found, free = netns(job, ip_local_port_range="40000 40009")

    assert (None, None) == (found.bucket_forgets, found.bound_inactive_rows)
    # Whether bound sockets are listed is not known: any socket of the system may be one.
    assert free[0] <= 10 == free[1]


def tables():
    """Return every TCP and UDP row of this namespace."""
    names = ("tcp", "tcp6", "udp", "udp6")
    return [Path(f"/proc/net/{name}").read_text() for name in names]
