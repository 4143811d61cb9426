"""A damaged reply is refused in words, or counts as many sockets: never fewer, never more."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.errors import KernelDataError
from portroom.kernel import proc_net, sock_diag
from portroom.kernel.collect import Collector, SplitCollector, inbound, tables
from portroom.kernel.columns import Columns
from portroom.model.facts.sockets import Family, Kind, Protocol
from tests.replay.recordings import KERNELS, messages_of, recording
from tests.replay.snapshots import connected_out

DUMPS = ("tcp4", "tcp6", "udp4", "udp6", "tcp4-ext", "tcp4-many", "tcp4-timewait")
TEXTS = ("tcp", "tcp6", "udp", "udp6")

LISTENING = frozenset({9000, 9001, 9002})


def collect(datagrams):
    """Return how many sockets a Collector finds, folded ones included."""
    collector = Collector(LISTENING, lambda family, *_: family is Family.IPV4, timed=True)
    for datagram in datagrams:
        collector.feed(datagram)
    found = in_tables(tables(collector, Protocol.TCP, Kind.UNKNOWN))
    assert collector.rows == found + sum(collector.inbound.values())
    return found + sum(one.sockets for one in inbound(collector, Protocol.TCP))


def split(datagrams):
    """Return how many sockets a SplitCollector finds."""
    collector = SplitCollector()
    for datagram in datagrams:
        collector.feed(datagram)
    return in_tables(collector.tables(Protocol.TCP, Kind.LISTENER))


def in_tables(found):
    """Return how many sockets are in some tables."""
    return sum(len(ports) for table in found for ports in table.ports.values())


def rows(datagrams):
    """Return how many sockets become rows."""
    columns = Columns()
    for datagram in datagrams:
        columns.append(datagram, Protocol.UDP, Family.IPV6)
    return len(columns.rows.state)


def walked(datagrams):
    """Return how many messages a walk finds, each looked at for who connected."""
    datagrams = list(datagrams)
    connected_out(datagrams)
    return sum(len(sock_diag.messages(datagram)) for datagram in datagrams)


READERS = (collect, split, rows, walked)
DUMP = some.tuples(some.sampled_from(KERNELS), some.sampled_from(DUMPS))
"""The recording of one kernel, and one of its dumps."""


def refused_or(expected, read, datagrams):
    """Say whether reading is refused in words, or finds the expected number."""
    try:
        return read(messages_of(iter(datagrams))) == expected
    except (KernelDataError, OSError) as error:
        return str(error) != ""


@pytest.mark.parametrize("read", READERS)
@given(dump=DUMP, data=some.data())
def test_a_flipped_bit_never_loses_a_socket(read, dump, data):
    """One wrong bit is an error, or changes a field and no count."""
    kernel, name = dump
    datagrams = list(recording(kernel).datagrams(name))
    expected = read(messages_of(iter(datagrams)))
    which = data.draw(some.integers(0, len(datagrams) - 1))
    place = data.draw(some.integers(0, len(datagrams[which]) * 8 - 1))
    damaged = bytearray(datagrams[which])
    damaged[place // 8] ^= 1 << place % 8
    datagrams[which] = bytes(damaged)

    assert refused_or(expected, read, without_a_lost_end(datagrams))


def without_a_lost_end(datagrams):
    """Return datagrams that end as a reply does, though its last one is damaged."""
    return [*datagrams, bytes.fromhex("1400000003000200010000000000000000000000")]


@pytest.mark.parametrize("read", READERS)
@given(dump=DUMP, data=some.data())
def test_a_cut_inside_a_message_is_refused(read, dump, data):
    """A datagram that ends within a socket is no shorter list of sockets."""
    kernel, name = dump
    whole = data.draw(some.sampled_from(recording(kernel).dump(name)))
    ends = set(message_ends(whole))
    length = data.draw(some.integers(1, len(whole) - 1).filter(lambda cut: cut not in ends))

    with pytest.raises(KernelDataError):
        read([whole[:length]])


def message_ends(datagram):
    """Yield where each message of a datagram ends."""
    end = 0
    for message in sock_diag.messages(datagram):
        end += len(message)
        yield end


@given(content=some.binary(min_size=1, max_size=400), read=some.sampled_from(READERS))
def test_foreign_bytes_are_refused(content, read):
    """Bytes that are no reply are an error of the kernel's data, and no other."""
    with pytest.raises(KernelDataError):
        read([memoryview(content)])


@given(
    kernel=some.sampled_from(KERNELS),
    name=some.sampled_from(TEXTS),
    data=some.data(),
)
def test_a_text_cut_inside_a_socket_is_refused(kernel, name, data):
    """A table of /proc/net that ends before the last field read is no shorter table."""
    content = recording(kernel).text(f"proc-net-{name}.txt").encode()
    lines = content.splitlines(keepends=True)
    which = data.draw(some.integers(1, len(lines) - 1))
    inode = re.match(rb"\s*(\S+\s+){9}", lines[which]).end()
    cut = data.draw(some.integers(0, inode))
    damaged = [*lines[:which], lines[which][:cut]]

    with pytest.raises(KernelDataError):
        list(proc_net.parse_sockets(damaged, where=name))
