"""Make, enter and leave network namespaces, none of which gets a name."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import BenchError

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1

HOST_ADDRESS = "10.0.0.1"
"""The local address that the kernel chooses for every destination."""

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    """Raise OSError, naming *what*, if a C call failed."""
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process as soon as process *parent* ends."""
    _check(_libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL), "prctl")
    if os.getppid() != parent:
        os._exit(1)


def unshare() -> None:
    """Move this process to a new network namespace, ready for sockets.

    10.0.0.0/8 as a whole is local on ``lo``. TIME_WAIT to 127.0.0.0/8 may be
    reused after a second and to any other address it may not, so these
    destinations behave like remote ones.
    """
    _check(_libc.unshare(CLONE_NEWNET), "unshare")
    for words in ("link set lo up", f"address add {HOST_ADDRESS}/8 dev lo"):
        done = subprocess.run(["ip", *words.split()], capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchError(f"ip {words}: {done.stderr.strip()!r}")


def write_setting(name: str, value: int) -> None:
    """Write a sysctl of this process's network namespace."""
    Path("/proc/sys", name.replace(".", "/")).write_text(f"{value}\n", encoding="ascii")


@contextmanager
def inside(process: int) -> Iterator[None]:
    """Be in the network namespace of *process*; go back at the end."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/proc/{process}/ns/net", os.O_RDONLY)
    try:
        _check(_libc.setns(there, CLONE_NEWNET), "setns")
        yield
    finally:
        _check(_libc.setns(home, CLONE_NEWNET), "setns")
        os.close(there)
        os.close(home)
