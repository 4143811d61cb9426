"""Rows from sock_diag messages: every field, every length, nothing invented."""

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.errors import KernelDataError
from portroom.kernel.columns import Columns, empty_rows
from portroom.kernel.rows import RowsQuery, request_of, sockets_in_use
from portroom.model.facts.snapshot import Rows
from portroom.model.facts.sockets import Family, Protocol, TcpState
from portroom.model.laws.endpoint_filter import parse_endpoint_filter

SEQUENCE = 0x9E3779B1
"""As random as that of a real request, so that no field has it by chance."""

ROW = some.fixed_dictionaries(
    {
        "state": some.sampled_from([*range(1, 7), *range(8, 12)]),
        "local_port": some.integers(0, 65535),
        "remote_port": some.integers(0, 65535),
        "device": some.integers(0, 2**32 - 1),
        "recv_queue_bytes": some.integers(0, 2**32 - 1),
        "send_queue_bytes": some.integers(0, 2**32 - 1),
        "uid": some.integers(0, 2**32 - 1),
        "inode": some.integers(0, 2**32 - 1),
    }
)
V4_ROW = some.tuples(ROW, some.ip_addresses(v=4), some.ip_addresses(v=4))
V6_ROW = some.tuples(ROW, some.ip_addresses(v=6), some.ip_addresses(v=6))
ATTRIBUTES = some.lists(some.sampled_from([0, 8, 36]), min_size=20, max_size=20)


def message(row, local, remote, attributes=36):
    """Return one message of a dump, with so many bytes of attributes."""
    family = 2 if local.version == 4 else 10
    ports = struct.pack(">HH", row["local_port"], row["remote_port"])
    ends = local.packed.ljust(16, b"\0") + remote.packed.ljust(16, b"\0")
    numbers = struct.pack(
        "=I8xIIIII",
        row["device"],
        99,
        row["recv_queue_bytes"],
        row["send_queue_bytes"],
        row["uid"],
        row["inode"],
    )
    body = struct.pack("=BBBB", family, row["state"], 0, 0) + ports + ends + numbers
    header = struct.pack("=IHHII", 88 + attributes, 20, 2, SEQUENCE, 4242)
    return header + body + bytes(attributes)


def parsed(datagram, family, protocol=Protocol.TCP):
    """Return the rows of one datagram."""
    columns = Columns()
    columns.append(memoryview(datagram), protocol, family)
    return columns.rows


def listed(rows, column):
    """Return one column."""
    return list(getattr(rows, column))


@given(some.lists(V4_ROW, min_size=1, max_size=20), ATTRIBUTES)
def test_each_field_of_each_message_arrives(sockets, attributes):
    """Messages of one length and of several lengths give the same rows."""
    sized = zip(sockets, attributes, strict=False)
    mixed = b"".join(message(*socket, length) for socket, length in sized)
    equal = b"".join(message(*socket) for socket in sockets)
    rows = parsed(mixed, Family.IPV4)

    assert rows == parsed(equal, Family.IPV4)
    for column in sockets[0][0]:
        assert [socket[0][column] for socket in sockets] == listed(rows, column)
    assert [str(socket[1]) for socket in sockets] == rows.local_address
    assert [str(socket[2]) for socket in sockets] == rows.remote_address
    assert {len(sockets)} == {len(listed(rows, name)) for name in Rows.__struct_fields__}


@given(some.lists(V6_ROW, min_size=1, max_size=20))
def test_ipv6_addresses_stay_unless_v4_mapped(sockets):
    """A row is IPv6 exactly if neither end is v4-mapped."""
    rows = parsed(b"".join(message(*socket) for socket in sockets), Family.IPV6)
    mapped = [bool(here.ipv4_mapped or there.ipv4_mapped) for _, here, there in sockets]

    assert mapped == [family is Family.IPV4 for family in rows.family]
    for place, (_, here, there) in enumerate(sockets):
        if not mapped[place]:
            expected = (here, there)
            texts = (rows.local_address[place], rows.remote_address[place])

            assert expected == tuple(map(ipaddress.ip_address, texts))


def test_a_v4_mapped_socket_without_remote_has_an_ipv4_wildcard():
    """``::ffff:127.0.0.1`` that is only bound reads as an IPv4 socket throughout."""
    row = dict.fromkeys(("local_port", "remote_port", "device", "uid", "inode", "state"), 1) | {
        "recv_queue_bytes": 0,
        "send_queue_bytes": 0,
    }
    ends = (ipaddress.ip_address("::ffff:127.0.0.1"), ipaddress.ip_address("::"))
    rows = parsed(message(row, *ends), Family.IPV6)

    assert [Family.IPV4] == rows.family
    assert ["127.0.0.1"] == rows.local_address
    assert ["0.0.0.0"] == rows.remote_address


@pytest.mark.parametrize(
    ("protocol", "state"),
    [
        (Protocol.TCP, TcpState.BOUND_INACTIVE),
        (Protocol.UDP, TcpState.CLOSE),
        (Protocol.MPTCP, TcpState.CLOSE),
        (Protocol.RAW, TcpState.CLOSE),
    ],
)
def test_a_closed_tcp_socket_in_a_table_is_bound_inactive(protocol, state):
    """The kernel says 7 for both; only TCP sockets are listed for being bound."""
    row = dict.fromkeys(ROW_FIELDS, 0) | {"state": 7}
    ends = (ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("0.0.0.0"))

    assert [state] == parsed(message(row, *ends), Family.IPV4, protocol).state


ROW_FIELDS = (
    "local_port",
    "remote_port",
    "device",
    "recv_queue_bytes",
    "send_queue_bytes",
    "uid",
    "inode",
)


@pytest.mark.parametrize(
    ("datagram", "seen"),
    [
        (struct.pack("=I", 20) + bytes(16), "one of 20"),
        (struct.pack("=I", 0) + bytes(120), "one of 0"),
        (struct.pack("=I", 4000) + bytes(120), "one of 4000"),
        (struct.pack("=I4xI5xB", 88, 7, 99) + bytes(70), "number 99"),
    ],
)
def test_a_damaged_message_is_an_error(datagram, seen):
    """No length, a length past the end, or an unknown state: never a guess."""
    with pytest.raises(KernelDataError) as caught:
        parsed(datagram, Family.IPV4)

    assert seen in caught.value.message


def test_a_query_for_everything_sends_no_filter():
    """All states, bit 13 for bound sockets included, and no program."""
    request = request_of(Protocol.TCP, Family.IPV6, RowsQuery())
    family, protocol, states = struct.unpack_from("=BBxxI", request)

    assert (10, 6) == (family, protocol)
    assert 0x3FFE == states
    assert 56 == len(request)


def test_syn_recv_is_asked_for_by_both_of_its_names():
    """Half-open connections wait as NEW_SYN_RECV."""
    query = RowsQuery(states=frozenset({TcpState.SYN_RECV}))
    (states,) = struct.unpack_from("=4xI", request_of(Protocol.TCP, Family.IPV4, query))

    assert 1 << 3 | 1 << 12 == states


def test_endpoints_become_one_program():
    """Two port tests, then the address of the other end: 16 + 16 bytes."""
    query = RowsQuery(
        local=parse_endpoint_filter(":1-9"), remote=parse_endpoint_filter("10.0.0.0/8")
    )
    request = request_of(Protocol.TCP, Family.IPV4, query)

    assert 56 + 4 + 2 * 8 + 16 == len(request)


def test_protocols_without_sockets_are_not_missing():
    """``/proc/net/protocols`` spells UDP-Lite in two ways and leaves out what is not."""
    text = "protocol  size sockets\nUDPLITEv6 1472 1 0\nUDP-Lite 1344 2 0\nUDP 9 9 9\n"

    assert 3 == sockets_in_use(text, Protocol.UDPLITE)
    assert 0 == sockets_in_use(text, Protocol.MPTCP)
    with pytest.raises(KernelDataError):
        sockets_in_use("UDP x none\nUDPv6 1 1\n", Protocol.UDP)


def test_nothing_is_kept_between_two_readings():
    """Columns start empty, so a daemon does not grow."""
    assert Rows(*([] for _ in Rows.__struct_fields__)) == empty_rows()
