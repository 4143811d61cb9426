"""Folders of its own for the host of the examples: no sysctl file of the machine is in them."""

from __future__ import annotations

import subprocess
from pathlib import Path

SYSCTL_FOLDERS = ("/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
"""Folders of sysctl files that are neither below /run nor below /etc."""


def no_sysctl_files() -> None:
    """
    Begin with a system on which nobody has set anything.

    /etc becomes links to what is in it, because only in a folder of one's own may a
    user who is root nowhere else remove something. /run must be its own already.
    """
    real = Path("/run/etc")
    real.mkdir()
    subprocess.run(["mount", "--rbind", "/etc", str(real)], check=True)
    mount_empty("/etc")
    for path in real.iterdir():
        if path.name not in {"sysctl.conf", "sysctl.d"}:
            Path("/etc", path.name).symlink_to(path.readlink() if path.is_symlink() else path)
    Path("/etc/sysctl.d").mkdir()
    for folder in SYSCTL_FOLDERS:
        if Path(folder).is_dir():
            mount_empty(folder)


def own_state_folder() -> None:
    """
    Let /var/lib be links to what is in it, so that what is added ends with the host.

    /run must be its own already.
    """
    real = Path("/run/var-lib")
    real.mkdir()
    subprocess.run(["mount", "--rbind", "/var/lib", str(real)], check=True)
    mount_empty("/var/lib")
    for path in real.iterdir():
        if path.name != "portroom":
            Path("/var/lib", path.name).symlink_to(path)


def mount_empty(folder: str) -> None:
    """Put an empty folder in the place of another."""
    options = ["-t", "tmpfs", "-o", "mode=755"]
    subprocess.run(["mount", *options, "tmpfs", folder], check=True)


def keep_the_range_twice() -> None:
    """Set and keep the range as articles advise: in a file of its own, and in sysctl.conf."""
    Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("15000 64000")
    line = "net.ipv4.ip_local_port_range = 15000"
    Path("/etc/sysctl.d/net.ipv4.ip_local_port_range.conf").write_text(f"{line} 65000\n")
    Path("/etc/sysctl.conf").write_text(f"# Local changes.\n{line} 64000\n")
