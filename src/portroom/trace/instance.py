"""
An instance of tracing of our own: made, used, removed; left-overs are removed too.

Rules of this file:

- its name says who made it, and a lock on its folder says that he lives: the
  kernel lets go of the lock when he dies, however that happens;
- whoever comes next removes what nobody holds, and leaves the rest alone;
- a file is held open that stops tracing and frees the buffer when it is closed,
  also by a kill: what is left then records nothing and takes no memory;
- nothing of the top folder is changed: other users of tracing notice nothing.

Source: Linux Documentation/trace/ftrace.rst, "Instances", free_buffer.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator

from portroom.errors import NotSupportedError
from portroom.kernel.processes import open_folder
from portroom.trace.tracefs import missing, names_in, refused, write

PREFIX = "portroom-"
FOLDER = "instances"
MOST_NAMES = 100

OPTIONS = (
    # A trace can be turned to a wall time only by a clock that programs have, too.
    ("trace_clock", "mono"),
    # With free_buffer held open: whoever dies stops tracing.
    ("options/disable_on_free", "1"),
)

WAKE = ("buffer_percent", "0")
"""Wake who waits at the first event, not at a half full buffer. Since Linux 5.0."""


class Instance:
    """
    One instance; ``folder`` is a descriptor of its folder, and holds the lock.

    Files that were opened below it have to be closed before ``remove``.
    """

    def __init__(self, top: int, name: str, folder: int) -> None:
        self.name = name
        self.folder = folder
        self._top = top
        self._free_buffer: int | None = None

    def set_up(self, buffer_kb: int, *, overwrite: bool) -> None:
        """
        Set clock, size and options, and hold the buffer.

        Args:
            buffer_kb: Size for each processor.
            overwrite: Where it is full, the oldest events go, and not the new ones.

        Raises:
            OSError: The kernel refuses.
        """
        for name, value in (*OPTIONS, ("options/overwrite", str(int(overwrite)))):
            write(name, self.folder, value)
        write("buffer_size_kb", self.folder, str(buffer_kb))
        with contextlib.suppress(FileNotFoundError):
            write(*WAKE[:1], self.folder, *WAKE[1:])
        flags = os.O_WRONLY | os.O_CLOEXEC
        self._free_buffer = os.open("free_buffer", flags, dir_fd=self.folder)

    def enable(self, event: str, condition: str) -> None:
        """
        Switch an event on, as ``sock/inet_sock_set_state``, where *condition* holds.

        Raises:
            NotSupportedError: This kernel has no such event.
            OSError: The kernel refuses.
        """
        try:
            if condition:
                write(f"events/{event}/filter", self.folder, condition)
            write(f"events/{event}/enable", self.folder, "1")
        except FileNotFoundError:
            raise missing(event) from None

    def remove(self) -> None:
        """Remove the instance; where it cannot be, the next run does. Safe to call again."""
        if self._free_buffer is not None:
            os.close(self._free_buffer)
            self._free_buffer = None
        if self.folder >= 0:
            with contextlib.suppress(OSError):
                os.rmdir(f"{FOLDER}/{self.name}", dir_fd=self._top)
            os.close(self.folder)
            self.folder = -1


def create(top: int, label: str) -> Instance:
    """
    Make an instance ``portroom-LABEL``, or with a number behind if that is taken.

    Args:
        top: Descriptor of the top folder of tracefs.
        label: Who makes it.

    Raises:
        NotPermittedError: It may not be made.
    """
    try:
        for name in _names(label):
            folder = _make(top, name)
            if folder is not None:
                return Instance(top, name, folder)
    except OSError as error:
        raise refused(error, "making a trace instance") from None
    raise NotSupportedError(f"{MOST_NAMES} trace instances {PREFIX}{label}… are in use.")


def _names(label: str) -> Iterator[str]:
    """Yield names for an instance: another pid namespace may have the same number."""
    yield f"{PREFIX}{label}"
    for number in range(2, MOST_NAMES):
        yield f"{PREFIX}{label}.{number}"


def _make(top: int, name: str) -> int | None:
    """Return the locked folder of a new instance, None where the name is taken."""
    path = f"{FOLDER}/{name}"
    try:
        os.mkdir(path, 0o700, dir_fd=top)
        folder = open_folder(path, top)
    except (FileExistsError, FileNotFoundError):
        return None
    # Between mkdir and lock another run may have taken it for a left-over.
    if _lock(folder) and _is(folder, path, top):
        return folder
    os.close(folder)
    return None


def _lock(folder: int) -> bool:
    """Lock a folder; say whether nobody else has it."""
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is(folder: int, path: str, top: int) -> bool:
    """Say whether an open folder still is the one at *path*."""
    try:
        return os.stat(path, dir_fd=top).st_ino == os.fstat(folder).st_ino
    except FileNotFoundError:
        return False


def remove_left_overs(top: int) -> list[str]:
    """
    Remove the instances of runs that died, and return their names.

    One that somebody reads from, or that may not be removed, stays.
    """
    instances = open_folder(FOLDER, top)
    try:
        names = [name for name in names_in(instances) if name.startswith(PREFIX)]
        return [name for name in names if _remove_left_over(instances, name)]
    finally:
        os.close(instances)


def _remove_left_over(instances: int, name: str) -> bool:
    """Remove one instance if nobody holds its lock; say whether it is gone."""
    try:
        folder = open_folder(name, instances)
    except OSError as error:
        return error.errno == errno.ENOENT
    try:
        if not (_lock(folder) and _is(folder, name, instances)):
            return False
        # Held until it is gone, so that two runs do not remove the same one.
        os.rmdir(name, dir_fd=instances)
    except OSError:
        return False
    finally:
        os.close(folder)
    return True
