"""
Events of perf with a copy of the caller's stack: switched on, and read.

Rules of this file:

- one buffer for each processor, overwritten for ever: as long as nobody asks,
  nothing is read, and a sample is copied by the kernel for a failure only;
- all ends with its descriptors: nothing is left after a kill;
- a processor that is off has no events; one that comes later has none, either.

Source: perf_event_open(2); Linux include/uapi/linux/perf_event.h.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import platform
import struct
import threading
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from portroom.errors import NotSupportedError
from portroom.trace.perf_samples import (
    SAMPLED,
    Sample,
    new_bytes,
    parse_area,
    parse_samples,
    spans,
    whole_bytes,
)
from portroom.trace.tracefs import system_call


class Machine(NamedTuple):
    """The number of perf_event_open, and of the register that is the stack pointer."""

    open_number: int
    stack_pointer: int


MACHINES = {"x86_64": Machine(298, 7), "aarch64": Machine(241, 31)}
"""
PERF_REG_X86_SP and PERF_REG_ARM64_SP.

Source: Linux arch/*/include/uapi/asm/perf_regs.h; arch/x86/entry/syscalls/syscall_64.tbl,
include/uapi/asm-generic/unistd.h.
"""

TYPE_SOFTWARE, TYPE_TRACEPOINT = 1, 2
COUNT_DUMMY = 9
"""An event of the first type that never happens: PERF_COUNT_SW_DUMMY."""
DISABLED, USE_CLOCKID, WRITE_BACKWARD = 1 << 0, 1 << 25, 1 << 27
CLOSE_ON_EXEC = 8
ENABLE, SET_OUTPUT, SET_FILTER = 0x2400, 0x2405, 0x40082406
"""Numbers of ioctl(2), the same on these machines. Source: include/uapi/asm-generic/ioctl.h."""

ATTRIBUTES = struct.Struct("=IIQQQQQ16xQ8xQIi8x")
"""
type, size, config, sample_period, sample_type, read_format, flags; config2, sample_regs_user,
sample_stack_user, clockid: up to PERF_ATTR_SIZE_VER4.
"""

STACK_BYTES = 2048
"""
What is copied of a stack. The address lies in the frame of who calls libc, or of who calls
that: 26 bytes from the stack pointer in CPython. Each KiB costs a failure 0.2 µs.
"""

RECORD_BYTES = 2 * STACK_BYTES
"""More than a sample has: beside the stack there is the event, of 40 bytes."""

SMALLEST_BYTES, LARGEST_BYTES, TOTAL_BYTES = 1 << 16, 1 << 19, 1 << 25
"""
Of the buffer of one processor, and of all: the largest has 230 failures. A watch looks each
11 ms while failures come. More than the largest may be refused (perf_event_mlock_kb).
"""

ANY_PROCESS, NO_GROUP = -1, -1


class Traced(NamedTuple):
    """An event: its number, and when it matters."""

    number: int
    condition: str


class PerfRing:
    """
    The buffer of one processor.

    Args:
        machine: What is particular to this machine.
        processor: Its number.
        events: What is copied into it.

    Raises:
        OSError: The kernel refuses; ENODEV where the processor is off.
    """

    def __init__(self, machine: Machine, processor: int, events: Iterable[Traced]) -> None:
        self._head = 0
        self._order = threading.Lock()
        self._buffer: mmap.mmap | None = None
        self._descriptors: list[int] = []
        try:
            for event in events:
                self._add(machine, processor, event)
        except BaseException:
            self.close()
            raise

    def read(self) -> Iterator[Sample]:
        """Yield the samples since the last call, the newest first."""
        assert self._buffer is not None
        # On some machines a read may overtake an earlier one: a lock that is given
        # back and taken again keeps them in order.
        with self._order:
            area = parse_area(self._buffer[: mmap.PAGESIZE])
        first, second = spans(area, new_bytes(area, self._head))
        with self._order:
            data = self._buffer[first] + self._buffer[second]
        with self._order:
            after = parse_area(self._buffer[: mmap.PAGESIZE]).head
        self._head = area.head
        yield from parse_samples(data[: whole_bytes(area, after, RECORD_BYTES)])

    def close(self) -> None:
        """Switch the events off, and give the buffer back. Safe to call again."""
        if self._buffer is not None:
            self._buffer.close()
            self._buffer = None
        while self._descriptors:
            os.close(self._descriptors.pop())

    def _add(self, machine: Machine, processor: int, event: Traced) -> None:
        """Switch one event on; the first one makes the buffer for all."""
        attributes = pack_attributes(machine, event.number)
        where = ANY_PROCESS, processor, NO_GROUP, CLOSE_ON_EXEC
        descriptor = system_call(machine.open_number, attributes, *where)
        self._descriptors.append(descriptor)
        fcntl.ioctl(descriptor, SET_FILTER, event.condition.encode() + b"\0")
        if self._buffer is None:
            # Without the right to write, nobody says what was read: it is overwritten.
            length = max(buffer_bytes(os.cpu_count() or 1), mmap.PAGESIZE)
            self._buffer = mmap.mmap(descriptor, mmap.PAGESIZE + length, prot=mmap.PROT_READ)
        else:
            fcntl.ioctl(descriptor, SET_OUTPUT, self._descriptors[0])
        fcntl.ioctl(descriptor, ENABLE, 0)


def buffer_bytes(processors: int) -> int:
    """
    Return the size of the buffer of one processor: a power of two.

    >>> [buffer_bytes(processors) >> 10 for processors in (1, 64, 65, 1024)]
    [512, 512, 256, 64]
    """
    share = 1 << (TOTAL_BYTES // processors).bit_length() - 1
    return max(SMALLEST_BYTES, min(LARGEST_BYTES, share))


def try_copies(processor: int) -> None:
    """
    Open an event that never happens, with a copy of the stack, and close it.

    Raises:
        NotSupportedError: Nobody knows how this machine does it.
        OSError: The kernel refuses.
    """
    machine = this_machine()
    attributes = pack_attributes(machine, COUNT_DUMMY, TYPE_SOFTWARE)
    where = ANY_PROCESS, processor, NO_GROUP, CLOSE_ON_EXEC
    os.close(system_call(machine.open_number, attributes, *where))


def pack_attributes(machine: Machine, number: int, type_: int = TYPE_TRACEPOINT) -> bytes:
    """Return the ``struct perf_event_attr`` of an event: a sample each time it happens."""
    return ATTRIBUTES.pack(
        *(type_, ATTRIBUTES.size, number, 1, SAMPLED, 0),
        *(DISABLED | USE_CLOCKID | WRITE_BACKWARD, 0),
        *(1 << machine.stack_pointer, STACK_BYTES, time.CLOCK_MONOTONIC),
    )


class PerfRings:
    """
    The buffers of all processors.

    Args:
        processors: Their numbers.
        events: What is copied.

    Raises:
        NotSupportedError: Nobody knows how this machine does it.
        OSError: The kernel refuses.
    """

    def __init__(self, processors: Iterable[int], events: Iterable[Traced]) -> None:
        machine, wanted = this_machine(), tuple(events)
        self._rings: list[PerfRing] = []
        try:
            for processor in processors:
                self._open(machine, processor, wanted)
        except BaseException:
            self.close()
            raise

    def read(self) -> Iterator[Sample]:
        """Yield the samples since the last call, in no order."""
        for ring in self._rings:
            yield from ring.read()

    def close(self) -> None:
        """Close all. Safe to call again."""
        while self._rings:
            self._rings.pop().close()

    def _open(self, machine: Machine, processor: int, events: tuple[Traced, ...]) -> None:
        """Open the buffer of a processor, if it is on."""
        try:
            self._rings.append(PerfRing(machine, processor, events))
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise


def this_machine() -> Machine:
    """
    Return what is particular to this machine.

    Raises:
        NotSupportedError: It is one of others, or this program is of another word length.
    """
    name = platform.machine()
    if name not in MACHINES or struct.calcsize("P") != 8:
        raise NotSupportedError(f"stacks cannot be read on {name!r}")
    return MACHINES[name]
