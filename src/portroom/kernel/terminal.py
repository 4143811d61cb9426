"""Whether a terminal is remote: a change to the network may then cut off who makes it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from portroom.kernel.files import PROC
from portroom.kernel.processes import open_folder, parse_stat, read_file

VARIABLES = ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY")
"""What sshd leaves in the environment. Source: sshd(8), "LOGIN PROCESS"; ssh(1)."""

SERVERS = frozenset(
    {"sshd", "sshd-session", "dropbear", "mosh-server", "telnetd", "in.telnetd", "in.rlogind"}
)
"""Programs that let somebody in from elsewhere, as they call themselves."""

MOST_ANCESTORS = 64


def is_remote(environment: Mapping[str, str], proc: str = PROC) -> bool:
    """
    Say whether this command was typed on another host.

    sudo takes the variables of ssh away, so the processes above are looked at
    as well.

    Args:
        environment: That of this process.
        proc: Where procfs is.
    """
    return any(environment.get(name) for name in VARIABLES) or _below_a_server(proc)


def _below_a_server(proc: str) -> bool:
    """Say whether a process above this one lets people in from elsewhere."""
    pid = os.getpid()
    for _ in range(MOST_ANCESTORS):
        try:
            raw = _read_stat(pid, proc)
            if parse_stat(raw).command in SERVERS:
                return True
            pid = parse_parent(raw)
        except (OSError, ValueError):
            return False
        if pid <= 1:
            return False
    return False


def _read_stat(pid: int, proc: str) -> bytes:
    """Return ``/proc/PID/stat``."""
    folder = open_folder(f"{proc}/{pid}")
    try:
        return read_file("stat", folder)
    finally:
        os.close(folder)


def parse_parent(raw: bytes) -> int:
    """
    Return the parent that ``/proc/PID/stat`` tells.

    Raises:
        ValueError: This is no such file.

    Source: proc_pid_stat(5), field (4) ppid.

    >>> parse_parent(b"7 (a) S 1) S 42 7 7 0 -1")
    42
    """
    fields = raw[raw.rfind(b")") + 1 :].split()
    if len(fields) < 2:
        raise ValueError(f"expected the stat of a process, got {raw[:80]!r}")
    return int(fields[1])
