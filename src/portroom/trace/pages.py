"""
Pages of a ring buffer: from the bytes of one page to the events in it.

Rules of this file:

- pure: bytes in, places out; what lies where is told by the kernel
  (``events/header_page``, ``events/header_event``);
- times are sums: each event tells what passed since the one before it, so none
  can be left out;
- a page that contradicts itself is an error, and no event of it is told.

Source: Linux include/linux/ring_buffer.h, struct ring_buffer_event.
"""

from __future__ import annotations

import re
import struct
import sys
from typing import NamedTuple

from portroom.errors import KernelDataError
from portroom.trace.formats import Field, field_of, parse_fields

TYPE_BITS = 5
DELTA_BITS = 27
WORD = struct.Struct("=I")

COMMIT_MASK = (1 << 27) - 1
"""The upper bits say that events went missing. Source: struct buffer_data_page, ``commit``."""

UPPER_TIME = 0xF8 << 56
"""A time stamp event has 59 bits; the rest is as it was. Source: ring_buffer.c, TS_MSB."""

# A bit field begins at the low end of a word on one kind of machine, at the high end on the other.
KIND_SHIFT, DELTA_SHIFT = (0, TYPE_BITS) if sys.byteorder == "little" else (DELTA_BITS, 0)
KIND_MASK, DELTA_MASK = (1 << TYPE_BITS) - 1, (1 << DELTA_BITS) - 1


class Kinds(NamedTuple):
    """The numbers of the kinds of events that are no data."""

    padding: int
    time_extend: int
    time_stamp: int
    longest: int


class Layout(NamedTuple):
    """What lies where in a page, and the kinds of events."""

    timestamp: Field
    commit: Field
    data: Field
    kinds: Kinds

    @property
    def page_bytes(self) -> int:
        """Return how long a page is."""
        return self.data.offset + self.data.size


class Place(NamedTuple):
    """An event: its time in nanoseconds, and where its data lie in the page."""

    at_ns: int
    offset: int
    length: int


def parse_layout(header_page: str, header_event: str) -> Layout:
    """
    Parse the kernel's description of a page and of the head of an event.

    Raises:
        KernelDataError: It is of another make.
    """
    where = "events/header_page"
    fields = parse_fields(header_page, where)
    timestamp, commit = (field_of(fields, name, where) for name in ("timestamp", "commit"))
    if "data" not in fields:
        raise KernelDataError(f"{where}: expected a field 'data', got {header_page!r}.")
    return Layout(timestamp, commit, fields["data"], parse_kinds(header_event))


def parse_kinds(text: str) -> Kinds:
    r"""
    Parse ``events/header_event``.

    >>> parse_kinds('''# compressed entry header
    ... \ttype_len    :    5 bits
    ... \ttime_delta  :   27 bits
    ... \tarray       :   32 bits
    ...
    ... \tpadding     : type == 29
    ... \ttime_extend : type == 30
    ... \ttime_stamp : type == 31
    ... \tdata max type_len  == 28''')
    Kinds(padding=29, time_extend=30, time_stamp=31, longest=28)
    """
    where = "events/header_event"
    bits = dict(re.findall(r"(\w+)\s*:\s*(\d+) bits", text))
    kinds = dict(re.findall(r"(\w+)\s*:?\s*(?:type|max type_len)\s*==\s*(\d+)", text))
    if (bits.get("type_len"), bits.get("time_delta")) != (str(TYPE_BITS), str(DELTA_BITS)):
        raise KernelDataError(f"{where}: expected 5 and 27 bits, got {text!r}.")
    try:
        names = ("padding", "time_extend", "time_stamp", "data")
        return Kinds(*(int(kinds[name]) for name in names))
    except KeyError as error:
        raise KernelDataError(f"{where}: expected the kind {error}, got {text!r}.") from None


def parse_page(page: bytes, layout: Layout) -> list[Place]:
    """
    Return the events of a page, in order.

    Raises:
        KernelDataError: The page is too short, or an event reaches beyond its end.
    """
    at_ns, end = _head(page, layout)
    position, longest = layout.data.offset, layout.kinds.longest
    places: list[Place] = []
    add, unpack = places.append, WORD.unpack_from
    while position < end:
        if position + 4 > end:
            raise _damaged(page, f"an event at {position} is cut off")
        # These lines are the time of the whole watch: no call on purpose.
        (word,) = unpack(page, position)
        kind, delta = word >> KIND_SHIFT & KIND_MASK, word >> DELTA_SHIFT & DELTA_MASK
        if 0 < kind <= longest:
            at_ns += delta
            add(Place(at_ns, position + 4, kind * 4))
            position += 4 + kind * 4
        elif kind == layout.kinds.padding and delta == 0:
            # The rest of the page is empty.
            break
        else:
            position, at_ns, place = _unusual(page, (position, end), at_ns, layout.kinds)
            if place is not None:
                add(place)
    if position > end:
        raise _damaged(page, f"an event reaches {position - end} bytes beyond the end")
    return places


def _unusual(
    page: bytes, span: tuple[int, int], at_ns: int, kinds: Kinds
) -> tuple[int, int, Place | None]:
    """Return where the next event begins, the time, and the event if this one has data."""
    position, end = span
    word = _word(page, position, end)
    kind, delta = word >> KIND_SHIFT & KIND_MASK, word >> DELTA_SHIFT & DELTA_MASK
    more = _word(page, position + 4, end)
    if kind == kinds.time_extend:
        return position + 8, at_ns + (more << DELTA_BITS) + delta, None
    if kind == kinds.time_stamp:
        return position + 8, at_ns & UPPER_TIME | (more << DELTA_BITS) + delta, None
    # The length counts its own word, and is rounded up to whole words.
    following = position + 4 + (more + 3 & ~3)
    if kind == kinds.padding:
        return following, at_ns + delta, None
    if kind or more < 4:
        raise _damaged(page, f"an event of kind {kind} and length {more} at {position}")
    return following, at_ns + delta, Place(at_ns + delta, position + 8, more - 4)


def _head(page: bytes, layout: Layout) -> tuple[int, int]:
    """Return the time of a page, and where its events end."""
    if len(page) < layout.data.offset:
        raise _damaged(page, "its head is not whole")
    at_ns = _integer(page, layout.timestamp)
    end = layout.data.offset + (_integer(page, layout.commit) & COMMIT_MASK)
    if end > len(page):
        raise _damaged(page, f"{end} bytes are told, and {len(page)} are there")
    return at_ns, end


def _integer(page: bytes, field: Field) -> int:
    """Return the number that lies in *field*."""
    return int.from_bytes(page[field.offset : field.offset + field.size], sys.byteorder)


def _word(page: bytes, position: int, end: int) -> int:
    """Return the word at *position*, which must end before *end*."""
    if position + 4 > end:
        raise _damaged(page, f"an event at {position} is cut off")
    word: int = WORD.unpack_from(page, position)[0]
    return word


def _damaged(page: bytes, why: str) -> KernelDataError:
    """Return the error for a page that contradicts itself."""
    return KernelDataError(f"A page of the trace buffer: {why}; it begins {page[:48].hex()!r}.")
