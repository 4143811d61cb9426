"""
What a process belongs to, told by its cgroups: container, pod, systemd unit.

Rules of this file:

- a cgroup is a path that somebody else wrote: only shapes that a known
  runtime makes are believed, and the text stays hostile;
- what stands before the container belongs to its host, what stands behind it
  is inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from portroom.kernel.files import read_text

CONTAINER_ID_DIGITS = 64
SHORT_ID_DIGITS = 12
"""What every runtime prints of a container id."""

HEX_DIGITS = frozenset("0123456789abcdef")

SCOPES = {
    "docker": "docker",
    "libpod": "podman",
    "cri-containerd": "containerd",
    "nerdctl": "containerd",
    "crio": "crio",
}
"""First word of ``WORD-<64 digits>.scope``, as systemd's cgroup driver makes it."""

PARENTS = {"docker": "docker", "libpod_parent": "podman", "default": "containerd"}
"""Folder around a bare container id, as the cgroupfs driver makes it."""

UNIT_ENDINGS = (".service", ".scope")


class Cgroup(NamedTuple):
    """
    What the cgroups of one process tell; None where they tell nothing.

    ``runtime`` is ``docker``, ``podman``, ``containerd``, ``crio``, ``lxc``,
    ``machine`` (systemd-nspawn and libvirt) or ``container`` (a container id,
    but nobody says whose).
    """

    unit: str | None = None
    container: str | None = None
    runtime: str | None = None
    pod: str | None = None

    @property
    def container_name(self) -> str | None:
        """
        Return ``docker:3f2a…`` or, inside a pod, ``pod:UID/3f2a…``.

        >>> Cgroup(container="3f2a00000000", runtime="docker").container_name
        'docker:3f2a00000000'
        """
        if self.pod is not None:
            return "/".join(filter(None, (f"pod:{self.pod}", self.container)))
        return self.container and f"{self.runtime}:{self.container}"


NO_CGROUP = Cgroup()


def read_cgroup(folder: str) -> Cgroup:
    """
    Read what the cgroups of the process in *folder* (``/proc/PID``) tell.

    A process that ended, or cgroups that are off, tell nothing.
    """
    try:
        return parse_cgroup(read_text(f"{folder}/cgroup"))
    except OSError:
        return NO_CGROUP


def parse_cgroup(text: str) -> Cgroup:
    r"""
    Parse ``/proc/PID/cgroup`` of version 1, version 2, or both at once.

    The line of systemd and that of version 2 are asked first; the others
    count only where these two tell nothing.

    Source: cgroups(7), ``hierarchy-ID:controller-list:cgroup-path``.

    >>> parse_cgroup("0::/system.slice/nginx.service\n").unit
    'nginx.service'
    """
    found = [parse_path(path) for path in _paths(text)]
    inside = [cgroup for cgroup in found if cgroup.container or cgroup.pod]
    with_unit = [cgroup for cgroup in found if cgroup.unit]
    return next(iter(inside + with_unit), NO_CGROUP)


def _paths(text: str) -> Iterator[str]:
    """Yield the paths, those of systemd and of version 2 first."""
    lines = [line.split(":", 2) for line in text.split("\n")]
    lines = [line for line in lines if len(line) == 3]
    lines.sort(key=lambda line: line[1] not in ("name=systemd", ""))
    for _, _, path in lines:
        yield path.removesuffix(" (deleted)")


def parse_path(path: str) -> Cgroup:
    """
    Return what one cgroup path tells.

    >>> parse_path("/docker/" + "3f2a" * 16).container
    '3f2a3f2a3f2a'
    """
    parts = [part for part in path.split("/") if part not in ("", "..")]
    pod = next(filter(None, map(_pod, parts)), None)
    for place in range(len(parts) - 1, -1, -1):
        runtime, container = _container(parts, place)
        if container:
            return Cgroup(_unit(parts[place + 1 :]), container, runtime, pod)
    return Cgroup(_unit(parts), None, None, pod)


def _unit(parts: list[str]) -> str | None:
    """Return the innermost systemd unit among the parts of a path."""
    return next((part for part in reversed(parts) if part.endswith(UNIT_ENDINGS)), None)


def _container(parts: list[str], place: int) -> tuple[str | None, str | None]:
    """Return runtime and short id if the part at *place* is a container's."""
    part = parts[place]
    parent = parts[place - 1] if place else ""
    if parent in ("lxc", "lxc.payload") or part.startswith("lxc.payload."):
        return "lxc", part.removeprefix("lxc.payload.")
    if _is_container_id(part):
        return PARENTS.get(parent, "container"), part[:SHORT_ID_DIGITS]
    word, _, identity = part.removesuffix(".scope").rpartition("-")
    # crio-conmon and libpod-conmon are the monitors: they live outside.
    if part.endswith(".scope") and word in SCOPES and _is_container_id(identity):
        return SCOPES[word], identity[:SHORT_ID_DIGITS]
    if part.startswith("machine-") and part.endswith(".scope"):
        return "machine", part[len("machine-") : -len(".scope")]
    return None, None


def _is_container_id(text: str) -> bool:
    """Say whether *text* is the id that runtimes give a container."""
    return len(text) == CONTAINER_ID_DIGITS and HEX_DIGITS.issuperset(text)


def _pod(part: str) -> str | None:
    """
    Return the uid of a Kubernetes pod, from either cgroup driver.

    >>> _pod("kubepods-burstable-pod0a1b2c3d_0000_1111_2222_333344445555.slice")
    '0a1b2c3d-0000-1111-2222-333344445555'
    """
    name = part.removesuffix(".slice")
    _, found, uid = name.rpartition("pod")
    uid = uid.replace("_", "-")
    # A static pod's uid is a hash of 32 digits without a dash.
    plain = uid.replace("-", "")
    if not found or len(plain) != 32 or not HEX_DIGITS.issuperset(plain):
        return None
    return uid
