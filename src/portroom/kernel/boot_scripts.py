"""Init scripts that apply sysctl files, where systemd does not.

Rules of this file: a script is read, never run; what counts are the lines that
are no comment; a script that nothing starts is told, but decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from portroom.kernel.boot_installed import names_in
from portroom.kernel.files import read_below
from portroom.model.facts.sysctl_files import shown

LARGEST_SCRIPT_BYTES = 1 << 20

# How a script is told to run: by a link in the folder of a runlevel, or always.
SYSV, OPENRC, ALWAYS = "sysv", "openrc", "always"


class Script(NamedTuple):
    """A script that applies sysctl files at boot, and what makes it run."""

    path: bytes
    starts: str


SCRIPTS = (
    Script(b"/etc/init.d/procps", SYSV),
    Script(b"/etc/init.d/procps.sh", SYSV),
    Script(b"/etc/init.d/sysctl", OPENRC),
    Script(b"/etc/init.d/boot.sysctl", SYSV),
    Script(b"/etc/init.d/S02sysctl", ALWAYS),
    Script(b"/etc/init/procps.conf", ALWAYS),
    Script(b"/etc/runit/core-services/08-sysctl.sh", ALWAYS),
    Script(b"/etc/rc.d/rc.sysinit", ALWAYS),
    Script(b"/etc/rc.d/rc.S", ALWAYS),
)
"""Scripts of Debian, OpenRC, Alpine, SUSE, Buildroot, upstart, Void, Red Hat and Slackware."""

SYSV_FOLDERS = tuple(b"/etc/rc%c.d" % level for level in b"S12345")

OPENRC_FOLDER = b"/etc/runlevels"

# Compiled by re at the first use: most hosts have no such script.
ALL_FILES = rb"\s--system\b"
ONE_BY_ONE = rb"\bsysctl\b.*\s(-\w*[pw]\w*|--load|--write)\b"


class SysctlScript(NamedTuple):
    """A script that is there: what it does, and whether a runlevel starts it."""

    path: str
    all_files: bool
    started: bool


def sysctl_scripts(root: bytes) -> list[SysctlScript]:
    """Return the known scripts below *root* that apply sysctl files, in the table's order."""
    found = []
    for script in SCRIPTS:
        code = b"\n".join(_code(read_below(root, script.path, LARGEST_SCRIPT_BYTES).content))
        all_files = bool(re.search(ALL_FILES, code))
        if b"sysctl" in code and (all_files or re.search(ONE_BY_ONE, code)):
            found.append(SysctlScript(shown(script.path), all_files, _starts(root, script)))
    return found


def _code(text: bytes) -> Iterator[bytes]:
    """Yield the lines of a script that are no comment."""
    for line in text.split(b"\n"):
        if not line.lstrip().startswith(b"#"):
            yield line


def _starts(root: bytes, script: Script) -> bool:
    """Say whether a runlevel starts a script."""
    name = script.path.rpartition(b"/")[2]
    if script.starts == OPENRC:
        levels = names_in(root, OPENRC_FOLDER)
        return any(name in names_in(root, b"%s/%s" % (OPENRC_FOLDER, level)) for level in levels)
    if script.starts == SYSV:
        link = re.compile(rb"S\d\d" + re.escape(name))
        return any(link.fullmatch(n) for folder in SYSV_FOLDERS for n in names_in(root, folder))
    return True
