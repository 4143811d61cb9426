"""
Network namespaces: find one, find all, and run a job inside.

Rules of this file:

- it is the only place that calls setns(2), and never for the main thread: a
  thread of its own enters, works, and ends;
- what is entered was checked first, and is the one that was found: a process
  id or a file may have become another namespace meanwhile;
- who holds a namespace is told by ``netns_names.py``.

Inside, ``/proc/net`` is still that of the main thread: the files of the
namespace are ``/proc/thread-self/net``. ``/proc/sys/net`` follows the thread.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Callable
from typing import TypeVar

import msgspec

from portroom.errors import InvalidRequestError, NotPermittedError
from portroom.kernel import netns_names
from portroom.kernel.files import PROC
from portroom.kernel.netns_holders import find_holder
from portroom.kernel.netns_names import RUN, NetnsRef, Survey
from portroom.kernel.processes import read_netns_link
from portroom.kernel.rights import sudo_line
from portroom.model.facts.snapshot import NetnsId

Result = TypeVar("Result")

CLONE_NEWNET = 0x40000000
NS_GET_NSTYPE = 0xB703
"""Source: Linux include/uapi/linux/nsfs.h, ``_IO(0xb7, 0x3)``."""

SO_NETNS_COOKIE = 71
"""Of any socket, since Linux 5.14."""

PID_DIGITS = 10
QUOTED_LETTERS = 255

NAME_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")

__all__ = [
    "NetnsRef",
    "Survey",
    "find",
    "find_again",
    "find_all",
    "identify",
    "inside",
    "survey",
]


def find(name: str, proc: str = PROC, run: str = RUN) -> NetnsRef:
    """
    Return the network namespace that a NAME, a PID or a PATH means.

    A name in *run* goes first, then a process id, then a name that ``survey``
    gives (``host``, ``docker:3f2a…``). What has a ``/`` and no ``:`` before it
    is a path.

    Raises:
        InvalidRequestError: There is none, or it is something else.
        NotPermittedError: Looking at the process is not allowed.
    """
    if "/" in name.partition(":")[0]:
        return _find_path(name, proc, run)
    if name not in (".", "..") and name and NAME_LETTERS.issuperset(name):
        path = f"{run}/{name}"
        if os.path.lexists(path):
            return _named(path, name, proc, run)
    if name.isascii() and name.isdecimal() and len(name) <= PID_DIGITS:
        return find_pid(int(name), proc, run)
    for ref in netns_names.survey(proc, run).namespaces:
        if ref.id.name == name:
            return ref
    raise InvalidRequestError(
        f"No network namespace {_quoted(name)}: there is no such name in {run}, "
        "and it is neither a process id nor a path.",
        "`ip netns list` shows the names.",
    )


def find_all(proc: str = PROC, run: str = RUN) -> tuple[NetnsRef, ...]:
    """Return all distinct network namespaces that can be seen, the host first."""
    return survey(proc, run).namespaces


def survey(proc: str = PROC, run: str = RUN) -> Survey:
    """
    Return all distinct network namespaces, and what could not be looked at.

    Those of *run* and those of processes. Not seen: a namespace that only a
    descriptor or a socket keeps, or only a thread that is not its process's
    first.
    """
    return netns_names.survey(proc, run)


def mounted_names(run: str = RUN) -> list[str]:
    """
    Return the names in *run* that ``find`` takes: none of them means more to a shell.
    """
    try:
        names = sorted(os.listdir(run))
    except OSError:
        return []
    return [name for name in names if NAME_LETTERS.issuperset(name)]


def find_again(netns: NetnsId, proc: str = PROC, run: str = RUN) -> NetnsRef | None:
    """
    Return a namespace that ``identify`` told before in this boot, None where it is gone.

    A namespace keeps its inode as long as it lives, and a later one may get
    it; a cookie is never given twice. Without cookies the inode has to do.

    Raises:
        NotPermittedError: It may be where looking, or entering, is not allowed.
    """
    while (path := find_holder(netns.inode, proc, run)) is not None:
        ref = NetnsRef(netns, path)
        # What held it may have ended just now, and something else may hold it as well.
        with contextlib.suppress(InvalidRequestError):
            same = netns.cookie is None or inside(ref, read_cookie) == netns.cookie
            return ref if same else None
    return None


def identify(known: NetnsId | None = None, proc: str = PROC) -> NetnsId:
    """
    Return the network namespace of the calling thread, with its cookie.

    Args:
        known: What it was found as: its name, kind and process are kept. None
            to look them up.
        proc: Where procfs is mounted.
    """
    inode = os.stat(f"{proc}/thread-self/ns/net").st_ino
    # portroom itself is no process to find the namespace by: it is about to end.
    known = known or msgspec.structs.replace(
        netns_names.describe(inode, os.getpid(), proc), pid=None
    )
    return msgspec.structs.replace(known, cookie=read_cookie(), inode=inode)


def read_cookie() -> int | None:
    """Return SO_NETNS_COOKIE of the calling thread, None where there is none."""
    import socket

    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as any_socket:
            raw = any_socket.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8)
    except OSError:
        return None
    return int.from_bytes(raw, sys.byteorder)


def inside(ref: NetnsRef, job: Callable[[], Result]) -> Result:
    """
    Return what *job* returns inside a network namespace.

    It runs on a thread that enters and then ends; threads that it starts are
    inside too. What it raises is raised here. The namespace of the caller
    itself is not entered, and needs no right.

    Raises:
        InvalidRequestError: The namespace is gone, or is none.
        NotPermittedError: Entering is not allowed.
    """
    descriptor = open_checked(ref)
    try:
        if os.fstat(descriptor).st_ino == os.stat("/proc/thread-self/ns/net").st_ino:
            return job()
        return _on_own_thread(lambda: _enter(descriptor, ref), job)
    finally:
        os.close(descriptor)


def _on_own_thread(enter: Callable[[], None], job: Callable[[], Result]) -> Result:
    """Run *enter* and *job* on a thread that ends with them."""
    import threading

    results: list[Result] = []
    errors: list[BaseException] = []
    home = f"/proc/self/task/{threading.get_native_id()}/ns/net"

    def work() -> None:
        try:
            enter()
            results.append(job())
        except BaseException as error:  # noqa: BLE001 - raised again by the caller
            errors.append(error)
        finally:
            _leave(home)

    # A daemon thread does not hold up the exit after Ctrl-C.
    thread = threading.Thread(target=work, name="netns", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors.pop()
    return results[0]


def _enter(descriptor: int, ref: NetnsRef) -> None:
    """Move the calling thread into a namespace, for good."""
    try:
        _setns(descriptor)
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
        raise NotPermittedError(
            f"Entering the network namespace {ref.id.name!r} is not permitted: "
            "it needs CAP_SYS_ADMIN.",
            f"Run: {sudo_line()}",
        ) from None


def _leave(home: str) -> None:
    """
    Move the calling thread to the namespace of its caller, where that is allowed.

    A thread that ends is told as one of its namespace for some milliseconds after
    its join: it would be found as what holds a namespace that has ended.
    """
    with contextlib.suppress(OSError):
        descriptor = os.open(home, os.O_RDONLY)
        try:
            _setns(descriptor)
        finally:
            os.close(descriptor)


def _setns(descriptor: int) -> None:
    """Call setns(2), which Python has since 3.12."""
    if hasattr(os, "setns"):
        os.setns(descriptor, CLONE_NEWNET)
        return
    import ctypes

    if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


def open_checked(ref: NetnsRef) -> int:
    """
    Return a descriptor of a namespace, checked; the caller closes it.

    Raises:
        InvalidRequestError: It is gone, or is no network namespace.
        NotPermittedError: Opening it is not allowed.
    """
    before = _stat_checked(ref.path, ref.id.name)
    descriptor = _open(ref)
    error = _wrong(descriptor, ref, before.st_dev)
    if error is not None:
        os.close(descriptor)
        raise error
    return descriptor


def _wrong(descriptor: int, ref: NetnsRef, device: int) -> InvalidRequestError | None:
    """Return the error if an open file is not the namespace that was found."""
    opened = os.fstat(descriptor)
    if opened.st_dev != device or not is_network(descriptor):
        return _not_one(ref.path, "a namespace of another kind")
    if opened.st_ino != ref.id.inode:
        return InvalidRequestError(
            f"The network namespace {_quoted(ref.id.name)} is gone: {ref.path} is another one now.",
            "Look again.",
        )
    return None


def _open(ref: NetnsRef) -> int:
    """Open a namespace file that was looked at before."""
    try:
        # O_NONBLOCK: between the look and this it may have become a FIFO.
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        return os.open(ref.path, flags)
    except OSError as error:
        raise _explain(error, ref.path, _quoted(ref.id.name)) from None


def is_network(descriptor: int) -> bool:
    """Say whether a namespace descriptor is that of a network namespace."""
    import fcntl

    try:
        return fcntl.ioctl(descriptor, NS_GET_NSTYPE) == CLONE_NEWNET
    except OSError:
        return False


def _stat_checked(path: str, name: str) -> os.stat_result:
    """Return the stat of a namespace file, which must be one, without opening it."""
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:
        raise _explain(error, path, _quoted(name)) from None
    if not stat.S_ISREG(found.st_mode):
        raise _not_one(path, _KINDS.get(stat.S_IFMT(found.st_mode), "something else"))
    if found.st_dev != netns_names.nsfs_device():
        raise _not_one(path, "a plain file: the namespace was deleted or not mounted here")
    return found


_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket file",
}


def _not_one(path: str, what: str) -> InvalidRequestError:
    """Return the error for a path that is no network namespace."""
    return InvalidRequestError(
        f"{path!r} is no network namespace but {what}.",
        "Give a name of `ip netns list`, a process id, or a path such as /proc/1/ns/net.",
    )


def _explain(error: OSError | ValueError, path: str, which: str) -> Exception:
    """Return the error for a namespace file that cannot be reached."""
    number = getattr(error, "errno", None)
    if number in (errno.EACCES, errno.EPERM):
        return NotPermittedError(
            f"Looking at the network namespace {which} ({path}) is not permitted: "
            "it needs CAP_SYS_PTRACE, and CAP_SYS_ADMIN to enter.",
            f"Run: {sudo_line()}",
        )
    if number in (errno.ENOENT, errno.ESRCH, errno.ENOTDIR):
        dangling = number == errno.ENOENT and os.path.islink(path)
        why = "points to nothing" if dangling else "does not exist (any more)"
        return InvalidRequestError(f"No network namespace {which}: {path} {why}.")
    return InvalidRequestError(f"No network namespace {which}: {error}.")


def _quoted(name: str) -> str:
    """Return a name in quotes, cut where it is longer than any name is."""
    return repr(name[:QUOTED_LETTERS])


def _named(path: str, name: str, proc: str, run: str) -> NetnsRef:
    """Return the namespace that is mounted on *path*."""
    inode = _stat_checked(path, name).st_ino
    kind = "host" if inode == netns_names.host_inode(proc, run) else "named"
    return NetnsRef(NetnsId(name, None, inode, kind), path)


def find_pid(pid: int, proc: str = PROC, run: str = RUN) -> NetnsRef:
    """
    Return the network namespace of a process.

    Raises:
        InvalidRequestError: There is no such process any more.
        NotPermittedError: Looking at it is not allowed.
    """
    path = f"{proc}/{pid}/ns/net"
    try:
        # A process that ended keeps its folder until its parent asks for it. Linux 5.10 lets
        # stat(2) pass where looking is not allowed, at something else: the link tells.
        read_netns_link(path)
        inode = os.stat(path).st_ino
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            raise _explain(error, path, f"of process {pid}") from None
        raise InvalidRequestError(
            f"No process {pid}: it has ended, or cannot be seen from here.",
            "`--netns` takes a name of `ip netns list`, a process id or a path.",
        ) from None
    return NetnsRef(netns_names.describe(inode, pid, proc, run), path)


def _find_path(path: str, proc: str, run: str) -> NetnsRef:
    """Return the namespace that a file is, under the name that it is known by."""
    inode = _stat_checked(path, path).st_ino
    known = netns_names.known_name(inode, proc, run)
    return NetnsRef(known or NetnsId(path, None, inode, "named"), path)
