"""The harness itself: results and errors travel, and namespaces are private."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.kernel.harness import NamespaceError, Neighbour, in_namespace, read_setting
from tests.kernel.sockets import accept_all, fill, listener, make_time_wait, time_waits


def test_a_result_comes_back_and_settings_are_in_force(netns):
    """The function sees the settings it was given, and its result comes back."""
    seen = netns(read_setting, "ip_local_port_range", ip_local_port_range="40000 40009")

    assert ["40000", "40009"] == seen.split()


def test_the_caller_stays_where_it_is(netns):
    """The child lives in another namespace than the test."""
    child = netns(os.readlink, "/proc/self/ns/net")

    assert child != str(Path("/proc/self/ns/net").readlink())


def test_an_error_comes_back_with_its_traceback(netns):
    """What the function raises is raised here, the child's traceback as a note."""

    def fail():
        raise ValueError("one sentence")

    with pytest.raises(ValueError, match="one sentence") as caught:
        netns(fail)

    assert "in fail" in caught.value.__notes__[0]


def test_a_child_that_hangs_is_ended(netns):
    """After the deadline the child is killed and an error says so."""
    reading, _writing = os.pipe()

    with pytest.raises(NamespaceError, match="no result within"):
        netns(os.read, reading, 1, deadline_s=0.2)


def test_one_endpoint_takes_ten_ports(netns):
    """A range of ten ports takes ten connections to one endpoint."""

    def job():
        listener("0.0.0.0", 9000)
        return fill(("127.0.0.1", 9000))

    filled = netns(job, ip_local_port_range="40000 40009")

    assert (10, "EADDRNOTAVAIL") == filled.outcome
    assert set(range(40000, 40010)) == set(filled.ports)


def test_two_namespaces_talk_over_veth(netns):
    """The neighbour answers, and TIME_WAIT stays on the closing side."""

    def job():
        neighbour = Neighbour()
        with neighbour.inside():
            server = listener(neighbour.there, 9000)
        make_time_wait(server, (neighbour.there, 9000), 3)
        with neighbour.inside():
            return time_waits()

    assert netns(job) == 0


def test_a_namespace_inside_a_namespace(netns):
    """A namespace can be made within another."""

    def job():
        server = listener("127.0.0.1", 9000)
        filled = fill(("127.0.0.1", 9000), at_most=2)
        accept_all(server, 2)
        inner = in_namespace(time_waits)
        return filled.count, inner

    assert netns(job) == (2, 0)
