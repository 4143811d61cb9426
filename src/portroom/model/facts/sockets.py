"""Sockets: protocols, states, addresses, and where a local port came from."""

from __future__ import annotations

import enum

import msgspec


class Protocol(enum.Enum):
    """A transport protocol; the value is its name in every answer."""

    TCP = "tcp"
    UDP = "udp"
    UDPLITE = "udplite"
    RAW = "raw"
    MPTCP = "mptcp"


class Family(enum.IntEnum):
    """
    An address family, with the kernel's number.

    A v4-mapped IPv6 socket is IPV4 everywhere in portroom: it shares the IPv4
    tuple space (kernel case c31).
    """

    IPV4 = 2
    IPV6 = 10


class TcpState(enum.IntEnum):
    """
    A socket state, spelled and numbered as in the kernel.

    UDP uses ESTABLISHED (connected) and CLOSE (not connected).

    Source: Linux include/net/tcp_states.h.
    """

    ESTABLISHED = 1
    SYN_SENT = 2
    SYN_RECV = 3
    FIN_WAIT1 = 4
    FIN_WAIT2 = 5
    TIME_WAIT = 6
    CLOSE = 7
    CLOSE_WAIT = 8
    LAST_ACK = 9
    LISTEN = 10
    CLOSING = 11
    NEW_SYN_RECV = 12
    BOUND_INACTIVE = 13


class Kind(enum.Enum):
    """
    Where a socket's local port came from, as far as the kernel tells.

    LISTENER, EXPLICIT, BOUND and CHILD keep the port from every automatic
    connect() of the namespace; NO_PORT shares it by 4-tuple; UNKNOWN is one
    of the two, and the kernel does not say which.
    """

    LISTENER = "listener"
    EXPLICIT = "explicit"
    BOUND = "bound"
    CHILD = "child"
    NO_PORT = "no_port"
    UNKNOWN = "unknown"


class Operation(enum.Enum):
    """How a port is got: chosen for a remote, asked for as "any", or named."""

    CONNECT = "connect"
    BIND0 = "bind0"
    BIND = "bind"


class Endpoint(msgspec.Struct, frozen=True, order=True):
    """An address in text form and a port."""

    address: str
    port: int

    def __str__(self) -> str:
        """Return ``1.2.3.4:443`` or ``[2001:db8::1]:443``."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


class Owner(msgspec.Struct, frozen=True):
    """
    The process behind a holder, known by pid and start time together.

    ``command`` is what the process calls itself: hostile text, to be escaped
    by every sink. ``start_time`` is in clock ticks since boot (field 22 of
    ``/proc/PID/stat``).
    """

    pid: int
    start_time: int
    command: str
    uid: int | None
    unit: str | None
    container: str | None
    sockets: int = 0


MAPPED = bytes(10) + b"\xff\xff"
"""First 12 bytes of a v4-mapped IPv6 address."""


def packed_address(text: str) -> tuple[Family, bytes]:
    """
    Return the family of an address and its 16 bytes as sock_diag has them.

    IPv4 stands in the first four bytes; v4-mapped IPv6 becomes IPv4.

    Raises:
        ValueError: *text* is no address.

    >>> packed_address("::ffff:127.0.0.1") == packed_address("127.0.0.1")
    True
    """
    from ipaddress import ip_address  # costs start-up, and a listing needs none

    address = ip_address(text.partition("%")[0])
    packed = address.packed
    if len(packed) == 16 and packed[:12] == MAPPED:
        packed = packed[12:]
    if len(packed) == 4:
        return Family.IPV4, packed + bytes(12)
    return Family.IPV6, packed


def address_text(family: Family, packed: bytes) -> str:
    """
    Return the text of an address given as sock_diag's 16 bytes.

    >>> address_text(Family.IPV4, bytes([127, 0, 0, 1]) + bytes(12))
    '127.0.0.1'
    """
    if family is Family.IPV4:
        return ".".join(map(str, packed[:4]))
    from ipaddress import IPv6Address

    return str(IPv6Address(packed))


def is_loopback(family: Family, packed: bytes) -> bool:
    """
    Say whether the kernel takes an address for loopback: 127/8 or ``::1``.

    Source: Linux net/ipv4/tcp_ipv4.c, tcp_twsk_unique.
    """
    if family is Family.IPV4:
        return packed[0] == 127
    return packed == bytes(15) + b"\x01"


def is_link_local(packed: bytes) -> bool:
    """
    Say whether an address is an IPv6 one of one link only, ``fe80::/10``.

    >>> is_link_local(packed_address("fe80::1")[1])
    True
    """
    return packed[0] == 0xFE and packed[1] & 0xC0 == 0x80


def is_wildcard(packed: bytes) -> bool:
    """Say whether the address is ``0.0.0.0`` or ``::``."""
    return not any(packed)
