"""Netlink: ask the kernel a question and receive its datagrams, checked.

Rules of this file:

- it knows netlink headers and nothing of what they carry;
- what a datagram says is found by functions of bytes, at the end of the file;
- a dump is over only with NLMSG_DONE, and the number inside DONE is read: a
  protocol without a handler answers DONE with -ENOENT, which is not "none";
- a cut datagram is an error, never a short answer.

Source: Linux net/netlink/af_netlink.c; include/uapi/linux/netlink.h.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from typing import Self

from portroom.errors import KernelDataError

NETLINK_ROUTE = 0
NETLINK_SOCK_DIAG = 4
NETLINK_NETFILTER = 12

HEADER = struct.Struct("=IHHII")
"""Length, type, flags, sequence, port id."""

REQUEST = 0x1
DUMP = REQUEST | 0x300
"""NLM_F_REQUEST | NLM_F_ROOT | NLM_F_MATCH."""

ERROR = 2
DONE = 3
CLOSING_BYTES = 20
"""A header and the number that tells how it went."""

DUMP_INTR = 0x10
"""NLM_F_DUMP_INTR: the tables changed during the dump."""

DATAGRAM_BYTES = 65536
"""A dump datagram is capped near 32 KiB; larger buffers gain nothing."""


class Netlink:
    """
    One netlink socket in the network namespace of the calling thread.

    Use it as a context manager, for one dump or several single questions.
    ``interrupted`` is True once a reply carried NLM_F_DUMP_INTR.

    Args:
        protocol: NETLINK_ROUTE, NETLINK_SOCK_DIAG or NETLINK_NETFILTER.

    Raises:
        OSError: This kernel, or a filter on system calls, refuses the socket.
    """

    def __init__(self, protocol: int) -> None:
        self.interrupted = False
        self._sequence = int.from_bytes(os.urandom(4), "little") | 1
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol
        )

    def __enter__(self) -> Self:
        """Return the socket itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the socket."""
        self._socket.close()

    @property
    def sequence(self) -> int:
        """
        Return the random number that every message of the reply carries.

        Bytes chosen by a remote cannot be taken for a header without it.
        """
        return self._sequence

    def send(self, message_type: int, flags: int, payload: bytes) -> None:
        """Send one request."""
        length = HEADER.size + len(payload)
        header = HEADER.pack(length, message_type, flags, self._sequence, 0)
        self._socket.send(header + payload)

    def dump(self, message_type: int, payload: bytes) -> Iterator[memoryview]:
        """
        Ask for a dump and yield each datagram without the closing message.

        The memory is reused: a yielded view is valid until the next one.

        Yields:
            Whole netlink messages, one after the other, at least one.

        Raises:
            OSError: The kernel refused, in ERROR or in DONE, with its errno.
            KernelDataError: A datagram was cut or is no netlink.
        """
        self.send(message_type, DUMP, payload)
        buffer = bytearray(DATAGRAM_BYTES)
        view = memoryview(buffer)
        while True:
            datagram = view[: self._receive(buffer)]
            self.interrupted = self.interrupted or bool(buffer[6] & DUMP_INTR)
            closing = closing_start(datagram)
            if closing != 0:
                yield datagram[:closing]
            if closing is not None:
                raise_refusal(datagram[closing:])
                return

    def ask(self, message_type: int, payload: bytes) -> bytes:
        """
        Ask for one object and return its message.

        Raises:
            OSError: The kernel refused, with its errno.
            KernelDataError: The reply was cut or is no netlink.
        """
        self.send(message_type, REQUEST, payload)
        buffer = bytearray(DATAGRAM_BYTES)
        datagram = memoryview(buffer)[: self._receive(buffer)]
        if closing_start(datagram) == 0:
            raise_refusal(datagram)
        return bytes(datagram)

    def _receive(self, buffer: bytearray) -> int:
        """Receive one datagram into *buffer* and return its length."""
        length = self._socket.recv_into(buffer, 0, socket.MSG_TRUNC)
        check_datagram(memoryview(buffer)[:20], length, self._sequence)
        return length


def check_datagram(start: bytes | memoryview, length: int, sequence: int) -> None:
    """
    Refuse a datagram that was cut or is no reply to our request.

    Args:
        start: Its first 20 bytes, or fewer if it has fewer.
        length: The bytes that the kernel sent.
        sequence: The number of our request.

    Raises:
        KernelDataError: It is cut, too short, or of another sequence.
    """
    if length > DATAGRAM_BYTES:
        raise KernelDataError(f"netlink: a datagram of {length} bytes was cut.")
    if length < HEADER.size or int.from_bytes(start[8:12], "little") != sequence:
        raise KernelDataError(
            f"netlink: expected a reply to {sequence}, got {bytes(start[:length]).hex()}."
        )


def closing_start(datagram: memoryview) -> int | None:
    """
    Return where the closing message of a datagram starts, None if it has none.

    It may have a datagram of its own, or stand at the end of the last one.

    Args:
        datagram: At least one header.
    """
    if (datagram[4] | datagram[5] << 8) in (ERROR, DONE):
        return 0
    start = len(datagram) - CLOSING_BYTES
    if start < HEADER.size or datagram[start + 4] != DONE or datagram[start + 5]:
        return None
    length = int.from_bytes(datagram[start : start + 4], "little")
    same_sequence = datagram[start + 8 : start + 12] == datagram[8:12]
    return start if length == CLOSING_BYTES and same_sequence else None


def split(datagram: memoryview) -> Iterator[memoryview]:
    """
    Yield the single messages of a datagram.

    Raises:
        KernelDataError: The bytes are no chain of messages.
    """
    start, end = 0, len(datagram)
    while start < end:
        length = int.from_bytes(datagram[start : start + 4], "little")
        if not HEADER.size <= length <= end - start:
            raise KernelDataError(
                f"netlink: expected a message of {HEADER.size} to {end - start} bytes, "
                f"got one of {length}."
            )
        yield datagram[start : start + length]
        start += length + 3 & ~3


def raise_refusal(closing: memoryview) -> None:
    """
    Raise what a closing message says, nothing if all went well.

    Args:
        closing: NLMSG_ERROR or NLMSG_DONE, with its number.

    Raises:
        OSError: The number is negative: the errno of a refusal.
        KernelDataError: There is no number.
    """
    if len(closing) < CLOSING_BYTES:
        raise KernelDataError(
            f"netlink: expected a number in the closing message, got {bytes(closing).hex()}."
        )
    number = int.from_bytes(closing[HEADER.size : CLOSING_BYTES], "little", signed=True)
    if number < 0:
        raise OSError(-number, f"netlink: {errno.errorcode.get(-number, -number)}")
