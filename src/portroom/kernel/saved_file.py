"""Read a saved Snapshot from a file that a user named."""

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
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except PermissionError as error:
        raise NotPermittedError(
            f"--snapshot {path!r}: {error.strerror}.", "Its owner alone may read a Snapshot."
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidRequestError(f"--snapshot {path!r}: {reason}.") from None
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise InvalidRequestError(f"--snapshot {path!r}: not a plain file.")
        if found.st_size > FILE_BYTES:
            raise InvalidRequestError(f"--snapshot {path!r}: {found.st_size} bytes are too many.")
        content = b"".join(iter(lambda: os.read(handle, CHUNK_BYTES), b""))
    except OSError as error:
        raise InvalidRequestError(f"--snapshot {path!r}: {error.strerror}.") from None
    finally:
        os.close(handle)
    return decode(content, path)
