"""The route that is told is the one that ``ip route get`` tells and connect() takes."""

from __future__ import annotations

import errno
import json
import socket
import subprocess
from pathlib import Path

import pytest

from portroom.kernel.route import read_route
from tests.kernel.harness import ip, set_up
from tests.kernel.sockets import attempt, family_of

REMOTES = [
    ("127.0.0.1", None),
    ("127.5.5.5", None),
    ("127.0.0.1", "127.0.0.9"),
    ("10.9.0.1", None),
    ("10.9.0.2", None),
    ("10.9.0.2", "10.9.0.3"),
    ("203.0.113.1", None),
    ("198.51.100.1", None),
    ("::1", None),
    ("fd00:9::1", None),
    ("fd00:9::2", None),
    ("fd00:9::2", "fd00:9::3"),
    ("fd00:aa::1", None),
]

COMMANDS = """\
link add bare type veth peer name blank
link set bare addrgenmode none
link set blank up
link set bare up
-6 route add fe80::/64 dev bare
link add near type veth peer name far
address add 10.9.0.1/24 dev near
address add 10.9.0.3/24 dev near
-6 address add fd00:9::3/64 dev near nodad
-6 address add fd00:9::1/64 dev near nodad
link set far up
link set near up
route add 203.0.113.0/24 via 10.9.0.2
route add 198.51.100.0/24 via 10.9.0.2 src 10.9.0.3
route add prohibit 192.0.2.128/25
route add blackhole 192.0.2.64/26
-6 route add fd00:aa::/64 via fd00:9::2
"""


def with_routes(job, *arguments):
    """Return what *job* returns behind a veth pair with several routes."""
    set_up("lo")
    # An address is usable at once, and not only when no neighbour objected.
    Path("/proc/sys/net/ipv6/conf/default/accept_dad").write_text("0")
    ip(*COMMANDS.splitlines())
    return job(*arguments)


def told(remote, local):
    """Return the local address and the device of a route."""
    route = read_route(remote, local)
    return route.local_address, socket.if_indextoname(route.device)


def told_by_ip(remote, local):
    """Return what iproute2 tells of the same route."""
    source = ["from", local] if local else []
    command = ["ip", "-json", "route", "get", remote, *source]
    (route,) = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return local or route["prefsrc"], route["dev"]


def taken(remote, local):
    """Return the local address that a connected UDP socket gets."""
    with socket.socket(family_of((remote, 0)), socket.SOCK_DGRAM) as made:
        if local:
            made.bind((local, 0))
        _, _, zone = remote.partition("%")
        made.connect((remote, 9, 0, socket.if_nametoindex(zone)) if zone else (remote, 9))
        return made.getsockname()[0]


@pytest.mark.parametrize(("remote", "local"), REMOTES)
def test_the_route_is_the_one_that_is_taken(netns, remote, local):
    """
    Three ways to ask give one local address, and two one device.
    """

    def job():
        return told(remote, local), told_by_ip(remote, local), taken(remote, local)

    ours, theirs, address = netns(with_routes, job)

    assert theirs == ours
    assert address == ours[0]


@pytest.mark.parametrize(
    ("remote", "local", "expected"),
    [
        ("0.0.0.0", None, ("127.0.0.1", "lo")),
        ("::", None, ("::1", "lo")),
        ("::ffff:10.9.0.2", None, ("10.9.0.1", "near")),
        ("10.9.0.2", "0.0.0.0", ("10.9.0.1", "near")),
        ("10.9.0.2", "::ffff:10.9.0.3", ("10.9.0.3", "near")),
    ],
)
def test_wildcards_and_mapped_addresses_mean_what_connect_means(netns, remote, local, expected):
    """
    A wildcard remote is loopback, a wildcard local address is no choice.
    """
    assert expected == netns(with_routes, told, remote, local)


def test_a_link_local_address_is_reached_by_its_device(netns):
    """
    Without a device of its own loopback has no way there.
    """

    def job():
        return told("fe80::2%near", None)[1], told("fe80::2%far", None)[1]

    assert ("near", "far") == netns(with_routes, job)


@pytest.mark.parametrize(
    ("remote", "local", "number"),
    [
        ("192.0.2.1", None, errno.ENETUNREACH),
        ("2001:db8::1", None, errno.ENETUNREACH),
        ("192.0.2.129", None, errno.EACCES),
        ("192.0.2.65", None, errno.EINVAL),
        ("10.9.0.2", "127.0.0.1", errno.EINVAL),
        ("fe80::2%bare", None, errno.EADDRNOTAVAIL),
    ],
)
def test_no_route_is_the_errno_that_connect_gives(netns, remote, local, number):
    """
    What the kernel answers passes up as it is.
    """

    def job():
        return attempt(lambda: told(remote, local)), attempt(lambda: taken(remote, local))

    ours, connecting = netns(with_routes, job)

    assert errno.errorcode[number] == ours == connecting


def test_a_local_address_that_is_not_here_is_refused(netns):
    """
    The kernel refuses to go from an address that it does not have.
    """

    def job():
        return attempt(lambda: told("10.9.0.2", "192.0.2.9"))

    assert netns(with_routes, job) in {"EINVAL", "ENETUNREACH"}
