"""Sysctls: where one lies, and its whole text.

Rules of this file: which sysctls matter, and what type each has, is not known
here. Part of the portable core: standard library and Python 3.9 syntax only.
"""

from __future__ import annotations

from portroom.errors import KernelDataError
from portroom.kernel.files import LARGEST_READ_BYTES, PROC, read_text


def sysctl_path(key: str, proc: str = PROC) -> str:
    """
    Return the file of a sysctl *key*.

    >>> sysctl_path("net.ipv4.ip_local_port_range")
    '/proc/sys/net/ipv4/ip_local_port_range'
    """
    return f"{proc}/sys/{key.replace('.', '/')}"


def read_value(key: str, proc: str = PROC, limit: int = LARGEST_READ_BYTES) -> str:
    """
    Read the text of one sysctl, whole, in the network namespace of the thread.

    Args:
        key: The sysctl in dotted form, such as ``net.ipv4.tcp_tw_reuse``.
        proc: Where the proc file system is mounted.
        limit: The bytes to read at most; the kernel clears as many first, so
            fewer are faster.

    Raises:
        OSError: The sysctl does not exist here, or may not be read.
        KernelDataError: The value is longer than one read takes.
    """
    path = sysctl_path(key, proc)
    text = read_text(path, limit)
    if len(text) >= limit:
        raise KernelDataError(
            f"{path}: expected fewer than {limit} bytes, got more, starting with {text[:40]!r}."
        )
    return text
