"""
No module of sock_diag is loaded: portroom reads /proc/net, and never says "no sockets".

Sockets that are only bound show nowhere then; for each that the counters leave room for,
a port that looks free is in doubt, so that what is told stays true.
"""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import pytest

from tests.e2e.faults import ask
from tests.kernel.harness import in_namespace
from tests.kernel.predict import surprises
from tests.kernels.guest import fallbacks

DEGRADED = "degraded: read from /proc/net"
TARGET = "127.0.0.1:9000"


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        (fallbacks.legacy(), errno.EOPNOTSUPP),
        (fallbacks.request(socket.IPPROTO_TCP), errno.ENOENT),
        (fallbacks.request(socket.IPPROTO_UDP), errno.ENOENT),
    ],
    ids=["legacy", "tcp", "udp"],
)
def test_the_kernel_has_no_table(asked, refusal):
    """A dump of one family or of both fails, each in its way: it is not empty."""
    assert refusal == fallbacks.refusal(*asked)


@pytest.mark.parametrize("made", fallbacks.MADE)
def test_predictions_hold(made):
    """For TCP and UDP, IPv4 and IPv6: at least and at most as many as told fit."""
    found = fallbacks.trials(made)

    assert [] == surprises(found)


def test_connections_are_counted_and_not_forgotten():
    """Ten connections leave no more than ten of twenty ports, and that is no guess."""
    (trial,) = fallbacks.trials("connections", ("connect",))

    assert 10 == trial.real.count == trial.predicted[1]


COMMANDS = {
    "status": ("status",),
    "headroom": ("headroom", TARGET),
    "sessions": ("sessions",),
    "summary": ("sessions", "--summary"),
    "doctor": ("doctor",),
    "explain": ("explain", "EADDRNOTAVAIL", "--remote", TARGET),
    "port": ("explain", "EADDRINUSE", "--from", "127.0.0.1:40006"),
}


@pytest.fixture(scope="module")
def answers():
    """Return what each command says of a namespace with sockets of every kind, and the counters."""

    def job():
        """Gather sockets, and ask."""
        fallbacks.gather()
        told = {name: ask(*words, "-o", "json") for name, words in COMMANDS.items()}
        told["screen"] = ask("status")
        (key,) = told["headroom"].json["keys"]
        told["threshold"] = ask("headroom", TARGET, "--warn-below", str(key["free_ports_max"]))
        saved = ask("snapshot", "--out", "/tmp/saved.portroom")
        told["saved"] = ask("headroom", TARGET, "--snapshot", "/tmp/saved.portroom", "-o", "json")
        return told | {"snapshot": saved}, fallbacks.in_use()

    return in_namespace(job, ip_local_port_range=fallbacks.RANGE_ABOVE)


@pytest.mark.parametrize("name", [*COMMANDS, "saved"])
def test_each_command_answers_and_says_degraded(answers, name):
    """Exit status 0, an answer, and a gap that says where it was read and what is not seen."""
    ended = answers[0][name]

    assert (0, "") == (ended.status, ended.told)
    assert "degraded" in ended.reasons
    assert "only bound" in ended.reasons


def test_the_screen_says_so_in_words(answers):
    """The one screen of status tells it to a person."""
    ended = answers[0]["screen"]

    assert 0 == ended.status
    assert DEGRADED in " ".join(ended.answer.split())


def test_a_threshold_that_is_in_doubt_is_not_decided(answers):
    """What may be held unseen decides: exit status 3, neither 0 nor 1."""
    ended = answers[0]["threshold"]

    assert 3 == ended.status
    assert "cannot be decided" in ended.told


def test_the_summary_counts_what_the_kernel_counts(answers):
    """States add up to what sockstat has in use, and figures are its own."""
    told, counted = answers
    summary = told["summary"].json["summary"]
    hashed = counted["TCP inuse"] + counted["TCP6 inuse"]
    states = {name: number for name, number in summary["states"].items() if name != "TIME_WAIT"}

    assert hashed == sum(states.values())
    assert counted["TCP tw"] == summary["states"]["TIME_WAIT"] == summary["tcp"]["time_wait"]
    assert counted["UDP inuse"] + counted["UDP6 inuse"] == sum(summary["udp_states"].values())
    assert counted["UDP inuse"] == summary["transports"]["udp"]["ipv4"]


def test_sessions_lists_what_the_kernel_counts(answers):
    """As many rows as sockets that connect, listen or wait, and as UDP sockets."""
    told, counted = answers
    rows = [one["protocol"] for one in told["sessions"].json["sessions"]]
    tcp = counted["TCP inuse"] + counted["TCP6 inuse"] + counted["TCP tw"]

    assert tcp == rows.count("tcp")
    assert counted["UDP inuse"] + counted["UDP6 inuse"] == rows.count("udp")


def test_headroom_never_says_that_nothing_is_held(answers):
    """The key of ten connections holds at least as many ports, from the kernel or from a file."""
    for name in ("headroom", "saved"):
        (key,) = answers[0][name].json["keys"]

        assert key["held_ports"] + key["doubtful_ports"] >= fallbacks.CONNECTIONS
        assert fallbacks.CONNECTIONS <= sum(key["states"].values())


def test_headroom_names_who_holds_the_ports(answers):
    """The tables of /proc/net tell inodes, too, and so owners are found."""
    (key,) = answers[0]["headroom"].json["keys"]

    assert 1 == len(key["owners"])
    assert fallbacks.CONNECTIONS <= key["owners"][0]["sockets"]


def test_who_has_a_port_is_not_decided(answers):
    """A listener is there and cannot be looked up: its cause is unknown, not ruled out."""
    causes = {one["name"]: one["verdict"] for one in answers[0]["port"].json["causes"]}

    assert "unknown" == causes["port_taken"]


def test_features_names_the_missing_modules():
    """What the kernel cannot list, by which module, and what follows."""
    ended = ask("features", "tcp_rows", "udp_rows", "-o", "json")
    told = {one["name"]: one for one in ended.json["features"]}

    assert 0 == ended.status
    assert ["no", "no"] == [told[name]["answer"] for name in ("tcp_rows", "udp_rows")]
    assert "tcp_diag, or not even inet_diag" in told["tcp_rows"]["detail"]
    assert "modprobe tcp_diag" in told["tcp_rows"]["consequence"]
    assert "udp_diag" in told["udp_rows"]["detail"]


def test_without_ipv6_on_any_device_ipv4_is_told_as_before():
    """disable_ipv6 takes the addresses away: what is told of IPv4 holds."""

    def job():
        """Switch IPv6 off, connect, and try."""
        for name in ("all", "default", "lo"):
            Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
        held = fallbacks.serve()
        fallbacks.connections()
        found = [fallbacks.one_trial(name) for name in ("connect", "bind0", "udp_connect")]
        del held
        return found

    assert [] == surprises(in_namespace(job, ip_local_port_range=fallbacks.RANGE))
