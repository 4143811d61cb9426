"""`portroom trace` tells port and cause of a bind that failed, as programs really call it."""

import re
import socket
import subprocess
import sys

import pytest

from tests.e2e.faults import CLEAN, COMMAND, needs_root
from tests.e2e.seccomp import no_perf_events
from tests.e2e.tracing import RANGE, SERVER, failures
from tests.kernel.sockets import attempt, connected, listener, local_port, take, tcp, udp

pytestmark = needs_root

SERVER6 = ("::1", 9000)


def server_starts():
    """Start a web server on a port that another one has."""
    listener(*SERVER)
    words = [sys.executable, "-m", "http.server", "9000", "--bind", "127.0.0.1"]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 1
    return SERVER


def taken6():
    """Bind a port that a listener of IPv6 has."""
    listener(*SERVER6)
    assert attempt(lambda: tcp(SERVER6)) == "EADDRINUSE"
    return SERVER6


def taken_udp():
    """Bind a port that another socket of UDP has."""
    udp(SERVER)
    assert attempt(lambda: udp(SERVER)) == "EADDRINUSE"
    return SERVER


def outgoing(make=tcp):
    """Bind a port from which a connection goes out."""
    listener(*SERVER)
    own = "127.0.0.1", local_port(connected(SERVER, make))
    assert attempt(lambda: make(own)) == "EADDRINUSE"
    return own


def any_port():
    """Bind to any port where none is left."""
    assert take(lambda: tcp(("127.0.0.1", 0))).refusal == "EADDRINUSE"
    return "127.0.0.1", None


@pytest.mark.parametrize(
    ("cause", "fail"),
    [
        pytest.param("port_taken", server_starts, id="http.server"),
        pytest.param("port_taken", taken6, id="IPv6"),
        pytest.param("port_taken", taken_udp, id="UDP"),
        pytest.param("port_held_by_outgoing", outgoing, id="outgoing"),
        pytest.param("port_held_by_outgoing", lambda: outgoing(udp), id="outgoing UDP"),
        pytest.param("bind0_pool_full", any_port, id="any port"),
    ],
)
def test_port_and_cause_of_a_failed_bind_are_told(netns, cause, fail):
    """Though nobody keeps the address in memory, and the process may have ended."""

    def job():
        """Fail while a trace runs; return what it told, and what failed."""
        wanted = []
        found, _, _ = failures(lambda: wanted.append(fail()))
        return wanted[0], [
            ((one["local_address"], one["local_port"]), one["address_source"], one["cause"])
            for one in found
        ]

    address, found = netns(job, **RANGE)

    assert [(address, "kernel", cause)] == found


def test_where_perf_is_refused_it_is_said(netns):
    """On stderr, at the begin: failures are told without."""

    def job():
        """Trace for a moment behind a filter of system calls."""
        words = [*COMMAND, "trace", "--duration", "1s"]
        return subprocess.run(
            words, env=CLEAN, text=True, capture_output=True, preexec_fn=no_perf_events, check=False
        )

    ended = netns(job)

    assert ended.returncode == 0
    assert re.search(r"stack: perf_event_open: Operation not permitted", ended.stderr)


def test_the_begin_is_the_same_where_perf_is_there(netns):
    """Nothing is said of what is not missed."""

    def job():
        """Trace until it is ended."""
        return failures(lambda: socket.socket().close())

    assert "perf_event_open" not in netns(job)[2]
