"""A process that is asked about: who it is, where it is, its files, its sockets' windows.

Rules of this file:

- a socket is asked for IP_LOCAL_PORT_RANGE through a copy of its descriptor
  (pidfd_getfd), which is closed at once and never read, written or shut down;
- copying needs the right to trace the process; where it is refused the windows are
  a Gap, and the rest is told all the same.

Source: pidfd_getfd(2); Linux net/ipv4/ip_sockglue.c, IP_LOCAL_PORT_RANGE.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from portroom.errors import InvalidRequestError, NotPermittedError
from portroom.kernel import namespaces
from portroom.kernel.files import PROC
from portroom.kernel.limits import read_open_files
from portroom.kernel.owners import SOCKET_LINK, read_owner
from portroom.kernel.probe import IP_LOCAL_PORT_RANGE, has_range_option
from portroom.kernel.processes import open_folder, parse_thread_group, read_file
from portroom.kernel.rights import sudo_line
from portroom.model.facts.features import Asked
from portroom.model.facts.gaps import Gap
from portroom.model.facts.scene import ProcessSeen, Window
from portroom.model.facts.snapshot import NetnsId
from portroom.model.facts.sockets import Owner
from portroom.model.facts.surroundings import OpenFiles

SYS_PIDFD_GETFD = 438
"""The same number on every architecture but Alpha. Linux 5.6 has it."""

NO_DESCRIPTOR = (1 << 31) - 1
"""The largest number that a descriptor could have; none has it."""

MOST_SOCKETS = 4_096
"""Sockets that are asked, about 5 us each; a pool sets the option on all of its sockets."""

AFFECTS = ("causes",)

PORT_MASK = 0xFFFF

NO_SOCKET_OF_IP = frozenset({errno.EOPNOTSUPP, errno.ENOPROTOOPT, errno.ENOTSOCK, errno.EINVAL})
"""What sockets of another family answer."""


def read_process(pid: int, proc: str = PROC) -> ProcessSeen:
    """
    Return what is known of a process.

    Args:
        pid: Its number, or that of one of its threads.
        proc: Where procfs is mounted.

    Raises:
        InvalidRequestError: There is no such process, or not any more.
        NotPermittedError: It may not be looked at.
    """
    try:
        owner = _read_owner(pid, proc)
        netns = _read_netns(owner.pid, proc)
        return ProcessSeen(
            owner=owner,
            netns=netns,
            open_files=_read_files(owner, proc),
            windows=read_windows(owner.pid, proc),
        )
    except (FileNotFoundError, ProcessLookupError):
        raise InvalidRequestError(
            f"No process {pid}: it has ended, or cannot be seen from here.",
            "`ps -e` lists those that can be seen.",
        ) from None
    except PermissionError:
        raise NotPermittedError(
            f"Looking at process {pid} is not permitted: it needs CAP_SYS_PTRACE.",
            f"Run: {sudo_line()}",
        ) from None


def _read_owner(pid: int, proc: str) -> Owner:
    """
    Return who a process is, by its number or that of a thread.

    Raises:
        OSError: It ended, or may not be looked at.
    """
    folder = open_folder(f"{proc}/{pid}")
    try:
        group = parse_thread_group(read_file("status", folder))
        if group == pid:
            return read_owner(pid, folder)
    finally:
        os.close(folder)
    return _read_owner(group, proc)


def _read_files(owner: Owner, proc: str) -> OpenFiles | Gap:
    """
    Return the open files of a process, or why they could not be counted.

    Raises:
        ProcessLookupError: It ended.
    """
    files, gaps = read_open_files([owner], proc)
    if not files and not gaps:
        raise ProcessLookupError(owner.pid)
    return files[0] if files else gaps[0]


def _read_netns(pid: int, proc: str) -> NetnsId:
    """
    Return the network namespace of a process, with its cookie where it may be entered.

    Raises:
        InvalidRequestError: The process ended.
        NotPermittedError: It may not be looked at.
    """
    ref = namespaces.find_pid(pid, proc)
    cookie: int | None = None
    with contextlib.suppress(NotPermittedError):
        cookie = namespaces.inside(ref, namespaces.read_cookie)
    return msgspec.structs.replace(ref.id, cookie=cookie, pid=pid)


def read_windows(pid: int, proc: str = PROC) -> tuple[Window, ...] | Gap:
    """
    Return IP_LOCAL_PORT_RANGE as the sockets of a process have it set, most used first.

    At most MOST_SOCKETS sockets are asked. None of so many having it, with more
    left, is a Gap; what was found is told in any case.

    Where this kernel has no such option nobody needs to be asked: there are none.

    Raises:
        FileNotFoundError: The process ended.
    """
    if has_range_option() is False:
        return ()
    try:
        descriptors = _socket_descriptors(pid, proc)
        asked = descriptors[:MOST_SOCKETS]
        found = Counter(_read_options(pid, asked)) if asked else Counter()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ESRCH):
            raise FileNotFoundError(error.errno, os.strerror(errno.ENOENT)) from None
        return Gap("windows", _why_not(pid, error), AFFECTS)
    found.pop(0, None)
    if not found and len(descriptors) > len(asked):
        reason = f"process {pid} has {len(descriptors)} sockets, {len(asked)} were asked"
        return Gap("windows", reason, AFFECTS)
    return tuple(_window(option, sockets) for option, sockets in found.most_common())


def _why_not(pid: int, error: OSError) -> str:
    """Return why the sockets of a process could not be asked."""
    name = errno.errorcode.get(error.errno or 0, "error")
    if error.errno in (errno.EPERM, errno.EACCES):
        return f"the sockets of process {pid} may not be asked ({name}, needs CAP_SYS_PTRACE)"
    return f"the sockets of process {pid} could not be asked ({name})"


def _window(option: int, sockets: int) -> Window:
    """
    Return one value of the option as its two ends: the upper port is the upper half.

    >>> _window(40000 | 40009 << 16, 3)
    Window(first=40000, last=40009, sockets=3)
    """
    return Window(first=option & PORT_MASK, last=option >> 16, sockets=sockets)


def copies_descriptors(other: int = 1) -> Asked:
    """
    Say whether descriptors of processes can be copied, and of which.

    Args:
        other: A process of somebody else; a descriptor is asked for that nobody has, and
            whether asking is allowed shows before whether it is there.
    """
    try:
        own = os.pidfd_open(os.getpid())
        try:
            os.close(_copy_descriptor(own, own))
        finally:
            os.close(own)
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "error")
        if error.errno == errno.ENOSYS:
            return Asked(False, name)
        return Asked(None, f"a filter on system calls may refuse it ({name})")
    if _may_copy_of(other):
        return Asked(True)
    return Asked(True, "those of other users only with CAP_SYS_PTRACE")


def _may_copy_of(pid: int) -> bool:
    """Say whether descriptors of a process may be copied."""
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        os.close(_copy_descriptor(process, NO_DESCRIPTOR))
    except OSError as error:
        return error.errno == errno.EBADF
    finally:
        os.close(process)
    return True


def _socket_descriptors(pid: int, proc: str) -> list[int]:
    """
    Return the descriptors of a process that are sockets, in their order.

    Raises:
        OSError: They may not be looked at, or it ended.
    """
    folder = f"{proc}/{pid}/fd"
    found = []
    for descriptor in sorted(map(int, os.listdir(folder))):
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(f"{folder}/{descriptor}").startswith(SOCKET_LINK):
                found.append(descriptor)
    return found


def _read_options(pid: int, descriptors: Iterable[int]) -> Iterator[int]:
    """
    Yield the option of each socket of IP among some descriptors of a process, 0 for not set.

    Raises:
        OSError: EPERM where the process may not be traced, ESRCH where it ended.
    """
    process = os.pidfd_open(pid)
    try:
        for descriptor in descriptors:
            option = _read_option(process, descriptor)
            if option is not None:
                yield option
    finally:
        os.close(process)


def _read_option(process: int, descriptor: int) -> int | None:
    """Return the option of one socket, None where it is closed or no socket of IP."""
    try:
        copy = _copy_descriptor(process, descriptor)
    except OSError as error:
        if error.errno == errno.EBADF:
            return None
        raise
    with socket.socket(fileno=copy) as made:
        try:
            # The option is an unsigned number that the kernel hands out as a signed one.
            return made.getsockopt(socket.SOL_IP, IP_LOCAL_PORT_RANGE) & 0xFFFFFFFF
        except OSError as error:
            if error.errno in NO_SOCKET_OF_IP:
                return None
            raise


def _copy_descriptor(process: int, descriptor: int) -> int:
    """
    Return a copy of a descriptor of another process, which the caller closes.

    Raises:
        OSError: EPERM: not allowed; EBADF: it is closed; ENOSYS: an old kernel.
    """
    import ctypes  # costs start-up, and few ask

    libc = ctypes.CDLL(None, use_errno=True)
    copy = int(libc.syscall(SYS_PIDFD_GETFD, process, descriptor, 0))
    if copy < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"pidfd_getfd: {os.strerror(number)}")
    return copy
