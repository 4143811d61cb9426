"""The surroundings of a change: what counts on ports, and which limits are near.

Rules of this file:

- everything here was seen on this host, in files or at processes; a thing that
  could not be looked at is a Gap in ``gaps``;
- names come from others: hostile text.
"""

from __future__ import annotations

import msgspec

from portroom.model.facts.answers import RangeEnds
from portroom.model.facts.gaps import Gap
from portroom.model.facts.sockets import Owner


class PublishedPort(msgspec.Struct, frozen=True):
    """A port of this host that a container runtime forwards to a container."""

    protocol: str
    port: int
    runtime: str
    container: str


class ServicePort(msgspec.Struct, frozen=True):
    """
    A port that an installed unit listens on, or would once it is started.

    ``service`` is its name in ``/etc/services``, else that of the unit.
    """

    protocol: str
    port: int
    service: str
    unit: str


class NodePorts(msgspec.Struct, frozen=True):
    """The NodePorts of a Kubernetes node, both ends included, and what was seen."""

    ports: RangeEnds
    evidence: str


class VxlanPort(msgspec.Struct, frozen=True):
    """The UDP port of a VXLAN device, which the kernel itself listens on."""

    port: int
    device: str


class FilterLine(msgspec.Struct, frozen=True):
    """A line of a firewall's file that names the default range 32768-60999."""

    file: str
    line: int
    text: str


class OpenFiles(msgspec.Struct, frozen=True):
    """How many files a process has open, and how many it may (RLIMIT_NOFILE, soft)."""

    owner: Owner
    used: int
    limit: int


class Workload(msgspec.Struct, frozen=True):
    """
    Whose a namespace is: ``runtime`` is ``docker``, ``podman``, ``kubernetes`` or ``other``.

    ``name`` is that of the container, ``NAMESPACE/NAME`` of a pod; where it
    cannot be read, the id. For ``other`` it is what the namespace is known as.
    """

    runtime: str
    name: str


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a change has to be told against.

    ``selinux`` is ``enforcing``, ``permissive``, or "" where there is none.
    ``conntrack_used``, ``conntrack_max`` are null where connections are not
    tracked; ``tcp_memory_pages`` and ``tcp_memory_max_pages`` are of the whole
    system (tcp_mem, its third number), null where this namespace does not show
    them. ``workload`` is null for a namespace of the host or one that only has
    a name.
    """

    published: tuple[PublishedPort, ...] = ()
    services: tuple[ServicePort, ...] = ()
    node_ports: NodePorts | None = None
    vxlan: tuple[VxlanPort, ...] = ()
    selinux: str = ""
    filters: tuple[FilterLine, ...] = ()
    open_files: tuple[OpenFiles, ...] = ()
    conntrack_used: int | None = None
    conntrack_max: int | None = None
    tcp_memory_pages: int | None = None
    tcp_memory_max_pages: int | None = None
    workload: Workload | None = None
    gaps: tuple[Gap, ...] = ()
