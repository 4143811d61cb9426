"""
What can still be read just after a call: the address in memory, and the socket.

Rules of this file:

- both may be gone, or be others by then: only what is an address in itself is
  told, and whoever asks has to know what the thread did since;
- the process is not stopped, and nothing of it is taken or changed.

Source: proc_pid_mem(5); Linux net/socket.c, sockfs_xattr_get, which lsof reads, too.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from portroom.trace.addresses import parse_address
from portroom.trace.events import CallEnter
from portroom.trace.raw import AF_INET, AF_INET6, AF_UNIX, OTHER_FAMILY, Address

LONGEST_ADDRESS_BYTES = 128
"""struct sockaddr_storage."""

SOCKET_NAME = "system.sockprotoname"

SOCKETS: dict[str, tuple[int, str | None]] = {
    "TCP": (AF_INET, "tcp"),
    "MPTCP": (AF_INET, "tcp"),
    "UDP": (AF_INET, "udp"),
    "UDP-Lite": (AF_INET, "udplite"),
    "UDPLITE": (AF_INET, "udplite"),
    "SCTP": (AF_INET, "sctp"),
    "RAW": (AF_INET, "raw"),
    "PING": (AF_INET, "ping"),
    "UNIX": (AF_UNIX, None),
    "UNIX-STREAM": (AF_UNIX, None),
}
"""Family and protocol by the name of a socket; those of IPv6 have ``v6`` behind it."""


IP_FAMILIES = (AF_INET, AF_INET6)

SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET = 1, 2, 3, 5

ARGUMENTS = {
    (SOCK_STREAM, 0): "tcp",
    (SOCK_STREAM, 6): "tcp",
    (SOCK_STREAM, 262): "tcp",
    (SOCK_DGRAM, 0): "udp",
    (SOCK_DGRAM, 17): "udp",
    (SOCK_DGRAM, 136): "udplite",
    (SOCK_STREAM, 132): "sctp",
    (SOCK_SEQPACKET, 132): "sctp",
    (SOCK_DGRAM, 1): "ping",
    (SOCK_DGRAM, 58): "ping",
}
"""Protocols by kind and number. 262 is multipath TCP. Source: include/uapi/linux/in.h."""


class Told(NamedTuple):
    """A socket's family and protocol, and an address; None is what nothing told."""

    family: int | None = None
    protocol: str | None = None
    address: Address | None = None


UNTOLD = Told()


def read_memory(process: int, call: CallEnter) -> Told:
    """
    Return family and address that lie where a call pointed to.

    Args:
        process: Descriptor of ``/proc/TID`` of the thread that called.
        call: How the call began.
    """
    return parse_memory(_read_memory(process, call)) or UNTOLD


def parse_memory(raw: bytes | None) -> Told | None:
    """Return family and address of what lies in memory, None where it is no address."""
    found = parse_address(raw or b"")
    return Told(found[0], None, found[1]) if found else None


def read_socket(process: int, descriptor: int) -> Told:
    """
    Return family and protocol of a socket that a thread has open.

    Args:
        process: Descriptor of ``/proc/TID``.
        descriptor: Its number in that process.
    """
    return parse_socket_name(_read_socket_name(process, descriptor))


def parse_socket_arguments(family: int, kind: int, protocol: int) -> Told:
    """
    Return family and protocol from the arguments of socket().

    >>> parse_socket_arguments(10, 1, 0)
    Told(family=10, protocol='tcp', address=None)
    >>> parse_socket_arguments(16, 3, 0)
    Told(family=0, protocol=None, address=None)
    """
    if family not in IP_FAMILIES:
        return Told(AF_UNIX if family == AF_UNIX else OTHER_FAMILY)
    named = ARGUMENTS.get((kind, protocol))
    return Told(family, "raw" if kind == SOCK_RAW else named)


def parse_socket_name(raw: bytes) -> Told:
    r"""
    Return family and protocol from the name that the kernel gives a socket.

    >>> parse_socket_name(b"TCPv6\0")
    Told(family=10, protocol='tcp', address=None)
    >>> parse_socket_name(b"NETLINK\0")
    Told(family=0, protocol=None, address=None)
    """
    name = raw.rstrip(b"\0").decode("ascii", "replace")
    if not name:
        return UNTOLD
    base = name.removesuffix("v6")
    family, protocol = SOCKETS.get(base, (OTHER_FAMILY, None))
    return Told(AF_INET6 if family == AF_INET and base != name else family, protocol)


def _read_memory(process: int, call: CallEnter) -> bytes:
    """Return the bytes that a call pointed to; none where they cannot be read."""
    length = min(call.length, LONGEST_ADDRESS_BYTES)
    try:
        memory = os.open("mem", os.O_RDONLY | os.O_CLOEXEC, dir_fd=process)
    except OSError:
        return b""
    try:
        return os.pread(memory, length, call.address)
    except (OSError, OverflowError):
        return b""
    finally:
        os.close(memory)


def _read_socket_name(process: int, descriptor: int) -> bytes:
    """Return the kernel's name of a socket; none where it is no socket any more."""
    try:
        # By our own descriptor: a number may have become another process's.
        return os.getxattr(f"/proc/thread-self/fd/{process}/fd/{descriptor}", SOCKET_NAME)
    except OSError:
        return b""
