"""What runs here: kernel, distribution, Python."""

from __future__ import annotations

import os
import shlex
import sys

from portroom.kernel.files import PROC, read_below, read_text
from portroom.model.facts.report import SystemSeen
from portroom.model.facts.sysctl_files import FILE

RELEASE_FILES = (b"/etc/os-release", b"/usr/lib/os-release")
"""Source: os-release(5)."""

LARGEST_FILE_BYTES = 1 << 16


def read_system(root: bytes = b"/", proc: str = PROC) -> SystemSeen:
    """
    Return what runs here; a distribution that does not name itself is None.

    Args:
        root: The folder that stands for ``/``.
        proc: Where procfs is mounted.
    """
    kernel = os.uname()
    return SystemSeen(
        kernel=f"{kernel.sysname} {kernel.release}",
        architecture=kernel.machine,
        python=".".join(map(str, sys.version_info[:3])),
        distribution=_distribution(root),
        uptime_s=_uptime_s(proc),
    )


def _distribution(root: bytes) -> str | None:
    """Return how the distribution calls itself."""
    for path in RELEASE_FILES:
        try:
            found = read_below(root, path, LARGEST_FILE_BYTES)
        except OSError:
            return None
        if found.kind == FILE and (
            name := parse_os_release(found.content.decode(errors="replace"))
        ):
            return name
    return None


def parse_os_release(text: str) -> str | None:
    r"""
    Return the PRETTY_NAME of an ``os-release`` file, None where it has none.

    Source: os-release(5): assignments as a shell reads them.

    >>> parse_os_release('ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')
    'Debian GNU/Linux 12 (bookworm)'
    """
    for line in text.splitlines():
        name, _, value = line.strip().partition("=")
        if name == "PRETTY_NAME":
            try:
                return " ".join(shlex.split(value)) or None
            except ValueError:
                return None
    return None


def _uptime_s(proc: str) -> float | None:
    """Return the seconds since boot. Source: proc(5), /proc/uptime."""
    try:
        return float(read_text(f"{proc}/uptime", 256).split()[0])
    except (OSError, ValueError, IndexError):
        return None
