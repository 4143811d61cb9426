"""Netlink: ask the kernel a question and receive its datagrams, checked.

Rules of this file:

- it knows netlink headers and nothing of what they carry;
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

HEADER = struct.Struct("=IHHII")
"""Length, type, flags, sequence, port id."""

REQUEST = 0x1
DUMP = REQUEST | 0x300
"""NLM_F_REQUEST | NLM_F_ROOT | NLM_F_MATCH."""

ERROR = 2
DONE = 3
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
        protocol: NETLINK_ROUTE or NETLINK_SOCK_DIAG.

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
            length = self._receive(buffer)
            first = buffer[4] | buffer[5] << 8
            self.interrupted = self.interrupted or bool(buffer[6] & DUMP_INTR)
            if first in (ERROR, DONE):
                _raise_number(buffer, HEADER.size)
                return
            # A short reply's DONE stands at the end of its last datagram.
            end = length - _done_bytes(buffer, length)
            yield view[:end]
            if end < length:
                _raise_number(buffer, end + HEADER.size)
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
        length = self._receive(buffer)
        if buffer[4] == ERROR:
            _raise_number(buffer, HEADER.size)
        return bytes(buffer[:length])

    def _receive(self, buffer: bytearray) -> int:
        """Receive one datagram into *buffer* and return its length."""
        length = self._socket.recv_into(buffer, 0, socket.MSG_TRUNC)
        if length > len(buffer):
            raise KernelDataError(f"netlink: a datagram of {length} bytes was cut.")
        sequence = int.from_bytes(buffer[8:12], "little")
        if length < HEADER.size or sequence != self._sequence:
            raise KernelDataError(
                f"netlink: expected a reply to {self._sequence}, "
                f"got {bytes(buffer[: min(length, 20)]).hex()}."
            )
        return length


def _done_bytes(buffer: bytearray, length: int) -> int:
    """Return the bytes that a closing NLMSG_DONE takes at the end, or 0."""
    if length < 40 or buffer[length - 16] != DONE or buffer[length - 15]:
        return 0
    closing = int.from_bytes(buffer[length - 20 : length - 16], "little")
    same_sequence = buffer[length - 12 : length - 8] == buffer[8:12]
    return 20 if closing == 20 and same_sequence else 0


def _raise_number(buffer: bytearray, offset: int) -> None:
    """Raise OSError for a negative number at *offset* of a closing message."""
    number = int.from_bytes(buffer[offset : offset + 4], "little", signed=True)
    if number < 0:
        raise OSError(-number, f"netlink: {errno.errorcode.get(-number, -number)}")
