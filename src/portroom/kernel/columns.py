"""Sockets of a dump as columns: sock_diag messages in, rows out.

Rules of this file: pure bytes and no socket; where a message begins is shown by
the lengths in the headers and never guessed; what cannot be is an error.

Source: Linux include/uapi/linux/inet_diag.h, struct inet_diag_msg.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator
from typing import Any

from portroom.errors import KernelDataError
from portroom.kernel import sock_diag
from portroom.model.facts.snapshot import Rows
from portroom.model.facts.sockets import (
    MAPPED,
    Family,
    Protocol,
    TcpState,
    address_text,
)

FIELDS = "=17xB2xHH16s16sI12xIIII"
"""State, ports, addresses, device, queues, uid, inode; 88 bytes of a message."""

MESSAGE = struct.Struct(FIELDS)

STATES = {state.value: state for state in TcpState}

# A closed TCP socket is in no table unless it is bound: the kernel reports
# BOUND_INACTIVE as CLOSE.
TCP_STATES = STATES | {TcpState.CLOSE.value: TcpState.BOUND_INACTIVE}

STATES = {state.value: state for state in TcpState}

# A closed TCP socket is in no table unless it is bound: the kernel reports
# BOUND_INACTIVE as CLOSE.
TCP_STATES = STATES | {TcpState.CLOSE.value: TcpState.BOUND_INACTIVE}


def empty_rows() -> Rows:
    """Return no rows, to be filled."""
    return Rows(*([] for _ in Rows.__struct_fields__))


def append_rows(rows: Rows, more: Rows) -> None:
    """Append each column of *more* to that of *rows*."""
    for column in Rows.__struct_fields__:
        getattr(rows, column).extend(getattr(more, column))


class Columns:
    """Rows that grow with each datagram of a dump."""

    def __init__(self) -> None:
        self.rows = empty_rows()
        self._texts = {family: AddressTexts(family) for family in Family}

    def append(self, datagram: memoryview, protocol: Protocol, family: Family) -> None:
        """
        Append the sockets of one datagram.

        Args:
            datagram: Whole messages of a dump of *protocol* and *family*.
            protocol: What was asked for.
            family: What was asked for; v4-mapped sockets become IPv4.

        Raises:
            KernelDataError: A message is shorter than it must be, or of a
                state that is not known.
        """
        fields = list(zip(*_unpacked(datagram), strict=True))
        if not fields:
            return
        rows = self.rows
        states, local_ports, remote_ports, local, remote, *numbers = fields
        rows.protocol.extend([protocol] * len(states))
        rows.state.extend(_named(states, protocol))
        rows.local_port.extend(map(socket.ntohs, local_ports))
        rows.remote_port.extend(map(socket.ntohs, remote_ports))
        self._append_addresses(family, local, remote)
        rows.device.extend(numbers[0])
        rows.recv_queue_bytes.extend(numbers[1])
        rows.send_queue_bytes.extend(numbers[2])
        rows.uid.extend(numbers[3])
        rows.inode.extend(numbers[4])

    def _append_addresses(
        self, family: Family, local: tuple[bytes, ...], remote: tuple[bytes, ...]
    ) -> None:
        """Append both addresses of each socket, and its family."""
        rows = self.rows
        text_of = self._texts[family].__getitem__
        rows.family.extend([family] * len(local))
        rows.local_address.extend(map(text_of, local))
        rows.remote_address.extend(map(text_of, remote))
        if family is Family.IPV4:
            return
        first = len(rows.family) - len(local)
        for row, ends in enumerate(zip(local, remote, strict=True), first):
            if ends[0].startswith(MAPPED) or ends[1].startswith(MAPPED):
                rows.family[row] = Family.IPV4
                rows.local_address[row] = _ipv4_text(ends[0])
                rows.remote_address[row] = _ipv4_text(ends[1])


class AddressTexts(dict[bytes, str]):
    """The text of each address of a family that was met; few are met often."""

    def __init__(self, family: Family) -> None:
        super().__init__()
        self._family = family

    def __missing__(self, packed: bytes) -> str:
        """Return the text of 16 bytes as in sock_diag."""
        text = self[packed] = address_text(self._family, packed)
        return text


def _ipv4_text(packed: bytes) -> str:
    """Return the IPv4 text of one end of a v4-mapped socket; ``::`` is 0.0.0.0."""
    return address_text(Family.IPV4, packed[12:])


def _unpacked(datagram: memoryview) -> Iterable[tuple[Any, ...]]:
    """
    Return the fields of each message of a datagram.

    Messages of one length, the usual case, are unpacked in one go: that each
    begins where the one before ends is shown by the lengths in their headers.
    """
    length = int.from_bytes(datagram[:4], "little")
    count = len(datagram) // length if length >= MESSAGE.size else 0
    if count > 1 and count * length == len(datagram):
        lengths = [bytes(datagram[byte::length]) for byte in range(4)]
        if all(column == column[:1] * count for column in lengths):
            return struct.iter_unpack(f"{FIELDS}{length - MESSAGE.size}x", datagram)
    return map(MESSAGE.unpack_from, sock_diag.messages(datagram))


def _named(numbers: Iterable[int], protocol: Protocol) -> Iterator[TcpState]:
    """
    Return the states behind the kernel's *numbers*.

    Raises:
        KernelDataError: There is no such state.
    """
    names = TCP_STATES if protocol is Protocol.TCP else STATES
    if unknown := set(numbers) - names.keys():
        raise KernelDataError(f"sock_diag: no socket state has number {min(unknown)}.")
    return map(names.__getitem__, numbers)
