"""Who holds one local port: every socket on it, and whether connect() put it there.

Rules of this file:

- a listener, a bound socket and an explicit port are no connect()'s doing;
- what a listener covers was accepted, unless its own counters prove that it
  connected out (``active.py``);
- what the kernel does not tell stays None.

Source: Linux net/ipv4/inet_diag.c; kernel.md 9.2.
"""

from __future__ import annotations

import errno
import itertools
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from portroom.errors import InvalidRequestError
from portroom.kernel import bytecode, sock_diag
from portroom.kernel.active import INFO_EXTENSION, Active, Witnesses
from portroom.kernel.collect import class_of, unmapped_key
from portroom.kernel.groups import read_listeners
from portroom.kernel.netlink import NETLINK_SOCK_DIAG, Netlink
from portroom.kernel.owners import read_owners
from portroom.kernel.rows import NUMBERS, REFUSED
from portroom.model.facts.gaps import Gap
from portroom.model.facts.ports import PortRange
from portroom.model.facts.scene import Holding
from portroom.model.facts.sockets import (
    MAPPED,
    Endpoint,
    Family,
    Protocol,
    TcpState,
    address_text,
    is_wildcard,
    packed_address,
)
from portroom.model.laws.buckets import Listeners
from portroom.model.laws.overlap import overlaps

MOST_HOLDINGS = 1_000
"""Sockets that are told; a busy listener's port has a million, and its listener comes first."""

MOST_ROWS = 20_000
"""Sockets of one family that are looked at: a fifth of a second."""

PLACED_BY_BIND = frozenset({TcpState.LISTEN, TcpState.BOUND_INACTIVE})

INCOMING = frozenset({TcpState.SYN_RECV, TcpState.NEW_SYN_RECV})

_INODE = struct.Struct("=I")


class _Row(NamedTuple):
    """
    One socket as sock_diag tells it, a v4-mapped one as IPv4.

    ``key`` is a group key: remote port, local and remote address, device.
    """

    family: Family
    state: TcpState
    key: bytes
    inode: int
    v6only: bool | None
    no_port: bool
    automatic: bool


def read_holdings(
    protocol: Protocol, port: int, address: str | None = None
) -> tuple[Holding, ...] | Gap:
    """
    Return the sockets of the thread's namespace on one local port.

    Args:
        protocol: TCP or UDP.
        port: The local port.
        address: The local address that is wanted: only sockets whose own may
            conflict with it are told. None for all.

    Returns:
        At most MOST_HOLDINGS, listeners and bound sockets first, then those that
        are surely outgoing; or a Gap where sock_diag is missing.

    Raises:
        InvalidRequestError: *address* is none.
        KernelDataError: A reply cannot be read.
    """
    wanted = None if address is None else _packed(address)
    try:
        rows, active = _read_rows(protocol, port)
        listeners = read_listeners() if protocol is Protocol.TCP else None
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        name = errno.errorcode[error.errno]
        return Gap("sock_diag", f"could not be read ({name})", ("causes",))
    judge = _Judge(protocol, port, active, listeners)
    rows = [row for row in rows if wanted is None or _conflicts(wanted, row)]
    found = sorted(((judge.outgoing(row), row) for row in rows), key=_bound_first)
    return _with_owners(protocol, port, found[:MOST_HOLDINGS])


def _packed(address: str) -> tuple[Family, bytes]:
    """Return family and bytes of an address that a person gave."""
    try:
        return packed_address(address)
    except ValueError:
        raise InvalidRequestError(f"{address!r} is no IP address.") from None


def _conflicts(wanted: tuple[Family, bytes], row: _Row) -> bool:
    """Say whether a socket may be in the way of a new one on the wanted address."""
    return overlaps(*wanted, row.family, row.key[2:18], row.v6only) is not False


def _bound_first(one: tuple[bool | None, _Row]) -> tuple[bool, bool, int]:
    """Return what holdings are sorted by."""
    outgoing, row = one
    return row.state not in PLACED_BY_BIND, outgoing is not True, -row.inode


def _with_owners(
    protocol: Protocol, port: int, found: list[tuple[bool | None, _Row]]
) -> tuple[Holding, ...]:
    """Return holdings with the processes that own them."""
    here = os.stat("/proc/thread-self/ns/net").st_ino
    owners, _ = read_owners({row.inode for _, row in found}, netns_inode=here)
    return tuple(
        msgspec.structs.replace(
            _holding(protocol, port, row, outgoing), owners=owners.get(row.inode, ())
        )
        for outgoing, row in found
    )


def _holding(protocol: Protocol, port: int, row: _Row, outgoing: bool | None) -> Holding:
    """Return one row as a scene has it."""
    remote_port, there = int.from_bytes(row.key[:2], "big"), row.key[18:34]
    alone = not remote_port and is_wildcard(there)
    return Holding(
        protocol=protocol,
        state=row.state.name,
        local=Endpoint(address_text(row.family, row.key[2:18]), port),
        remote=None if alone else Endpoint(address_text(row.family, there), remote_port),
        outgoing=outgoing,
        v6only=row.v6only if row.family is Family.IPV6 else None,
        device=int.from_bytes(row.key[34:38], "little"),
    )


class _Judge:
    """Decides whether connect() placed a socket on its port."""

    def __init__(
        self, protocol: Protocol, port: int, active: Active, listeners: Listeners | None
    ) -> None:
        self._protocol = protocol
        self._port = port
        self._active = active
        self._listeners = listeners

    def outgoing(self, row: _Row) -> bool | None:
        """Return True, False, or None where the kernel does not tell."""
        if row.state in PLACED_BY_BIND or not row.automatic:
            return False
        if self._protocol is Protocol.TCP:
            return self._tcp(row)
        # Nobody accepts in UDP: connected, with a port of the kernel's choice, is outgoing.
        return True if row.state is TcpState.ESTABLISHED else None

    def _tcp(self, row: _Row) -> bool | None:
        """Return the same for a TCP socket with a port that nobody asked for by number."""
        if row.state is TcpState.SYN_SENT or self._port in self._proven(row):
            return True
        if row.state in INCOMING or self._is_covered(row):
            return False
        if row.no_port or (self._listeners and self._listeners.serve(row.family, row.key)):
            return True
        return None

    def _proven(self, row: _Row) -> frozenset[int]:
        """Return the ports from which this 4-tuple surely connected out."""
        return self._active.get((row.family, row.key), frozenset())

    def _is_covered(self, row: _Row) -> bool:
        """Say whether a listener takes in what comes to this local end."""
        return self._listeners is not None and self._listeners.cover(
            row.family, row.key[2:18], self._port
        )


def _read_rows(protocol: Protocol, port: int) -> tuple[list[_Row], Active]:
    """
    Return the sockets on a local port, and who of them surely connected out.

    Raises:
        OSError: sock_diag is missing or refused.
    """
    rows: list[_Row] = []
    witnesses = Witnesses()
    here = bytecode.local_ports(PortRange(port, port))
    for family, automatic in itertools.product(Family, (False, True)):
        origin = bytecode.automatic() if automatic else bytecode.unless(bytecode.automatic())
        end = len(rows) + MOST_ROWS
        for datagram in _dump(protocol, family, bytecode.program([*here, origin])):
            rows += (_row(message, protocol, automatic) for message in sock_diag.messages(datagram))
            if protocol is Protocol.TCP:
                witnesses.feed(datagram)
            if len(rows) >= end:
                break
    return rows, witnesses.active()


def _dump(protocol: Protocol, family: Family, filter: bytes) -> Iterator[memoryview]:
    """Yield the datagrams of one dump: listeners first, then what is bound, then the others."""
    request = sock_diag.request(
        family, NUMBERS[protocol], sock_diag.ALL_STATES, extensions=INFO_EXTENSION, filter=filter
    )
    with Netlink(NETLINK_SOCK_DIAG) as netlink:
        yield from netlink.dump(sock_diag.SOCK_DIAG_BY_FAMILY, request)


def _row(message: memoryview, protocol: Protocol, automatic: bool) -> _Row:
    """Return one message as a row."""
    family, state = class_of(bytes(message[sock_diag.FAMILY : sock_diag.STATE + 1]))
    if protocol is Protocol.TCP and state is TcpState.CLOSE:
        # The rows of bound sockets say CLOSE (kernel.md 9.2).
        state = TcpState.BOUND_INACTIVE
    key = bytes(message[sock_diag.ADDRESSES : sock_diag.ADDRESSES + 38])
    if family is Family.IPV6 and MAPPED in (key[2:14], key[18:30]):
        family, key = Family.IPV4, unmapped_key(key)
    (inode,) = _INODE.unpack_from(message, sock_diag.INODE)
    told = sock_diag.attributes(message, sock_diag.ATTRIBUTES)
    v6only, options = told.get(sock_diag.SKV6ONLY), told.get(sock_diag.SOCKOPT, b"\0\0")
    return _Row(
        family,
        state,
        key,
        inode,
        None if v6only is None else any(v6only),
        bool(options[1:2] and options[1] & sock_diag.NO_PORT_BIT),
        automatic,
    )
