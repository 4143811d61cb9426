"""
Owners: the processes behind sockets, found by walking ``/proc/*/fd``.

Rules of this file:

- the walk is the cost (one readlink a descriptor), so it stops as soon as
  every wanted socket has an owner, and looks first at processes of the same
  network namespace;
- a socket is inherited by children, so those of an owner are looked at even
  then: a listener of one master and eight workers has nine owners;
- a process that ends meanwhile is normal; it owns nothing any more.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator

from portroom.kernel.cgroups import NO_CGROUP, Cgroup, parse_cgroup
from portroom.kernel.files import PROC
from portroom.kernel.processes import (
    hidden_processes,
    open_folder,
    parse_stat,
    parse_uid,
    process_ids,
    read_file,
    read_netns_link,
)
from portroom.model.facts.sockets import Owner

SOCKET_LINK = "socket:["
"""A descriptor of a socket points to ``socket:[INODE]``."""

CGROUP_BYTES = 1 << 16
CHILDREN_BYTES = 1 << 16

Found = dict[int, tuple[Owner, ...]]


def read_owners(
    inodes: Collection[int],
    *,
    netns_inode: int | None = None,
    elsewhere: bool = True,
    proc: str = PROC,
) -> tuple[Found, bool]:
    """
    Return the processes that hold each socket, by its inode.

    Args:
        inodes: Sockets to look for. 0 is none: TIME_WAIT and orphans have no
            owner in the kernel.
        netns_inode: Namespace of these sockets; its processes go first. None
            where it is not known.
        elsewhere: Whether to go on with processes of other namespaces for
            what is not found by then. A proxy or a container runtime may hold
            sockets of a namespace in which it is not.
        proc: Where procfs is mounted.

    Returns:
        The owners of the sockets that have one, and whether that is all: False
        where one is missing and some process may not be looked at.
    """
    walk = _Walk(set(inodes) - {0}, netns_inode, proc)
    if walk.missing:
        walk.visit_all(elsewhere=elsewhere)
    return walk.found, not (walk.missing and (walk.unreadable or hidden_processes(proc)))


class _Walk:
    """One walk over the processes."""

    def __init__(self, wanted: set[int], netns_inode: int | None, proc: str) -> None:
        self.found: Found = {}
        self.missing = set(wanted)
        self.unreadable = False
        self._wanted = wanted
        self._link = None if netns_inode is None else f"net:[{netns_inode}]"
        self._proc = proc
        self._visited: set[int] = set()

    def visit_all(self, *, elsewhere: bool) -> None:
        """Visit processes until nothing is missing, then the owners' children."""
        others: list[int] = []
        owners: list[int] = []
        for pid in process_ids(self._proc):
            if not self.missing:
                break
            if self._is_elsewhere(pid):
                others.append(pid)
            elif self._visit(pid):
                owners.append(pid)
        for pid in others if elsewhere else ():
            if not self.missing:
                break
            if self._visit(pid):
                owners.append(pid)
        self._visit_children(owners)

    def _visit_children(self, owners: list[int]) -> None:
        """Visit the children of owners, and theirs, for what they inherited."""
        while owners:
            children = _children(f"{self._proc}/{owners.pop()}")
            owners += [pid for pid in children if pid not in self._visited and self._visit(pid)]

    def _is_elsewhere(self, pid: int) -> bool:
        """Say whether a process is known to be in another network namespace."""
        if self._link is None:
            return False
        try:
            return read_netns_link(f"{self._proc}/{pid}/ns/net") != self._link
        except OSError:
            return False

    def _visit(self, pid: int) -> bool:
        """Look at the descriptors of one process; say whether it owns any."""
        self._visited.add(pid)
        try:
            folder = open_folder(f"{self._proc}/{pid}")
        except OSError:
            # hidepid=1 lists processes that may not be looked at.
            self.unreadable |= os.path.isdir(f"{self._proc}/{pid}")
            return False
        try:
            inodes = wanted_sockets(folder, self._wanted)
            if not inodes:
                return False
            self._add(inodes, read_owner(pid, folder))
        except PermissionError:
            self.unreadable = True
            return False
        except (OSError, ValueError):
            return False
        finally:
            os.close(folder)
        return True

    def _add(self, inodes: set[int], owner: Owner) -> None:
        """Note the owner of some sockets."""
        alone = (owner,)
        for inode in inodes:
            before = self.found.get(inode)
            self.found[inode] = alone if before is None else before + alone
        self.missing -= inodes


def wanted_sockets(folder: int, wanted: set[int]) -> set[int]:
    """
    Return which of the *wanted* sockets a process has open.

    Args:
        folder: Descriptor of ``/proc/PID``.
        wanted: Inodes of sockets.

    Raises:
        OSError: The descriptors may not be read, or the process ended.
    """
    descriptors = open_folder("fd", folder)
    found: list[int] = []
    # This loop is the time of the whole walk: names are local on purpose.
    readlink, prefix, length, add = os.readlink, SOCKET_LINK, len(SOCKET_LINK), found.append
    try:
        for name in os.listdir(descriptors):
            try:
                link = readlink(name, dir_fd=descriptors)
            except PermissionError:
                # Whoever has the same uid may list, but not look.
                raise
            except OSError:
                continue
            if link[:length] == prefix:
                add(int(link[length:-1]))
    finally:
        os.close(descriptors)
    return wanted.intersection(found)


def read_owner(pid: int, folder: int) -> Owner:
    """
    Return who a process is.

    Args:
        pid: Its id.
        folder: Descriptor of ``/proc/PID``.

    Raises:
        OSError: It ended.
        ValueError: Its files cannot be read.
    """
    stat = parse_stat(read_file("stat", folder))
    uid = parse_uid(read_file("status", folder))
    cgroup = read_cgroup(folder)
    return Owner(pid, stat.start_time, stat.command, uid, cgroup.unit, cgroup.container)


def read_cgroup(folder: int) -> Cgroup:
    """
    Return what the cgroups of a process tell; nothing where there are none.

    Args:
        folder: Descriptor of ``/proc/PID``, or of one of its threads.
    """
    try:
        raw = read_file("cgroup", folder, CGROUP_BYTES)
    except OSError:
        return NO_CGROUP
    return parse_cgroup(raw.decode("utf-8", "backslashreplace"))


def _children(folder: str) -> Iterator[int]:
    """Yield the children of all threads of a process, where the kernel tells."""
    try:
        for thread in os.listdir(f"{folder}/task"):
            task = open_folder(f"{folder}/task/{thread}")
            try:
                yield from map(int, read_file("children", task, CHILDREN_BYTES).split())
            finally:
                os.close(task)
    except OSError:
        return
