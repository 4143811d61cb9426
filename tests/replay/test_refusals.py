"""What the kernel says when there is nothing, or nothing to ask."""

import errno

import pytest

from portroom.errors import KernelDataError
from portroom.kernel.netlink import check_datagram, closing_start, raise_refusal
from portroom.model.facts.sockets import Family
from tests.replay.snapshots import connected_out


def test_a_protocol_without_a_handler_is_refused(recorded):
    """DONE with -2 is ENOENT, never "no sockets"."""
    with pytest.raises(OSError, match="ENOENT") as raised:
        recorded.dump("no-handler")

    assert errno.ENOENT == raised.value.errno


def test_a_dump_that_finds_nothing_is_empty(recorded):
    """DONE with 0 and no message before it is an answer: none."""
    assert [] == recorded.dump("tcp4-empty")


def test_an_exact_lookup_of_nothing_is_refused(recorded):
    """ERROR with -2 is ENOENT."""
    (datagram,) = recorded.datagrams("get-none")

    assert closing_start(memoryview(datagram)) == 0
    with pytest.raises(OSError, match="ENOENT"):
        raise_refusal(memoryview(datagram))


def test_an_exact_lookup_has_no_closing_message(recorded):
    """The one socket of a lookup is the whole answer."""
    (datagram,) = recorded.datagrams("get-one")

    assert closing_start(memoryview(datagram)) is None


def test_the_end_may_be_missing_only_until_it_comes(recorded):
    """Of each dump the last datagram alone holds the closing message."""
    for name in recorded.json("index.json"):
        if "get-one" not in name:
            closings = [
                closing_start(memoryview(datagram))
                for datagram in recorded.datagrams(name.removeprefix("diag-").removesuffix(".bin"))
            ]

            assert [None] * (len(closings) - 1) == closings[:-1]
            assert closings[-1] is not None


def test_connecting_ends_are_told_from_accepted_ones(recorded):
    """INFO proves each established connection out, and calls no accepted socket one."""
    found = {
        port
        for (family, _), ports in connected_out(recorded.dump("tcp4-ext")).items()
        if family == Family.IPV4
        for port in ports
    }
    expected = {
        one["local"]["port"]
        for one in recorded.listed()
        if one["family"] == "AF_INET"
        and one["state"] == "ESTABLISHED"
        and one["protocol"] == "tcp"
        and "accepted" not in one["port_from"]
    }

    assert expected == found


def test_a_reply_to_another_request_is_refused(recorded):
    """Every datagram carries the sequence number of its request."""
    for datagram in recorded.datagrams("tcp4"):
        with pytest.raises(KernelDataError, match="expected a reply to 2"):
            check_datagram(datagram[:20], len(datagram), 2)
