"""Messages of rtnetlink about VRFs, and about what is enslaved to them."""

import struct

import pytest

from portroom.errors import KernelDataError
from portroom.kernel.sock_diag import attribute
from portroom.kernel.vrfs import is_vrf, parse_links
from portroom.model.facts.snapshot import Vrf


def link(index, name, kind=None, master=0):
    """Return a message about a device."""
    body = struct.pack("=BxHiII", 0, 1, index, 0, 0) + attribute(3, name + b"\0")
    if kind:
        body += attribute(18, attribute(1, kind + b"\0"))
    if master:
        body += attribute(10, struct.pack("=I", master))
    return struct.pack("=IHHII", 16 + len(body), 16, 2, 1, 0) + body


def test_a_vrf_has_what_is_enslaved_to_it():
    """A port of a bridge is not in the VRF that the bridge is enslaved to."""
    messages = [
        link(1, b"lo"),
        link(5, b"red", b"vrf"),
        link(2, b"eth0", master=5),
        link(3, b"br0", b"bridge", master=5),
        link(4, b"eth1", master=3),
        link(6, b"blue", b"vrf"),
    ]

    assert (Vrf(5, "red", (2, 3)), Vrf(6, "blue")) == parse_links(messages)


def test_other_devices_are_no_vrf():
    """What has vrf for a name is none."""
    assert is_vrf(link(5, b"red", b"vrf"))
    assert not is_vrf(link(5, b"vrf"))
    assert not is_vrf(link(5, b"vrf", b"bridge"))
    assert () == parse_links([link(1, b"lo"), link(5, b"vrf", b"dummy")])


def test_a_hostile_name_stays_what_it_is():
    """A name may hold any byte but a slash and blanks."""
    assert (Vrf(5, "\\xff\x1b[31m"),) == parse_links([link(5, b"\xff\x1b[31m", b"vrf")])


def test_an_attribute_that_ends_elsewhere_is_an_error():
    """It is not read beyond its end."""
    broken = link(5, b"red", b"vrf") + struct.pack("=HH", 400, 18)

    with pytest.raises(KernelDataError, match="expected an attribute"):
        parse_links([broken])
