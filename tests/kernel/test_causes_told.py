"""Causes that are easily mixed up, on the real kernel: shared ports, sources, namespaces.

Rules of this file: as in test_causes; and each command that is told runs as printed.
"""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from portroom.api.explain import explain
from portroom.api.source import Live
from portroom.model.facts.explanation import FOUND, POSSIBLE, RULED_OUT, Cause, ExplainQuestion
from tests.e2e.faults import ask
from tests.kernel import needs
from tests.kernel.harness import (
    CLONE_NEWNET,
    Neighbour,
    in_namespace,
    unshare,
    wait_until,
    write_settings,
)
from tests.kernel.sockets import attempt, connected, fill, fill_bind0, listener, make_time_wait, tcp

FIRST, SECOND = ("127.0.0.1", 9000), ("127.0.0.1", 9001)
TO_FIRST, TO_SECOND = "127.0.0.1:9000", "127.0.0.1:9001"
FULL, IN_USE = "EADDRNOTAVAIL", "EADDRINUSE"

ASKED_PORT_BY_PORT = needs.features().range_option is True
"""Whether the probe tells of each port; elsewhere of one that is left, or that none is."""


def causes(error: str | None, remote: str | None = None, **asked: Any) -> dict[str, Cause]:
    """Return each cause that was judged, by name, in the order in which it is told."""
    answer = explain(ExplainQuestion(error=error, remote=remote, **asked), Live())
    return {cause.name: cause for cause in answer.causes}


def found(told: dict[str, Cause]) -> list[str]:
    """Return the names of the causes that are found, in their order."""
    return [name for name, cause in told.items() if cause.verdict == FOUND]


def within(ports: str, job: Callable[[], object], **settings: object) -> Any:
    """Return what *job* returns where these ports may be chosen and two servers listen."""

    def begin() -> object:
        """Listen on both."""
        listener(*FIRST)
        listener(*SECOND)
        return job()

    return in_namespace(begin, **({"ip_local_port_range": ports} | settings))


def test_bind_first_sockets_are_named_for_their_own_destination_too():
    """Their 4-tuples hold the ports, and nobody else gets one: the graver leads."""

    def job():
        fill(FIRST, bind=("127.0.0.1", 0))
        return attempt(lambda: connected(SECOND)), causes(FULL, TO_FIRST), causes(FULL)

    refusal, mine, anyone = within("40000 40009", job)

    assert FULL == refusal
    assert ["ports_blocked", "key_full"] == found(mine)
    assert 10 == mine["ports_blocked"].numbers["blocked_ports"]
    assert 10 == mine["key_full"].numbers["own_ports"]
    assert "All 10 are blocked" in mine["key_full"].sentence
    assert "have as many again" not in mine["key_full"].remedy
    assert ["ports_blocked"] == found(anyone)
    assert "hold 10 of 10 ports" in anyone["key_full"].sentence


def test_automatic_connections_of_a_full_key_block_nobody_as_the_kernel_says():
    """It gives the same ports for a remote that nobody is connected to; one, where it is asked once."""

    def job():
        fill(FIRST)
        return causes(FULL, TO_FIRST), causes(FULL, TO_FIRST, probe=False)

    asked, unasked = within("40000 40009", job)

    assert ["key_full"] == found(asked)
    if ASKED_PORT_BY_PORT:
        assert RULED_OUT == asked["ports_blocked"].verdict
        assert (
            "nobody is connected to would get at least 2 ports" in asked["ports_blocked"].sentence
        )
    else:
        assert POSSIBLE == asked["ports_blocked"].verdict
        assert "does not tell whether 9 ports" in asked["ports_blocked"].sentence
        assert "nobody is connected to would get at least 1 port" in asked["ports_blocked"].sentence
        assert "--no-probe" not in asked["ports_blocked"].remedy
    assert POSSIBLE == unasked["ports_blocked"].verdict


def test_some_bind_first_sockets_in_a_full_key_are_told_as_the_least():
    """The probe stops at the second port that is given: the rest nobody asked about."""

    def job():
        fill(FIRST, at_most=20, bind=("127.0.0.1", 0))
        fill(FIRST)
        return causes(FULL, TO_FIRST)

    told = within("40000 40099", job)

    assert ["key_full"] == found(told)
    assert 100 == told["key_full"].numbers["own_ports"]
    least = "known to be blocked" if ASKED_PORT_BY_PORT else "does not tell whether 99 ports"
    assert least in told["ports_blocked"].sentence


def test_a_key_from_another_source_is_no_cause_of_who_binds_nothing():
    """One port, held from 127.0.0.2: the route goes from 127.0.0.1, and connect() works."""

    def job():
        connected(FIRST, bind=("127.0.0.2", 0), noport=True)
        before = causes(FULL, TO_FIRST), causes(FULL, TO_FIRST, from_address="127.0.0.2")
        anywhere = causes(FULL, TO_FIRST, from_address="0.0.0.0")
        return *before, anywhere, attempt(lambda: connected(FIRST))

    routed, bound, anywhere, real = within("40000 40000", job)

    assert "ok" == real
    assert [] == found(routed)
    assert POSSIBLE == routed["key_full"].verdict
    assert "Only for a program that binds 127.0.0.2" in routed["key_full"].sentence
    assert routed["key_full"].command.startswith(
        f"portroom explain {FULL} --remote {TO_FIRST} --from 127.0.0.2"
    )
    assert ["key_full"] == found(bound)
    assert [] == found(anywhere)


def test_the_key_of_the_route_is_judged_however_many_others_are_fuller():
    """Seven other sources hold ports: the one of the route is still among the keys."""

    def job():
        for last in range(2, 9):
            connected(FIRST, bind=(f"127.0.0.{last}", 0), noport=True)
        fill(FIRST)
        return causes(FULL, TO_FIRST)

    assert ["key_full"] == found(within("40000 40000", job))


def test_a_full_pool_elsewhere_is_no_cause_of_a_named_port():
    """bind() to a number asks no pool; one that asks for any port may be that one."""

    def job():
        neighbour = Neighbour()
        with neighbour.inside():
            write_settings(ip_local_port_range="40000 40009")
            fill_bind0("127.0.0.1")
            elsewhere = os.fork()
            if elsewhere == 0:
                wait_until(lambda: False, "the parent ends it", deadline_s=60)
        named = causes(IN_USE, from_port=8082)
        taken = causes(IN_USE, from_address="127.0.0.1", from_port=9000)
        absent = causes(FULL, from_address="192.0.2.77")
        anyone = causes(IN_USE)
        os.kill(elsewhere, signal.SIGKILL)
        return named, taken, absent, anyone

    named, taken, absent, anyone = within("40000 40009", job)

    assert {"other_namespace"}.isdisjoint({*named, *taken, *absent})
    assert ["port_taken"] == found(taken)
    assert ["address_not_local"] == found(absent)
    assert POSSIBLE == anyone["other_namespace"].verdict


def test_a_port_outside_of_the_range_was_not_the_kernels_choice():
    """A client bound 8090 by name: reserving it would change nothing."""

    def job():
        connected(FIRST, bind=("127.0.0.1", 8090))
        refusal = attempt(lambda: tcp(("127.0.0.1", 8090)))
        return refusal, causes(IN_USE, from_address="127.0.0.1", from_port=8090)

    refusal, told = within("40000 40009", job)
    (name,) = found(told)

    assert IN_USE == refusal
    assert "the kernel chose it" not in told[name].remedy
    assert "reserved" not in told[name].command


def test_a_link_local_remote_without_its_device_is_not_a_missing_route():
    """connect() says EINVAL, and the answer what to write."""

    def job():
        real = attempt(lambda: connected(("fe80::1", 80)))
        return real, causes(FULL, "[fe80::1]:80")["no_source_address"]

    real, told = within("40000 40009", job)

    assert "EINVAL" == real
    assert "needs the device" in told.sentence
    assert "no route" not in told.sentence


def test_loopback_without_a_route_is_a_device_that_is_down():
    """No address is missing: lo has one."""

    def job():
        unshare(CLONE_NEWNET)  # a new one, whose lo nobody set up
        return attempt(lambda: connected(FIRST)), causes(None, TO_FIRST)["no_source_address"]

    real, told = within("40000 40009", job)

    assert "ENETUNREACH" == real
    assert "lo is down" in told.sentence


def test_a_route_that_was_refused_is_no_gap_beside_its_cause():
    """The cause tells it; a local address of one's own would not help."""

    def job():
        answer = explain(ExplainQuestion(error=FULL, remote="192.0.2.9:80"), Live())
        return [gap.source for gap in answer.gaps], {one.name: one for one in answer.causes}

    gaps, told = within("40000 40009", job)

    assert "route" not in gaps
    assert "no route" in told["no_source_address"].sentence


def _scenes() -> Iterator[tuple[str, Callable[[], object], dict[str, Any]]]:
    """Yield a name, what to make, and what to ask."""
    yield "full", lambda: fill(FIRST), {"error": FULL, "remote": TO_FIRST}
    yield "bound", lambda: fill(FIRST, bind=("127.0.0.1", 0)), {"error": FULL, "remote": TO_FIRST}
    yield "elsewhere", lambda: fill(FIRST), {"error": FULL, "remote": TO_SECOND, "probe": False}
    yield "bind0", lambda: fill(FIRST), {"error": IN_USE}
    yield "outgoing", lambda: fill(FIRST), {"error": IN_USE, "from_port": 40003}
    yield "taken", lambda: None, {"error": IN_USE, "from_port": 9000}
    yield (
        "waiting",
        lambda: make_time_wait(listener("127.0.0.1", 9002), ("127.0.0.1", 9002), 10),
        {"error": FULL, "remote": "127.0.0.1:9002"},
    )


@pytest.mark.parametrize("scene", list(_scenes()), ids=lambda one: one[0])
def test_each_command_that_is_told_runs_as_printed(scene):
    """None is refused, in a namespace that is not the host's, of ten ports."""
    _, make, asked = scene

    def job():
        make()
        listener("0.0.0.0", 20000)  # in the way of a wide range
        answer = explain(ExplainQuestion(**asked), Live())
        told = [one.command for one in answer.causes if one.verdict in {FOUND, POSSIBLE}]
        words = [shlex.split(text)[1:] for text in told if text.startswith("portroom ")]
        return [(one, ask(*one).status) for one in words if one != ["trace"]]

    ran = within("40000 40009", job, tcp_tw_reuse=0)

    assert ran
    assert [] == [(words, status) for words, status in ran if status != 0]
