"""
Counts for others: a unix socket that gives a document to whoever connects.

Rules of this file:

- it never waits for a client: one that is slow gets what its buffer takes, and one
  that reads nothing for PATIENCE_S gets no more;
- the file is there only while somebody serves: one that a crash left is taken away,
  one that is served is left alone;
- it is of the owner and the group of this process, and of nobody else.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from portroom.errors import InvalidRequestError, NotPermittedError
from portroom.kernel.files import PROC, read_text
from portroom.kernel.rights import sudo_line

MODE = 0o660

CLIENTS = 32
"""Clients served at a time; more wait until one of them has its answer."""

PATIENCE_S = 5.0

TABLE_BYTES = 1 << 26


class Client:
    """Who connected: what is left to be sent, and until when something must have been taken."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.left: memoryview | None = None
        self.until_s = time.monotonic() + PATIENCE_S

    def is_done(self) -> bool:
        """Send what can be sent now; say whether that was the rest, or nobody reads it."""
        try:
            while self.left:
                self.left = self.left[self.connection.send(self.left) :]
                self.until_s = time.monotonic() + PATIENCE_S
        except BlockingIOError:
            return time.monotonic() > self.until_s
        except OSError:
            return True
        return self.left is not None


class Published:
    """
    A socket that gives counts away; leave its ``with`` block to remove it.

    Args:
        path: Where the socket is to lie.

    Raises:
        InvalidRequestError: There is no path, something else lies there, or is served there.
        NotPermittedError: The folder may not be written.
    """

    def __init__(self, path: str) -> None:
        if not path:
            # To the kernel no path is a name of its own choice, free for all to connect to.
            raise InvalidRequestError("--serve '': that is no path.", "Name one.")
        self._path = path
        self._clients: list[Client] = []
        _clear(path)
        self._listener = _listen(path)
        self._inode = os.lstat(path).st_ino

    def __enter__(self) -> Self:
        """Return the socket itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all, and remove the file unless it is somebody else's by now."""
        with contextlib.suppress(OSError):
            if os.lstat(self._path).st_ino == self._inode:
                Path(self._path).unlink()
        for client in self._clients:
            client.connection.close()
        self._listener.close()

    def is_asked(self) -> bool:
        """Go on with clients that have their answer; say whether one waits for it."""
        with contextlib.suppress(OSError):
            while len(self._clients) < CLIENTS:
                self._clients.append(Client(self._listener.accept()[0]))
        self._send()
        return any(client.left is None for client in self._clients)

    def answer(self, document: bytes) -> None:
        """Give a document to all that wait for one."""
        for client in self._clients:
            if client.left is None:
                client.left = memoryview(document)
        self._send()

    def _send(self) -> None:
        """Send on, and close what is done."""
        done = [client for client in self._clients if client.is_done()]
        for client in done:
            client.connection.close()
            self._clients.remove(client)


def _clear(path: str) -> None:
    """
    Take away a socket that nobody serves any more.

    Raises:
        InvalidRequestError: It is served, or is no socket.
    """
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(mode):
        raise InvalidRequestError(
            f"--serve {path!r}: something that is no socket lies there.", "Name another path."
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.setblocking(False)
        number = asking.connect_ex(path)
    if number != errno.ECONNREFUSED or _is_bound(path):
        raise InvalidRequestError(
            f"--serve {path!r}: somebody serves there already.", "End it, or name another path."
        )
    with contextlib.suppress(FileNotFoundError):
        Path(path).unlink()


def _is_bound(path: str) -> bool:
    """Say whether somebody has bound a socket to a path, who may listen in a moment."""
    names = {path, str(Path(path).absolute()), os.path.realpath(path)}
    try:
        table = read_text(f"{PROC}/self/net/unix", TABLE_BYTES)
    except OSError:
        return False
    # 0000000000000000: 00000002 00000000 00010000 0001 01 12345 /run/a path
    return any(line.split(None, 7)[7:] in ([name] for name in names) for line in table.splitlines())


def _listen(path: str) -> socket.socket:
    """Return a listening socket at a path, with MODE from its first moment on."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o777 & ~MODE)
    try:
        made.bind(path)
        made.listen(CLIENTS)
    except OSError as error:
        made.close()
        raise _refused(path, error) from None
    finally:
        os.umask(before)
    made.setblocking(False)
    return made


def _refused(path: str, error: OSError) -> InvalidRequestError | NotPermittedError:
    """Return why there can be no socket at a path."""
    message = f"--serve {path!r}: no socket can be made there: {error.strerror or error}."
    if error.errno in {errno.EACCES, errno.EPERM}:
        return NotPermittedError(message, f"Run: {sudo_line()}")
    return InvalidRequestError(message, "Name a path in a folder that exists.")
