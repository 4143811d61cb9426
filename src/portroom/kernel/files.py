"""Pseudo-files: one whole file in one read.

Part of the portable core: standard library and Python 3.9 syntax only.
"""

from __future__ import annotations

import os

PROC = "/proc"

LARGEST_READ_BYTES = 1 << 20
"""Twice what the longest sysctl needs: 32,768 lone reserved ports are 193 KB."""


def read_text(path: str, limit: int = LARGEST_READ_BYTES) -> str:
    r"""
    Read a pseudo-file with a single read(2) and return its text.

    Some sysctls answer only the first read(2) of an open file, so a reader
    that asks for less than the whole gets a short list and no error:
    ``open(path).read()`` keeps the first 8,192 bytes of
    ``ip_local_reserved_ports``.

    Args:
        path: The file.
        limit: The most bytes to read; what follows is not seen.

    Returns:
        The text. Bytes that are no UTF-8 stand as ``\xNN``: names of
        processes may hold any byte.

    Raises:
        OSError: The file is missing, or may not be read.

    Source: Linux kernel/sysctl.c, proc_do_large_bitmap (``*ppos``).
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, limit).decode("utf-8", "backslashreplace")
    finally:
        os.close(descriptor)
