"""A network namespace to throw away, and questions that are asked in it.

Rules of this file:

- a forked child makes the namespace and ends with it: what takes a port, takes
  none of anybody else's;
- the child runs beside the caller's work, and answers with a letter a question;
- the child takes no lock of another thread, and leaves nothing behind;
- nothing is guessed: a question that fails, or takes too long, has no answer.
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
from collections.abc import Callable, Iterable
from typing import NamedTuple

from portroom.errors import KernelDataError

DEADLINE_S = 2.0
"""How long is waited for each answer."""

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1

YES, NO, UNKNOWN = b"y", b"n", b"?"
_LETTERS = {True: YES, False: NO, None: UNKNOWN}
_MEANING = {YES[0]: True, NO[0]: False}

Question = Callable[[], bool | None]
"""Yes, no, or None; an error is None too."""


class Answers(NamedTuple):
    """
    What was answered.

    ``refusal`` is the errno with which the kernel refused a namespace, 0 where there was
    one, None where that did not become known. ``told`` has as many as were asked for.
    """

    refusal: int | None
    told: tuple[bool | None, ...]


class Throwaway:
    """
    Questions that are asked in a private namespace: begun at once, answered later.

    It takes some milliseconds, in which the caller can do something else.

    Args:
        questions: What is asked, one after the other.
    """

    def __init__(self, questions: Iterable[Question]) -> None:
        self._reading, writing = os.pipe()
        with warnings.catch_warnings():
            # The child runs this thread alone and takes no lock of another.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._child = os.fork()
        if self._child == 0:
            _answer_and_exit(writing, questions)
        os.close(writing)

    def answers(self, wanted: int) -> Answers:
        """
        Return the first answers, and end; to be called once.

        Args:
            wanted: How many are waited for; what comes later is not needed any more.
        """
        poll = select.poll()  # select() refuses file descriptors over 1023
        poll.register(self._reading, select.POLLIN)
        letters = b""
        awaited = wanted + 1 if wanted else 0
        while len(letters) < awaited and poll.poll(DEADLINE_S * 1000):
            letter = os.read(self._reading, 1)
            if not letter:
                break
            letters += letter
        os.close(self._reading)
        _end(self._child)
        told = letters[1:].ljust(wanted, UNKNOWN)
        return Answers(letters[0] if letters else None, tuple(map(_MEANING.get, told)))


def _end(child: int) -> None:
    """End a child, and wait until nothing is left of it."""
    # Who was started with SIGCHLD ignored is told nothing of a child: once it has ended
    # its number may be that of another process.
    with contextlib.suppress(ChildProcessError, ProcessLookupError):
        if os.waitpid(child, os.WNOHANG) == (0, 0):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _answer_and_exit(writing: int, questions: Iterable[Question]) -> None:
    """Ask in the child, write an errno and then a letter for each, and end without a trace."""
    try:
        # Ctrl-C reaches the child as well; the parent alone answers it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        refusal = _enter_new_namespace()
        os.write(writing, bytes([refusal]))
        for question in () if refusal else questions:
            os.write(writing, _asked(question))
    finally:
        os._exit(0)


def _asked(question: Question) -> bytes:
    """Return the letter for what a question gave, UNKNOWN if it failed."""
    try:
        return _LETTERS[question()]
    except (OSError, KernelDataError):
        return UNKNOWN


def _enter_new_namespace() -> int:
    """Move this process to an empty network namespace with lo up; return 0, or the errno."""
    import ctypes  # in the child alone, beside the caller's work

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) and libc.unshare(CLONE_NEWUSER | CLONE_NEWNET):
        return min(ctypes.get_errno(), 255)
    try:
        _set_up_loopback()
    except OSError as error:
        return min(error.errno or 255, 255)
    return 0


def _set_up_loopback() -> None:
    """Bring the device lo up."""
    with socket.socket() as handle:
        reply = fcntl.ioctl(handle, SIOCGIFFLAGS, b"lo".ljust(40, b"\0"))
        (flags,) = struct.unpack_from("=H", reply, 16)
        fcntl.ioctl(
            handle, SIOCSIFFLAGS, b"lo".ljust(16, b"\0") + struct.pack("=H22x", flags | IFF_UP)
        )
