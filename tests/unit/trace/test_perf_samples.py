"""Prove what is read from a buffer of perf: whole samples, and nothing else."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from portroom.trace.perf_samples import (
    HEAD_MASK,
    RECORD_SAMPLE,
    Area,
    Sample,
    new_bytes,
    parse_area,
    parse_samples,
    spans,
    whole_bytes,
)
from tests.unit.trace.made_samples import EXIT, record, sample_bytes

FIRST = Sample(100, EXIT, 0x1000, b"a" * 64)
SECOND = Sample(90, EXIT, 0x2000, b"b" * 64)
SIZE = 4096


def test_samples_are_read_in_their_order():
    """
    The newest first; a record of another kind between them is none.
    """
    lost = record(2, bytes(16))
    data = sample_bytes(FIRST) + lost + sample_bytes(SECOND)

    assert [FIRST, SECOND] == list(parse_samples(data))


def test_a_sample_without_a_stack_is_none():
    """
    A thread of the kernel has neither registers nor a stack of its own.
    """
    body = struct.pack("=QI", 100, 4) + bytes(4)
    without = record(RECORD_SAMPLE, body + struct.pack("=QQ", 0, 0))
    empty = record(RECORD_SAMPLE, body + struct.pack("=QQQ", 2, 0x1000, 0))

    assert [SECOND] == list(parse_samples(without + empty + sample_bytes(SECOND)))


def test_only_what_was_copied_of_a_stack_is_told():
    """
    A stack may end before the room for it does.
    """
    (found,) = parse_samples(sample_bytes(FIRST, copied=10))

    assert found == FIRST._replace(stack=b"a" * 10)


@given(st.integers(0, len(sample_bytes(FIRST)) - 1))
def test_a_sample_that_is_cut_off_is_not_told(length):
    """
    At whatever place, and the one before it is.
    """
    data = sample_bytes(FIRST) + sample_bytes(SECOND)[:length]

    assert [FIRST] == list(parse_samples(data))


@given(st.binary(max_size=300))
def test_any_bytes_are_read(data):
    """
    Bytes that are no records give no error.
    """
    assert all(len(one.stack) < len(data) for one in parse_samples(data))


@given(st.lists(st.binary(max_size=700), max_size=40))
def test_what_is_new_is_read_wherever_the_buffer_begins_again(written):
    """
    Records written from the end to the begin, over older ones, as the kernel does.
    """
    buffer, head, seen = bytearray(SIZE), 0, 0
    for number, stack in enumerate(written):
        sample = Sample(number, EXIT, 0x1000, stack + bytes(-len(stack) % 8 + 8))
        raw = sample_bytes(sample)
        head -= len(raw)
        for place, byte in enumerate(raw):
            buffer[(head + place) % SIZE] = byte
        if number % 3:
            continue
        area = Area(head & HEAD_MASK, 0, SIZE)
        first, second = spans(area, new_bytes(area, seen))
        data = bytes(buffer[first] + buffer[second])[: whole_bytes(area, area.head, 0)]
        found = [one.at_ns for one in parse_samples(data)]
        seen = area.head

        assert found == list(range(number, number - len(found), -1))
        assert len(found) == min(number + 1, 3) or len(data) > SIZE - 1000


def test_what_was_written_meanwhile_went_over_the_oldest():
    """
    So much less is whole, and one more record that was just being written.
    """
    area = Area(HEAD_MASK + 1 - 9000, 4096, SIZE)

    assert SIZE == whole_bytes(area, area.head, 0)
    assert SIZE - 100 - 8 == whole_bytes(area, area.head - 100, 8)
    assert 0 == whole_bytes(area, area.head - 5000, 8)


def test_the_first_page_tells_where_the_samples_are():
    """
    Source: Linux include/uapi/linux/perf_event.h, struct perf_event_mmap_page.
    """
    page = bytes(1024) + struct.pack("=QQQQ", HEAD_MASK, 7, 4096, SIZE) + bytes(100)

    assert Area(HEAD_MASK, 4096, SIZE) == parse_area(page)
