"""Other processes for a test: with a name, a namespace, sockets, or without rights."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Callable, Iterator

from tests.kernel.harness import CLONE_NEWNET, LIBC, unshare

PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15
CAPABILITY_VERSION_3 = 0x20080522


@contextlib.contextmanager
def bystander(*preparations: Callable[[], object]) -> Iterator[int]:
    """
    Be accompanied by a process that did its *preparations*; its pid is given.

    It waits until the ``with`` block ends, and is gone after it.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _prepare_and_wait(preparations, writing)
    os.close(writing)
    try:
        assert b"ready" == os.read(reading, 5), "the bystander failed to prepare"
        yield pid
    finally:
        os.close(reading)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _prepare_and_wait(preparations: tuple[Callable[[], object], ...], writing: int) -> None:
    """Do all preparations in the child, tell, and wait for the end."""
    try:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        for prepare in preparations:
            prepare()
        os.write(writing, b"ready")
        signal.pause()
    finally:
        os._exit(1)


def own_namespace() -> None:
    """Move this process into a network namespace of its own."""
    unshare(CLONE_NEWNET)


def named(name: bytes) -> Callable[[], object]:
    """Return a preparation that gives this process a name, of any bytes."""
    return lambda: LIBC.prctl(PR_SET_NAME, ctypes.c_char_p(name), 0, 0, 0)


def drop_rights() -> None:
    """Give up every capability of this process, whoever it runs as."""
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    if LIBC.capset(header, (ctypes.c_uint32 * 6)()) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def ended_pid() -> int:
    """Return the id of a process that ended."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid
