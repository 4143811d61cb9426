"""What the kernel makes of a text that is written to a sysctl.

Rules of this file:

- how a sysctl is taken is a row of ``KNOWN``, never a branch on its name;
- a value is canonical text: ``"15000 64000"``, ``"8080,9000-9100"``, ``"1"``;
- it holds for Linux 6.18 with ``kernel.sysctl_writes_strict = 1``, the default.
  Earlier kernels and later ones, such as 7.3, take more of the numbers as they
  take signed ones: the value is the same, and where something follows the number,
  the count is shorter;
- part of the portable core: standard library and Python 3.9 syntax only.

Source: Linux fs/proc/proc_sysctl.c, proc_sys_call_handler; kernel/sysctl.c,
proc_first_pos_non_zero_ignore; net/ipv4/sysctl_net_ipv4.c, ipv4_table,
ipv4_net_table; net/netfilter/nf_conntrack_standalone.c; fs/file_table.c.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from portroom.model.facts.ports import LAST_PORT, PortSet
from portroom.model.laws.proc_parsers import (
    INT_MAX,
    Build,
    RefusedError,
    Shape,
    parse_numbers,
    parse_ports,
)

RANGE_KEY = "net.ipv4.ip_local_port_range"
RESERVED_KEY = "net.ipv4.ip_local_reserved_ports"
START_KEY = "net.ipv4.ip_unprivileged_port_start"

UINT_MAX = 2**32 - 1
LONG_MAX = 2**63 - 1

USUAL_BUILD = Build()

NOTES = 3
"""The most oddities that one reason tells."""


ONE_WRITE_TAKES = "one write takes"
"""How the reason of a write begins of which the kernel took a part."""


class Written(NamedTuple):
    """
    What one write(2) did, or several on one descriptor.

    Args:
        consumed_bytes: What write(2) returned, added up; 0 where it refused.
        value: What the sysctl holds afterwards, canonical.
        refusal: The name of the errno, or "" where the kernel accepted.
        reason: For a person: what was seen and which rule refuses it, or what
            is odd about what was accepted; "" where nothing is.
    """

    consumed_bytes: int
    value: str
    refusal: str = ""
    reason: str = ""


class Taking(NamedTuple):
    """
    How the kernel takes what is written to one sysctl.

    Args:
        take: What it does with the bytes of one write.
        shape: What it can hold.
        default: What a new kernel or namespace holds, canonical; None where it
            depends on the machine.
        rule: Refuses numbers within their bounds because of another sysctl.
        later: What becomes of a write that does not begin at byte 0.
    """

    take: Callable[[_Write], _Done]
    shape: Shape
    default: str | None = None
    rule: Callable[[Sequence[int], Mapping[str, str]], None] | None = None
    later: str = "ignored"


class _Write(NamedTuple):
    """One write(2), and what the sysctls hold before."""

    row: Taking
    data: bytes
    offset: int
    before: str
    state: Mapping[str, str]
    build: Build


class _Done(NamedTuple):
    """What one write(2) did; the notes of a refusal are its reason."""

    consumed_bytes: int
    value: str
    notes: Sequence[str]
    refusal: str = ""


def write_once(
    key: str,
    data: bytes,
    state: Mapping[str, str],
    *,
    offset: int = 0,
    build: Build = USUAL_BUILD,
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
    done = _write(key, data, state, offset, build)
    notes = list(done.notes)
    if offset and not done.refusal:
        notes.append(f"{KNOWN[key].later}: it begins at byte {offset}")
    if KNOWN[key].take is _take_ports and not done.refusal and done.consumed_bytes < len(data):
        notes.append(f"{ONE_WRITE_TAKES} {done.consumed_bytes} of {len(data)} bytes")
    return Written(done.consumed_bytes, done.value, done.refusal, _sentence(notes))


def write_whole(
    key: str, data: bytes, state: Mapping[str, str], *, build: Build = USUAL_BUILD
) -> Written:
    r"""
    Return what a writer does that goes on after a short count.

    It writes what is left to the same descriptor until nothing is or the kernel
    refuses. A refusal leaves what the writes before it did.

    Args:
        key: A sysctl of ``KNOWN``.
        data: The bytes, with the newline if the program writes one.
        state: What each sysctl holds now, as for write_once().
        build: What was fixed when the kernel was built.

    Raises:
        KeyError: This law does not know the sysctl.

    >>> write_whole(RANGE_KEY, b"15000 64000 junk", {}).consumed_bytes
    16
    >>> write_whole(RESERVED_KEY, b"\n" * 4095 + b"8080", {}).value
    '8080'
    """
    done = _write(key, data, state, 0, build)
    taken_bytes, values, notes = done.consumed_bytes, [done.value], list(done.notes)
    # A later write adds to a list; adding it up once, at the end, is faster.
    rest = {**state, key: ""}
    while not done.refusal and taken_bytes < len(data):
        done = _write(key, data[taken_bytes:], rest, taken_bytes, build)
        taken_bytes += done.consumed_bytes
        values.append(done.value)
        notes += done.notes
    if done.refusal and taken_bytes:
        notes = [*done.notes, f"the {taken_bytes} bytes before stay applied"]
    return Written(taken_bytes, _added_up(values), done.refusal, _sentence(notes))


def write_in_pieces(
    key: str, data: bytes, state: Mapping[str, str], *, build: Build = USUAL_BUILD
) -> Written:
    """
    Return what a writer does that tries a refused long text again, in pieces.

    A piece ends at the last comma of a page, which becomes a newline, and the
    next one is written one byte behind it. Such is ``sysctl`` of procps.

    Args:
        key: A sysctl of ``KNOWN``.
        data: The bytes, with the newline if the program writes one.
        state: What each sysctl holds now, as for write_once().
        build: What was fixed when the kernel was built.

    Raises:
        KeyError: This law does not know the sysctl.
    """
    written = write_once(key, data, state, build=build)
    held, rest, offset = dict(state), data, 0
    while written.refusal == "EINVAL" and len(rest) > build.page_bytes:
        cut = rest.rfind(b",", 0, build.page_bytes)
        if cut < 0:
            break
        piece = rest[:cut] + b"\n"
        done = write_once(key, piece, held, offset=offset, build=build)
        if done.refusal or not done.consumed_bytes:
            break
        held[key] = done.value
        rest, offset = rest[done.consumed_bytes :], offset + done.consumed_bytes + 1
        if len(rest) <= build.page_bytes:
            last = write_once(key, rest, held, offset=offset, build=build)
            return last if not last.refusal else done
        written = Written(len(data), done.value, "EINVAL", done.reason)
    if held.get(key) != state.get(key):
        return Written(len(data) - len(rest), held[key], "", "refused as a whole, taken in pieces")
    return written


def canonical(text: str) -> str:
    r"""
    Return what is read from a sysctl in the form of a value here.

    >>> canonical("32768\t60999\n")
    '32768 60999'
    """
    return " ".join(text.split())


def _write(key: str, data: bytes, state: Mapping[str, str], offset: int, build: Build) -> _Done:
    """Return what one write does, without what is odd about where it begins and ends."""
    row = KNOWN[key]
    before = state.get(key, row.default or "")
    if not data:
        return _Done(0, before, ["0 bytes: nothing happens"])
    if len(data) >= build.memory_bytes:
        return _Done(0, before, [f"{len(data)} bytes get no memory in the kernel"], "ENOMEM")
    try:
        return row.take(_Write(row, data, offset, before, state, build))
    except RefusedError as refusal:
        return _Done(0, before, [str(refusal)], "EINVAL")


def _take_numbers(write: _Write) -> _Done:
    """Put the numbers that are written in place of the first ones held."""
    if write.offset:
        return _Done(len(write.data), write.before, [])
    found = parse_numbers(write.data, write.row.shape, write.build)
    values = found.values + [int(word) for word in write.before.split()[len(found.values) :]]
    if write.row.rule:
        write.row.rule(values, write.state)
    one = ["one number: only the first port changes"] if values != found.values else []
    return _Done(found.consumed_bytes, " ".join(map(str, values)), [*one, *found.notes])


def _take_ports(write: _Write) -> _Done:
    """Put the ports that are written in place of those held; a later write adds them."""
    found = parse_ports(write.data, write.row.shape, write.build)
    held = PortSet.parse(write.before).runs if write.offset else ()
    return _Done(found.consumed_bytes, str(PortSet([*found.runs, *held])), found.notes)


def _check_range(ports: Sequence[int], state: Mapping[str, str]) -> None:
    """Refuse a range that is none, or that begins below the unprivileged ports."""
    first, last = ports
    start = int(state.get(START_KEY, 0))
    if last < first:
        raise RefusedError(f"the last port {last} lies below the first, {first}")
    if first < start:
        raise RefusedError(f"the first port {first} lies below {START_KEY}, {start}")


def _check_start(ports: Sequence[int], state: Mapping[str, str]) -> None:
    """Refuse a first unprivileged port above the first one of the ephemeral range."""
    first = int(state.get(RANGE_KEY, str(LAST_PORT)).split()[0])
    if ports[0] > first:
        raise RefusedError(f"{ports[0]} lies above the first port of {RANGE_KEY}, {first}")


def _added_up(values: Sequence[str]) -> str:
    """Return the value after several writes; only those of a list add up."""
    filled = [value for value in values if value]
    return filled[0] if len(filled) == 1 else str(PortSet.parse(",".join(filled)))


def _sentence(notes: Sequence[str]) -> str:
    """Return the first notes as one sentence, and how many there are beside."""
    more = [f"and {len(notes) - NOTES} more"] if len(notes) > NOTES else []
    return "; ".join([*notes[:NOTES], *more])


def _signed(shape: Shape, default: str | None = None) -> Taking:
    """Return the row of one number that may have a sign: proc_dointvec and its kin."""
    return Taking(_take_numbers, shape, default)


def _unsigned(lowest: int, highest: int, default: str) -> Taking:
    """Return the row of one number without a sign: proc_douintvec, proc_dou8vec_minmax."""
    return Taking(_take_numbers, Shape(lowest, highest, signed=False, tells_rest=False), default)


KNOWN: Mapping[str, Taking] = {
    RANGE_KEY: Taking(
        _take_numbers, Shape(1, LAST_PORT, numbers=2), "32768 60999", rule=_check_range
    ),
    RESERVED_KEY: Taking(
        _take_ports, Shape(0, LAST_PORT, signed=False), "", later="added to what is there"
    ),
    START_KEY: Taking(_take_numbers, Shape(0, LAST_PORT), "1024", rule=_check_start),
    "net.ipv4.ip_autobind_reuse": _unsigned(0, 1, "0"),
    "net.ipv4.tcp_tw_reuse": _unsigned(0, 2, "2"),
    "net.ipv4.tcp_tw_reuse_delay": _unsigned(1, 60_000, "1000"),
    "net.ipv4.tcp_fin_timeout": _signed(Shape(in_ticks=True), "60"),
    "net.ipv4.tcp_max_tw_buckets": _signed(Shape()),
    "net.ipv4.tcp_max_orphans": _signed(Shape()),
    "net.ipv4.tcp_timestamps": _unsigned(0, 255, "1"),
    "net.ipv4.tcp_fastopen": _signed(Shape(), "1"),
    "net.ipv4.ip_local_port_step_width": _unsigned(0, UINT_MAX, "0"),
    "net.ipv4.tcp_l3mdev_accept": _unsigned(0, 1, "0"),
    # System-wide, so never written by a test but with what is there: from the source.
    "net.netfilter.nf_conntrack_max": _signed(Shape(lowest=0)),
    "fs.file-max": _signed(Shape(0, LONG_MAX, signed=False)),
    # 64 bits are a word of the map of open files; the highest is a multiple of it.
    "fs.nr_open": _unsigned(64, INT_MAX // 64 * 64, "1048576"),
}
"""How each sysctl is taken that this law knows."""
