"""The lock: one process at a time changes something.

Rules of this file:

- it is taken before anything is looked at that a change is made from;
- nobody but its owner can open the file, since whoever can open it can hold it;
- who waits stands in the kernel's queue, so that nobody is passed over.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import threading
import time
from collections.abc import Iterator

from portroom.change.places import Places, check_owner, open_folder
from portroom.change.refusals import state_error
from portroom.errors import ChangeError, RefusedError
from portroom.kernel.broken_off import LOCK
from portroom.kernel.locks import read_holder
from portroom.kernel.processes import read_command

MODE = 0o600
WAIT_S = 10.0

FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@contextlib.contextmanager
def locked(places: Places, wait_s: float = WAIT_S) -> Iterator[None]:
    """
    Hold the lock for the length of a ``with`` block.

    Args:
        places: Where it lies; the folder is made if need be.
        wait_s: Seconds to wait while another process has it.

    Raises:
        ChangeError: Another process has had it all the time; it is named.
        RefusedError: What lies in its place is none of ours.
        NotPermittedError: It may not be made or opened.
    """
    folder = open_folder(places.run, make=True)
    try:
        descriptor = _acquire(folder, places.run, time.monotonic() + wait_s)
    finally:
        os.close(folder)
    try:
        yield
    finally:
        # A child that was forked meanwhile shares the lock, and would keep it.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _acquire(folder: int, run: str, deadline: float) -> int:
    """Return a descriptor that holds the lock."""
    path = f"{run}/{LOCK}"
    while True:
        descriptor, got = _open(folder, path), False
        try:
            _wait(descriptor, path, deadline)
            got = _is_in_place(folder, descriptor)
        finally:
            if not got:
                os.close(descriptor)
        if got:
            return descriptor
        # Somebody removed the file: the lock of the one there now is the lock.


def _open(folder: int, path: str) -> int:
    """Return a descriptor of the lock file, made if need be, and checked."""
    try:
        descriptor = os.open(LOCK, FLAGS, MODE, dir_fd=folder)
    except OSError as error:
        raise state_error(error, f"The lock {path!r} could not be opened") from None
    try:
        _check(os.fstat(descriptor), path)
    except RefusedError:
        os.close(descriptor)
        raise
    return descriptor


def _check(status: os.stat_result, path: str) -> None:
    """Refuse a lock file that portroom did not make."""
    if not stat.S_ISREG(status.st_mode):
        raise RefusedError(f"The lock {path!r} is no regular file.", "Remove it.")
    check_owner(status, path)


def _is_in_place(folder: int, descriptor: int) -> bool:
    """Say whether an open file is the one that others find, too."""
    try:
        there = os.stat(LOCK, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))


def _wait(descriptor: int, path: str, deadline: float) -> None:
    """
    Take the lock of an open file.

    Raises:
        ChangeError: Another process has had it until the deadline.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        # Who does not wait at all, as the guardian, does not stand in the queue either.
        if time.monotonic() >= deadline or not _Queue(descriptor).wait(deadline):
            raise _held(os.fstat(descriptor), path) from None


class _Queue:
    """
    A thread that stands in the kernel's queue for a lock.

    There is no waiting for a lock with a deadline. Who gives up leaves the
    thread there, which lets go of the lock as soon as it gets it.
    """

    def __init__(self, descriptor: int) -> None:
        # The copy is the same open file: the lock that it gets is ours.
        self._copy = os.dup(descriptor)
        self._guard = threading.Lock()
        self._got = threading.Event()
        self._given_up = False

    def wait(self, deadline: float) -> bool:
        """Wait, and say whether the lock was there before the deadline."""
        thread = threading.Thread(target=self._stand, name="lock", daemon=True)
        thread.start()
        try:
            self._got.wait(max(0.0, deadline - time.monotonic()))
        finally:
            with self._guard:
                self._given_up = not self._got.is_set()
        if not self._given_up:
            # A signal that waits for the end of the change shall find no thread to go to.
            thread.join()
        return not self._given_up

    def _stand(self) -> None:
        """Wait for the lock as long as it takes."""
        try:
            fcntl.flock(self._copy, fcntl.LOCK_EX)
            with self._guard:
                self._got.set()
                if self._given_up:
                    fcntl.flock(self._copy, fcntl.LOCK_UN)
        finally:
            os.close(self._copy)


def _held(status: os.stat_result, path: str) -> ChangeError:
    """Return the error for a lock that somebody else has, by name if that can be known."""
    holder = None
    with contextlib.suppress(OSError):
        holder = read_holder(status)
    name = holder and read_command(holder)
    who = f"process {holder}" if holder else "another process"
    who += f" ({name!r})" if name else ""
    return ChangeError(
        f"Settings are being changed by {who}, which holds {path}: nothing was written.",
        "Try again once it has ended.",
    )
