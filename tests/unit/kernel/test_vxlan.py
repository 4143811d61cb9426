"""Messages of rtnetlink about VXLAN devices, and others."""

import struct

import pytest

from portroom.errors import KernelDataError
from portroom.kernel.sock_diag import attribute
from portroom.kernel.vxlan import parse_link
from portroom.model.facts.surroundings import VxlanPort

PORT = attribute(15, struct.pack(">H", 8472))


def link(*parts):
    """
    Return a message about a device with some attributes.
    """
    body = struct.pack("=BxHiII", 0, 1, 7, 0, 0) + b"".join(parts)
    return struct.pack("=IHHII", 16 + len(body), 16, 2, 1, 0) + body


def info(kind, data=PORT):
    """
    Return the attribute that says what kind of device it is.
    """
    return attribute(18, attribute(1, kind) + attribute(2, data))


def test_a_vxlan_device_has_a_port():
    """
    It is told in network byte order.
    """
    message = link(attribute(3, b"flannel.1\0"), info(b"vxlan\0"))

    assert VxlanPort(8472, "flannel.1") == parse_link(message)


@pytest.mark.parametrize(
    "message",
    [
        link(),
        link(attribute(3, b"eth0\0")),
        link(info(b"geneve\0")),
        link(info(b"vxlan\0", b"")),
        link(info(b"vxlan\0", attribute(15, b"\1"))),
    ],
)
def test_another_device_is_none(message):
    """
    Kernels before 4.6 send devices of every kind.
    """
    assert parse_link(message) is None


def test_a_hostile_name_stays_what_it_is():
    """
    A name may hold any byte but a slash and blanks.
    """
    message = link(attribute(3, b"\xff\x1b[31m\0"), info(b"vxlan\0"))

    assert VxlanPort(8472, "\\xff\x1b[31m") == parse_link(message)


def test_an_attribute_that_ends_elsewhere_is_an_error():
    """
    It is not read beyond its end.
    """
    with pytest.raises(KernelDataError, match="expected an attribute"):
        parse_link(link(struct.pack("=HH", 400, 18)))
