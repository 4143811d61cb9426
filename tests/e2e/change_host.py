"""A host on which settings may be changed: files, settings and state of its own.

Rules of this file:

- all of it lies in namespaces that end with the test (``faults.alone``);
- its process 1 is called ``systemd``, so the real systemd-sysctl's rules decide;
- what is compared is what counts: settings, every file that a boot program
  reads with its bytes and mode, and what lies beside them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tests.docs.own_etc import no_sysctl_files, own_state_folder
from tests.e2e.faults import alone
from tests.kernel.harness import LIBC

PR_SET_NAME = 15

SYSCTL_D = Path("/etc/sysctl.d")
STATE = Path("/var/lib/portroom")
RUN = Path("/run/portroom")
NET = Path("/proc/sys/net/ipv4")

DEFAULTS = {
    "ip_local_reserved_ports": "\n",
    "ip_unprivileged_port_start": "1024",
    "ip_local_port_range": "32768 60999",
    "ip_autobind_reuse": "0",
    "tcp_tw_reuse": "2",
    "tcp_tw_reuse_delay": "1000",
}
"""What a new namespace holds, in an order in which it can be put back from anywhere."""


def on_a_host(job: Callable[[], Any], *, init: str = "systemd") -> Any:
    """Return what *job* returns on a host of its own whose process 1 has this name."""

    def begin() -> Any:
        """Have an /etc and a /var/lib of one's own."""
        LIBC.prctl(PR_SET_NAME, init.encode(), 0, 0, 0)
        no_sysctl_files()
        own_state_folder()
        return job()

    return alone(begin)


class State(NamedTuple):
    """What a host holds now, and will hold after a boot."""

    settings: dict[str, str]
    files: dict[str, tuple[bytes, int]]

    @property
    def litter(self) -> list[str]:
        """Return names in the folder that are no finished files."""
        return [name for name in self.files if not name.endswith(".conf")]

    @property
    def readable(self) -> dict[str, tuple[bytes, int]]:
        """Return what a boot program may read."""
        return {name: kept for name, kept in self.files.items() if name.endswith(".conf")}


def state() -> State:
    """Return what the host holds."""
    settings = {name: (NET / name).read_text() for name in DEFAULTS if (NET / name).exists()}
    files = {
        path.name: (path.read_bytes(), path.stat().st_mode & 0o7777)
        for path in SYSCTL_D.iterdir()
        if path.is_file()
    }
    return State(settings, files)


def end_guardians() -> None:
    """Kill every guardian: no other process of this namespace is one."""
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and b"--guard" in (process / "cmdline").read_bytes():
            os.kill(int(process.name), signal.SIGKILL)


def bury_guardians() -> None:
    """
    Kill every guardian, and wait for each, as process 1 of this namespace.

    Until then something of them is left in /proc, where every command looks. For a
    host on which nothing else was started that is still waited for.
    """
    end_guardians()
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def reset() -> None:
    """Make the host as new: no change was ever made on it."""
    end_guardians()
    for folder in (STATE, RUN):
        shutil.rmtree(folder, ignore_errors=True)
    for path in SYSCTL_D.iterdir():
        path.unlink()
    hold("ip_unprivileged_port_start", "0")
    hold("ip_local_port_range", "32768 60999")
    for name, value in DEFAULTS.items():
        if (NET / name).exists():
            hold(name, value)


def hold(name: str, value: str) -> None:
    """Write a setting as an administrator does by hand."""
    descriptor = os.open(NET / name, os.O_WRONLY)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)
