"""Sockets of keys one by one: from rows as the kernel sends them to columns of each key."""

from __future__ import annotations

import ipaddress
import struct

import pytest

from portroom.errors import KernelDataError
from portroom.kernel import port_owners, sock_diag
from portroom.kernel.port_owners import swapped
from tests.unit.made_groups import RED, connect_key

MARK = sock_diag.attribute(sock_diag.MARK, bytes(4))


def row(port, remote="198.51.100.1", local="192.0.2.1", *, device=0, extra=b"", cookie=8, inode=9):
    """Return one message of a dump."""
    ends = [ipaddress.ip_address(text).packed for text in (local, remote)]
    family = 2 if len(ends[0]) == 4 else 10
    body = struct.pack("=BBBB", family, 1, 0, 0) + struct.pack(">HH", port, 443)
    body += b"".join(end.ljust(16, b"\0") for end in ends)
    body += struct.pack("=I", device) + struct.pack(">Q", cookie)
    body += struct.pack("=IIIII", 0, 0, 0, 0, inode)
    return struct.pack("=IHHII", 88 + len(extra), 20, 2, 0x9E3779B1, 4242) + body + extra


def sort(keys, *datagrams):
    """Return port, cookie and inode of the sockets of each key."""
    sorter = port_owners._Sorter(keys)
    for rows in datagrams:
        sorter.add(port_owners._rows(memoryview(b"".join(rows))))
    return [list(zip(*columns, strict=True)) for columns in sorter.found()]


def test_each_row_is_found_under_its_key():
    """Others are left out: another remote, another local address."""
    keys = [connect_key(), connect_key(remote=("198.51.100.2", 443))]
    rows = [
        row(40_000, cookie=1, inode=11),
        row(40_001, "198.51.100.2", cookie=2, inode=0),
        row(40_002, "198.51.100.3"),
        row(40_003, local="192.0.2.9"),
    ]

    assert [[(40_000, 1, 11)], [(40_001, 2, 0)]] == sort(keys, rows)


@pytest.mark.parametrize("extra", [b"", MARK])
def test_rows_of_any_length_are_read(extra):
    """All equally long, or each as long as it is."""
    rows = [row(40_000, extra=extra), row(40_001), row(40_002, extra=extra)]

    assert [[(40_000, 8, 9), (40_001, 8, 9), (40_002, 8, 9)]] == sort([connect_key()], rows)
    assert [[(40_001, 8, 9)]] == sort([connect_key()], rows[1:2])


def test_mapped_sockets_are_those_of_ipv4():
    """A socket of IPv6 that talks to an IPv4 address is in the same key."""
    rows = [row(40_000, "::ffff:198.51.100.1", "::ffff:192.0.2.1"), row(40_001)]

    assert [[(40_000, 8, 9), (40_001, 8, 9)]] == sort([connect_key()], rows)


def test_an_address_of_ipv6_with_the_same_bytes_is_another():
    """192.0.2.1 stands in the first four bytes of its sixteen; so does c000:201::."""
    rows = [row(40_000, "c633:6401::", "c000:201::")]

    assert [[]] == sort([connect_key()], rows)


def test_a_key_of_a_vrf_has_the_sockets_on_its_devices():
    """On the VRF and on the device enslaved to it; not those on none."""
    rows = [row(40_000), row(40_001, device=7), row(40_002, device=2), row(40_003, device=3)]

    (found,) = sort([connect_key(vrf=RED)], rows)

    assert [40_001, 40_002] == [port for port, _, _ in found]


@pytest.mark.parametrize("cut", [bytes(4), b"\xff\xff\xff\xff" + bytes(90), row(40_000)[:-4]])
def test_bytes_that_are_no_rows_are_an_error(cut):
    """Never left out."""
    with pytest.raises(KernelDataError):
        sort([connect_key()], [cut])


def test_inodes_come_as_the_machine_has_them():
    """What /proc/net tells goes the way of what sock_diag tells."""
    sorter = port_owners._Sorter([connect_key()])
    sorter.add([(2, 40_000, connect_key().group_key, 0, swapped(4711))])

    assert [4711] == list(sorter.found()[0].inodes)
