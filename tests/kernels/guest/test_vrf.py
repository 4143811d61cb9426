"""VRFs: with each value of tcp_l3mdev_accept, predict inside and outside, and then do it.

The namespace of each test has a VRF ``red``, with ``red0`` enslaved to it, and ``near``,
which is in none. Nobody answers behind them: a connection stays in SYN_SENT.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import subprocess

import pytest

from portroom.kernel.vrfs import read_vrfs
from portroom.model.facts.snapshot import Vrf
from tests.kernel.harness import enter_new_namespace as enter
from tests.kernel.harness import in_child, in_namespace, ip, set_up, write_settings
from tests.kernel.needs import features, lacking
from tests.kernel.predict import Trial, question, span
from tests.kernel.sockets import (
    accept_all,
    connected,
    listener,
    local_port,
    take,
    tcp,
    udp,
)

INSIDE, OUTSIDE = ("10.7.0.2", 9), ("10.9.0.2", 9)
RANGE = "40000 40009"
FULL = {"connect": "EADDRNOTAVAIL", "bind0": "EADDRINUSE"}
APART, SHARED = 0, 1
BOTH = pytest.mark.parametrize("accept", [APART, SHARED])


@functools.cache
def lacks_vrf():
    """Return whether the kernel refuses to make a VRF."""

    def job():
        enter()
        with contextlib.suppress(subprocess.CalledProcessError):
            ip("link add red type vrf table 10")
            return False
        return True

    return in_child(job)


pytestmark = lacking("VRF", missing=lacks_vrf())


def make_devices():
    """Make the VRF, what is enslaved to it, and a device that is not."""
    ip("link add red type vrf table 10")
    ip("link add red0 type dummy")
    ip("link set red0 master red")
    ip("link add near type dummy")
    for device in ("red", "red0", "near"):
        set_up(device)
    ip("address add 10.7.0.1/24 dev red0")
    ip("address add 10.9.0.1/24 dev near")


def beside_a_vrf(job, accept):
    """Return what *job* returns in a namespace with those devices, and TCP so set."""

    def whole():
        make_devices()
        return job()

    return in_namespace(whole, ip_local_port_range=RANGE, tcp_l3mdev_accept=accept)


def begun(remote, device=None):
    """Return a socket on a device that begins to connect, and gets no answer."""
    made = tcp(device=device)
    made.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        made.connect(remote)
    return made


def inside(operation="connect"):
    """Return what the product says of the one key in the VRF, for every local address there."""
    keys = [one for one in question(None, operation=operation) if one.vrf == "red"]
    (key,) = (one for one in keys if operation == "connect" or one.local_address == "0.0.0.0")
    return span(key)


def outside(operation="connect"):
    """Return what the product says of a socket on no device."""
    if operation == "bind0":
        (key,) = question(None, from_address="0.0.0.0", operation=operation)
    else:
        (key,) = question(OUTSIDE)
    return span(key)


def tried(predicted, remote, device):
    """Return a prediction, and what became of connects to *remote* then."""
    real = take(lambda: begun(remote, device), 40)
    return Trial(f"connect {remote} on {device}", predicted, None, real)


def tried_bind0(predicted, device):
    """Return a prediction, and what became of binds to port 0 then."""
    real = take(lambda: tcp(("0.0.0.0", 0), device=device), 40)
    return Trial(f"bind0 on {device}", predicted, None, real)


def hold():
    """
    Take a port outside, one on the VRF, one on what is enslaved; connect on both sides.

    Returns:
        The ports held on no device, and those held on the VRF.
    """
    for port, device in ((40000, None), (40001, "red"), (40002, "red0")):
        tcp(("0.0.0.0", port), device=device)
    return {40000, local_port(begun(OUTSIDE))}, {40001, local_port(begun(INSIDE, "red"))}


@BOTH
@pytest.mark.parametrize("device", [None, "red", "red0"])
def test_a_bound_port_is_out_on_its_own_side(accept, device):
    """
    With 0 a port that is bound outside is free inside, and the other way round; with 1 it is not.

    The one connection that is open already holds one more port for its destination.
    """

    def job():
        hold()
        if device is None:
            return tried(outside(), OUTSIDE, None)
        return tried(inside(), INSIDE, device)

    trial = beside_a_vrf(job, accept)
    free = {APART: 8 if device is None else 7, SHARED: 6}[accept]

    assert (free, FULL["connect"]) == trial.real.outcome
    assert "" == trial.surprise
    # In one space, how the connection of the other side got its port is not told.
    doubtful = 1 if accept == SHARED else 0
    assert not is_sure() or trial.predicted in {(free, free), (free - doubtful, free)}


def is_sure():
    """Return whether this kernel lets the product be sure in these tests."""
    return bool(features().bucket_forgets and features().bound_inactive_rows)


@BOTH
@pytest.mark.parametrize("device", [None, "red", "red0"])
def test_a_connection_on_the_enslaved_device_holds_its_port_there(accept, device):
    """A connection on red0 is in the way on red0 alone; the prediction is true for both."""

    def job():
        fill_on("red0", 4)
        if device is None:
            return tried(outside(), OUTSIDE, None)
        return tried(inside(), INSIDE, device)

    trial = beside_a_vrf(job, accept)

    assert (6 if device == "red0" else 10, FULL["connect"]) == trial.real.outcome
    assert "" == trial.surprise


def fill_on(device, count):
    """Begin some connections inside, on one device."""
    take(lambda: begun(INSIDE, device), count)


@BOTH
@pytest.mark.parametrize("device", [None, "red", "red0"])
def test_a_connection_on_the_vrf_holds_its_port_inside(accept, device):
    """A connection on red is in the way on red and on red0."""

    def job():
        fill_on("red", 4)
        if device is None:
            return tried(outside(), OUTSIDE, None)
        return tried(inside(), INSIDE, device)

    trial = beside_a_vrf(job, accept)

    assert (10 if device is None else 6, FULL["connect"]) == trial.real.outcome
    assert "" == trial.surprise


@BOTH
@pytest.mark.parametrize("device", [None, "red", "red0"])
def test_any_port_is_bound_on_its_own_side(accept, device):
    """
    bind() to port 0 with 0 counts its own side, with 1 all; two devices do not meet.

    What is told of a VRF is for sockets on the VRF itself, and the least for those on
    what is enslaved to it; where all share one space it is told for no device alone.
    """

    def job():
        out, on_red = hold()
        told = inside if device and accept == APART else outside
        return out, on_red, tried_bind0(told("bind0"), device)

    out, on_red, trial = beside_a_vrf(job, accept)
    held = {None: out, "red": on_red, "red0": {40002}}[device]
    if accept == SHARED:
        held = held | out if device else out | on_red | {40002}
    at_least, at_most = trial.predicted

    assert (10 - len(held), FULL["bind0"]) == trial.real.outcome
    assert at_least <= trial.real.count
    assert trial.real.count <= at_most or device == "red0" or (device and accept == SHARED)


@BOTH
@pytest.mark.parametrize("udp_accept", [0, 1])
def test_udp_has_one_space_of_ports(accept, udp_accept):
    """A UDP port that is bound in the VRF is out outside, whatever the two settings."""

    def job():
        udp(("0.0.0.0", 40001), device="red")
        udp(("0.0.0.0", 40002), device="red0")
        (key,) = question(None, from_address="0.0.0.0", protocol="udp", operation="bind0")
        return Trial("udp", span(key), None, take(lambda: udp(("0.0.0.0", 0)), 40))

    def with_udp():
        write_settings(udp_l3mdev_accept=udp_accept)
        return job()

    trial = beside_a_vrf(with_udp, accept)

    assert (8, FULL["bind0"]) == trial.real.outcome
    assert (8, 8) == trial.predicted


@BOTH
def test_what_was_accepted_inside_is_in_the_way_inside(accept):
    """A port on which the VRF accepted is out inside, with or without its listener."""

    def job():
        server = listener("10.7.0.1", 40004, device="red")
        for port in (50000, 50001):
            connected(("10.7.0.1", 40004), bind=("10.7.0.1", port), device="red")
        accept_all(server, 2)
        first = outside()
        server.close()
        return first, tried(outside(), OUTSIDE, None)

    first, trial = beside_a_vrf(job, accept)
    free = 10 if accept == APART else 9

    assert free == trial.real.count
    assert first[0] <= free <= first[1]
    assert "" == trial.surprise


def test_the_product_knows_which_devices_are_in_a_vrf():
    """The VRF and what is enslaved to it are told, and no other device."""

    def job():
        indexes = {name: socket.if_nametoindex(name) for name in ("red", "red0")}
        return indexes, read_vrfs()

    indexes, vrfs = beside_a_vrf(job, APART)

    assert (Vrf(indexes["red"], "red", (indexes["red0"],)),) == vrfs


def test_where_no_vrf_is_there_is_none_to_tell():
    """A namespace without a VRF has none."""
    assert () == in_namespace(read_vrfs)


@BOTH
def test_a_question_by_address_says_what_it_is_about(accept):
    """Where a VRF exists, an answer about an address says that it is not about the VRF."""

    def job():
        from portroom.api import look
        from portroom.model.facts.questions import HeadroomQuestion

        asked = HeadroomQuestion(address="10.9.0.2:9", owners=False)
        return [gap.source for gap in look.headroom(asked, look.Live()).gaps]

    assert "vrf" in beside_a_vrf(job, accept)
