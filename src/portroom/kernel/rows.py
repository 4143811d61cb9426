"""Read the sockets of the caller's network namespace one by one, as columns.

Rules of this file:

- protocols, states and endpoints are filtered in the kernel where it can do it;
  what it lets through besides is for ``model/laws/sessions.py`` to drop;
- one dump a protocol and family, so that bytes of an address have one meaning;
- a protocol without a handler is read from ``/proc/net``, and where that has
  nothing to offer it is a Gap: never "no sockets".

Source: Linux net/ipv4/inet_diag.c, udp_diag.c, raw_diag.c; net/mptcp/mptcp_diag.c.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from portroom.errors import KernelDataError
from portroom.kernel import bytecode, proc_net, sock_diag
from portroom.kernel.files import PROC, read_text
from portroom.kernel.netlink import NETLINK_SOCK_DIAG, Netlink
from portroom.model.facts.snapshot import Gap, Rows
from portroom.model.facts.sockets import (
    MAPPED,
    Family,
    Protocol,
    TcpState,
    address_text,
)
from portroom.model.laws.endpoint_filter import EVERY_ENDPOINT, EndpointFilter

NUMBERS = {
    Protocol.TCP: 6,
    Protocol.UDP: 17,
    Protocol.UDPLITE: 136,
    # raw_diag lists the raw sockets of every protocol under this one.
    Protocol.RAW: 255,
    Protocol.MPTCP: 262,
}

EVERY_STATE = frozenset(TcpState)

AFFECTS = ("sessions",)

ATTEMPTS = 3
"""Dumps of one protocol before it is said that the tables keep changing."""

FIELDS = "=17xB2xHH16s16sI12xIIII"
"""State, ports, addresses, device, queues, uid, inode; 88 bytes of a message."""

MESSAGE = struct.Struct(FIELDS)

STATES = {state.value: state for state in TcpState}

# A closed TCP socket is in no table unless it is bound: the kernel reports
# BOUND_INACTIVE as CLOSE.
TCP_STATES = STATES | {TcpState.CLOSE.value: TcpState.BOUND_INACTIVE}

REFUSED = (
    errno.ENOENT,
    errno.EPROTONOSUPPORT,
    errno.EAFNOSUPPORT,
    errno.EPERM,
    errno.EACCES,
)
"""
What is answered where inet_diag, or one protocol's part of it, is missing; and
where a filter on system calls lets no netlink through.
"""

STATES = {state.value: state for state in TcpState}

# A closed TCP socket is in no table unless it is bound: the kernel reports
# BOUND_INACTIVE as CLOSE.
TCP_STATES = STATES | {TcpState.CLOSE.value: TcpState.BOUND_INACTIVE}

ABSENT = (errno.ENOENT, errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT)
"""What a kernel without inet_diag, or without one protocol's part, answers."""


class RowsQuery(msgspec.Struct, frozen=True):
    """Which sockets are wanted; everything by default."""

    protocols: tuple[Protocol, ...] = tuple(Protocol)
    states: frozenset[TcpState] = EVERY_STATE
    local: EndpointFilter = EVERY_ENDPOINT
    remote: EndpointFilter = EVERY_ENDPOINT


EVERYTHING = RowsQuery()


class RowsRead(NamedTuple):
    """
    The rows, whether the tables changed during a dump, and what is missing.

    ``rows`` holds at least what was asked for.
    """

    rows: Rows
    interrupted: bool
    gaps: tuple[Gap, ...]


def read_rows(query: RowsQuery = EVERYTHING) -> RowsRead:
    """
    Read the sockets of the caller's network namespace.

    Needs no right. Sockets of old kernels that are bound and nothing else are
    in no table and so not in the rows either.

    Raises:
        OSError: The kernel refused for another reason than not having it.
        KernelDataError: A reply, or a text of /proc/net, cannot be read.
    """
    rows = empty_rows()
    interrupted = False
    gaps: list[Gap] = []
    for protocol in query.protocols:
        try:
            found, changed = _dump(protocol, query)
            interrupted = interrupted or changed
        except OSError as error:
            if error.errno not in REFUSED:
                raise
            found, gap = _read_text(protocol)
            gaps += [gap] if gap else []
        append_rows(rows, found)
    if interrupted:
        gaps.append(changing_tables())
    return RowsRead(rows, interrupted, tuple(gaps))


def _read_text(protocol: Protocol, proc: str = PROC) -> tuple[Rows, Gap | None]:
    """
    Return the rows of a protocol that sock_diag does not list, and what lacks.

    A protocol that this kernel does not have has no sockets, and nothing lacks.
    """
    try:
        rows = proc_net.read_rows([protocol], proc)
    except FileNotFoundError:
        if not sockets_in_use(read_text(f"{proc}/thread-self/net/protocols"), protocol):
            return empty_rows(), None
        reason = "sock_diag has no handler for it, and /proc/net no table"
        return empty_rows(), Gap(f"{protocol.value} sockets", reason, AFFECTS)
    return rows, _degraded(protocol)


def _degraded(protocol: Protocol) -> Gap | None:
    """Return the Gap of a table of /proc/net, None where it tells as much."""
    if protocol is not Protocol.TCP:
        return None
    return Gap(
        "tcp sockets",
        "sock_diag has no handler for them: degraded, read from /proc/net, which"
        " lists no socket that is only bound and no limit of a backlog",
        AFFECTS,
    )


def sockets_in_use(text: str, protocol: Protocol) -> int:
    r"""
    Return how many sockets ``/proc/net/protocols`` counts for a protocol.

    >>> text = "protocol  size sockets  memory\nMPTCPv6 2064 3 253\nMPTCP 1936 1 253\n"
    >>> sockets_in_use(text, Protocol.MPTCP)
    4

    Raises:
        KernelDataError: A count is no number.
    """
    names = {protocol.value, f"{protocol.value}v6"}
    lines = [line.split() for line in text.splitlines()]
    counts = [
        line[2] for line in lines if len(line) > 2 and line[0].lower().replace("-", "") in names
    ]
    try:
        return sum(map(int, counts))
    except ValueError:
        raise KernelDataError(
            f"/proc/net/protocols: expected counts of {protocol.value}, got {counts!r}."
        ) from None


def changing_tables() -> Gap:
    """Return the Gap of dumps that the kernel called inconsistent."""
    return Gap(
        "sock_diag",
        f"the socket tables changed during each of {ATTEMPTS} dumps:"
        " a socket may be missing or listed twice",
        AFFECTS,
    )


def empty_rows() -> Rows:
    """Return no rows, to be filled."""
    return Rows(*([] for _ in Rows.__struct_fields__))


def append_rows(rows: Rows, more: Rows) -> None:
    """Append each column of *more* to that of *rows*."""
    for column in Rows.__struct_fields__:
        getattr(rows, column).extend(getattr(more, column))


def _dump(protocol: Protocol, query: RowsQuery) -> tuple[Rows, bool]:
    """Return the rows of one protocol, and whether each attempt was disturbed."""
    for _ in range(ATTEMPTS - 1):
        rows, interrupted = _dump_once(protocol, query)
        if not interrupted:
            return rows, False
    return _dump_once(protocol, query)


def _dump_once(protocol: Protocol, query: RowsQuery) -> tuple[Rows, bool]:
    """Return the rows of one protocol, and whether the tables changed meanwhile."""
    interrupted = False
    columns = Columns()
    for family in Family:
        with Netlink(NETLINK_SOCK_DIAG) as netlink:
            request = request_of(protocol, family, query)
            for datagram in netlink.dump(sock_diag.SOCK_DIAG_BY_FAMILY, request):
                columns.append(datagram, protocol, family)
            interrupted = interrupted or netlink.interrupted
    return columns.rows, interrupted


def request_of(protocol: Protocol, family: Family, query: RowsQuery) -> bytes:
    """Return the payload of the dump that answers a query for one family."""
    return sock_diag.request(
        family, NUMBERS[protocol], _state_mask(query.states), filter=_program(query, family)
    )


def _state_mask(states: frozenset[TcpState]) -> int:
    """Return the mask of states, bit by number."""
    mask = sum(1 << state for state in states)
    # Half-open connections wait as NEW_SYN_RECV and are reported as SYN_RECV.
    return mask | 1 << TcpState.NEW_SYN_RECV if TcpState.SYN_RECV in states else mask


def _program(query: RowsQuery, family: Family) -> bytes:
    """Return the program that does the kernel's part of the filters."""
    local, remote = query.local, query.remote
    conditions = [
        *bytecode.local_ports(local.ports),
        *bytecode.remote_ports(remote.ports),
    ]
    if local.family is not None and _kernel_compares(local, family):
        conditions.append(bytecode.local_address(local.family, local.address, local.prefix_bits))
    if remote.family is not None and _kernel_compares(remote, family):
        conditions.append(
            bytecode.remote_address(remote.family, remote.address, remote.prefix_bits)
        )
    return bytecode.program(conditions)


def _kernel_compares(wanted: EndpointFilter, family: Family) -> bool:
    """
    Say whether the kernel lets at least every wanted address of a dump pass.

    A v4-mapped socket without remote has ``::`` there, which is 0.0.0.0 to us
    and never to the kernel.
    """
    wildcard = wanted.matches_address(Family.IPV4, bytes(16))
    return family is Family.IPV4 or not wildcard


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
    _check_length(length, len(datagram))
    count, rest = divmod(len(datagram), length)
    lengths = [bytes(datagram[byte::length]) for byte in range(4)]
    if rest == 0 and all(column == column[:1] * count for column in lengths):
        return struct.iter_unpack(f"{FIELDS}{length - MESSAGE.size}x", datagram)
    return map(MESSAGE.unpack_from, _messages(datagram))


def _messages(datagram: memoryview) -> Iterator[memoryview]:
    """Yield the single messages of a datagram, whatever their lengths."""
    start = 0
    while start < len(datagram):
        length = int.from_bytes(datagram[start : start + 4], "little")
        _check_length(length, len(datagram) - start)
        yield datagram[start : start + length]
        start += length + 3 & ~3


def _check_length(length: int, left: int) -> None:
    """Raise KernelDataError if a message cannot have this length."""
    if not MESSAGE.size <= length <= left:
        raise KernelDataError(
            f"sock_diag: expected a message of {MESSAGE.size} to {left} bytes, got one of {length}."
        )


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
