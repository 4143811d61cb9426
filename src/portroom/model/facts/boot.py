"""What boots a host, and what else sets its sysctls.

Rules of this file: each value says how it is known, in a sentence for a person.
Names and values come from files and processes of others: hostile text, escaped
by whoever shows it.
"""

from __future__ import annotations

import msgspec

from portroom.model.facts.gaps import Gap
from portroom.model.facts.sysctl_files import SysctlTree

Version = tuple[int, ...]
"""Numbers of a version, ``(4, 0, 2)``; as many as are known."""

# When a writer writes, seen from the program that applies the sysctl files.
BEFORE, AFTER, ANY_TIME = "before the boot program", "after it", "any time"

# What kind of writer it is.
KERNEL_COMMAND_LINE, TUNED, PROCESS, TRACE = "kernel_command_line", "tuned", "process", "trace"

REAPPLY = "reapply_sysctl"
"""Name of the writer that is tuned applying the sysctl files again; it is told for each key."""

EVERY_KEY = "*"
"""Stands for the key where sysctl files are applied again, whatever they name."""


class BootProgram(msgspec.Struct, frozen=True, kw_only=True):
    """
    Which program applies sysctl files when a host boots.

    ``program`` is ``systemd``, ``procps``, or None where nothing was found
    that applies them, or something whose rules are not known here; ``evidence``
    says which. ``version`` is None where it is not known. ``installed`` has the
    programs that are there, started at boot or not. ``notes`` are sentences.
    """

    program: str | None
    version: Version | None
    evidence: str
    installed: dict[str, Version | None] = {}
    notes: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()


class BootWriter(msgspec.Struct, frozen=True, kw_only=True):
    """
    Something that sets a sysctl besides the boot program.

    ``kind`` is one of the kinds above, ``when`` one of the times. ``name`` is
    that of a tuned profile, a process, or the program that runs the file.
    ``value`` is the text as written, None where it is not known; ``file`` is
    the path seen from inside the tree, None where there is none. ``conditional``
    says that it writes on some machines only, and not known whether on this one.
    """

    kind: str
    name: str
    key: str
    value: str | None
    file: str | None
    line: int | None
    when: str
    sentence: str
    conditional: bool = False


class Tuned(msgspec.Struct, frozen=True, kw_only=True):
    """
    What tuned will do with sysctls when it starts.

    ``starts`` says that it is started at boot, None where that is not known.
    ``profiles`` are the active ones. ``reapplies`` says that it applies
    ``/run/sysctl.d``, ``/etc/sysctl.d`` and ``/etc/sysctl.conf`` once more, by
    rules of its own, after its profile; ``excluded`` are patterns of keys that
    it then leaves out.
    """

    version: Version | None
    starts: bool | None
    profiles: tuple[str, ...] = ()
    reapplies: bool = False
    excluded: tuple[str, ...] = ()


class BootWriters(msgspec.Struct, frozen=True, kw_only=True):
    """All that sets the keys besides the boot program; ``tuned`` is None without it."""

    writers: tuple[BootWriter, ...] = ()
    tuned: Tuned | None = None
    gaps: tuple[Gap, ...] = ()


class BootFacts(msgspec.Struct, frozen=True, kw_only=True):
    """
    All that was read of what happens at the next boot of a system.

    ``root`` is the folder that stands for ``/``, ``"/"`` for this host itself.
    ``writers`` and ``tuned`` are those of BootWriters; ``gaps`` tell what
    besides ``tree.unseen`` could not be read.
    """

    program: BootProgram
    writers: tuple[BootWriter, ...] = ()
    tuned: Tuned | None = None
    tree: SysctlTree = SysctlTree()
    root: str = "/"
    gaps: tuple[Gap, ...] = ()
