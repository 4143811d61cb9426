"""Locks of files: who holds one, as everybody may see it."""

from __future__ import annotations

import os
from collections.abc import Iterator

from portroom.kernel.files import PROC, read_text


def read_holder(status: os.stat_result, proc: str = PROC) -> int | None:
    """
    Return the process that has the flock of a file, None for none or none that is seen here.

    Args:
        status: Of the file.
        proc: Where procfs is mounted.

    Raises:
        OSError: Locks cannot be looked at.

    Source: proc_locks(5).
    """
    file = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    return next((holder for holder, held in _locks(proc) if held == file), None)


def read_holders(proc: str = PROC) -> tuple[int, ...]:
    """
    Return the processes that have the flock of any file, as far as they are seen here.

    Raises:
        OSError: Locks cannot be looked at.
    """
    return tuple(dict.fromkeys(holder for holder, _ in _locks(proc)))


def _locks(proc: str) -> Iterator[tuple[int, str]]:
    """Yield the holder of each flock, and device and inode of its file."""
    for line in read_text(f"{proc}/locks").splitlines():
        # 1: FLOCK ADVISORY WRITE 4321 00:1a:77 0 EOF; who waits has "->" after the number.
        words = line.split()
        if len(words) == 8 and words[1] == "FLOCK" and words[4].isdecimal():
            yield int(words[4]), words[5]
