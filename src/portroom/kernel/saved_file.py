"""Read a file that a user named: a saved Snapshot, a plan."""

from __future__ import annotations

import os
import stat

from portroom.errors import InvalidRequestError, NotPermittedError
from portroom.model.facts.codec import decode
from portroom.model.facts.snapshot import Snapshot

FILE_BYTES = 1 << 30
"""More than any host needs; never read a device or an endless file."""

CHUNK_BYTES = 1 << 20


def read_snapshot(path: str) -> Snapshot:
    """
    Return the Snapshot saved in *path*.

    Raises:
        InvalidRequestError: There is no such plain file.
        NotPermittedError: It may not be read.
        KernelDataError: It is no whole Snapshot.
    """
    content = read_named(path, f"--snapshot {path!r}", "Its owner alone may read a Snapshot.")
    return decode(content, path)


def read_named(path: str, told: str, right: str, limit: int = FILE_BYTES) -> bytes:
    """
    Return all bytes of a plain file; never wait for a FIFO or a device.

    Args:
        path: As the user named it.
        told: How an error calls it.
        right: What an error says of the right that is missing.
        limit: The most bytes that it may have.

    Raises:
        InvalidRequestError: There is no such plain file.
        NotPermittedError: It may not be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except PermissionError as error:
        raise NotPermittedError(f"{told}: {error.strerror}.", right) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidRequestError(f"{told}: {reason}.") from None
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise InvalidRequestError(f"{told}: not a plain file.")
        if found.st_size > limit:
            raise InvalidRequestError(f"{told}: {found.st_size} bytes are too many.")
        return b"".join(iter(lambda: os.read(handle, CHUNK_BYTES), b""))
    except OSError as error:
        raise InvalidRequestError(f"{told}: {error.strerror}.") from None
    finally:
        os.close(handle)
