"""Which program applies sysctl files when a host boots, and how we know.

Rules of this file:

- proofs are asked in one order, from what runs to what is only installed; the
  first that decides is the answer;
- below another root only files count: the processes are those of this host;
- where nothing applies the files, or something with rules of its own, the
  answer is None and says so.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from typing import NamedTuple

from portroom.kernel.boot_installed import installed_programs, is_file, leads_to
from portroom.kernel.boot_scripts import SCRIPTS, sysctl_scripts
from portroom.kernel.files import PROC, read_below
from portroom.kernel.processes import INITIAL_PID_NAMESPACE, read_command
from portroom.kernel.units import LARGEST_UNIT_BYTES, is_masked
from portroom.model.facts.boot import BootProgram, Version
from portroom.model.facts.gaps import Gap
from portroom.model.facts.sysctl_files import (
    DIRECTORY,
    FILE,
    UNSEEN,
    shown,
)
from portroom.model.laws.dialects import PROCPS, SYSTEMD

INIT = b"/sbin/init"

SYSTEMD_RUNS = b"/run/systemd/system"
"""systemd makes this folder when it starts. Source: sd_booted(3)."""

SYSTEMD_PATHS = (b"/systemd/systemd",)

INITS = frozenset({"init", "openrc-init", "runit", "runit-init", "busybox", "dinit", "linuxrc"})
"""What process 1 calls itself where init scripts, or links, say what starts."""

UNIT = b"systemd-sysctl.service"

UNIT_FOLDERS = (b"/etc/systemd/system", b"/run/systemd/system")
"""Where a unit of that name replaces the one that systemd brings."""

CONTAINER_FILES = (b"/.dockerenv", b"/run/.containerenv", b"/run/systemd/container")


class Proof(NamedTuple):
    """What one proof says: the program or None, why, and what to add."""

    program: str | None
    evidence: str
    notes: tuple[str, ...] = ()


class _Host(NamedTuple):
    """What proofs look at; ``proc`` is None below another root."""

    root: bytes
    proc: str | None
    installed: dict[str, Version | None]


def read_boot_program(root: str = "/", proc: str = PROC) -> BootProgram:
    """
    Say which program applies sysctl files when the system below *root* boots.

    Args:
        root: The folder that stands for ``/``. For any but ``/`` only files
            count, never processes.
        proc: Where the proc file system of this host is mounted.

    Raises:
        OSError: *root* is no folder that can be entered.
    """
    base = os.fsencode(root)
    os.close(os.open(base, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
    runs_here = os.path.realpath(base) == b"/"
    host = _Host(base, proc if runs_here else None, installed_programs(base))
    proof = _checked(host, _first_proof(host))
    return BootProgram(
        program=proof.program,
        version=host.installed.get(proof.program or ""),
        evidence=proof.evidence,
        installed=host.installed,
        notes=(*proof.notes, *_notes(host, proof)),
        gaps=tuple(_gaps(host)),
    )


def _first_proof(host: _Host) -> Proof:
    """Return what the first proof says that decides."""
    for proof in (_process_1, _running_systemd, _init, _scripts):
        if found := proof(host):
            return found
    return _only_installed(host)


def _process_1(host: _Host) -> Proof | None:
    """Decide by what process 1 calls itself, where that tells enough."""
    command = read_command(1, host.proc) if host.proc else None
    if command is None or command in INITS:
        return None
    if command == "systemd":
        return Proof(SYSTEMD, "process 1 is systemd")
    place = "container" if _in_container(host) else "system"
    return Proof(
        None,
        f"process 1 is {command!r}, and that is no init known to apply sysctl files",
        (f"Nothing applies the sysctl files of this {place} when it starts.",),
    )


def _running_systemd(host: _Host) -> Proof | None:
    """Decide by the folder that systemd makes when it starts."""
    if read_below(host.root, SYSTEMD_RUNS, 0).kind != DIRECTORY:
        return None
    return Proof(SYSTEMD, f"{shown(SYSTEMD_RUNS)} exists, so systemd is running")


def _init(host: _Host) -> Proof | None:
    """Decide by where /sbin/init leads."""
    end = _end_of_init(host)
    if end.endswith(SYSTEMD_PATHS):
        return Proof(SYSTEMD, f"{shown(INIT)} leads to {shown(end)}")
    return None


def _scripts(host: _Host) -> Proof | None:
    """
    Decide by the first init script that applies sysctl files and is started.

    Without /sbin/init, a script says less than an installed systemd: Debian
    ships it beside.
    """
    if SYSTEMD in host.installed and not _end_of_init(host):
        return None
    scripts = sysctl_scripts(host.root)
    for script in scripts:
        if script.started and script.all_files and PROCPS in host.installed:
            return Proof(PROCPS, f"{script.path} runs sysctl --system")
        if script.started:
            return Proof(
                None,
                f"{script.path} applies sysctl files one by one, in an order of its own",
                (f"Which line wins is not known here: read {script.path}, and that order.",),
            )
    if scripts:
        names = ", ".join(script.path for script in scripts)
        return Proof(None, f"{names} would apply sysctl files, but no runlevel starts it")
    return None


def _only_installed(host: _Host) -> Proof:
    """Return what is left to say: what is installed and nothing starts."""
    init = _end_of_init(host)
    if SYSTEMD in host.installed and not init:
        return Proof(SYSTEMD, f"systemd is installed, and there is no {shown(INIT)} that says more")
    if not host.installed:
        return Proof(None, f"{_said_of(init)}, and nothing that applies sysctl files is installed")
    names = " and ".join(host.installed)
    verb = "are" if len(host.installed) > 1 else "is"
    return Proof(None, f"{_said_of(init)}; {names} {verb} installed, and no known script starts it")


def _said_of(init: bytes) -> str:
    """Return a clause about where /sbin/init leads."""
    if not init:
        return f"there is no {shown(INIT)}"
    return f"{shown(INIT)} " + ("is no systemd" if init == INIT else f"leads to {shown(init)}")


def _checked(host: _Host, proof: Proof) -> Proof:
    """Return a proof, or what stands against it: systemd without its systemd-sysctl."""
    if proof.program != SYSTEMD:
        return proof
    if SYSTEMD not in host.installed:
        return Proof(None, f"{proof.evidence}, but it has no systemd-sysctl", proof.notes)
    if mask := _mask(host.root):
        return Proof(None, f"{proof.evidence}, but {shown(mask)} masks systemd-sysctl", proof.notes)
    return proof


def _mask(root: bytes) -> bytes:
    """Return the path that masks systemd-sysctl.service, empty for none."""
    for folder in UNIT_FOLDERS:
        path = b"%s/%s" % (folder, UNIT)
        if is_masked(root, path):
            return path
        if read_below(root, path, LARGEST_UNIT_BYTES).kind == FILE:
            return b""
    return b""


def _notes(host: _Host, proof: Proof) -> Iterator[str]:
    """Yield what a person should know besides."""
    init = _end_of_init(host)
    if proof.program == SYSTEMD and init and not init.endswith(SYSTEMD_PATHS):
        yield f"{_said_of(init)}, so the next boot may not be systemd's."
    for folder in UNIT_FOLDERS:
        path = b"%s/%s" % (folder, UNIT)
        if proof.program == SYSTEMD and read_below(host.root, path, LARGEST_UNIT_BYTES).content:
            yield f"{shown(path)} replaces the unit that systemd brings: read what it runs."
    if proof.program == SYSTEMD and host.proc and _in_container(host) and _read_only(host.proc):
        yield "/proc/sys is read-only in this container: then systemd skips systemd-sysctl."


def _gaps(host: _Host) -> Iterator[Gap]:
    """Yield the scripts and links that could not be looked into."""
    paths = [script.path for script in SCRIPTS]
    paths += [b"%s/%s" % (folder, UNIT) for folder in UNIT_FOLDERS]
    for path in paths:
        kind = read_below(host.root, path, LARGEST_UNIT_BYTES).kind
        if kind in UNSEEN:
            yield Gap(shown(path), f"is a {kind}: not read", ("program",))


def _end_of_init(host: _Host) -> bytes:
    """Return where /sbin/init leads, as a tidy path; empty where there is none."""
    end = leads_to(host.root, INIT)
    return posixpath.normpath(end) if is_file(host.root, INIT) else b""


def _in_container(host: _Host) -> bool:
    """Say whether this host is a container, as far as it shows."""
    try:
        inside = os.readlink(f"{host.proc}/self/ns/pid") != INITIAL_PID_NAMESPACE
    except OSError:
        inside = False
    return inside or any(is_file(host.root, path) for path in CONTAINER_FILES)


def _read_only(proc: str) -> bool:
    """Say whether sysctls are mounted read-only, as seen from here."""
    try:
        return bool(os.statvfs(f"{proc}/sys/net").f_flag & os.ST_RDONLY)
    except OSError:
        return False
