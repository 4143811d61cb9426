"""
sock_diag lists TCP and not UDP: TCP is told as ever, UDP from /proc/net, and that is said.

A dump of UDP is one message that says that it is over, with -2 in it: it is not "no sockets".
"""

from __future__ import annotations

import errno
import socket

import pytest

from portroom.api.source import Live
from portroom.kernel.snapshot import Wanted
from tests.e2e.faults import ask
from tests.kernel.harness import in_namespace
from tests.kernel.predict import surprises
from tests.kernels.guest import fallbacks


def test_the_kernel_lists_tcp_alone():
    """A dump of UDP fails with ENOENT, one of TCP does not."""
    assert errno.ENOENT == fallbacks.refusal(*fallbacks.request(socket.IPPROTO_UDP))
    assert fallbacks.refusal(*fallbacks.request(socket.IPPROTO_TCP)) is None
    assert fallbacks.refusal(*fallbacks.legacy()) is None


@pytest.mark.parametrize("made", fallbacks.MADE)
def test_predictions_hold(made):
    """For TCP and UDP, IPv4 and IPv6: at least and at most as many as told fit."""
    found = fallbacks.trials(made)

    assert [] == surprises(found)


@pytest.fixture(scope="module")
def answers():
    """Return what commands say of a namespace with sockets of every kind, and the counters."""

    def job():
        """Gather sockets, and ask."""
        fallbacks.gather()
        words = {
            "headroom": ("headroom", "127.0.0.1:9000"),
            "status": ("status",),
            "datagrams": ("headroom", "--proto", "udp"),
            "sessions": ("sessions",),
            "summary": ("sessions", "--summary"),
        }
        told = {name: ask(*one, "-o", "json") for name, one in words.items()}
        return told, fallbacks.in_use()

    return in_namespace(job, ip_local_port_range=fallbacks.RANGE_ABOVE)


@pytest.mark.parametrize("name", ["headroom", "status", "datagrams"])
def test_the_gap_names_udp_alone(answers, name):
    """Nothing is degraded for TCP, and what /proc/net does not tell of UDP is told."""
    ended = answers[0][name]
    sources = [gap["source"] for gap in ended.json["gaps"]]

    assert (0, "") == (ended.status, ended.told)
    assert "udp sockets" in sources
    assert "degraded" not in ended.reasons


def test_udp_is_counted_as_the_kernel_counts_it(answers):
    """Summary and sessions have as many UDP sockets as sockstat, and as many TCP sockets."""
    told, counted = answers
    summary = told["summary"].json["summary"]
    rows = [one["protocol"] for one in told["sessions"].json["sessions"]]
    in_use = counted["UDP inuse"] + counted["UDP6 inuse"]

    assert "degraded" not in told["summary"].reasons + told["sessions"].reasons
    assert in_use == sum(summary["udp_states"].values()) == rows.count("udp")
    assert in_use > 0
    assert 2 * fallbacks.CONNECTIONS <= summary["states"]["ESTABLISHED"]


def test_headroom_names_who_holds_ports_of_udp(answers):
    """The tables of /proc/net tell inodes, too, and so owners are found."""
    keys = answers[0]["datagrams"].json["keys"]

    assert len(keys) > 0
    assert [1] * len(keys) == [len(key["owners"]) for key in keys]


def test_tcp_is_told_by_where_a_port_came_from():
    """Ports that were asked for by number are known: only sock_diag tells that."""

    def job():
        """Bind one by number beside a plain connection; return the kinds of their tables."""
        held = fallbacks.serve()
        fallbacks.ipv6()
        read = Live().take(Wanted(groups=True, all_ports=True))
        del held
        return {(table.protocol.value, table.kind.value) for table in read.groups.tables}

    kinds = in_namespace(job)

    assert ("tcp", "explicit") in kinds
    assert ("tcp", "listener") in kinds


def test_features_names_udp_diag_alone():
    """TCP is listed, UDP is not, and what follows is about UDP."""
    ended = ask("features", "tcp_rows", "udp_rows", "-o", "json")
    told = {one["name"]: one for one in ended.json["features"]}

    assert ["yes", "no"] == [told[name]["answer"] for name in ("tcp_rows", "udp_rows")]
    assert "modprobe udp_diag" in told["udp_rows"]["consequence"]
    assert "All sockets" not in told["udp_rows"]["consequence"]
