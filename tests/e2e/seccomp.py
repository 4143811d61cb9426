"""System calls that a process and its children do not get: filters of seccomp(2).

Containers have such filters. Unlike a stub they are the kernel's own refusal, and
the command that is started behind one is the real one.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Callable

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP = 38, 22
SECCOMP_MODE_FILTER = 2
ALLOW, ERRNO = 0x7FFF0000, 0x00050000

AF_INET6, AF_NETLINK = 10, 16
NETLINK_SOCK_DIAG = 4

NAMESPACES = 0x7E020080
"""CLONE_NEW… flags: time, cgroup, uts, ipc, user, pid, net, and mount (0x20000)."""

SYSTEM_CALLS = {
    "x86_64": {"socket": 41, "clone": 56, "unshare": 272, "perf_event_open": 298}
    | {"fsync": 74, "fchmod": 91, "openat": 257, "mkdirat": 258, "renameat": 264},
    "aarch64": {"socket": 198, "clone": 220, "unshare": 97, "perf_event_open": 241}
    | {"fsync": 82, "fchmod": 52, "openat": 56, "mkdirat": 34, "renameat": 38},
}[platform.machine()]

# struct seccomp_data: number, architecture, address, six arguments of 64 bits.
# Of these the low halves matter, which stand first on both machines above.
ARGUMENTS = 16

LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
"""BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_JMP|JSET|K, BPF_RET|K."""

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, constant."""

Filter = Callable[[], None]
"""To be called in a child before it executes the command."""


def refuse(call: str, *tests: tuple[int, int, int], error: int) -> Filter:
    """
    Return a filter that lets one system call fail.

    Args:
        call: Its name, one of SYSTEM_CALLS.
        tests: Which calls of it: (number of the argument, EQUAL or ANY_BIT, value),
            all of which must hold.
        error: The errno that it fails with.
    """
    checks = [(0, EQUAL, SYSTEM_CALLS[call])]
    checks += [(ARGUMENTS + 8 * number, how, value) for number, how, value in tests]
    program: list[Instruction] = []
    for place, (offset, how, value) in enumerate(checks):
        # Each check is two instructions; a failed one jumps to the last, ALLOW.
        rest = 2 * (len(checks) - place - 1)
        program += [(LOAD, 0, 0, offset), (how, 0, rest + 1, value)]
    program += [(RETURN, 0, 0, ERRNO | error), (RETURN, 0, 0, ALLOW)]
    return lambda: install(program)


def install(program: list[Instruction]) -> None:
    """Put a filter before every further system call of this process."""
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    raw = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("@HP", len(program), ctypes.addressof(raw))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, head, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def no_sock_diag() -> None:
    """Let sock_diag be a protocol of netlink that this kernel does not have."""
    tests = (0, EQUAL, AF_NETLINK), (2, EQUAL, NETLINK_SOCK_DIAG)
    refuse("socket", *tests, error=errno.EPROTONOSUPPORT)()


def no_netlink() -> None:
    """Let no socket of netlink be made at all, as some containers do."""
    refuse("socket", (0, EQUAL, AF_NETLINK), error=errno.EPERM)()


def no_netlink_family() -> None:
    """Let netlink be a family that is not there, as systemd's filter does."""
    refuse("socket", (0, EQUAL, AF_NETLINK), error=errno.EAFNOSUPPORT)()


def no_ipv6_sockets() -> None:
    """Let IPv6 be a family that this kernel does not have."""
    refuse("socket", (0, EQUAL, AF_INET6), error=errno.EAFNOSUPPORT)()


def no_namespaces() -> None:
    """Let no namespace be made: what needs a trial in one stays unknown."""
    refuse("unshare", error=errno.EPERM)()
    refuse("clone", (0, ANY_BIT, NAMESPACES), error=errno.EPERM)()


def no_perf_events() -> None:
    """Let no event of perf be opened, as most containers do."""
    refuse("perf_event_open", error=errno.EPERM)()
