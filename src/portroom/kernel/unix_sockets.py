"""Listening unix sockets: how many connections wait, and how many may.

A full backlog gives a non-blocking connect() EAGAIN, the same errno as an
exhausted UDP pool, and has nothing to do with ports.

Rules of this file:

- unix_diag lists the sockets that were made in the network namespace of the
  calling thread, while a path is reached from every namespace that sees the file:
  a full socket of another namespace is not listed here;
- a name was chosen by somebody else: hostile text.

Source: Linux net/unix/diag.c; include/uapi/linux/unix_diag.h;
net/unix/af_unix.c, unix_recvq_full (more than the limit wait).
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import NamedTuple

import msgspec

from portroom.errors import KernelDataError
from portroom.kernel import sock_diag
from portroom.kernel.netlink import NETLINK_SOCK_DIAG, Netlink, split
from portroom.kernel.owners import read_owners
from portroom.model.facts.gaps import Gap
from portroom.model.facts.scene import UnixBacklog
from portroom.model.facts.sockets import TcpState

SHOW_NAME, SHOW_RQLEN = 0x01, 0x10
NAME, RQLEN = 0, 4
"""Numbers of the attributes."""

REQUEST = struct.Struct("=BBHIIIII")
"""Family, protocol, padding, states, inode, what to show, cookie."""

ROW = struct.Struct("=16xBBBxI")
"""A header; then family, type, state and inode."""

ATTRIBUTES = 32

QUEUE = struct.Struct("=II")
"""Of a listener: connections that wait, and the limit given to listen()."""


class _Listener(NamedTuple):
    """A listening socket as unix_diag tells it."""

    inode: int
    backlog: UnixBacklog


def read_backlogs(limit: int) -> tuple[UnixBacklog, ...] | Gap:
    """
    Return the listening unix sockets of the thread's namespace, the fullest first.

    Args:
        limit: The most to return.

    Returns:
        The sockets, with owners where anybody waits; or a Gap where unix_diag is
        missing or may not be asked.

    Raises:
        KernelDataError: A reply cannot be read.
    """
    try:
        found = _read_listeners()
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "error")
        return Gap("unix sockets", f"unix_diag could not be read ({name})", ("causes",))
    found.sort(key=_fullest_first)
    return _with_owners(found[:limit])


def _fullest_first(one: _Listener) -> tuple[float, int, str]:
    """Return what listeners are sorted by: how full, how many wait, their name."""
    backlog = one.backlog
    # waiting > limit is full, so there is room for one more than the limit.
    return -backlog.waiting / (backlog.limit + 1), -backlog.waiting, backlog.path


def _with_owners(found: list[_Listener]) -> tuple[UnixBacklog, ...]:
    """Return the backlogs with the owners of those at which anybody waits."""
    wanted = {one.inode for one in found if one.backlog.waiting}
    here = os.stat("/proc/thread-self/ns/net").st_ino
    owners, _ = read_owners(wanted, netns_inode=here)
    return tuple(
        msgspec.structs.replace(one.backlog, owners=owners.get(one.inode, ())) for one in found
    )


def _read_listeners() -> list[_Listener]:
    """
    Return the listening unix sockets of the namespace of the calling thread.

    Raises:
        OSError: unix_diag is missing or refused.
    """
    show, states = SHOW_NAME | SHOW_RQLEN, 1 << TcpState.LISTEN
    request = REQUEST.pack(socket.AF_UNIX, 0, 0, states, 0, show, 0, 0)
    with Netlink(NETLINK_SOCK_DIAG) as netlink:
        return [
            parse_listener(message)
            for datagram in netlink.dump(sock_diag.SOCK_DIAG_BY_FAMILY, request)
            for message in split(datagram)
        ]


def parse_listener(message: bytes | memoryview) -> _Listener:
    """
    Return what one message of unix_diag tells of a listening socket.

    Raises:
        KernelDataError: It is no such message.
    """
    found = sock_diag.attributes(message, ATTRIBUTES)
    queue = found.get(RQLEN, b"")
    if len(message) < ATTRIBUTES or len(queue) != QUEUE.size:
        raise KernelDataError(
            f"unix_diag: expected a listening socket, got {bytes(message[:128]).hex()}."
        )
    *_, inode = ROW.unpack_from(message)
    waiting, limit = QUEUE.unpack(queue)
    path = name_text(found.get(NAME, b""))
    return _Listener(inode, UnixBacklog(path=path, waiting=waiting, limit=limit))


def name_text(name: bytes) -> str:
    r"""
    Return the name of a unix socket as text: a path, or ``@…`` for an abstract one.

    Bytes that are no UTF-8 become ``\xNN``; a NUL inside an abstract name is ``@``,
    as in ``/proc/net/unix``.

    >>> name_text(b"\0bus"), name_text(b"/run/x\0")
    ('@bus', '/run/x')
    """
    if not name.startswith(b"\0"):
        name = name.rstrip(b"\0")
    return name.replace(b"\0", b"@").decode("utf-8", "backslashreplace")
