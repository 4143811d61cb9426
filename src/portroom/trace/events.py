"""
The events that are watched: a table, and what each becomes.

Rules of this file:

- the kernel sorts out: an event that does not matter never leaves it;
- numbers of errors are those of this machine; numbers of states are everywhere
  the same. Source: Linux include/net/tcp_states.h;
- common_pid is the thread, by its number in the first pid namespace.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from portroom.errors import KernelDataError
from portroom.trace.formats import Field, Reader, field_of, parse_format, reader_of
from portroom.trace.pages import Place
from portroom.trace.raw import BIND, CONNECT
from portroom.trace.tracefs import missing, read_whole

SYN_SENT, CLOSE = 2, 7

IPPROTO_TCP = 6
"""A multipath connection has a change of state of its own beside that of TCP."""

IN_INTERRUPT = 0x18
"""
In ``common_flags``: not done by the thread that is named, but while it ran.

Source: Linux include/linux/trace_events.h, TRACE_FLAG_HARDIRQ and TRACE_FLAG_SOFTIRQ.
"""

LOW_WORD = (1 << 32) - 1
"""An argument is kept as a whole register, of which an int is the low part."""

KIND_MASK = 0xF
"""The type of a socket without SOCK_CLOEXEC and SOCK_NONBLOCK. Source: include/linux/net.h."""

CLONE_THREAD = 0x10000
"""Source: Linux include/uapi/linux/sched.h."""

GIVEN_UP = f"protocol == {IPPROTO_TCP} && oldstate == {SYN_SENT} && newstate == {CLOSE}"


class StateChange(NamedTuple):
    """
    A TCP socket went from SYN_SENT to CLOSE: its connect() did not come about.

    With ``local_port`` 0 the search for a port failed. ``local`` and ``remote``
    are IPv4 addresses, ``local6`` and ``remote6`` IPv6 ones or IPv4 ones within.
    """

    at_ns: int
    tid: int
    flags: int
    family: int
    local_port: int
    remote_port: int
    local: bytes
    remote: bytes
    local6: bytes
    remote6: bytes


class CallExit(NamedTuple):
    """A system call failed."""

    at_ns: int
    tid: int
    errno: int
    operation: str


class CallEnter(NamedTuple):
    """A system call began: with which descriptor, and where its address lies."""

    at_ns: int
    tid: int
    descriptor: int
    address: int
    length: int
    operation: str


class SocketEnter(NamedTuple):
    """A socket is being made: the arguments of socket(), without its flags."""

    at_ns: int
    tid: int
    family: int
    kind: int
    protocol: int


class SocketExit(NamedTuple):
    """A socket was made: its descriptor."""

    at_ns: int
    tid: int
    descriptor: int


class Born(NamedTuple):
    """A thread made another one: of its own process, or as a process of its own."""

    at_ns: int
    tid: int
    child: int
    flags: int

    @property
    def is_thread(self) -> bool:
        """Say whether the new one belongs to the same process."""
        return bool(self.flags & CLONE_THREAD)


class Renamed(NamedTuple):
    """A thread changed its name, by itself or by exec()."""

    at_ns: int
    tid: int
    before: str
    after: str


TraceEvent = StateChange | CallExit | CallEnter | SocketEnter | SocketExit | Born | Renamed


class Watched(NamedTuple):
    """An event to switch on: where, when it matters, its fields, and what it becomes."""

    event: str
    condition: str
    fields: tuple[str, ...]
    make: Callable[[int, tuple[Any, ...]], TraceEvent]


def _state(at_ns: int, values: tuple[Any, ...]) -> StateChange:
    """Return a change of state."""
    return StateChange(at_ns, *values)


def _exit(operation: str) -> Callable[[int, tuple[Any, ...]], CallExit]:
    """Return what makes the end of an operation."""
    return lambda at_ns, values: CallExit(at_ns, values[0], -values[1], operation)


def _enter(operation: str) -> Callable[[int, tuple[Any, ...]], CallEnter]:
    """Return what makes the begin of an operation."""

    def make(at_ns: int, values: tuple[Any, ...]) -> CallEnter:
        tid, descriptor, address, length = values
        return CallEnter(at_ns, tid, descriptor & LOW_WORD, address, length & LOW_WORD, operation)

    return make


def _socket(at_ns: int, values: tuple[Any, ...]) -> SocketEnter:
    """Return the begin of a socket."""
    tid, family, kind, protocol = values
    return SocketEnter(at_ns, tid, family & LOW_WORD, kind & KIND_MASK, protocol & LOW_WORD)


def _descriptor(at_ns: int, values: tuple[Any, ...]) -> SocketExit:
    """Return the end of a socket's making."""
    return SocketExit(at_ns, *values)


def _born(at_ns: int, values: tuple[Any, ...]) -> Born:
    """Return the birth of a thread."""
    return Born(at_ns, *values)


def _renamed(at_ns: int, values: tuple[Any, ...]) -> Renamed:
    """Return a change of name."""
    tid, *names = values
    before, after = (name.partition(b"\0")[0].decode("utf-8", "backslashreplace") for name in names)
    return Renamed(at_ns, tid, before, after)


def _returned(*errors: int) -> str:
    """Return the filter for calls that gave one of *errors*."""
    return " || ".join(f"ret == -{error}" for error in errors)


STATE_FIELDS = (
    *("common_pid", "common_flags", "family", "sport", "dport"),
    *("saddr", "daddr", "saddr_v6", "daddr_v6"),
)

FAILURES = (
    Watched("sock/inet_sock_set_state", f"{GIVEN_UP} && sport == 0", STATE_FIELDS, _state),
    Watched(
        "syscalls/sys_exit_connect",
        _returned(errno.EADDRNOTAVAIL, errno.EAGAIN),
        ("common_pid", "ret"),
        _exit(CONNECT),
    ),
    Watched(
        "syscalls/sys_exit_bind",
        _returned(errno.EADDRINUSE, errno.EADDRNOTAVAIL),
        ("common_pid", "ret"),
        _exit(BIND),
    ),
)
"""What tells of a failure."""

BEFORE = (
    Watched("sock/inet_sock_set_state", f"{GIVEN_UP} && sport != 0", STATE_FIELDS, _state),
    Watched(
        "syscalls/sys_enter_connect",
        "",
        ("common_pid", "fd", "uservaddr", "addrlen"),
        _enter(CONNECT),
    ),
    Watched(
        "syscalls/sys_enter_bind",
        "",
        ("common_pid", "fd", "umyaddr", "addrlen"),
        _enter(BIND),
    ),
    Watched("syscalls/sys_enter_socket", "", ("common_pid", "family", "type", "protocol"), _socket),
    Watched("syscalls/sys_exit_socket", "ret >= 0", ("common_pid", "ret"), _descriptor),
    Watched("task/task_newtask", "", ("common_pid", "pid", "clone_flags"), _born),
)
"""What tells more of some failures: it is there for every call, and read when it is needed."""

NAMES = (Watched("task/task_rename", "", ("pid", "oldcomm", "newcomm"), _renamed),)
"""What tells how a process called itself before. Not ``common_pid``: one may name another."""


class Decoder(NamedTuple):
    """What an event becomes; it must be *size* bytes long at least."""

    size: int
    read: Reader
    make: Callable[[int, tuple[Any, ...]], TraceEvent]


class Decoders(NamedTuple):
    """Where an event has its number, and the decoders by number."""

    number: Field
    by_number: dict[int, Decoder]

    def decode(self, page: bytes, place: Place) -> TraceEvent | None:
        """
        Return the event at a place in a page, None for one that is not ours.

        Raises:
            KernelDataError: It is shorter than it should be.
        """
        at_ns, begin, length = place
        at = begin + self.number.offset
        number = int.from_bytes(page[at : at + self.number.size], sys.byteorder)
        decoder = self.by_number.get(number)
        if decoder is None:
            # Others may write into any instance, as by its trace_marker.
            return None
        size, read, make = decoder
        if length < size:
            raise KernelDataError(f"A trace event {number}: expected {size} bytes, got {length}.")
        return make(at_ns, read(page, begin))


def read_decoders(watched: tuple[Watched, ...], folder: int) -> Decoders:
    """
    Return the decoders of some events.

    Args:
        watched: The events.
        folder: Descriptor of an instance, or of the top folder.

    Raises:
        KernelDataError: An event lacks a field.
        NotSupportedError: This kernel has no such event.
        OSError: Its description cannot be read.
    """
    return make_decoders((row, _read_format(row.event, folder)) for row in watched)


def _read_format(event: str, folder: int) -> str:
    """Return the description of an event."""
    try:
        return read_whole(f"events/{event}/format", folder)
    except FileNotFoundError:
        raise missing(event) from None


def make_decoders(described: Iterable[tuple[Watched, str]]) -> Decoders:
    """
    Return the decoders of some events from their descriptions.

    Raises:
        KernelDataError: An event lacks a field.
    """
    numbers, found = [], {}
    for row, text in described:
        format_ = parse_format(text, row.event)
        fields = [field_of(format_.fields, name, row.event) for name in row.fields]
        size = max(field.offset + field.size for field in fields)
        numbers.append(field_of(format_.fields, "common_type", row.event))
        found[format_.number] = Decoder(
            size, reader_of(format_.fields, row.fields, row.event), row.make
        )
    # It is the same in all events: nobody could tell them apart otherwise.
    return Decoders(numbers[0], found)
