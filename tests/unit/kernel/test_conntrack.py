"""Counts of connection tracking are summed up, and translated ports counted per remote."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.errors import KernelDataError
from portroom.kernel import conntrack
from portroom.kernel.conntrack import (
    Held,
    parse_conntrack_stats,
    parse_stats_messages,
    read_conntrack_stats,
    read_translations,
)
from portroom.kernel.sock_diag import attribute
from portroom.model.facts.scene import ConntrackStats
from tests.unit.kernel.test_ctnetlink import connection, message

STATS = """\
entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop \
icmp_error  expect_new expect_create expect_delete search_restart
0000000b  00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000005 00000006 \
00000007 00000000  00000000 00000000 00000000 00000000
0000000b  00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 0000000a 00000001 \
00000000 00000000  00000000 00000000 00000000 00000000
"""

SUMS = ConntrackStats(insert_failed=15, dropped=7, early_dropped=7)


def counts(*values):
    """Return the counts of one processor as ctnetlink tells them."""
    pairs = zip((9, 10, 11), values, strict=True)
    return message(bytes(4) + b"".join(attribute(one, struct.pack(">I", n)) for one, n in pairs))


def test_counts_of_all_processors_are_summed_up():
    """
    They are hexadecimal, and found by their names.
    """
    assert SUMS == parse_conntrack_stats(STATS)


def test_netlink_tells_the_same():
    """
    One message a processor, in network order.
    """
    assert SUMS == parse_stats_messages([counts(5, 6, 7), counts(10, 1, 0)])


@pytest.mark.parametrize(
    "text", ["", "drop early_drop\n", STATS.replace("00000005", "zero"), STATS + "1 2\n"]
)
def test_a_missing_count_is_an_error(text):
    """
    It is quoted, and never zero.
    """
    with pytest.raises(KernelDataError, match="nf_conntrack: expected lines with insert_failed"):
        parse_conntrack_stats(text)


def test_a_missing_count_of_netlink_is_an_error():
    """
    Of four bytes, or none.
    """
    with pytest.raises(KernelDataError, match="expected counts of a processor"):
        parse_stats_messages([message(bytes(4) + attribute(9, b"1234"))])


@given(some.text(alphabet="insert_failed drop early_drop 0f\n", max_size=200))
def test_any_text_is_summed_up_or_refused(text):
    """
    Nothing but counts or an error in words comes out.
    """
    try:
        found = parse_conntrack_stats(text)
    except KernelDataError:
        return

    assert 0 <= found.dropped


def test_a_file_of_many_processors_is_read_to_its_end(tmp_path):
    """
    The kernel gives out a page at a time: all pages count.
    """
    folder = tmp_path / "thread-self" / "net" / "stat"
    folder.mkdir(parents=True)
    head, line, _ = STATS.splitlines()
    (folder / "nf_conntrack").write_text("\n".join([head, *[line] * 4096]) + "\n")

    assert 5 * 4096 == read_conntrack_stats(str(tmp_path)).insert_failed


def test_a_kernel_that_tracks_nothing_is_asked_nothing(tmp_path):
    """
    No counts and no translations; netfilter is not spoken to.
    """
    assert read_conntrack_stats(str(tmp_path)) is None
    assert () == read_translations(10, str(tmp_path))


def held(*answers):
    """Count connections, each by port and the last byte of its remote."""
    found = Held()
    made = (
        bytes(connection(source=bytes([10, 8, 0, remote]))).replace(
            b"\xc3\x59", port.to_bytes(2, "big")
        )
        for port, remote in answers
    )
    assert found.count(map(memoryview, made))
    return found


def test_the_fullest_come_first_and_a_port_counts_once():
    """
    A connection may be told twice while the table changes.
    """
    found = held((5000, 2), (5001, 3), (5002, 3), (5001, 3), (5000, 4))

    assert [(3, {5001, 5002}), (2, {5000})] == [(key[4], ports) for key, ports in found.fullest(2)]


@given(some.lists(some.tuples(some.integers(1024, 65535), some.integers(2, 5)), max_size=40))
def test_each_remote_has_the_ports_that_were_told(answers):
    """
    Whatever the order, none is lost and none is made up.
    """
    expected = {}
    for port, remote in answers:
        expected.setdefault(remote, set()).add(port)

    assert expected == {key[4]: ports for key, ports in held(*answers).fullest(100)}


def test_too_many_are_told_to_be(monkeypatch):
    """
    Beyond the bounds the counting stops.
    """
    three = [connection(source=bytes([10, 8, 0, remote])) for remote in (2, 3, 4)]
    monkeypatch.setattr(conntrack, "MOST_REMOTES", 1)

    assert Held().count(three[:2])
    assert not Held().count(three)

    monkeypatch.undo()
    monkeypatch.setattr(conntrack, "MOST_CONNECTIONS", 2)

    assert Held().count(three[:1] * 2)
    assert not Held().count(three[:1] * 3)
