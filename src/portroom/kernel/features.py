"""Ask the kernel what it can do, without harming anyone: what the laws need.

Rules of this file:

- features are asked for, versions never compared: 6.17.8 forgets bound owners
  although the change belongs to 6.18, and 6.12.117 does not;
- what takes a port is done in a network namespace of its own, in a forked
  child: on a kernel whose bucket is sticky one careless bind() would take a
  port from every automatic connect of the host;
- nothing is remembered, so nothing is wrong after a boot.

``abilities`` asks for more, for who wants to know. Source: kernels-older.md 3 and
4, tried on sixteen kernels.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from functools import partial

from portroom.kernel import sock_diag
from portroom.kernel.files import PROC
from portroom.kernel.netlink import NETLINK_SOCK_DIAG, Netlink
from portroom.kernel.probe import deferred, has_range_option
from portroom.kernel.throwaway import Throwaway
from portroom.model.facts.snapshot import Features
from portroom.model.facts.sockets import TcpState

TRIAL_PORT = 40_000
"""Any port will do: the namespace is empty."""

MANY_SOCKETS = 50_000
DECOYS = 300
"""
Bound sockets to make where the system has many sockets.

The kernel looks for bound ones among all sockets of the system, and stops for
the first 30 rows that fill a datagram: with 300, after a tenth of its walk.
"""


def read_features(proc: str = PROC) -> Features:
    """
    Return what this kernel can do.

    Args:
        proc: Where the proc file system is mounted.
    """
    return Trial().features(proc)


class Trial:
    """
    A trial in a private namespace: begun at once, its answers read later.

    It takes some milliseconds, in which the caller can read tables.

    Args:
        system_sockets: About how many TCP sockets the whole system has.
    """

    def __init__(self, system_sockets: int = 0) -> None:
        self._begun = Throwaway((bucket_forgets, bound_rows_question(system_sockets)))
        self._found: tuple[bool | None, ...] | None = None

    def features(self, proc: str = PROC, *, bound_rows: bool = True) -> Features:
        """
        Wait for the answers, once, and return all that this kernel can do.

        Args:
            proc: Where the proc file system is mounted.
            bound_rows: Whether to wait for the answer about bound sockets,
                which walks a table of the whole system; else it is None.
        """
        option = has_range_option()
        if self._found is None:
            self._found = (*self._begun.answers(2 if bound_rows else 1).told, None)[:2]
        forgets, lists_bound = self._found
        return Features(
            bucket_forgets=forgets,
            range_option=option,
            bound_inactive_rows=lists_bound,
            tw_reuse_by_age=os.path.exists(f"{proc}/sys/net/ipv4/tcp_tw_reuse_delay"),
        )

    def end(self) -> None:
        """End the trial without an answer."""
        if self._found is None:
            self._found = (*self._begun.answers(0).told, None, None)


class KnownFeatures:
    """
    What was found out before, in place of a Trial: for who reads again and again.

    Args:
        features: What this kernel can do.
    """

    def __init__(self, features: Features) -> None:
        self._features = features

    def features(self, proc: str = PROC, *, bound_rows: bool = True) -> Features:  # noqa: ARG002
        """Return all that this kernel can do, as ``Trial.features`` does."""
        return self._features

    def end(self) -> None:
        """Do nothing: no trial was begun."""


def bucket_forgets() -> bool | None:
    """
    Say whether a port comes back once its bound owner has left.

    To be asked in a private namespace, for it takes ports.

    Raises:
        OSError: It could not be asked.
    """
    try:
        return _forgets_for_connect()
    except OSError as error:
        if error.errno != errno.ENOPROTOOPT:
            raise
    return _forgets_for_bind()


def _forgets_for_connect() -> bool | None:
    """
    Say whether a connect() gets the port back: the question itself.

    A connection holds the port; a bound socket on another address comes and
    goes; then a second connection, to another remote, asks for the port.

    Raises:
        OSError: ENOPROTOOPT where sockets have no option to ask for one port.
    """
    with deferred(socket.AF_INET, TRIAL_PORT) as first:
        if first.connect_ex(("127.0.0.1", 9)):
            return None
        with socket.socket() as bound:
            bound.bind(("127.0.0.2", TRIAL_PORT))
            if _connects():
                return None
        return _connects()


def _connects() -> bool:
    """Say whether a connection to another remote gets the trial port."""
    with deferred(socket.AF_INET, TRIAL_PORT) as second:
        return second.connect_ex(("127.0.0.1", 10)) == 0


def _forgets_for_bind() -> bool:
    """
    Say whether a bind() finds what a bound socket left at the port.

    What makes connect() pass over a port is that its bucket is marked as shared by bound
    sockets, and the same mark lets a bind() with SO_REUSEPORT in unexamined. A connection
    holds the port; a bound socket comes and goes that shares it; the connection shares no
    more; then a bind() is refused, unless the mark is still there.

    Source: Linux net/ipv4/inet_connection_sock.c, inet_csk_get_port; fastreuseport.
    """
    with socket.socket() as server, socket.socket() as held:
        server.bind(("127.0.0.1", 0))
        server.listen()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.connect(server.getsockname())
        _bind_sharing(held.getsockname())
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
        try:
            _bind_sharing(held.getsockname())
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return True
        return False


def _bind_sharing(place: tuple[str, int]) -> None:
    """Bind a socket with SO_REUSEPORT, and close it."""
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(place)


def bound_rows_question(system_sockets: int) -> partial[bool]:
    """
    Return the question whether sock_diag lists sockets that are only bound.

    To be asked in a private namespace, for it takes ports.

    Args:
        system_sockets: About how many TCP sockets the whole system has.
    """
    return partial(_lists_bound_sockets, 1 if system_sockets < MANY_SOCKETS else DECOYS)


def _lists_bound_sockets(number: int) -> bool:
    """Say whether sock_diag lists sockets that are only bound, of so many."""
    with contextlib.ExitStack() as held, Netlink(NETLINK_SOCK_DIAG) as netlink:
        for _ in range(number):
            held.enter_context(socket.socket()).bind(("127.0.0.3", 0))
        request = sock_diag.legacy_request(1 << TcpState.BOUND_INACTIVE)
        return any(netlink.dump(sock_diag.TCPDIAG_GETSOCK, request))
