"""Limits that are near: open files of processes, tracked connections, memory of TCP.

Rules of this file:

- what is used and what may be used are read side by side, and computed nowhere
  here;
- a process is the one that was seen before only while its start time says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

from portroom.errors import KernelDataError
from portroom.kernel.files import PROC, read_text
from portroom.kernel.processes import open_folder, parse_stat, read_file
from portroom.kernel.sysctl import read_value, sysctl_path
from portroom.model.facts.gaps import Gap
from portroom.model.facts.sockets import Owner
from portroom.model.facts.surroundings import OpenFiles

CONNTRACK_COUNT = "net.netfilter.nf_conntrack_count"
CONNTRACK_MAX = "net.netfilter.nf_conntrack_max"
TCP_MEM = "net.ipv4.tcp_mem"

OPEN_FILES = b"\nMax open files "

NUMBER_BYTES = 256
"""Ten times what a few numbers need."""


class Usage(NamedTuple):
    """How much is used of a limit, and the limit; None where it does not apply here."""

    used: int | None
    limit: int | None


UNKNOWN = Usage(None, None)


def read_open_files(
    owners: Iterable[Owner], proc: str = PROC
) -> tuple[tuple[OpenFiles, ...], tuple[Gap, ...]]:
    """
    Return the open files of some processes, each once, and what could not be counted.

    A process that ended meanwhile is left out.
    """
    files, hidden = [], []
    for owner in {(one.pid, one.start_time): one for one in owners}.values():
        try:
            usage = _open_files(owner, proc)
        except PermissionError:
            hidden.append(owner)
            continue
        except (OSError, ValueError):
            continue
        if usage is not None:
            files.append(OpenFiles(owner, *usage))
    return tuple(files), tuple(map(_uncounted, hidden))


def _uncounted(owner: Owner) -> Gap:
    """Return the Gap of a process that may not be looked into."""
    reason = f"process {owner.pid} may not be looked into (needs CAP_SYS_PTRACE)"
    return Gap("open_files", reason, ("limits",))


def _open_files(owner: Owner, proc: str) -> tuple[int, int] | None:
    """Return how many files a process has open, and its limit; None for another process."""
    folder = open_folder(f"{proc}/{owner.pid}")
    try:
        if parse_stat(read_file("stat", folder)).start_time != owner.start_time:
            return None
        limit = parse_open_files_limit(read_file("limits", folder))
        return _count_descriptors(folder), limit
    finally:
        os.close(folder)


def _count_descriptors(folder: int) -> int:
    """
    Return how many descriptors a process has, from the folder ``/proc/PID``.

    Since Linux kernel commit f1f1f2569901 ("proc: report open files as size in
    stat() for /proc/pid/fd") (in v6.2) that is the size of its folder ``fd``,
    which anybody may ask for; before, the names in it are counted.
    """
    if size := os.stat("fd", dir_fd=folder).st_size:
        return size
    descriptors = open_folder("fd", folder)
    try:
        return len(os.listdir(descriptors))
    finally:
        os.close(descriptors)


def parse_open_files_limit(raw: bytes) -> int:
    r"""
    Return the soft limit of open files from ``/proc/PID/limits``.

    Raises:
        ValueError: There is no such line, or no number in it.

    Source: Linux fs/proc/base.c, proc_pid_limits.

    >>> parse_open_files_limit(b"Limit Soft\nMax open files            1024      4096      files\n")
    1024
    """
    _, found, rest = raw.partition(OPEN_FILES)
    fields = rest.split(None, 1)
    if not found or not fields:
        raise ValueError(f"expected the limits of a process, got {raw[:80]!r}")
    return int(fields[0])


def read_conntrack(proc: str = PROC) -> Usage:
    """
    Return how many connections the namespace of the thread tracks, and the most it may.

    Raises:
        OSError: The numbers are there and may not be read.
        KernelDataError: They are no numbers.

    Source: Linux Documentation/networking/nf_conntrack-sysctl.rst.
    """
    used, limit = read_tracked(proc), _numbers(CONNTRACK_MAX, proc)
    # A limit of 0 is none. Source: Linux net/netfilter/nf_conntrack_core.c, __nf_conntrack_alloc.
    return Usage(used, limit[0]) if used is not None and limit and limit[0] else UNKNOWN


def read_tracked(proc: str = PROC) -> int | None:
    """
    Return how many connections the namespace of the thread tracks, None where the kernel cannot.

    Raises:
        OSError: The number is there and may not be read.
        KernelDataError: It is no number.
    """
    numbers = _numbers(CONNTRACK_COUNT, proc)
    return numbers[0] if numbers else None


def read_tcp_memory(proc: str = PROC) -> Usage:
    """
    Return the pages that TCP uses in the whole system, and the most it may.

    Only the initial network namespace shows the limit.

    Raises:
        OSError: The numbers are there and may not be read.
        KernelDataError: They are not as expected.

    Source: Linux Documentation/networking/ip-sysctl.rst, tcp_mem;
    net/ipv4/proc.c, sockstat_seq_show.
    """
    limits = _numbers(TCP_MEM, proc)
    if limits is None:
        return UNKNOWN
    used = parse_tcp_pages(read_text(f"{proc}/thread-self/net/sockstat", 4096))
    return Usage(used, limits[-1])


def parse_tcp_pages(text: str) -> int:
    r"""
    Return the pages that TCP uses, from ``/proc/net/sockstat``.

    Raises:
        KernelDataError: They are not told.

    >>> parse_tcp_pages("sockets: used 16\nTCP: inuse 1 orphan 0 tw 0 alloc 1 mem 177\n")
    177
    """
    _, _, rest = text.partition("TCP: ")
    words = rest.partition("\n")[0].split()
    pages = dict(zip(words[::2], words[1::2], strict=False)).get("mem", "")
    if not pages.isdecimal():
        raise KernelDataError(f"sockstat: expected the pages of TCP, got {text[:200]!r}.")
    return int(pages)


def _numbers(key: str, proc: str) -> list[int] | None:
    """
    Return the numbers of a sysctl, None where there is none.

    Raises:
        KernelDataError: It holds something else.
    """
    try:
        text = read_value(key, proc, NUMBER_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        numbers = [int(word) for word in text.split()]
    except ValueError:
        numbers = []
    if not numbers:
        raise KernelDataError(f"{sysctl_path(key, proc)}: expected numbers, got {text!r}.")
    return numbers
