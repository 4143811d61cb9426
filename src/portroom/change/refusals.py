"""What a refusal of the file system means to whoever wanted to change something."""

from __future__ import annotations

import errno
import os

from portroom.errors import NotPermittedError, PortroomError, RefusedError, WriteError
from portroom.kernel.rights import sudo_line

NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM})

REASONS = {
    errno.EROFS: "the file system is read-only",
    errno.ENOSPC: "the file system is full",
    errno.EDQUOT: "the quota is used up",
    errno.EIO: "the device reports an error",
}
"""What a person calls these; of others the C library's words have to do."""


def state_error(error: OSError, what: str) -> PortroomError:
    """
    Return the error for a file of portroom's own state that could not be written.

    Args:
        error: What the file system said.
        what: What was tried, on which file: a whole clause.
    """
    if error.errno in NOT_ALLOWED:
        return NotPermittedError.changing(
            f"{what}: {strerror(error)!r}. Without its state portroom changes nothing.",
            f"Set XDG_STATE_HOME to a folder of your own, or run: {sudo_line()}",
        )
    if error.errno == errno.ELOOP:
        return RefusedError(f"{what}: it is a symbolic link.", "Remove it.")
    reason = REASONS.get(error.errno or 0, strerror(error))
    return WriteError(f"{what}: {reason}.")


def strerror(error: OSError) -> str:
    """
    Return what the C library calls an error.

    >>> strerror(OSError(errno.ENOSPC, "anything"))
    'No space left on device'
    """
    return os.strerror(error.errno) if error.errno else str(error)
