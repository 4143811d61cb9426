"""The manifest: what is known of each socket, told as it is made."""

from __future__ import annotations

import os
import socket
import struct
from typing import Any

from portroom.model.facts.sockets import TcpState
from tests.kernel.sockets import accept_all, family_of, tcp
from tests.kernels.guest import known
from tests.kernels.guest.known import Known

SO_COOKIE = 57

Pair = tuple[socket.socket, socket.socket]


class Population:
    """
    Sockets of the present namespace.

    ``manifest`` tells what is known of each, in the order of making;
    ``missing`` what this kernel cannot do, so that a socket was left out;
    ``closing_since`` the monotonic time before the first TIME_WAIT, in seconds.
    """

    def __init__(self) -> None:
        self.manifest: list[dict[str, Any]] = []
        self.missing: list[str] = []
        self.closing_since = 0.0
        self._servers: dict[int, socket.socket] = {}

    def listen(self, one: Known) -> None:
        """Add a listener."""
        made = tcp(one.bind, **one.options)
        made.listen(64)
        self._servers[made.getsockname()[1]] = made
        self.add(made, TcpState.LISTEN, one.port_from, **one.more)

    def connect(self, one: Known, client: TcpState, child: TcpState) -> Pair:
        """Add both ends of a connection, in the states that they will be in; return them."""
        ends = self.pair(one)
        self.add(ends[0], client, one.port_from, **one.more)
        self.add(ends[1], child, known.ACCEPTED)
        return ends

    def pair(self, one: Known) -> Pair:
        """Return both ends of a connection: who asked, and who accepted."""
        assert one.remote is not None
        made = tcp(one.bind, **{"family": family_of(one.remote), **one.options})
        if "mark" in one.more:
            made.setsockopt(socket.SOL_SOCKET, known.SO_MARK, one.more["mark"])
        made.connect(one.remote)
        (accepted,) = accept_all(self._servers[one.remote[1]], 1)
        return made, accepted

    def add(self, made: socket.socket, state: TcpState, port_from: str, **more: Any) -> None:
        """Put a socket that stays open into the manifest."""
        number = os.fstat(made.fileno()).st_ino
        (cookie,) = struct.unpack("=Q", made.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8))
        entry = entry_of(made, state, port_from, inode=number, cookie=cookie)
        self.manifest.append(entry | more)

    def leave(self, entry: dict[str, Any], **more: Any) -> None:
        """Put what the kernel keeps without a socket into the manifest."""
        self.manifest.append(entry | {"inode": 0} | more)


def entry_of(made: socket.socket, state: TcpState, port_from: str, **more: Any) -> dict[str, Any]:
    """Return what the manifest tells of a socket: both ends, state, origin, user."""
    try:
        remote = end(made.getpeername())
    except OSError:
        remote = None
    return {
        "protocol": "tcp" if made.type == socket.SOCK_STREAM else "udp",
        "family": socket.AddressFamily(made.family).name,
        "local": end(made.getsockname()),
        "remote": remote,
        "state": state.name,
        "port_from": port_from,
        "uid": os.geteuid(),
        **more,
    }


def end(address: Any) -> dict[str, Any]:
    """Return one end of a connection, in the form of the manifest."""
    return {"address": address[0], "port": address[1]}
