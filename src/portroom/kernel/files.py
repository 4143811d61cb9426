"""Files: a pseudo-file in one read, and any file below a given root.

Part of the portable core: standard library and Python 3.9 syntax only.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import NamedTuple

from portroom.model.facts.sysctl_files import (
    DANGLING,
    DEVICE,
    DIRECTORY,
    FIFO,
    FILE,
    LARGE,
    LOOP,
    NULL,
    SOCKET,
    UNREADABLE,
)

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


LONGEST_CHAIN = 40
"""Links that one path may lead through. Source: Linux include/linux/namei.h, MAXSYMLINKS."""

SAFELY = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC


KIND_OF_TYPE = {
    stat.S_IFREG: FILE,
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFIFO: FIFO,
    stat.S_IFSOCK: SOCKET,
    stat.S_IFCHR: DEVICE,
    stat.S_IFBLK: DEVICE,
}

OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH

KIND_OF_ERROR = {errno.ENOENT: DANGLING, errno.ENOTDIR: DANGLING, errno.ELOOP: LOOP}


class Found(NamedTuple):
    """What a path leads to: a kind of ``model.facts.sysctl_files``, and the content of a FILE."""

    kind: str
    content: bytes = b""


def read_below(root: bytes, path: bytes, limit: int) -> Found:
    """
    Read what a path leads to, as if *root* were ``/``; never wait, never look outside.

    Absolute links and ``..`` stay inside *root*. Only a regular file is opened.

    Args:
        root: The folder that stands for ``/``.
        path: Absolute, as seen from inside.
        limit: The most bytes that a file may have.

    Returns:
        The kind of what was found; a missing path is a DANGLING one.
    """
    chain = [os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)]
    try:
        name = _walk(chain, path)
        return _read(chain[-2], name, limit) if name else Found(DIRECTORY)
    except OSError as error:
        return Found(KIND_OF_ERROR.get(error.errno or 0, UNREADABLE))
    finally:
        for descriptor in chain:
            os.close(descriptor)


def list_below(root: bytes, path: bytes) -> tuple[list[bytes], tuple[int, int]]:
    """
    Return the names in a directory, sorted, and what tells it from others.

    Raises:
        OSError: There is no such directory inside *root*, or it may not be read.
    """
    chain = [os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)]
    try:
        _walk(chain, path)
        descriptor = os.open(b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=chain[-1])
        chain.append(descriptor)
        status = os.fstat(descriptor)
        names = sorted(map(os.fsencode, os.listdir(descriptor)))
        return names, (status.st_dev, status.st_ino)
    finally:
        for descriptor in chain:
            os.close(descriptor)


def link_below(root: bytes, path: bytes) -> bytes:
    """Return where the link at *path* points, as written; empty where it is none."""
    directory, _, name = path.rpartition(b"/")
    chain = [os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)]
    try:
        _walk(chain, directory)
        return os.readlink(name, dir_fd=chain[-1])
    except OSError:
        return b""
    finally:
        for descriptor in chain:
            os.close(descriptor)


def _walk(chain: list[int], path: bytes) -> bytes:
    """
    Append a descriptor for each folder on the way, the end last; return its name.

    The name is empty where the path ends at the root, at ``.`` or at ``..``.

    Raises:
        OSError: A part is missing or may not be passed, or links go in circles.
    """
    rest = path.split(b"/")[::-1]
    name, links = b"", 0
    while rest:
        name = rest.pop()
        if name in {b"", b".", b".."}:
            # Nothing stands behind a file, not even the folder that it is in.
            if not stat.S_ISDIR(os.fstat(chain[-1]).st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            if name == b".." and len(chain) > 1:
                os.close(chain.pop())
            name = b""
            continue
        step = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=chain[-1])
        if not stat.S_ISLNK(os.fstat(step).st_mode):
            chain.append(step)
            continue
        links += 1
        try:
            target = os.readlink(b"", dir_fd=step)
        finally:
            os.close(step)
        if links > LONGEST_CHAIN:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if target.startswith(b"/"):
            while len(chain) > 1:
                os.close(chain.pop())
        name = b""
        rest += target.split(b"/")[::-1]
    return name


def _read(folder: int, name: bytes, limit: int) -> Found:
    """Return what a name that is no link stands for, read if it is a regular file."""
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    kind = _kind(status)
    if kind != FILE:
        return Found(kind)
    if status.st_size > limit:
        return Found(LARGE)
    descriptor = os.open(name, SAFELY, dir_fd=folder)
    try:
        # It may have been exchanged meanwhile.
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return Found(UNREADABLE)
        content = read_up_to(descriptor, limit + 1)
    finally:
        os.close(descriptor)
    return Found(LARGE) if len(content) > limit else Found(FILE, content)


def read_up_to(descriptor: int, limit: int) -> bytes:
    """Return the bytes of an open file, at most so many."""
    parts, left = [], limit
    while left and (part := os.read(descriptor, min(left, 1 << 20))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _kind(status: os.stat_result) -> str:
    """Return the kind of a file that is no link."""
    if stat.S_ISCHR(status.st_mode) and status.st_rdev == os.makedev(1, 3):
        return NULL
    return KIND_OF_TYPE.get(stat.S_IFMT(status.st_mode), UNREADABLE)


def not_ours(status: os.stat_result, wanted: str, largest_bytes: int) -> tuple[str, str]:
    """
    Return why something is not this user's own to rely on, and what to do; empty if it is.

    Root's counts as one's own; what somebody else may write, or reach under another
    name, does not.

    Args:
        status: Of the thing itself, not of what a link leads to.
        wanted: FILE or DIRECTORY.
        largest_bytes: What a file may have.
    """
    mode, names, size_bytes = status.st_mode, status.st_nlink, status.st_size
    kind = "symbolic link" if stat.S_ISLNK(mode) else _kind(status)
    foreign = status.st_uid not in {0, os.geteuid()}
    troubles = [
        (kind != wanted, f"is a {kind} and no {wanted}", "Move it out of the way."),
        (foreign, f"belongs to uid {status.st_uid}", "Give it to root, if it is right."),
        (mode & OTHERS_WRITE, "may be written by others than its owner", "Use chmod go-w on it."),
    ]
    if wanted == FILE:
        troubles += [
            (names > 1, f"has {names} names (hard links)", "Put a copy in its place."),
            (size_bytes > largest_bytes, f"has {size_bytes} bytes, too many", "Look inside."),
        ]
    return next(((trouble, hint) for is_so, trouble, hint in troubles if is_so), ("", ""))
