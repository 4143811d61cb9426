"""A host to boot: a root of its own in which the real programs apply real files.

Rules of this file:

- all of it happens in a forked child with mount and network namespaces of its
  own: the files lie in a tmpfs that ends with it, the settings in its namespace;
- the programs are those of this machine, or those unpacked below
  ``build/boot-programs`` (./run boot-programs); none is imitated;
- a program that does not end is killed, and the test fails.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from portroom.kernel.sysctl import read_value
from portroom.model.facts.sysctl_files import DIRECTORIES
from tests.kernel.harness import LIBC, unshare

CLONE_NEWNS = 0x00020000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000

PROGRAM_DEADLINE_S = 20

UNPACKED = Path(__file__).parents[2] / "build" / "boot-programs"

PATHS = {
    "systemd": ("/lib/systemd/systemd-sysctl",),
    "procps": ("/sbin/sysctl", "--system", "--quiet"),
}

DEFAULTS = {
    "net.ipv4.ip_local_port_range": "32768 60999",
    "net.ipv4.ip_local_reserved_ports": "",
    "net.ipv4.ip_unprivileged_port_start": "1024",
    "net.ipv4.tcp_tw_reuse": "2",
    "net.ipv4.tcp_fin_timeout": "60",
}
"""What a new network namespace holds, of the sysctls that trees set."""


class Programs(NamedTuple):
    """Where boot programs come from: a root and the version of each."""

    root: Path
    versions: Mapping[str, tuple[int, ...]]

    @property
    def label(self) -> str:
        """Return the name of the root, for test ids."""
        return "this machine" if self.root == Path("/") else self.root.parent.name


@functools.cache
def found_programs() -> list[Programs]:
    """Return this machine's programs and those that were unpacked."""
    roots = [Path("/"), *sorted(UNPACKED.glob("*/root"))]
    return [Programs(root, versions) for root in roots if (versions := _versions(root))]


def _versions(root: Path) -> dict[str, tuple[int, ...]]:
    """Return the version of each boot program below a root, by asking it."""
    versions = {}
    for program, (path, *_) in PATHS.items():
        if not os.path.lexists(root / path.lstrip("/")):
            continue
        command = [path, "--version"] if root == Path("/") else ["chroot", root, path, "--version"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        # "systemd 252 (252.39-1)", "sysctl from procps-ng 4.0.2"; nothing where chroot needs root.
        if words := answer.partition("\n")[0].partition(" (")[0].split():
            versions[program] = tuple(
                int(part) for part in words[-1].split(".") if part.isdecimal()
            )
    return versions


class Host:
    """
    A root in a tmpfs, with the programs of another root bound into it.

    Use it inside ``harness.in_namespace`` only. ``split_usr`` makes ``/lib`` a
    folder of its own instead of a link to ``/usr/lib``.
    """

    def __init__(self, programs: Programs, *, split_usr: bool = False) -> None:
        self.programs = programs
        self.root = Path("/mnt")
        unshare(CLONE_NEWNS)
        _mount("none", "/", MS_REC | MS_PRIVATE)
        _mount("tmpfs", "/mnt", 0, "tmpfs")
        self._bind_programs(split_usr=split_usr)
        for folder in ("etc", "run", "proc", "dev", "tmp"):
            (self.root / folder).mkdir()
        _mount("/proc", str(self.root / "proc"), MS_BIND | MS_REC)
        os.mknod(self.root / "dev/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        os.mknod(self.root / "dev/zero", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
        self._home = os.open("/", os.O_RDONLY)
        self.folders = [self.at(directory) for directory in DIRECTORIES]

    def _bind_programs(self, *, split_usr: bool) -> None:
        """Bind ``/usr`` of the programs, and a tmpfs wherever files are to lie."""
        usr = self.root / "usr"
        usr.mkdir()
        _mount(str(self.programs.root / "usr"), str(usr), MS_BIND)
        _mount("tmpfs", str(usr / "local"), 0, "tmpfs")
        (usr / "local/lib").mkdir()
        _mount("tmpfs", str(usr / "lib/sysctl.d"), 0, "tmpfs")
        for name in ("bin", "sbin", "lib64"):
            (self.root / name).symlink_to(f"usr/{name}")
        if not split_usr:
            (self.root / "lib").symlink_to("usr/lib")
            return
        (self.root / "lib").mkdir()
        for entry in (usr / "lib").iterdir():
            if entry.name != "sysctl.d":
                (self.root / "lib" / entry.name).symlink_to(f"/usr/lib/{entry.name}")

    def clear(self) -> None:
        """Remove all sysctl files, and make the settings those of a new namespace."""
        for folder in self.folders:
            if folder.is_mount():
                for entry in folder.iterdir():
                    _remove(entry)
            else:
                _remove(folder)
        _remove(self.root / "etc/sysctl.conf")
        _remove(self.root / "run/credentials")
        reset_settings()

    def at(self, path: bytes) -> Path:
        """Return where a path of the host lies on this machine."""
        return self.root / os.fsdecode(path.lstrip(b"/"))

    def has(self, path: bytes) -> bool:
        """Say whether something stands at a path, be it a link to nowhere."""
        return os.path.lexists(self.at(path))

    def write(self, path: bytes, content: bytes) -> None:
        """Write a file, its folders made as needed."""
        self.at(path).parent.mkdir(parents=True, exist_ok=True)
        self.at(path).write_bytes(content)

    def link(self, path: bytes, target: bytes) -> None:
        """Make a symbolic link."""
        self.at(path).parent.mkdir(parents=True, exist_ok=True)
        self.at(path).symlink_to(os.fsdecode(target))

    def folder(self, path: bytes) -> None:
        """Make a folder."""
        self.at(path).mkdir(parents=True, exist_ok=True)

    def special(self, path: bytes, kind: int) -> None:
        """Make a FIFO, a socket that nobody listens on, or a device like ``/dev/zero``."""
        self.at(path).parent.mkdir(parents=True, exist_ok=True)
        os.mknod(self.at(path), 0o644 | kind, os.makedev(1, 5) if stat.S_ISCHR(kind) else 0)

    def boot(self, program: str, *, deadline_s: float = PROGRAM_DEADLINE_S) -> dict[str, str]:
        """
        Run a program as at boot and return what each sysctl holds then.

        Raises:
            TimeoutError: The program did not end.
        """
        environment = {"PATH": "/usr/sbin:/usr/bin", "SYSTEMD_LOG_LEVEL": "emerg"}
        if (self.root / "run/credentials").exists():
            environment["CREDENTIALS_DIRECTORY"] = "/run/credentials/systemd-sysctl.service"
        pid = os.fork()
        if pid == 0:
            self._become(PATHS[program], environment)
        with _deadline(pid, deadline_s):
            os.waitpid(pid, 0)
        return {key: held(key) for key in DEFAULTS}

    def _become(self, command: tuple[str, ...], environment: dict[str, str]) -> None:
        """Turn this process into a program below the root."""
        try:
            null = os.open("/dev/null", os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(null, stream)
            os.chroot(self.root)
            os.chdir("/")
            os.execve(command[0], list(command), environment)
        finally:
            os._exit(127)


def held(key: str) -> str:
    """Return what a sysctl holds, as the laws write it."""
    return " ".join(read_value(key).split())


def reset_settings() -> None:
    """Make the settings those of a new namespace, from whatever they are."""
    # The start of privileged ports may stand above the range to come, and below it.
    for key, value in (("net.ipv4.ip_unprivileged_port_start", "0"), *DEFAULTS.items()):
        path = f"/proc/sys/{key.replace('.', '/')}"
        descriptor = os.open(path, os.O_WRONLY)
        try:
            os.write(descriptor, f"{value}\n".encode())
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _deadline(pid: int, seconds: float) -> Iterator[None]:
    """Kill a process that takes too long, and say so."""

    def end(*_: object) -> None:
        os.kill(pid, signal.SIGKILL)
        raise TimeoutError(f"a boot program did not end within {seconds} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _remove(path: Path) -> None:
    """Remove a file, link or folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _mount(source: str, target: str, flags: int, kind: str | None = None) -> None:
    """Mount something."""
    names = [source.encode(), target.encode(), kind.encode() if kind else None]
    if LIBC.mount(*names, ctypes.c_ulong(flags), None) != 0:
        raise OSError(ctypes.get_errno(), f"mount {target}: {os.strerror(ctypes.get_errno())}")
