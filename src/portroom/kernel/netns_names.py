"""
Which network namespaces there are, and what each is called.

Rules of this file:

- nothing is entered and nothing opened: a namespace is told from another by
  the inode of its nsfs file, and one by one that is enough;
- a name is, in this order: ``host``, that of /run/netns, what the cgroup of a
  process inside tells, ``pid:1234 (command)``. Parts of it were written by
  others and are hostile text.

Source: namespaces(7), ``/proc/PID/ns``.
"""

from __future__ import annotations

import os

import msgspec

from portroom.errors import NotSupportedError
from portroom.kernel.cgroups import read_cgroup
from portroom.kernel.files import PROC
from portroom.kernel.processes import hidden_processes, process_ids, read_command, read_netns_link
from portroom.model.facts.snapshot import Gap, NetnsId

RUN = "/run/netns"

GENERATED = "cni-"
"""Container runtimes mount pods as ``cni-<random>``: the cgroup tells more."""

AFFECTS = ("namespaces",)


class NetnsRef(msgspec.Struct, frozen=True):
    """A network namespace that was found, and the file that opens it."""

    id: NetnsId
    path: str


class Survey(msgspec.Struct, frozen=True):
    """All namespaces that were found, the host first, and what was not seen."""

    namespaces: tuple[NetnsRef, ...]
    gaps: tuple[Gap, ...] = ()


class _Held(msgspec.Struct, frozen=True):
    """The first process of each namespace, and how many could not be asked."""

    pids: dict[int, int]
    unreadable: int


def survey(proc: str = PROC, run: str = RUN) -> Survey:
    """Return all distinct network namespaces, and what could not be looked at."""
    held = _held(proc)
    mounted = _mounted(run)
    host = host_inode(proc, run)
    found = []
    for inode in {host, *mounted, *held.pids} - {0}:
        pid = held.pids.get(inode)
        identity = _describe(inode, pid, host, mounted.get(inode), proc)
        found.append(NetnsRef(identity, _path(inode, pid, mounted, proc)))
    found.sort(key=lambda ref: (ref.id.kind != "host", ref.id.name, ref.id.pid or 0))
    return Survey(tuple(_distinct(found)), _gaps(held.unreadable, proc))


def describe(inode: int, pid: int, proc: str = PROC, run: str = RUN) -> NetnsId:
    """Return the identity of the namespace *inode*, in which *pid* is."""
    return _describe(inode, pid, host_inode(proc, run), _mounted(run).get(inode), proc)


def known_name(inode: int, proc: str = PROC, run: str = RUN) -> NetnsId | None:
    """Return the identity of the host's or a mounted namespace, else None."""
    if inode == host_inode(proc, run):
        return NetnsId("host", None, inode, "host")
    path = _mounted(run).get(inode)
    return NetnsId(_name_of(path), None, inode, "named") if path else None


def host_inode(proc: str = PROC, run: str = RUN) -> int:
    """
    Return the inode of the namespace that is called ``host``.

    That of pid 1. Where looking at it is not permitted: that of kernel
    threads, else the caller's own if it is the initial one, which alone has
    the limit of the whole system on orphans. 0 where it cannot be told.
    """
    processes = ["1", "2"] if read_command(2, proc) == "kthreadd" else ["1"]
    for process in processes:
        inode = _inode(f"{proc}/{process}")
        if inode:
            return inode
    # "self" is the main thread, which never enters a namespace.
    own = _inode(f"{proc}/self") or 0
    initial = os.path.exists(f"{proc}/sys/net/ipv4/tcp_max_orphans")
    return own if initial and own not in _mounted(run) else 0


def nsfs_device() -> int:
    """
    Return the device number of the file system that namespaces live in.

    Raises:
        NotSupportedError: There is no proc file system.
    """
    try:
        return os.stat("/proc/thread-self/ns/net").st_dev
    except FileNotFoundError as error:
        raise NotSupportedError(
            f"{error.filename} does not exist.", "Mount the proc file system."
        ) from None


def _inode(folder: str) -> int | None:
    """Return the namespace inode of a process, None where it may not be read."""
    try:
        link = read_netns_link(f"{folder}/ns/net")
    except PermissionError:
        return None
    except OSError:
        return 0
    # The link reads net:[4026531840].
    return int(link[5:-1])


def _held(proc: str) -> _Held:
    """Return the process with the lowest id of each namespace."""
    pids: dict[int, int] = {}
    unreadable = 0
    for pid in process_ids(proc):
        inode = _inode(f"{proc}/{pid}")
        if inode is None:
            unreadable += 1
        elif inode:
            pids.setdefault(inode, pid)
    return _Held(pids, unreadable)


def _mounted(run: str) -> dict[int, str]:
    """Return the files in *run* by inode; what is no namespace is left out."""
    found: dict[int, str] = {}
    try:
        device = nsfs_device()
        names = sorted(os.listdir(run))
    except OSError:
        return found
    for name in names:
        path = f"{run}/{name}"
        try:
            file = os.stat(path)
        except OSError:
            continue
        if file.st_dev == device:
            found.setdefault(file.st_ino, path)
    return found


def _describe(inode: int, pid: int | None, host: int, path: str | None, proc: str) -> NetnsId:
    """Return the identity of one namespace, mounted on *path* or on nothing."""
    if inode == host:
        return NetnsId("host", None, inode, "host", pid)
    name = _name_of(path) if path else f"net:[{inode}]"
    if pid is None or (path and not name.startswith(GENERATED)):
        return NetnsId(name, None, inode, "named", pid)
    cgroup = read_cgroup(f"{proc}/{pid}")
    if cgroup.container_name:
        return NetnsId(cgroup.container_name, None, inode, "container", pid)
    if path:
        return NetnsId(name, None, inode, "named", pid)
    if _names_one_service(cgroup.unit):
        return NetnsId(f"unit:{cgroup.unit}", None, inode, "process", pid)
    command = read_command(pid, proc) or "?"
    return NetnsId(f"pid:{pid} ({command})", None, inode, "process", pid)


def _names_one_service(unit: str | None) -> bool:
    """Say whether a unit is a service, and not a user's whole session."""
    return bool(unit and unit.endswith(".service") and not unit.startswith("user@"))


def _name_of(path: str) -> str:
    r"""Return the last part of a path as text; bytes that are no UTF-8 as ``\xNN``."""
    return os.fsencode(os.path.basename(path)).decode("utf-8", "backslashreplace")


def _path(inode: int, pid: int | None, mounted: dict[int, str], proc: str) -> str:
    """Return the file that opens a namespace: the mounted one lives longest."""
    if inode in mounted:
        return mounted[inode]
    return f"{proc}/{pid or 'thread-self'}/ns/net"


def _distinct(found: list[NetnsRef]) -> list[NetnsRef]:
    """Add the process id to names that two namespaces have."""
    names = [ref.id.name for ref in found]
    return [
        ref
        if names.count(ref.id.name) == 1 or ref.id.pid is None
        else msgspec.structs.replace(
            ref,
            id=msgspec.structs.replace(ref.id, name=f"{ref.id.name} pid:{ref.id.pid}"),
        )
        for ref in found
    ]


def _gaps(unreadable: int, proc: str) -> tuple[Gap, ...]:
    """Return what the list of namespaces may lack."""
    if unreadable:
        reason = f"processes that may not be looked at: {unreadable} (needs CAP_SYS_PTRACE)"
    elif hidden_processes(proc):
        reason = "some processes are hidden from here"
    else:
        return ()
    return (Gap("namespaces", reason, AFFECTS),)
