"""
A host of one's own that the real systemd has booted, as process 1 of its namespaces.

Rules of this file:

- it has process ids, mounts, cgroups and a network of its own, and ends with the test;
- of the settings of the machine it may write none but those of its network;
- its units are those that the test gives it, and empty ones that all others need;
- the test stands outside: it sees the same /run, /var/lib and settings.
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.change_host import on_a_host
from tests.e2e.faults import (
    CLONE_NEWPID,
    MS_BIND,
    MS_RDONLY,
    MS_REMOUNT,
    mount,
    private_mounts,
)
from tests.kernel.harness import unshare, wait_until

SYSTEMD = Path("/lib/systemd/systemd")

CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC = 0x2000000, 0x4000000, 0x8000000

UNITS = Path("/run/units")
CGROUPS = Path("/sys/fs/cgroup")

EMPTY_UNITS = ("sysinit", "basic", "shutdown", "umount", "local-fs", "local-fs-pre", "multi-user")
"""Targets that units of all kinds name by default."""

VARIABLES = {
    "container": "other",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "SYSTEMD_UNIT_PATH": str(UNITS),
    "SYSTEMD_GENERATOR_PATH": "/run/no-generators",
    "SYSTEMD_ENVIRONMENT_GENERATOR_PATH": "/run/no-generators",
}

WORDS = ("--system", "--unit=multi-user.target", "--log-target=kmsg", "--show-status=no")


def booted(
    job: Callable[[list[str]], Any],
    units: dict[str, str] | None = None,
    before: Callable[[], Any] = lambda: None,
) -> Any:
    """
    Return what *job* returns, given the words that run a command on a booted host.

    Args:
        job: Called once systemd has started all units.
        units: Unit files by name; those that shall be started are wanted by
            ``multi-user.target`` or ``sysinit.target``.
        before: Called on the host before it boots.
    """

    def within() -> Any:
        """Boot, and be beside it."""
        UNITS.mkdir()
        for name in EMPTY_UNITS:
            (UNITS / f"{name}.target").write_text("[Unit]\nDefaultDependencies=no\n")
        write_units(units or {})
        before()
        with own_cgroup(), systemd() as pid:
            enter = ["nsenter", "-t", str(pid), "-m", "-p", "-C", "-i", "-u", "--"]
            state = ["systemctl", "is-system-running"]
            wait_until(
                lambda: _said([*enter, *state]) in {"running", "degraded"}, "systemd has booted"
            )
            return job(enter)

    return on_a_host(within)


@functools.cache
def refusal() -> str:
    """Return why systemd cannot be booted here, "" if it can."""
    if not SYSTEMD.exists():
        return "systemd is not installed"
    try:
        booted(lambda _: None)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told
        return f"systemd does not boot in namespaces here: {error!r}"
    return ""


def write_units(units: dict[str, str]) -> None:
    """Write unit files, and let targets want them as they are installed."""
    for name, text in units.items():
        (UNITS / name).write_text(text)
        for line in text.splitlines():
            if line.startswith("WantedBy="):
                wants = UNITS / f"{line.partition('=')[2]}.wants"
                wants.mkdir(exist_ok=True)
                (wants / name).symlink_to(UNITS / name)
    wants = UNITS / "multi-user.target.wants"
    wants.mkdir(exist_ok=True)
    (wants / "sysinit.target").symlink_to(UNITS / "sysinit.target")


def _said(words: list[str]) -> str:
    """Return the output of a command, in one line."""
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


@contextmanager
def own_cgroup() -> Iterator[None]:
    """Move into a cgroup of one's own, and remove it at the end with all that is in it."""
    top = Path("/run/cgroups")
    top.mkdir()
    mount("cgroup2", str(top), "cgroup2")
    mine = top / f"portroom-test-{os.urandom(6).hex()}"
    home = Path("/proc/self/cgroup").read_text().rpartition("0::")[2].strip()
    mine.mkdir()
    (mine / "cgroup.procs").write_text("0")
    try:
        yield
    finally:
        (top / home.lstrip("/") / "cgroup.procs").write_text("0")
        wait_until(lambda: "populated 0" in (mine / "cgroup.events").read_text(), "all ended")
        for folder, _, _ in sorted(os.walk(mine), reverse=True):
            Path(folder).rmdir()


@contextmanager
def systemd() -> Iterator[int]:
    """Run systemd as process 1 of a namespace, and give its process id out here."""
    unshare(CLONE_NEWPID)
    pid = os.fork()
    if pid == 0:
        _become_systemd()
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _become_systemd() -> None:
    """Take the last namespaces, hide what is the machine's, and become systemd."""
    try:
        unshare(CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC)
        private_mounts()
        mount("proc", "/proc", "proc")
        _hide_the_machine()
        os.execve(SYSTEMD, [str(SYSTEMD), *WORDS], VARIABLES)
    finally:
        os._exit(1)


def _hide_the_machine() -> None:
    """Leave of /proc/sys only the network writable, of /dev no console, of cgroups the own one."""
    mount("/proc/sys", "/proc/sys", "", MS_BIND)
    mount("/proc/sys/net", "/proc/sys/net", "", MS_BIND)
    mount("none", "/proc/sys", "", MS_REMOUNT | MS_BIND | MS_RDONLY)
    Path("/run/kmsg").touch()
    mount("/run/kmsg", "/dev/kmsg", "", MS_BIND)
    mount("/dev/null", "/dev/console", "", MS_BIND)
    mount("tmpfs", str(CGROUPS), "tmpfs")
    mount("cgroup2", str(CGROUPS), "cgroup2")
