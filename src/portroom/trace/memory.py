"""
What a call was about: the address in its process's memory, and its socket.

Rules of this file:

- both are read just after the call, and may be gone or be others by then: only
  what is an address in itself is told, and where the two tell different
  families, nothing is;
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


class Told(NamedTuple):
    """A socket's family and protocol, and an address; None is what nothing told."""

    family: int | None = None
    protocol: str | None = None
    address: Address | None = None


UNTOLD = Told()


def read_told(process: int, call: CallEnter) -> Told:
    """
    Return what a call was about, as far as it can still be read.

    Args:
        process: Descriptor of ``/proc/TID`` of the thread that called.
        call: How the call began.
    """
    found = parse_address(_read_memory(process, call))
    by_memory = Told(found[0], None, found[1]) if found else UNTOLD
    return agree(parse_socket_name(_read_socket_name(process, call.descriptor)), by_memory)


def agree(by_socket: Told, by_memory: Told) -> Told:
    """
    Return what socket and memory tell together.

    >>> agree(Told(2, "tcp"), Told(2, None, ("127.0.0.1", 80)))
    Told(family=2, protocol='tcp', address=('127.0.0.1', 80))
    >>> agree(Told(10, "tcp"), Told(2, None, ("127.0.0.1", 80)))
    Told(family=None, protocol=None, address=None)
    """
    families = {told.family for told in (by_socket, by_memory)} - {None}
    if len(families) > 1:
        return UNTOLD
    return Told(next(iter(families), None), by_socket.protocol, by_memory.address)


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
