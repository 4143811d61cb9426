"""
tracefs: the folder of tracing, and reading and writing below it.

Rules of this file:

- where it is mounted already it is used; else it is mounted for this process
  alone: a mount that was never given a place is in no mount namespace, nobody
  else sees it, and it ends with the last descriptor;
- everything goes by descriptors of folders, never by a path again;
- what the kernel refuses becomes an error that says what is missing.

Source: fsopen(2), fsmount(2); Linux Documentation/trace/ftrace.rst.
"""

from __future__ import annotations

import contextlib
import errno
import os

from portroom.errors import KernelDataError, NotPermittedError, NotSupportedError, PortroomError
from portroom.kernel.processes import open_folder
from portroom.kernel.rights import sudo_line

MOUNTED = "/sys/kernel/tracing"

FSOPEN, FSCONFIG, FSMOUNT = 430, 431, 432
"""System calls with one number on all machines but Alpha, since Linux 5.2."""

CLOSE_ON_EXEC, CONFIG_CREATE = 1, 6
"""FSOPEN_CLOEXEC and FSMOUNT_CLOEXEC; FSCONFIG_CMD_CREATE. Source: include/uapi/linux/mount.h."""

MOUNT_COMMAND = "mount -t tracefs tracefs /sys/kernel/tracing"

READ_BYTES = 1 << 16


def open_tracefs(mounted: str = MOUNTED) -> int:
    """
    Return a descriptor of the top folder of tracefs, which the caller closes.

    Args:
        mounted: Where it may be mounted already.

    Raises:
        NotPermittedError: CAP_SYS_ADMIN is missing.
        NotSupportedError: This kernel has no tracefs.
    """
    descriptor = _open_mounted(mounted)
    if descriptor is not None:
        return descriptor
    try:
        return _mount()
    except OSError as error:
        raise refused(error, "mounting tracefs") from None


def _open_mounted(path: str) -> int | None:
    """Return the folder where tracefs is mounted and may be written; None where it is not."""
    try:
        descriptor = open_folder(path)
    except OSError:
        return None
    with contextlib.suppress(OSError):
        os.stat("instances", dir_fd=descriptor)
        # Inside a container it may be there to be read only.
        if not os.fstatvfs(descriptor).f_flag & os.ST_RDONLY:
            return descriptor
    os.close(descriptor)
    return None


def _mount() -> int:
    """Mount tracefs nowhere, and return a descriptor of its top folder."""
    context = system_call(FSOPEN, b"tracefs", CLOSE_ON_EXEC)
    try:
        system_call(FSCONFIG, context, CONFIG_CREATE, None, None, 0)
        mount = system_call(FSMOUNT, context, CLOSE_ON_EXEC, 0)
    finally:
        os.close(context)
    try:
        # What fsmount(2) returns names a place only, as with O_PATH.
        return open_folder(".", mount)
    finally:
        os.close(mount)


def system_call(number: int, *arguments: bytes | int | None) -> int:
    """
    Call the kernel by number and return its answer.

    Raises:
        OSError: It refuses.
    """
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    answer = int(library.syscall(ctypes.c_long(number), *arguments))
    if answer < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return answer


def read_whole(name: str, within: int) -> str:
    """
    Return the text of a file below the folder *within*.

    Such a file is told a page at a time: one read(2) is not the whole.

    Raises:
        OSError: It is missing, or may not be read.
    """
    descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=within)
    chunks = []
    try:
        while chunk := os.read(descriptor, READ_BYTES):
            chunks.append(chunk)
    finally:
        os.close(descriptor)
    return b"".join(chunks).decode("utf-8", "backslashreplace")


def names_in(folder: int) -> list[str]:
    """Return the names in a folder that is open, in order."""
    return sorted(os.listdir(folder))


def write(name: str, within: int, text: str) -> None:
    """
    Write *text* to a file below the folder *within*, at once.

    Raises:
        OSError: It is missing, or the kernel refuses.
    """
    descriptor = os.open(name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=within)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def refused(error: OSError, what: str) -> PortroomError:
    """Return the error for something that the kernel refuses; *what* was tried, as a gerund."""
    seen = f"Watching failures failed at {what}: {error.strerror}."
    if error.errno in (errno.EPERM, errno.EACCES):
        return NotPermittedError(
            f"{seen} It needs CAP_SYS_ADMIN and a user who may write tracefs, as root, and a "
            "kernel that is not locked down to confidentiality.",
            f"Run: {sudo_line()}",
        )
    if error.errno == errno.ENOENT:
        return NotSupportedError(f"{seen} This kernel has no {error.filename!r} there.")
    if error.errno in (errno.ENODEV, errno.EINVAL):
        return NotSupportedError(f"{seen} The kernel was built without tracing (CONFIG_TRACING).")
    if error.errno == errno.ENOSYS:
        return NotSupportedError(
            f"{seen} Kernels before 5.2 cannot mount it unseen.", f"Mount it first: {MOUNT_COMMAND}"
        )
    return KernelDataError(seen)


def missing(event: str) -> NotSupportedError:
    """Return the error for an event that this kernel does not have."""
    system = event.partition("/")[0]
    option = "CONFIG_FTRACE_SYSCALLS" if system == "syscalls" else "Linux 4.16 or later"
    return NotSupportedError(
        f"This kernel has no trace event {event!r}: failures cannot be watched. It needs {option}."
    )
