"""Messages of ctnetlink, recorded and made up, become translated ports or nothing."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.errors import KernelDataError
from portroom.kernel.ctnetlink import TRANSLATED, parse_key, parse_reply
from portroom.kernel.netlink import HEADER
from portroom.kernel.sock_diag import attribute
from portroom.model.facts.sockets import Endpoint

TCP4 = """
020000003400018014000180080001000a070002080002000a0800021c0002800500010006000000060002009d040000
06000300232800003400028014000180080001000a080002080002000a0800011c000280050001000600000006000200
2328000006000300c3590000080003000000019e080008000000000008000c007bf0ab3508000b000000000108000700
00069780300004802c0001800500010003000000050002000a000000050003000a000000060004002300000006000500
23000000
"""
"""10.7.0.2:40196 to 10.8.0.2:9000, translated to 10.8.0.1:50009, as Linux 6.18 tells it."""

UDP4 = """
020000003400018014000180080001000a070002080002000a0800021c0002800500010011000000060002008a210000
06000300232800003400028014000180080001000a080002080002000a0800011c000280050001001100000006000200
2328000006000300c35500000800030000000198080008000000000008000c00c5c5db9c08000b000000000108000700
0000001e
"""

TCP6 = """
0a0000004c0001802c00018014000300fd00000700000000000000000000000214000400fd0000080000000000000000
000000021c000280050001000600000006000200ecfe000006000300232800004c0002802c00018014000300fd000008
00000000000000000000000214000400fd0000080000000000000000000000011c000280050001000600000006000200
2328000006000300c3550000080003000000019e080008000000000008000c00f975e71c08000b000000000108000700
0006977f300004802c0001800500010003000000050002000a000000050003000a000000060004002300000006000500
23000000
"""

REMOTE4, REMOTE6 = Endpoint("10.8.0.2", 9000), Endpoint("fd00:8::2", 9000)


def message(payload):
    """Return one message of a dump: a header before the payload, which may be hexadecimal."""
    content = bytes.fromhex(payload) if isinstance(payload, str) else payload
    return memoryview(HEADER.pack(16 + len(content), 1 << 8, 2, 7, 0) + content)


def connection(*, source=b"\x0a\x08\0\2", number=6, status=0x19E, more=b"", zone=b"", ports=2):
    """Return the message of a connection whose attributes stand in another order."""
    target = source[:-1] + b"\1"
    first = 1 if len(source) == 4 else 3
    both = [(1, bytes([number])), (2, b"\x23\x28")[:ports], (3, b"\xc3\x59")[:ports]]
    proto = b"".join(attribute(*one) for one in both[: 1 + ports])
    addresses = attribute(first, source) + attribute(first + 1, target)
    reply = attribute(0x8001, addresses) + attribute(0x8002, proto) + zone
    original = attribute(0x8001, b"")
    return message(
        struct.pack("=BBH", 2, 0, 0)
        + original
        + more
        + attribute(3, struct.pack(">I", status))
        + attribute(0x8002, reply)
    )


@pytest.mark.parametrize(
    ("payload", "said", "port"),
    [
        (TCP4, ("tcp", "10.8.0.1", REMOTE4), 50009),
        (UDP4, ("udp", "10.8.0.1", REMOTE4), 50005),
        (TCP6, ("tcp", "fd00:8::1", REMOTE6), 50005),
    ],
    ids=["tcp4", "udp4", "tcp6"],
)
def test_recorded_connections(payload, said, port):
    """
    Told are the remote, and address and port that it answers to.
    """
    key, found = parse_reply(message(payload))

    assert said == parse_key(key)
    assert port == int.from_bytes(found, "big")


@pytest.mark.parametrize("payload", [TCP4, UDP4, TCP6], ids=["tcp4", "udp4", "tcp6"])
def test_a_connection_that_is_not_translated_is_none(payload):
    """
    Kernels that know no filter send all connections.
    """
    plain = (
        payload.replace("\n", "").replace("0000019e", "0000018e").replace("00000198", "00000188")
    )

    assert parse_reply(message(plain)) is None


@pytest.mark.parametrize("source", [b"\x0a\x08\0\2", bytes.fromhex("fd000008" + "00" * 11 + "02")])
def test_another_order_says_the_same(source):
    """
    Attributes may come in any order, with unknown ones between.
    """
    recorded = parse_reply(message(TCP4 if len(source) == 4 else TCP6))[0]

    assert (recorded, b"\xc3\x59") == parse_reply(connection(source=source))
    assert (recorded, b"\xc3\x59") == parse_reply(
        connection(source=source, more=attribute(99, b"what"))
    )


def test_zones_are_told_apart():
    """
    A port of one zone takes none of another; the endpoint is the same.
    """
    plain = parse_reply(connection())[0]
    zones = [
        parse_reply(connection(more=attribute(18, b"\0\1")))[0],
        parse_reply(connection(zone=attribute(3, b"\0\2")))[0],
    ]

    assert 3 == len({plain, *zones})
    assert {("tcp", "10.8.0.1", REMOTE4)} == {parse_key(key) for key in (plain, *zones)}


@pytest.mark.parametrize(
    "changes",
    [{"number": 1}, {"number": 132}, {"status": 0x18E}, {"source": b"\x0a"}],
    ids=["icmp", "sctp", "plain", "short address"],
)
def test_other_connections_are_passed_over(changes):
    """
    Neither TCP nor UDP, or nothing translated, or no address.
    """
    assert parse_reply(connection(**changes)) is None


@given(some.binary(max_size=300))
def test_hostile_bytes_are_read_or_refused(content):
    """
    Any bytes give a key, nothing, or an error in words.
    """
    for payload in (content, b"\2\0\0\0" + content, b"\x0a\0\0\0" + content):
        try:
            found = parse_reply(message(payload))
        except KernelDataError:
            continue

        assert found is None or parse_key(found[0])


@given(some.sampled_from([TCP4, UDP4, TCP6]), some.data())
def test_a_changed_byte_is_read_or_refused(payload, data):
    """
    A recorded message with bytes exchanged or cut off does no other harm.
    """
    content = bytearray.fromhex(payload)
    for place in data.draw(some.lists(some.integers(0, len(content) - 1), max_size=4)):
        content[place] = data.draw(some.integers(0, 255))
    length = data.draw(some.integers(0, len(content)))
    try:
        found = parse_reply(message(bytes(content[:length])))
    except KernelDataError:
        return

    assert found is None or parse_key(found[0])


def test_the_kernel_is_asked_for_translated_sources_alone():
    """
    CTA_STATUS and CTA_STATUS_MASK, both IPS_SRC_NAT in network order.
    """
    assert bytes.fromhex("080003000000001008001a0000000010") == TRANSLATED
