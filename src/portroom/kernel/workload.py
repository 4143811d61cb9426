"""Workloads: which container or pod a network namespace belongs to.

Rules of this file:

- whose it is, the cgroup of a process inside tells; the name comes from what
  the runtime keeps on the disk, as far as that may be read;
- a name that cannot be read is the id, which every runtime takes as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import msgspec

from portroom.kernel.cgroups import NO_CGROUP, Cgroup, read_cgroup
from portroom.kernel.files import PROC, list_below, read_below
from portroom.kernel.published_ports import container_name
from portroom.model.facts.snapshot import NetnsId
from portroom.model.facts.surroundings import Workload
from portroom.model.facts.sysctl_files import shown

OWN_NAME = frozenset({"docker", "podman"})
"""Runtimes with a durable way of their own; for every other one it is ``other``."""

POD_LOGS = b"/var/log/pods"
"""The kubelet makes a folder NAMESPACE_NAME_UID a pod here. Source: its BuildPodLogsDirectory."""

PODMAN = b"/var/lib/containers/storage/overlay-containers/containers.json"

LARGEST_FILE_BYTES = 4 << 20


class Stored(msgspec.Struct):
    """A container in the storage that Podman keeps."""

    id: str = ""
    names: list[str] | None = None


def read_workload(
    netns: NetnsId, processes: Iterable[int], docker: bytes, root: bytes, proc: str = PROC
) -> Workload | None:
    """
    Return whose a namespace is, None for that of the host or one that only has a name.

    Args:
        netns: The namespace.
        processes: All processes that can be seen, to look for one inside.
        docker: Where Docker keeps its containers.
        root: The folder that stands for ``/``.
        proc: Where procfs is mounted.
    """
    if netns.kind == "host":
        return None
    pid = netns.pid or _process_inside(netns.inode, processes, proc)
    cgroup = NO_CGROUP if pid is None else read_cgroup(f"{proc}/{pid}")
    if cgroup.pod is not None:
        return Workload("kubernetes", _pod_name(cgroup, root))
    if cgroup.container:
        runtime = cgroup.runtime if cgroup.runtime in OWN_NAME else None
        name = _container_name(cgroup.container, runtime, docker, root)
        return Workload(runtime or "other", name or cgroup.container_name or "")
    return Workload("other", netns.name) if netns.kind == "process" else None


def _process_inside(inode: int, processes: Iterable[int], proc: str) -> int | None:
    """Return the first process that is seen inside a namespace, None for none."""
    wanted = f"net:[{inode}]"
    for pid in processes:
        try:
            if os.readlink(f"{proc}/{pid}/ns/net") == wanted:
                return pid
        except OSError:
            continue
    return None


def _pod_name(cgroup: Cgroup, root: bytes) -> str:
    """Return NAMESPACE/NAME of a pod, or its uid."""
    try:
        names = [name.split(b"_") for name in list_below(root, POD_LOGS)[0]]
    except OSError:
        names = []
    uid = (cgroup.pod or "").encode()
    for parts in names:
        if len(parts) == 3 and parts[2] == uid:
            return shown(b"/".join(parts[:2]))
    return cgroup.pod or ""


def _container_name(short_id: str, runtime: str | None, docker: bytes, root: bytes) -> str:
    """Return the name of a container, its id where it cannot be read, "" for other runtimes."""
    if runtime == "docker":
        return container_name(short_id, docker, root) or short_id
    return (_podman_name(short_id, root) or short_id) if runtime else ""


def _podman_name(short_id: str, root: bytes) -> str:
    """Return the name that Podman gave a container, "" where it cannot be read."""
    try:
        content = read_below(root, PODMAN, LARGEST_FILE_BYTES).content
        stored = msgspec.json.decode(content, type=list[Stored])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    names = (one.names for one in stored if one.id.startswith(short_id))
    return next((found[0] for found in names if found), "")
