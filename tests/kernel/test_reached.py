"""What is told of a connect before it looks for a port is what connect() does."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import pytest

from portroom.errors import InvalidRequestError
from portroom.kernel.addresses import read_address
from portroom.kernel.reached import read_reached
from portroom.model.facts.sockets import Endpoint
from tests.kernel.harness import ip
from tests.kernel.ipv6_hosts import (
    AWAY4,
    AWAY6,
    HERE6,
    HOSTS,
    THERE6,
    all_off,
    device_off,
    loopback_off,
    loopback_off_with_device,
    loopback_removed,
    plain,
    veth,
)
from tests.kernel.sockets import IP_BIND_ADDRESS_NO_PORT, error_name

PORT = 9
ON_THE_WAY = ("", "EINPROGRESS")
"""A connect that got as far as to look for a port, and to send."""


def done(remote, local):
    """
    Return where a non-blocking connect() fails ("" where it does not), the errno and the source.
    """
    address, _, zone = remote.partition("%")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    scope = (0, socket.if_nametoindex(zone)) if zone else ()
    with socket.socket(family) as made:
        made.setblocking(False)
        made.setsockopt(socket.SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        if local is not None:
            try:
                made.bind((local, 0))
            except OSError as error:
                return "bind", error_name(error), None
        number = made.connect_ex((address, PORT, *scope))
        source = made.getsockname()[0].removeprefix("::ffff:").partition("%")[0]
        if number not in (0, errno.EINPROGRESS, errno.ECONNREFUSED):
            return "connect", errno.errorcode[number], None
        return *ON_THE_WAY, source


def told(remote, local):
    """
    Return the same as ``done``, as it is told.
    """
    if local is not None and (refusal := read_address(local).error):
        return "bind", refusal, None
    reached = read_reached(Endpoint(remote, PORT), local)
    if reached.error:
        return "connect", reached.error, reached.local_address
    return *ON_THE_WAY, reached.local_address


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.__name__)
def test_what_is_told_is_what_connect_does(netns, host):
    """
    The same errno, and the same local address where there is none.
    """

    def job():
        host()
        return {way: (done(*way), told(*way)) for way in HOSTS[host]}

    found = netns(job)

    assert {way: real for way, (real, _) in found.items()} == {
        way: ours for way, (_, ours) in found.items()
    }


@pytest.mark.parametrize(
    ("host", "remote", "expected"),
    [
        (plain, "::1", ("", False)),
        (plain, "127.0.0.1", ("", None)),
        (plain, AWAY6, ("ENETUNREACH", False)),
        (loopback_off, "::1", ("EADDRNOTAVAIL", True)),
        (loopback_off, "::ffff:127.0.0.1", ("", None)),
        (loopback_removed, "::1", ("EADDRNOTAVAIL", False)),
        (all_off, AWAY6, ("EADDRNOTAVAIL", True)),
        (loopback_off_with_device, "::1", ("ENETUNREACH", True)),
        (loopback_off_with_device, AWAY6, ("ENETUNREACH", False)),
        (loopback_off_with_device, HERE6, ("", False)),
        (device_off, "fe80::9%near", ("ENETUNREACH", True)),
    ],
)
def test_ipv6_that_is_switched_off_is_told(netns, host, remote, expected):
    """
    Of the device in question, of all where none is; never of an IPv4 address.
    """

    def job():
        host()
        reached = read_reached(Endpoint(remote, PORT))
        return reached.error, reached.ipv6_off

    assert expected == netns(job)


def test_a_connect_with_no_ipv4_address_at_all_is_not_refused(netns):
    """
    It leaves from 0.0.0.0, so its errno comes later and is another one.
    """

    def job():
        veth(generated=False)
        ip("route add default dev near")
        return read_reached(Endpoint(AWAY4, PORT))

    found = netns(job)

    assert ("0.0.0.0", "") == (found.local_address, found.error)


def test_a_local_address_that_cannot_be_bound_is_the_address_s_matter(netns):
    """
    The way to the remote is told without it.
    """

    def job():
        veth()
        ip(f"-6 address add {HERE6}/64 dev near nodad")
        return read_reached(Endpoint(THERE6, PORT), "2001:db8:77::1")

    found = netns(job)

    assert (None, "") == (found.local_address, found.error)


def test_a_link_local_address_of_the_socket_names_the_device(netns):
    """
    Then the remote needs no zone of its own.
    """

    def job():
        veth()
        lines = Path("/proc/net/if_inet6").read_text().splitlines()
        own = next(line for line in lines if line.startswith("fe80") and line.endswith("near"))
        address = ":".join(own[place : place + 4] for place in range(0, 32, 4))
        bound = f"{address}%near"
        index = socket.if_nametoindex("near")
        with socket.socket(socket.AF_INET6) as made:
            made.setblocking(False)
            made.setsockopt(socket.SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            made.bind((address, 0, 0, index))
            number = made.connect_ex(("fe80::9", PORT))
            source = made.getsockname()[0]
        reached = read_reached(Endpoint("fe80::9", PORT), bound)
        return errno.errorcode[number], source, reached.local_address, reached.error

    number, source, local, error = netns(job)

    assert ("EINPROGRESS", "") == (number, error)
    assert source == local


def test_two_families_and_unknown_devices_are_refused(netns):
    """
    That is no connect at all.
    """

    def job():
        refusals = []
        for remote, local in (("::1", "127.0.0.1"), ("fe80::1%none9", None)):
            try:
                read_reached(Endpoint(remote, PORT), local)
            except InvalidRequestError as error:
                refusals.append(error.message)
        return refusals

    families, device = netns(job)

    assert "From '127.0.0.1' no IPV6 address can be reached: it is IPV4." == families
    assert "No device 'none9', as in 'fe80::1%none9'." == device


def test_nothing_is_sent_and_no_port_is_taken(netns):
    """
    In a range of one port, held by a listener, the answer is the same.
    """

    def job():
        counts = [Path("/proc/net/snmp").read_text()]
        with socket.socket() as made:
            made.bind(("0.0.0.0", 40000))
            made.listen()
            found = read_reached(Endpoint("127.0.0.1", PORT))
        counts.append(Path("/proc/net/snmp").read_text())
        return found.error, counts

    error, (before, after) = netns(job, ip_local_port_range="40000 40000")

    assert "" == error
    assert before == after
