"""Open files of the whole system: the limit behind ENFILE."""

from __future__ import annotations

from portroom.errors import KernelDataError
from portroom.kernel.files import PROC
from portroom.kernel.sysctl import read_value, sysctl_path
from portroom.model.facts.scene import SystemFiles

FILE_NR = "fs.file-nr"

NUMBERS_BYTES = 256
"""Ten times what three numbers need."""


def read_system_files(proc: str = PROC) -> SystemFiles:
    """
    Return how many files the whole system has open, and how many it may.

    The limit is that of users; who has CAP_SYS_ADMIN goes beyond it.

    Raises:
        OSError: The numbers may not be read.
        KernelDataError: They are not as expected.

    Source: Linux Documentation/admin-guide/sysctl/fs.rst, file-nr;
    fs/file_table.c, alloc_empty_file.
    """
    return parse_file_nr(read_value(FILE_NR, proc, NUMBERS_BYTES), sysctl_path(FILE_NR, proc))


def parse_file_nr(text: str, where: str = FILE_NR) -> SystemFiles:
    r"""
    Return what ``fs.file-nr`` says: allocated, allocated and unused, limit.

    Raises:
        KernelDataError: These are not three numbers; *where* is named.

    >>> parse_file_nr("28896\t0\t9223372036854775807\n").used
    28896
    """
    words = text.split()
    if len(words) != 3 or not all(word.isdecimal() for word in words):
        raise KernelDataError(f"{where}: expected three numbers, got {text!r}.")
    allocated, unused, limit = map(int, words)
    return SystemFiles(allocated - unused, limit)
