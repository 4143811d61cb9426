"""How the kernel reads numbers and ports from what is written to a sysctl.

Rules of this file:

- byte by byte what the kernel does, also where that is odd;
- nothing is known of which sysctl it is, what it holds, or where a write begins;
- part of the portable core: standard library and Python 3.9 syntax only.

Source: Linux kernel/sysctl.c, proc_skip_spaces, proc_get_long, do_proc_dointvec,
do_proc_douintvec_w, do_proc_doulongvec_minmax, proc_do_large_bitmap;
lib/kstrtox.c, _parse_integer_fixup_radix.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from portroom.model.facts.ports import PortRange

INT_MIN, INT_MAX = -(2**31), 2**31 - 1
ULONG_MAX = 2**64 - 1

BLANKS = b"\t\n\v\f\r \xa0"
"""What may stand before a number: the kernel's isspace(), which is that of Latin-1."""

AFTER_NUMBER = b" \t\n"
AFTER_FIRST_PORT = b"-,\n"
AFTER_LAST_PORT = b",\n\0"

LONGEST_NUMBER_BYTES = 20
"""A number of more bytes, its sign included, is refused, whatever its value."""

NUMBER = rb"0[xX](?P<hex>[0-9a-fA-F]+)|(?P<octal>0[0-7]*)|(?P<decimal>[1-9][0-9]*)"
BASES = {"hex": 16, "octal": 8, "decimal": 10}

QUOTED_BYTES = 24
"""The most bytes that a reason quotes."""


class Build(NamedTuple):
    """
    What was fixed when a kernel was built, as on x86-64.

    Args:
        page_bytes: One write looks at one byte less.
        ticks_per_s: CONFIG_HZ; times are kept in ticks, so a high one limits them.
        memory_bytes: A write of that many bytes, or more, gets no memory.
    """

    page_bytes: int = 4096
    ticks_per_s: int = 250
    memory_bytes: int = 1 << 22


class Shape(NamedTuple):
    """
    What a sysctl can hold.

    Args:
        lowest: The lowest that a number may be.
        highest: The highest that a number may be.
        numbers: The most numbers it holds; a list of ports does not count them.
        signed: A minus sign may stand before a number.
        tells_rest: What follows the last number makes the count short.
        in_ticks: It is a time in seconds, kept as an int of ticks.
    """

    lowest: int = INT_MIN
    highest: int = INT_MAX
    numbers: int = 1
    signed: bool = True
    tells_rest: bool = True
    in_ticks: bool = False


class Numbers(NamedTuple):
    """Numbers that were read, how many bytes count as taken, and what is odd."""

    values: list[int]
    consumed_bytes: int
    notes: list[str]


class Ports(NamedTuple):
    """Runs of ports that were read, how many bytes were taken, and what is odd."""

    runs: list[PortRange]
    consumed_bytes: int
    notes: list[str]


class RefusedError(Exception):
    """The kernel answers EINVAL; the message is the reason."""


class _Number(NamedTuple):
    """A number as written; *end* is where the byte after it stands."""

    value: int
    text: str
    base: int
    end: int


class _Text(NamedTuple):
    """What is written, of which only the bytes before *stop* are looked at."""

    data: bytes
    stop: int
    shape: Shape
    build: Build

    @property
    def cut(self) -> bool:
        """Say whether there is more than one write looks at."""
        return self.stop < len(self.data)


def parse_numbers(data: bytes, shape: Shape, build: Build) -> Numbers:
    r"""
    Read one or more numbers with blanks between.

    Raises:
        RefusedError: One cannot be read, or lies outside of its bounds.

    >>> parse_numbers(b" 15000\t0xfa00\n", Shape(numbers=2), Build())
    Numbers(values=[15000, 64000], consumed_bytes=14, notes=['hexadecimal: 0xfa00 is 64000'])
    """
    text = _text(data, shape, build)
    found: list[_Number] = []
    at = _after(BLANKS, text, 0)
    while at < text.stop and len(found) < shape.numbers:
        found.append(_number(text, at, AFTER_NUMBER))
        _check(found[-1], text)
        at = _after(BLANKS, text, found[-1].end)
    if not found:
        raise RefusedError("there is no number, only blanks")
    notes = _spelling(found)
    if text.cut:
        notes.append(f"only the first {text.stop} of {len(data)} bytes are looked at")
    if at < text.stop:
        notes.append(f"{_quoted(text, at)} and what follows is ignored")
    # What lies behind the page counts as taken.
    left_bytes = text.stop - at if shape.tells_rest else 0
    return Numbers([number.value for number in found], len(data) - left_bytes, notes)


def parse_ports(data: bytes, shape: Shape, build: Build) -> Ports:
    r"""
    Read a list of ports and runs of ports, or as much of it as one write takes.

    Raises:
        RefusedError: A part is no port and no run, or follows what it may not.

    >>> parse_ports(b"8080,9000-9100\n", Shape(0, 65535), Build()).runs
    [PortRange(first=8080, last=8080), PortRange(first=9000, last=9100)]
    """
    text = _text(data, shape, build)
    runs: list[PortRange] = []
    notes: list[str] = []
    at = _after(b"\n", text, 0)
    while at < text.stop:
        numbers, end = _run(text, at)
        if end is None:
            break
        runs.append(PortRange(numbers[0].value, numbers[-1].value))
        notes += _spelling(numbers)
        at = _after(b"\n", text, end)
    return Ports(runs, at, notes)


def _text(data: bytes, shape: Shape, build: Build) -> _Text:
    """Return what is written, cut as the kernel cuts it."""
    return _Text(data, min(len(data), build.page_bytes - 1), shape, build)


def _run(text: _Text, at: int) -> tuple[list[_Number], int | None]:
    """
    Return the port or the two ends at *at*, and where the next one begins.

    That is None where the text is cut off so near that the number may go on:
    the kernel leaves it for the next write, without a look at its value.
    """
    first = _number(text, at, AFTER_FIRST_PORT)
    if text.cut and text.stop - first.end <= 1:
        return [first], None
    _check(first, text)
    if text.data[first.end : first.end + 1] != b"-":
        return [first], min(first.end + 1, text.stop)
    last = _number(text, first.end + 1, AFTER_LAST_PORT)
    if text.cut and last.end == text.stop:
        return [first, last], None
    _check(last, text)
    if first.value > last.value:
        raise RefusedError(f"the run {first.text}-{last.text} ends below its first port")
    return [first, last], min(last.end + 1, text.stop)


def _number(text: _Text, at: int, may_follow: bytes) -> _Number:
    """Return the number at *at*, in the base that it says; only *may_follow* may follow."""
    # The kernel copies one byte more than a number may have, and parses the copy.
    copied = text.data[at : min(text.stop, at + LONGEST_NUMBER_BYTES + 1)]
    negative = copied[:1] == b"-"
    match = re.compile(NUMBER).match(copied, int(negative))
    if not match or not match.lastgroup:
        raise RefusedError(_no_number(text, at))
    spelled, end = copied[: match.end()].decode(), at + match.end()
    base = BASES[match.lastgroup]
    value = int(match[match.lastgroup], base)
    if len(spelled) > LONGEST_NUMBER_BYTES:
        raise RefusedError(f"{_quoted(text, at)} is longer than {LONGEST_NUMBER_BYTES} bytes")
    if value > ULONG_MAX:
        raise RefusedError(f"{spelled} is more than 64 bits hold")
    if end < text.stop and text.data[end] not in may_follow:
        raise RefusedError(_wrong_end(text, at, end, base))
    return _Number(-value if negative else value, spelled, base, end)


def _wrong_end(text: _Text, at: int, end: int, base: int) -> str:
    """Return why the byte at *end* may not stand after the number at *at*."""
    follower = text.data[end : end + 1]
    if base == 8 and follower.isdigit():
        octal = "is octal, because it begins with 0"
        return f"{_quoted(text, at)} {octal}, and {follower.decode()} is no octal digit"
    return f"{_quoted(text, end)} may not follow {text.data[at:end].decode()}"


def _check(number: _Number, text: _Text) -> None:
    """Refuse a number that the sysctl cannot hold."""
    shape, value = text.shape, number.value
    if number.text.startswith("-") and not shape.signed:
        raise RefusedError(f"{number.text}: there may be no minus sign")
    if value < shape.lowest:
        raise RefusedError(f"{value} is below the lowest value, {shape.lowest}")
    if value > shape.highest:
        raise RefusedError(f"{value} is above the highest value, {shape.highest}")
    limit = INT_MAX // text.build.ticks_per_s
    if shape.in_ticks and abs(value) > limit:
        ticks = f"with {text.build.ticks_per_s} ticks a second"
        raise RefusedError(f"{value} s are more than the kernel can count, {limit} {ticks}")


def _after(skipped: bytes, text: _Text, at: int) -> int:
    """Return where the first byte from *at* on stands that is none of *skipped*."""
    while at < text.stop and text.data[at] in skipped:
        at += 1
    return at


def _spelling(numbers: Iterable[_Number]) -> list[str]:
    """Return what is odd about how numbers are written: octal and hexadecimal."""
    notes = []
    for number in numbers:
        if number.base == 16:
            notes.append(f"hexadecimal: {number.text} is {number.value}")
        elif number.base == 8 and int(number.text) != number.value:
            notes.append(f"a leading 0 makes it octal: {number.text} is {number.value}")
    return notes


def _no_number(text: _Text, at: int) -> str:
    """Return what is wrong where a number should begin."""
    following = text.data[at : at + 1]
    if following.isspace() or following in {b"", b",", b"-"}:
        before = text.data[:at].decode("ascii", "backslashreplace")[-QUOTED_BYTES:]
        where = f"after {before!r}" if before else "at the start"
        if following.isspace() and following != b"\n":
            return f"a blank {where}, where a number must stand"
        return f"a number is missing {where}"
    return f"{_quoted(text, at)} is no number"


def _quoted(text: _Text, at: int) -> str:
    """Return the word at *at*, quoted in printable ASCII, cut if it is long."""
    seen = text.data[at : min(text.stop, at + QUOTED_BYTES + 1)]
    word = re.split(rb"[ \t\n,]", seen)[0] or seen[:1]
    cut = "..." if len(word) > QUOTED_BYTES else ""
    return ascii(word[:QUOTED_BYTES].decode("utf-8", "backslashreplace")) + cut
