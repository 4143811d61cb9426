"""Ask the kernel what it can do, without harming anyone.

Rules of this file:

- features are asked for, versions never compared: 6.17.8 forgets bound owners
  although the change belongs to 6.18, and 6.12.117 does not;
- what takes a port is done in a network namespace of its own, in a forked
  child: on a kernel whose bucket is sticky one careless bind() would take a
  port from every automatic connect of the host;
- nothing is remembered, so nothing is wrong after a boot.

Source: kernels-older.md 3 and 4, tried on sixteen kernels.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import struct
import warnings
from collections.abc import Callable
from functools import partial

from portroom.kernel import sock_diag
from portroom.kernel.files import PROC
from portroom.kernel.netlink import NETLINK_SOCK_DIAG, Netlink
from portroom.kernel.probe import deferred, has_range_option
from portroom.model.facts.snapshot import Features
from portroom.model.facts.sockets import TcpState

TRIAL_PORT = 40_000
"""Any port will do: the namespace is empty."""

DEADLINE_S = 2.0

MANY_SOCKETS = 50_000
DECOYS = 300
"""
Bound sockets to make where the system has many sockets.

The kernel looks for bound ones among all sockets of the system, and stops for
the first 30 rows that fill a datagram: with 300, after a tenth of its walk.
"""

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1

YES, NO, UNKNOWN = b"y", b"n", b"?"
_MEANING = {YES[0]: True, NO[0]: False}


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
    """

    def __init__(self, system_sockets: int = 0) -> None:
        """
        Begin.

        Args:
            system_sockets: About how many TCP sockets the whole system has.
        """
        self._reading, writing = os.pipe()
        with warnings.catch_warnings():
            # The child runs this thread alone and takes no lock of another.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._child = os.fork()
        if self._child == 0:
            _answer_and_exit(writing, 1 if system_sockets < MANY_SOCKETS else DECOYS)
        os.close(writing)
        self._found: tuple[bool | None, bool | None] | None = None

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
            self._found = self._answers(2 if bound_rows else 1)
        forgets, lists_bound = self._found
        return Features(
            # Every kernel without the option is sticky: the change came later.
            bucket_forgets=False if option is False else forgets,
            range_option=option,
            bound_inactive_rows=lists_bound,
            tw_reuse_by_age=os.path.exists(f"{proc}/sys/net/ipv4/tcp_tw_reuse_delay"),
        )

    def end(self) -> None:
        """End the trial without an answer."""
        if self._found is None:
            self._found = self._answers(0)

    def _answers(self, wanted: int) -> tuple[bool | None, bool | None]:
        """Return whether buckets forget and, if two are wanted, list bound sockets."""
        poll = select.poll()  # select() refuses file descriptors over 1023
        poll.register(self._reading, select.POLLIN)
        answers = b""
        while len(answers) < wanted and poll.poll(DEADLINE_S * 1000):
            answer = os.read(self._reading, 1)
            if not answer:
                break
            answers += answer
        os.close(self._reading)
        # What is not waited for, or does not come, is not needed any more.
        _end(self._child)
        forgets, bound_rows = (answers + UNKNOWN + UNKNOWN)[:2]
        return _MEANING.get(forgets), _MEANING.get(bound_rows)


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


def _end(child: int) -> None:
    """End a child, and wait until nothing is left of it."""
    # Who was started with SIGCHLD ignored is told nothing of a child: once it has ended
    # its number may be that of another process.
    with contextlib.suppress(ChildProcessError, ProcessLookupError):
        if os.waitpid(child, os.WNOHANG) == (0, 0):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _answer_and_exit(writing: int, bound_sockets: int) -> None:
    """Try both in the child, write a letter for each, and end without a trace."""
    try:
        # Ctrl-C reaches the child as well; the parent alone answers it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        _enter_new_namespace()
        os.write(writing, _tried(_bucket_forgets))
        os.write(writing, _tried(partial(_lists_bound_sockets, bound_sockets)))
    finally:
        os._exit(0)


def _tried(trial: Callable[[], bool | None]) -> bytes:
    """Return the letter for what a trial gave, UNKNOWN if it failed."""
    try:
        return {True: YES, False: NO, None: UNKNOWN}[trial()]
    except OSError:
        return UNKNOWN


def _enter_new_namespace() -> None:
    """Move this process to an empty network namespace with lo up."""
    import ctypes  # in the child alone, beside the caller's work

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) and libc.unshare(CLONE_NEWUSER | CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    with socket.socket() as handle:
        reply = fcntl.ioctl(handle, SIOCGIFFLAGS, b"lo".ljust(40, b"\0"))
        (flags,) = struct.unpack_from("=H", reply, 16)
        fcntl.ioctl(
            handle, SIOCSIFFLAGS, b"lo".ljust(16, b"\0") + struct.pack("=H22x", flags | IFF_UP)
        )


def _bucket_forgets() -> bool | None:
    """
    Say whether a port comes back once its bound owner has left.

    A connection holds the port; a bound socket on another address comes and
    goes; then a second connection, to another remote, asks for the port.
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


def _lists_bound_sockets(number: int) -> bool:
    """Say whether sock_diag lists sockets that are only bound, of so many."""
    with contextlib.ExitStack() as held, Netlink(NETLINK_SOCK_DIAG) as netlink:
        for _ in range(number):
            held.enter_context(socket.socket()).bind(("127.0.0.3", 0))
        request = sock_diag.legacy_request(1 << TcpState.BOUND_INACTIVE)
        return any(netlink.dump(sock_diag.TCPDIAG_GETSOCK, request))
