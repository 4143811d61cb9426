"""
Samples of perf: from the bytes of a buffer to stacks.

Rules of this file:

- pure: bytes in, samples out;
- the buffer is written from its end to its begin, and never waits: the newest
  sample comes first, and what is older than the buffer is long was overwritten;
- what is not whole is not told: it is an aid, and the next sample matters more.

Source: Linux include/uapi/linux/perf_event.h, struct perf_event_mmap_page and
PERF_RECORD_SAMPLE.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

SAMPLE_TIME, SAMPLE_RAW, SAMPLE_REGISTERS, SAMPLE_STACK = 1 << 2, 1 << 10, 1 << 12, 1 << 13
SAMPLED = SAMPLE_TIME | SAMPLE_RAW | SAMPLE_REGISTERS | SAMPLE_STACK
"""What a sample has, in this order."""

RECORD_SAMPLE = 9

AREA_OFFSET, AREA = 1024, struct.Struct("=Q8xQQ")
"""Of the first page: data_head, then behind data_tail data_offset and data_size."""

HEAD = struct.Struct("=I2xH")
TIME = struct.Struct("=QI")
REGISTERS = struct.Struct("=QQQ")
NUMBER = struct.Struct("=Q")

HEAD_MASK = (1 << 64) - 1


class Area(NamedTuple):
    """
    Where a buffer has its samples.

    ``head`` is the place of the newest one. It began at 0 and counts down for ever.
    """

    head: int
    offset: int
    size: int


class Sample(NamedTuple):
    """
    What was copied when an event happened.

    Args:
        at_ns: When.
        raw: The event, as tracing has it, too.
        stack_at: The thread's stack pointer.
        stack: What lay from there on.
    """

    at_ns: int
    raw: bytes
    stack_at: int
    stack: bytes


def parse_area(page: bytes) -> Area:
    """Return where the samples are, from the first page of a buffer."""
    return Area(*AREA.unpack_from(page, AREA_OFFSET))


def new_bytes(area: Area, since: int) -> int:
    """
    Return how many bytes from the head on are there, and new since the head was at *since*.

    >>> new_bytes(Area(HEAD_MASK + 1 - 96, 4096, 4096), 0)
    96
    >>> new_bytes(Area(HEAD_MASK + 1 - 9999, 4096, 4096), HEAD_MASK + 1 - 96)
    4096
    """
    return min((since - area.head) & HEAD_MASK, area.size)


def spans(area: Area, length: int) -> tuple[slice, slice]:
    """
    Return where *length* bytes from the head on lie: up to the end, and again from the begin.

    >>> spans(Area(HEAD_MASK + 1 - 96, 4096, 4096), 100)
    (slice(8096, 8192, None), slice(4096, 4100, None))
    """
    place = area.head % area.size
    first = min(length, area.size - place)
    begin = area.offset + place
    return slice(begin, begin + first), slice(area.offset, area.offset + length - first)


def whole_bytes(area: Area, after: int, longest: int) -> int:
    """
    Return how many bytes from the head on were whole when they were copied.

    Args:
        area: Where the samples were before they were copied.
        after: The head after the copy: what was written meanwhile went over the oldest ones.
        longest: How long a record may be: one more was perhaps being written.

    >>> whole_bytes(Area(HEAD_MASK + 1 - 9999, 4096, 4096), HEAD_MASK + 1 - 10999, 64)
    3032
    """
    return max(0, area.size - ((area.head - after) & HEAD_MASK) - longest)


def parse_samples(data: bytes) -> Iterator[Sample]:
    """Yield the samples in *data*, up to one that is cut off or cannot be."""
    place = 0
    while place + HEAD.size <= len(data):
        kind, length = HEAD.unpack_from(data, place)
        if length < HEAD.size or place + length > len(data):
            return
        if kind == RECORD_SAMPLE:
            sample = parse_sample(data[place + HEAD.size : place + length])
            if sample is not None:
                yield sample
        place += length


def parse_sample(body: bytes) -> Sample | None:
    """Return a sample, without the head of its record; None where it has no stack."""
    try:
        at_ns, raw_bytes = TIME.unpack_from(body)
        behind = TIME.size + raw_bytes
        kind, stack_at, room = REGISTERS.unpack_from(body, behind)
        if not (kind and room):
            return None
        stack = behind + REGISTERS.size
        (copied,) = NUMBER.unpack_from(body, stack + room)
    except struct.error:
        return None
    return Sample(
        at_ns, body[TIME.size : behind], stack_at, body[stack : stack + min(room, copied)]
    )
