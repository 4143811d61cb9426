r"""
Processes: which there are, what they call themselves, and which are hidden.

Rules of this file:

- a process may end at any moment: that is normal, and no error;
- everything about one process is read through one descriptor of its folder,
  which never becomes the folder of a later process with the same number;
- names are hostile text and stay what they are; only bytes that are no UTF-8
  are written as ``\xNN``, so that the text is valid.
"""

from __future__ import annotations

import errno
import os
from typing import NamedTuple

from portroom.kernel.files import PROC, read_text

CAP_SYS_PTRACE = 19
"""Number of the capability that lets a process look at those of others."""

INITIAL_PID_NAMESPACE = "pid:[4026531836]"
"""PROC_PID_INIT_INO = 0xEFFFFFFC. Source: Linux include/linux/proc_ns.h."""

UNLISTED = frozenset({"2", "4", "invisible", "ptraceable"})
"""Values of hidepid with which processes are not even listed."""

STAT_BYTES = 4096


class ProcessStat(NamedTuple):
    """
    What ``/proc/PID/stat`` tells of one process.

    ``start_time`` is in clock ticks since boot.
    """

    command: str
    start_time: int


def process_ids(proc: str = PROC) -> list[int]:
    """Return the ids of all processes that can be seen, ascending."""
    return sorted(int(name) for name in os.listdir(proc) if name.isdecimal())


def open_folder(name: str, within: int | None = None) -> int:
    """Return a descriptor of a folder, which the caller closes."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    return os.open(name, flags, dir_fd=within)


def read_netns_link(link: str) -> str:
    """
    Return what a link of procfs says of a network namespace: ``net:[4026531840]``.

    Args:
        link: ``/proc/PID/ns/net``, or that of a thread or of a descriptor.

    Raises:
        PermissionError: It may not be read. Linux 5.10 has no errno for it, and an empty link.
        OSError: The process has ended.
    """
    text = os.readlink(link)
    if not text:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), link)
    return text


def read_file(name: str, within: int, limit: int = STAT_BYTES) -> bytes:
    """Return the first *limit* bytes of a file of the folder *within*."""
    descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=within)
    try:
        return os.read(descriptor, limit)
    finally:
        os.close(descriptor)


def parse_stat(raw: bytes) -> ProcessStat:
    """
    Parse ``/proc/PID/stat``.

    The command stands between the first ``(`` and the LAST ``)``: it may hold
    any byte but NUL, parentheses included.

    Raises:
        ValueError: This is no such file.

    Source: proc_pid_stat(5), fields (2) comm and (22) starttime.

    >>> parse_stat(b"7 (a) S 1) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4321 0")
    ProcessStat(command='a) S 1', start_time=4321)
    """
    begin, end = raw.find(b"("), raw.rfind(b")")
    fields = raw[end + 1 :].split()
    if begin < 0 or end < begin or len(fields) < 20:
        raise ValueError(f"expected the stat of a process, got {raw[:80]!r}")
    # Field 22 counts from 1, and the first two stand before the ")".
    start_time = int(fields[22 - 3])
    return ProcessStat(raw[begin + 1 : end].decode("utf-8", "backslashreplace"), start_time)


def parse_uid(raw: bytes) -> int | None:
    r"""
    Return the effective uid that ``/proc/PID/status`` tells, None without one.

    >>> parse_uid(b"Name:\tnginx\nUid:\t0\t33\t0\t33\n")
    33
    """
    # The kernel escapes newlines of the name in this file, so no name can forge a line.
    _, found, rest = raw.partition(b"\nUid:\t")
    fields = rest.split(None, 2)
    return int(fields[1]) if found and len(fields) > 1 else None


def parse_thread_group(raw: bytes) -> int:
    r"""
    Return the process that ``/proc/TID/status`` tells a thread to belong to.

    Raises:
        ValueError: There is no such line.

    >>> parse_thread_group(b"Name:\tnginx\nState:\tS\nTgid:\t41\nPid:\t43\n")
    41
    """
    _, found, rest = raw.partition(b"\nTgid:\t")
    if not found:
        raise ValueError(f"expected the status of a process, got {raw[:80]!r}")
    return int(rest.split(None, 1)[0])


def read_command(pid: int, proc: str = PROC) -> str | None:
    """Return what a process calls itself, None where it ended."""
    try:
        raw = read_text(f"{proc}/{pid}/comm", STAT_BYTES)
    except OSError:
        return None
    return raw.removesuffix("\n")


def hidden_processes(proc: str = PROC) -> bool:
    """
    Say whether there may be processes that this one is not shown.

    True with ``hidepid`` where the right to see them is missing, where pid 1
    is missing from the list, and inside a pid namespace of a container.
    """
    try:
        if os.readlink(f"{proc}/self/ns/pid") != INITIAL_PID_NAMESPACE:
            return True
    except OSError:
        return True
    return unlisted_processes(proc)


def unlisted_processes(proc: str = PROC) -> bool:
    """Say the same of the processes of this pid namespace alone: of one system that boots."""
    try:
        os.stat(f"{proc}/1")
        options = parse_proc_options(read_text(f"{proc}/self/mounts"), proc)
        status = read_text(f"{proc}/thread-self/status", STAT_BYTES)
    except OSError:
        return True
    if options.get("hidepid") not in UNLISTED or may_trace(status):
        return False
    return int(options.get("gid", "-1")) not in (os.getegid(), *os.getgroups())


def parse_proc_options(text: str, proc: str = PROC) -> dict[str, str]:
    r"""
    Return the mount options of *proc*, the last mount on it counting.

    Source: proc(5), ``hidepid`` and ``gid``.

    >>> parse_proc_options("proc /proc proc rw,hidepid=invisible,gid=7 0 0\n")["hidepid"]
    'invisible'
    """
    found: dict[str, str] = {}
    for line in text.split("\n"):
        fields = line.split(" ")
        if len(fields) >= 4 and fields[1:3] == [proc, "proc"]:
            pairs = (option.partition("=") for option in fields[3].split(","))
            found = {name: value for name, _, value in pairs}
    return found


def may_trace(status: str) -> bool:
    r"""
    Say whether CAP_SYS_PTRACE is in force, from ``/proc/thread-self/status``.

    >>> may_trace("CapEff:\t0000000000080000\n")
    True
    """
    _, found, rest = status.partition("CapEff:\t")
    return bool(found) and bool(int(rest.split()[0], 16) >> CAP_SYS_PTRACE & 1)
