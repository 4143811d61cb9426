"""Sysctl values: read one, and parse it to a number, a range or a set of ports.

Rules of this file: which sysctls matter is not known here, only how the text
of each type becomes a value. Part of the portable core: standard library and
Python 3.9 syntax only.
"""

from __future__ import annotations

from portroom.errors import KernelDataError
from portroom.kernel.files import LARGEST_READ_BYTES, PROC, read_text
from portroom.model.facts.ports import LAST_PORT, PortRange, PortSet


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


def parse_range(text: str, *, where: str) -> PortRange:
    r"""
    Parse ``"32768\t60999\n"``; *where* is named in the error.

    Raises:
        KernelDataError: These are not two ports, the lower one first.

    >>> parse_range("32768\t60999\n", where="ip_local_port_range")
    PortRange(first=32768, last=60999)
    """
    try:
        first, last = map(int, text.split())
    except ValueError:
        raise KernelDataError(f"{where}: expected two ports, got {text!r}.") from None
    if not 1 <= first <= last <= LAST_PORT:
        raise KernelDataError(f"{where}: expected two ports, got {text!r}.")
    return PortRange(first, last)


def parse_ports(text: str, *, where: str) -> PortSet:
    r"""
    Parse ``"8080,9000-9100\n"``, or a blank line for none.

    Raises:
        KernelDataError: A part is no port and no run of ports.

    >>> parse_ports("8080,9000-9100\n", where="ip_local_reserved_ports")
    PortSet.parse('8080,9000-9100')
    """
    try:
        return PortSet.parse(text)
    except ValueError as error:
        raise KernelDataError(f"{where}: {error}.") from None


def parse_number(text: str, *, where: str) -> int:
    r"""
    Parse one whole number; some sysctls take and tell negative ones.

    Raises:
        KernelDataError: This is no number.

    >>> parse_number("-1\n", where="tcp_fin_timeout")
    -1
    """
    try:
        return int(text)
    except ValueError:
        raise KernelDataError(f"{where}: expected a number, got {text!r}.") from None
