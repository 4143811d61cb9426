"""What the kernel makes of a text that is written to a sysctl.

Rules of this file:

- how a sysctl is taken is a row of ``KNOWN``, never a branch on its name;
- a value is canonical text: ``"15000 64000"``, ``"8080,9000-9100"``, ``"1"``;
- it holds for Linux 6.18 with ``kernel.sysctl_writes_strict = 1``, the default;
  kernels that take more numbers as signed return shorter counts, same values;
- part of the portable core: standard library and Python 3.9 syntax only.

Source: Linux kernel/sysctl.c, proc_get_long, do_proc_dointvec,
do_proc_douintvec_w, do_proc_doulongvec_minmax, proc_do_large_bitmap;
fs/proc/proc_sysctl.c, proc_sys_call_handler.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from portroom.model.facts.ports import LAST_PORT, PortRange, PortSet

RANGE_KEY = "net.ipv4.ip_local_port_range"
RESERVED_KEY = "net.ipv4.ip_local_reserved_ports"
START_KEY = "net.ipv4.ip_unprivileged_port_start"

INT_MIN, INT_MAX, UINT_MAX = -(2**31), 2**31 - 1, 2**32 - 1
LONG_MAX, ULONG_MAX = 2**63 - 1, 2**64 - 1

BLANKS = b"\t\n\v\f\r \xa0"
"""What may stand before a number: the kernel's isspace(), which is that of Latin-1."""

AFTER_NUMBER, AFTER_FIRST_PORT, AFTER_LAST_PORT = b" \t\n", b"-,\n", b",\n\0"

LONGEST_NUMBER_BYTES = 20
"""A number of more bytes, its sign included, is refused, whatever its value."""

NUMBER = re.compile(rb"0[xX](?P<hex>[0-9a-fA-F]+)|(?P<octal>0[0-7]*)|(?P<decimal>[1-9][0-9]*)")
BASES = {"hex": 16, "octal": 8, "decimal": 10}

NOTES, QUOTED_BYTES = 3, 24
"""The most oddities that one reason tells, and the most bytes that it quotes."""


class Build(NamedTuple):
    """
    What was fixed when a kernel was built, as on x86-64.

    One write looks at one byte less than a page, and gets no memory for
    ``memory_bytes`` or more. Times are kept in ticks (CONFIG_HZ).
    """

    page_bytes: int = 4096
    ticks_per_s: int = 250
    memory_bytes: int = 1 << 22


USUAL_BUILD = Build()


class Written(NamedTuple):
    """
    What one write(2) did, or several on one descriptor.

    ``consumed_bytes`` is what write(2) returned, added up, and 0 where it
    refused; ``value`` what the sysctl holds afterwards; ``refusal`` the name of
    the errno, or "". ``reason`` says for a person what was seen and which rule
    refuses it, or what is odd about what was accepted; "" where nothing is.
    """

    consumed_bytes: int
    value: str
    refusal: str = ""
    reason: str = ""


class Taking(NamedTuple):
    """
    How the kernel takes what is written to one sysctl.

    Args:
        lowest: The lowest that a number may be.
        highest: The highest that a number may be.
        default: What a new kernel or namespace holds, canonical; None where it
            depends on the machine.
        numbers: The most numbers it holds; None for a list of ports.
        signed: A minus sign may stand before a number.
        tells_rest: What follows the last number makes the count short.
        in_ticks: It is a time in seconds, kept in ticks.
        rule: Refuses numbers within their bounds because of another sysctl.
    """

    lowest: int = INT_MIN
    highest: int = INT_MAX
    default: str | None = None
    numbers: int | None = 1
    signed: bool = True
    tells_rest: bool = True
    in_ticks: bool = False
    rule: Callable[[Sequence[int], Mapping[str, str]], None] | None = None


class _Write(NamedTuple):
    """One write(2), of which only the bytes before *stop* are looked at."""

    row: Taking
    data: bytes
    stop: int
    offset: int
    before: str
    state: Mapping[str, str]
    build: Build


class _Number(NamedTuple):
    """A number as written; *end* is where the byte after it stands."""

    value: int
    text: str
    base: int
    end: int


class _RefusedError(Exception):
    """The kernel answers EINVAL; the message is the reason."""


def write_once(
    key: str, data: bytes, state: Mapping[str, str], *, offset: int = 0, build: Build = USUAL_BUILD
) -> Written:
    r"""
    Return what one write(2) does.

    Args:
        key: A sysctl of ``KNOWN``.
        data: The bytes, with the newline if the program writes one.
        state: What each sysctl holds now. Without *key* it holds its default,
            or "" where that depends on the machine; another one that is
            missing does not exist on this kernel.
        offset: Where in the file the write begins.
        build: What was fixed when the kernel was built.

    Raises:
        KeyError: This law does not know the sysctl.

    >>> write_once(RANGE_KEY, b"15000 64000\n", {})
    Written(consumed_bytes=12, value='15000 64000', refusal='', reason='')
    >>> write_once(RANGE_KEY, b"15000", {}).value
    '15000 60999'
    >>> write_once(RANGE_KEY, b"80 65535", {START_KEY: "1024"}).refusal
    'EINVAL'
    """
    row = KNOWN[key]
    before = state.get(key, row.default or "")
    if not data:
        return Written(0, before, "", "0 bytes: nothing happens")
    if len(data) >= build.memory_bytes:
        return Written(0, before, "ENOMEM", f"{len(data)} bytes get no memory in the kernel")
    take = _take_ports if row.numbers is None else _take_numbers
    stop = min(len(data), build.page_bytes - 1)
    try:
        return take(_Write(row, data, stop, offset, before, state, build))
    except _RefusedError as refusal:
        return Written(0, before, "EINVAL", str(refusal))


def write_whole(
    key: str, data: bytes, state: Mapping[str, str], *, build: Build = USUAL_BUILD
) -> Written:
    r"""
    Return what a writer does that goes on after a short count.

    It writes what is left to the same descriptor until nothing is or the kernel
    refuses. A refusal then leaves what the writes before it did.

    Args:
        key: A sysctl of ``KNOWN``.
        data: The bytes, with the newline if the program writes one.
        state: What each sysctl holds now, as for write_once().
        build: What was fixed when the kernel was built.

    >>> write_whole(RANGE_KEY, b"15000 64000 junk", {}).consumed_bytes
    16
    >>> write_whole(RESERVED_KEY, b"\n" * 4095 + b"8080", {}).value
    '8080'
    """
    done = write_once(key, data, state, build=build)
    taken_bytes, values, reason = done.consumed_bytes, [done.value], done.reason
    rest = {**state, key: ""}  # a list grows; adding it up once, at the end, is faster
    while not done.refusal and taken_bytes < len(data):
        done = write_once(key, data[taken_bytes:], rest, offset=taken_bytes, build=build)
        taken_bytes += done.consumed_bytes
        values.append(done.value)
        reason = done.reason if done.refusal else reason
    filled = [value for value in values if value]
    value = filled[0] if len(filled) == 1 else str(PortSet.parse(",".join(filled)))
    return Written(taken_bytes, value, done.refusal, reason)


def canonical(text: str) -> str:
    r"""
    Return what is read from a sysctl in the form of a value here.

    >>> canonical("32768\t60999\n")
    '32768 60999'
    """
    return " ".join(text.split())


def _take_numbers(write: _Write) -> Written:
    """Take one or more numbers with blanks between."""
    row, data, stop = write.row, write.data, write.stop
    if write.offset:
        return Written(len(data), write.before, "", f"ignored: it begins at byte {write.offset}")
    found: list[_Number] = []
    at = _after(BLANKS, data, 0, stop)
    while at < stop and len(found) < (row.numbers or 0):
        found.append(_number(write, at, AFTER_NUMBER))
        _check_bounds(found[-1], write)
        at = _after(BLANKS, data, found[-1].end, stop)
    if not found:
        raise _RefusedError("there is no number, only blanks")
    values = [number.value for number in found]
    values += map(int, write.before.split()[len(found) :])
    if row.rule:
        row.rule(values, write.state)
    notes = _spelling(found)
    if len(found) < len(values):
        notes.append("one number: only the first port changes")
    if stop < len(data):
        notes.append(f"only the first {stop} of {len(data)} bytes are looked at")
    if at < stop:
        notes.append(f"the rest after {at} bytes is ignored")
    consumed_bytes = len(data) - (stop - at) if row.tells_rest else len(data)
    return Written(consumed_bytes, " ".join(map(str, values)), "", _sentence(notes))


def _take_ports(write: _Write) -> Written:
    """Take a list of ports and runs of ports, or as much of it as one write does."""
    data, stop = write.data, write.stop
    runs: list[PortRange] = []
    notes: list[str] = []
    at = _after(b"\n", data, 0, stop)
    while at < stop:
        numbers, end = _run(write, at)
        if end is None:
            break
        runs.append(PortRange(numbers[0].value, numbers[-1].value))
        notes += _spelling(numbers)
        at = _after(b"\n", data, end, stop)
    if at < len(data):
        notes.append(f"one write takes {at} of {len(data)} bytes")
    if write.offset:
        runs += PortSet.parse(write.before).runs
        notes.append(f"added to what is there: it begins at byte {write.offset}")
    return Written(at, str(PortSet(runs)), "", _sentence(notes))


def _run(write: _Write, at: int) -> tuple[list[_Number], int | None]:
    """
    Return the port or the two ends at *at*, and where the next one begins.

    That is None where the write is cut off so near that the number may go on:
    the kernel leaves it for the next write.
    """
    data, stop = write.data, write.stop
    cut = stop < len(data)
    first = _number(write, at, AFTER_FIRST_PORT)
    if cut and stop - first.end <= 1:
        return [first], None
    _check_bounds(first, write)
    if data[first.end : min(first.end + 1, stop)] != b"-":
        return [first], min(first.end + 1, stop)
    last = _number(write, first.end + 1, AFTER_LAST_PORT)
    if cut and last.end == stop:
        return [first, last], None
    _check_bounds(last, write)
    if first.value > last.value:
        raise _RefusedError(f"the run {first.value}-{last.value} ends below its first port")
    return [first, last], min(last.end + 1, stop)


def _number(write: _Write, at: int, may_follow: bytes) -> _Number:
    """Return the number at *at*, in the base that it says; only *may_follow* may follow."""
    # The kernel copies one byte more than a number may have, and parses the copy.
    copied = write.data[at : min(write.stop, at + LONGEST_NUMBER_BYTES + 1)]
    negative = copied[:1] == b"-" and len(copied) > 1
    match = NUMBER.match(copied, int(negative))
    if not match or not match.lastgroup:
        raise _RefusedError(f"{_quoted(write.data[at : write.stop])} is no number")
    base = BASES[match.lastgroup]
    value = int(match[match.lastgroup], base)
    text, end = copied[: match.end()].decode(), at + match.end()
    if value > ULONG_MAX:
        raise _RefusedError(f"{text} is more than 64 bits hold")
    if len(text) > LONGEST_NUMBER_BYTES:
        raise _RefusedError(f"{text} is longer than {LONGEST_NUMBER_BYTES} bytes")
    follower = write.data[end : min(end + 1, write.stop)]
    if follower not in may_follow:
        raise _RefusedError(_wrong_end(text, base, follower))
    return _Number(-value if negative else value, text, base, end)


def _wrong_end(text: str, base: int, follower: bytes) -> str:
    """Return why *follower* may not stand after the number *text*."""
    if base == 8 and follower.isdigit():
        return f"a leading 0 makes {text} octal, and {follower.decode()} is no octal digit"
    return f"{_quoted(follower)} may not follow {text}"


def _check_bounds(number: _Number, write: _Write) -> None:
    """Refuse a number that the sysctl cannot hold."""
    row = write.row
    if number.text.startswith("-") and not row.signed:
        raise _RefusedError(f"{number.text}: there may be no minus sign")
    ticks_per_s = write.build.ticks_per_s if row.in_ticks else 1
    if abs(number.value) * ticks_per_s > row.highest and row.in_ticks:
        raise _RefusedError(f"{number.value} s are more than fit at {ticks_per_s} ticks a second")
    if number.value < row.lowest:
        raise _RefusedError(f"{number.value} is below the lowest value, {row.lowest}")
    if number.value > row.highest:
        raise _RefusedError(f"{number.value} is above the highest value, {row.highest}")


def _check_range(ports: Sequence[int], state: Mapping[str, str]) -> None:
    """Refuse a range that is none, or that begins below the unprivileged ports."""
    first, last = ports
    start = int(state.get(START_KEY, 0))
    if last < first:
        raise _RefusedError(f"the last port {last} lies below the first, {first}")
    if first < start:
        raise _RefusedError(f"the first port {first} lies below {START_KEY}, {start}")


def _check_start(ports: Sequence[int], state: Mapping[str, str]) -> None:
    """Refuse a first unprivileged port above the first one of the ephemeral range."""
    first = int(state.get(RANGE_KEY, str(LAST_PORT)).split()[0])
    if ports[0] > first:
        raise _RefusedError(f"{ports[0]} lies above the first port of {RANGE_KEY}, {first}")


def _after(skipped: bytes, data: bytes, at: int, stop: int) -> int:
    """Return where the first byte from *at* on stands that is none of *skipped*."""
    while at < stop and data[at] in skipped:
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


def _sentence(notes: Sequence[str]) -> str:
    """Return the first notes as one sentence, and how many there are beside."""
    more = [f"and {len(notes) - NOTES} more"] if len(notes) > NOTES else []
    return "; ".join([*notes[:NOTES], *more])


def _quoted(data: bytes) -> str:
    """Return the first word of *data*, quoted in printable ASCII, cut if it is long."""
    word = re.split(rb"(?!\A)[ \t\n,]", data[: QUOTED_BYTES + 1])[0]
    cut = "..." if len(word) > QUOTED_BYTES else ""
    return ascii(word[:QUOTED_BYTES].decode("utf-8", "backslashreplace")) + cut


def _unsigned(lowest: int, highest: int, default: str) -> Taking:
    """Return the row of a number without a sign, which hides what follows it."""
    return Taking(lowest, highest, default, signed=False, tells_rest=False)


KNOWN: Mapping[str, Taking] = {
    RANGE_KEY: Taking(1, LAST_PORT, "32768 60999", numbers=2, rule=_check_range),
    RESERVED_KEY: Taking(0, LAST_PORT, "", numbers=None, signed=False),
    START_KEY: Taking(0, LAST_PORT, "1024", rule=_check_start),
    "net.ipv4.ip_autobind_reuse": _unsigned(0, 1, "0"),
    "net.ipv4.tcp_tw_reuse": _unsigned(0, 2, "2"),
    "net.ipv4.tcp_tw_reuse_delay": _unsigned(1, 60_000, "1000"),
    "net.ipv4.tcp_fin_timeout": Taking(default="60", in_ticks=True),
    "net.ipv4.tcp_max_tw_buckets": Taking(),
    "net.ipv4.tcp_max_orphans": Taking(),
    "net.ipv4.tcp_timestamps": _unsigned(0, 255, "1"),
    "net.ipv4.tcp_fastopen": Taking(default="1"),
    "net.ipv4.ip_local_port_step_width": _unsigned(0, UINT_MAX, "0"),
    "net.ipv4.tcp_l3mdev_accept": _unsigned(0, 1, "0"),
    "net.netfilter.nf_conntrack_max": Taking(lowest=0),
    "fs.file-max": Taking(0, LONG_MAX, signed=False),
    # 64 bits of a word, and the highest multiple of it.
    "fs.nr_open": _unsigned(64, INT_MAX // 64 * 64, "1048576"),
}
"""How each sysctl is taken that this law knows."""
