"""Surroundings: what counts on ports of a namespace, and which limits are near.

Rules of this file:

- everything is read, nothing is run and nothing asked of a service;
- units, firewall files and Docker are those of the host, so they count for its
  namespace alone; devices, NodePorts and limits are those of the namespace asked
  for, which is that of the calling thread (``namespaces.inside``);
- a part that could not be read is a Gap, and the others are still told.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from portroom.errors import KernelDataError
from portroom.kernel.files import PROC
from portroom.kernel.firewall_files import read_filter_lines
from portroom.kernel.limits import UNKNOWN, read_conntrack, read_open_files, read_tcp_memory
from portroom.kernel.node_ports import read_node_ports
from portroom.kernel.processes import hidden_processes, process_ids, read_command
from portroom.kernel.published_ports import containers_folder, read_published
from portroom.kernel.selinux import read_selinux
from portroom.kernel.service_ports import read_service_ports
from portroom.kernel.vxlan import read_vxlan
from portroom.kernel.workload import read_workload
from portroom.model.facts.gaps import Gap
from portroom.model.facts.snapshot import NetnsId
from portroom.model.facts.sockets import Owner
from portroom.model.facts.surroundings import Surroundings

Read = TypeVar("Read")

HOST = "host"

NOTHING = Surroundings()

HIDDEN = (
    Gap(
        "processes",
        "some are hidden from here, so a Kubernetes node or Docker may not be seen",
        ("collisions",),
    ),
)


def read_surroundings(
    netns: NetnsId, tightest_owners: Sequence[Owner], proc: str = PROC, root: str = "/"
) -> Surroundings:
    """
    Return what a change in the namespace of the calling thread is told against.

    Args:
        netns: That namespace.
        tightest_owners: Processes whose open files matter.
        proc: Where procfs is mounted.
        root: The folder that stands for ``/``, to read files below.
    """
    base = os.fsencode(root)
    gaps: list[Gap] = []
    nothing: dict[int, str] = {}
    commands = _or(nothing, lambda: _read_commands(proc), gaps, "processes", "collisions")
    docker = containers_folder(commands, base, proc)
    of_host = _of_host(commands, base, proc, gaps) if netns.kind == HOST else NOTHING
    vxlan = _or(NOTHING.vxlan, read_vxlan, gaps, "vxlan", "collisions")
    selinux = _or("", lambda: read_selinux(base), gaps, "selinux", "reasons")
    open_files, uncounted = read_open_files(tightest_owners, proc)
    conntrack = _or(UNKNOWN, lambda: read_conntrack(proc), gaps, "conntrack", "limits")
    memory = _or(UNKNOWN, lambda: read_tcp_memory(proc), gaps, "tcp_mem", "limits")
    return msgspec.structs.replace(
        of_host,
        node_ports=read_node_ports(commands, netns.inode, base, proc),
        vxlan=vxlan,
        selinux=selinux,
        open_files=open_files,
        conntrack_used=conntrack.used,
        conntrack_max=conntrack.limit,
        tcp_memory_pages=memory.used,
        tcp_memory_max_pages=memory.limit,
        workload=read_workload(netns, commands, docker, base, proc),
        gaps=(*gaps, *of_host.gaps, *uncounted),
    )


def _of_host(commands: Mapping[int, str], root: bytes, proc: str, gaps: list[Gap]) -> Surroundings:
    """Return what concerns the host's own namespace alone."""
    services = _or(NOTHING.services, lambda: read_service_ports(root), gaps, "units", "collisions")
    published, unread = read_published(commands, root, proc)
    filters, unsearched = read_filter_lines(root)
    hidden = HIDDEN if hidden_processes(proc) else ()
    return Surroundings(
        published=published,
        services=services,
        filters=filters,
        gaps=(*hidden, *unread, *unsearched),
    )


def _read_commands(proc: str) -> dict[int, str]:
    """Return what each process calls itself, by its id; those that end meanwhile are left out."""
    commands = ((pid, read_command(pid, proc)) for pid in process_ids(proc))
    return {pid: command for pid, command in commands if command is not None}


def _or(
    otherwise: Read, read: Callable[[], Read], gaps: list[Gap], source: str, affects: str
) -> Read:
    """Return what *read* reads, or *otherwise* with a Gap that names the error."""
    try:
        return read()
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "error")
        gaps.append(Gap(source, f"could not be read ({name})", (affects,)))
    except KernelDataError as error:
        gaps.append(Gap(source, error.message, (affects,)))
    return otherwise
