"""Whether IPv6 has an address to go from, and whether it is switched off, as the kernel tells."""

import pytest

from portroom.errors import KernelDataError
from portroom.kernel.reached import has_source, ipv6_off, is_multicast
from portroom.model.facts.sockets import is_link_local, packed_address
from tests.unit.kernel.trees import make_tree

LOOPBACK = "00000000000000000000000000000001 01 80 10 80       lo\n"
ON_TRIAL = "20010db8000100000000000000000005 03 40 00 c0     near\n"
FAILED = "20010db8000100000000000000000005 03 40 00 c8     near\n"
OPTIMISTIC = "20010db8000100000000000000000005 03 40 00 c4     near\n"
DEPRECATED = "20010db8000100000000000000000005 03 40 00 a0     near\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", False),
        (LOOPBACK, True),
        (ON_TRIAL, False),
        (FAILED, False),
        (OPTIMISTIC, True),
        (DEPRECATED, True),
        (ON_TRIAL + LOOPBACK, True),
        (ON_TRIAL + FAILED, False),
    ],
)
def test_one_address_that_may_be_used_is_enough(text, expected):
    """
    One on trial may not; an optimistic or a deprecated one may.
    """
    assert expected is has_source(text)


@pytest.mark.parametrize("text", ["x\n", "a b c d zz e\n"])
def test_a_line_without_flags_is_refused(text):
    """
    Nothing is guessed from a text of another shape.
    """
    with pytest.raises(KernelDataError):
        has_source(text)


def devices(**off):
    """
    Return the files that say of which devices IPv6 is switched off.
    """
    return {f"sys/net/ipv6/conf/{name}/disable_ipv6": f"{flag}\n" for name, flag in off.items()}


@pytest.mark.parametrize(
    ("files", "device", "expected"),
    [
        (devices(all=0, default=0, lo=1, near=0), "lo", True),
        (devices(all=0, default=0, lo=1, near=0), "near", False),
        (devices(all=1, default=1, lo=1, near=0), "near", False),
        (devices(all=0, default=1, lo=1, near=1), None, True),
        (devices(all=0, default=1, lo=1, near=0), None, False),
        (devices(all=1, default=0, lo=0, near=0), None, True),
        (devices(all=0, default=0, lo=0), "gone", True),
        ({}, None, True),
        ({}, "lo", True),
    ],
)
def test_a_device_has_its_own_switch_and_all_is_asked_where_none_is_meant(
    tmp_path, files, device, expected
):
    """
    ``default`` is for devices to come; without any file there is no IPv6.
    """
    assert expected is ipv6_off(device, make_tree(tmp_path, files))


@pytest.mark.parametrize(
    ("text", "multicast", "link_local"),
    [
        ("ff02::1", True, False),
        ("fe80::1", False, True),
        ("febf::1", False, True),
        ("fec0::1", False, False),
        ("::1", False, False),
        ("2001:db8::1", False, False),
    ],
)
def test_kinds_of_addresses(text, multicast, link_local):
    """
    ``ff00::/8`` and ``fe80::/10``.
    """
    _, packed = packed_address(text)

    assert (multicast, link_local) == (is_multicast(packed), is_link_local(packed))
