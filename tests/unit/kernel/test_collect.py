"""Sorting rows into groups: however a datagram is built, each row lands in its group."""

import ipaddress
import struct
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.errors import KernelDataError
from portroom.kernel import collect, sock_diag
from portroom.kernel.collect import (
    Collector,
    SplitCollector,
    class_of,
    inbound,
    tables,
    unmapped_key,
)
from portroom.model.facts.sockets import MAPPED, Family, Kind, Protocol, TcpState
from tests.unit.made_groups import group_key

OPTIONS = sock_diag.attribute(sock_diag.SOCKOPT, b"\x52\x00")
NO_PORT = sock_diag.attribute(sock_diag.SOCKOPT, b"\x52\x01")
OTHER_BITS = sock_diag.attribute(sock_diag.SOCKOPT, b"\x52\x04")
MARKED = sock_diag.attribute(sock_diag.MARK, bytes(4)) + OPTIONS
ONLY = sock_diag.attribute(sock_diag.SKV6ONLY, b"\1") + OPTIONS
DUAL = sock_diag.attribute(sock_diag.SKV6ONLY, b"\0") + OPTIONS
EXTRAS = (OPTIONS, NO_PORT, OTHER_BITS, MARKED, b"")


def row(
    port,
    remote_port=443,
    local="192.0.2.1",
    remote="198.51.100.1",
    *,
    state=1,
    extra=OPTIONS,
    device=0,
    expires=0,
):
    """Return one message of a dump."""
    ends = [ipaddress.ip_address(text).packed for text in (local, remote)]
    family = 2 if len(ends[0]) == 4 else 10
    body = struct.pack("=BBBB", family, state, 0, 0) + struct.pack(">HH", port, remote_port)
    body += b"".join(end.ljust(16, b"\0") for end in ends)
    body += struct.pack("=I8xIIIII", device, expires, 0, 0, 0, 7)
    return struct.pack("=IHHII", 88 + len(extra), 20, 2, 0x9E3779B1, 4242) + body + extra


def collected(*datagrams, **options):
    """Return a Collector that was fed these lists of rows."""
    collector = Collector(**options)
    for rows in datagrams:
        collector.feed(memoryview(b"".join(rows)))
    return collector


def grouped(collector):
    """Return how many sockets are in each group, by all that a table tells."""
    return Counter(
        (table.family, table.state, table.kind, key, port)
        for table in tables(collector, Protocol.TCP, Kind.UNKNOWN)
        for key, ports in table.ports.items()
        for port in ports
    )


ROWS = some.lists(
    some.builds(
        row,
        some.integers(0, 65535),
        some.sampled_from([443, 80]),
        some.sampled_from(["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"]),
        state=some.sampled_from([1, 1, 2, 5]),
        extra=some.sampled_from(EXTRAS),
        device=some.sampled_from([0, 0, 2]),
    ),
    min_size=1,
    max_size=12,
)


@given(some.lists(ROWS, min_size=1, max_size=4))
def test_rows_together_and_alone_give_the_same_groups(datagrams):
    """The fast ways through regular datagrams find what one row at a time does."""
    together = collected(*datagrams)
    alone = collected(*([one] for rows in datagrams for one in rows))

    assert grouped(together) == grouped(alone)
    assert sum(map(len, datagrams)) == together.rows == alone.rows


@given(
    some.lists(some.integers(0, 65535), min_size=2, max_size=40),
    some.sampled_from(EXTRAS),
    some.integers(0, 2),
)
def test_rows_of_one_length_keep_every_port(ports, extra, mixed):
    """Of one state or of two, in the order in which they came."""
    rows = [
        row(port, extra=extra, state=1 + (mixed and place % 2)) for place, port in enumerate(ports)
    ]
    found = grouped(collected(rows))
    kind = Kind.NO_PORT if extra is NO_PORT else Kind.UNKNOWN

    assert Counter(ports) == Counter(port for *_, port in found.elements())
    assert {kind} == {kind for _, _, kind, _, _ in found}


def test_packing_keeps_every_port(monkeypatch):
    """A long group is packed as it comes; nothing is lost at the seams."""
    monkeypatch.setattr(collect, "COMPACT_ROWS", 50)
    ports = [number % 65536 for number in range(70_000, 71_000)]
    times = list(range(1000))
    rows = [
        row(port, state=6, extra=b"", expires=time) for port, time in zip(ports, times, strict=True)
    ]
    collector = collected(*(rows[at : at + 30] for at in range(0, 1000, 30)), timed=True)
    (table,) = tables(collector, Protocol.TCP, Kind.UNKNOWN)

    assert ports == list(table.ports[group_key()])
    assert times == list(table.remaining_ms[group_key()])
    assert TcpState.TIME_WAIT is table.state


def test_v4_mapped_rows_are_ipv4_groups():
    """Both ends lose the prefix; the rest of the key stays."""
    collector = collected(
        [row(1, local="::ffff:192.0.2.1", remote="::ffff:198.51.100.1", device=3)]
    )
    (table,) = tables(collector, Protocol.TCP, Kind.UNKNOWN)

    assert Family.IPV4 is table.family
    assert {group_key(device=3): [1]} == table.ports


def test_a_mapped_socket_without_remote_has_none():
    """``::`` as the remote of a v4-mapped local address is 0.0.0.0."""
    key = bytes(2) + MAPPED + bytes([192, 0, 2, 1]) + bytes(16) + bytes(4)

    assert group_key(remote=("0.0.0.0", 0)) == unmapped_key(key)


def test_the_kind_asked_for_is_kept():
    """NO_PORT is told of sockets of unknown kind only."""
    collector = collected([row(1, extra=NO_PORT), row(2)])

    assert {Kind.EXPLICIT} == {
        table.kind for table in tables(collector, Protocol.TCP, Kind.EXPLICIT)
    }


def covers_ipv4(family, _, port):
    """Cover port 9000 of IPv4."""
    return family is Family.IPV4 and port == 9000


FOLD = {"listening": frozenset({9000}), "covers": covers_ipv4}


@given(some.lists(some.sampled_from([9000, 9001, 40000]), min_size=1, max_size=30))
def test_only_covered_rows_fold(ports):
    """A row folds if a listener covers it; every other row stays in a group."""
    rows = [row(port) for port in ports] + [row(9000, local="2001:db8::1", remote="2001:db8::2")]
    collector = collected(rows, **FOLD)
    folded = inbound(collector, Protocol.TCP)

    assert ports.count(9000) == sum(one.sockets for one in folded)
    assert len(rows) == collector.rows == ports.count(9000) + grouped(collector).total()
    assert {9000} >= {one.local_port for one in folded}


def test_folded_rows_are_counted_by_address_and_state():
    """v4-mapped local addresses are IPv4 there too."""
    mapped = {"local": "::ffff:192.0.2.1", "remote": "::ffff:198.51.100.1"}
    rows = [row(9000), row(9000, 80), row(9000, state=8), row(9000, **mapped)]
    collector = collected(rows, listening=frozenset({9000}), covers=lambda *_: True)
    found = Counter()
    for one in inbound(collector, Protocol.TCP):
        found[one.family, one.local_address[:4], one.state] += one.sockets
    place = Family.IPV4, bytes([192, 0, 2, 1])

    assert {(*place, TcpState.ESTABLISHED): 3, (*place, TcpState.CLOSE_WAIT): 1} == found


def test_v6only_is_told_apart():
    """Dual-stack, v6only, and sockets that do not tell are three tables."""
    collector = SplitCollector()
    for port, extra in enumerate((ONLY, DUAL, OPTIONS), start=1):
        listening = row(port, 0, "::", "::", state=10, extra=extra)
        collector.feed(memoryview(listening))
    found = collector.tables(Protocol.TCP, Kind.LISTENER)

    assert {(True, 1), (False, 2), (None, 3)} == {
        (table.v6only, port) for table in found for ports in table.ports.values() for port in ports
    }


@pytest.mark.parametrize("head", [b"\3\1", b"\2\0", b"\12\16", b"\0\0"])
def test_unknown_families_and_states_are_refused(head):
    """They are quoted, and never taken for something else."""
    with pytest.raises(KernelDataError, match=f"family {head[0]} and state {head[1]}"):
        class_of(head)


@pytest.mark.parametrize("content", [b"", bytes(87), bytes(200), row(1)[:-1]])
def test_what_holds_no_socket_is_refused(content):
    """Too short, without a length, or cut."""
    with pytest.raises(KernelDataError, match="sock_diag"):
        Collector().feed(memoryview(content))
