"""Published ports: those that Docker forwards from this host to a container.

Rules of this file:

- nothing is asked of Docker: what it keeps on the disk says what runs and which
  ports it published; nobody but root may read that;
- a port that Docker chose itself counts as well: it stays until the container
  stops;
- rootful Podman needs nothing here: its monitor, conmon, holds a published port
  by a socket, which shows as one. Likewise rootless Docker and Podman;
- a port that only a rule of the packet filter forwards (CNI's portmap) is not
  looked for: nobody has to bind it, and an outgoing connection from such a port
  works, since its replies are known by connection tracking (tried on Linux 6.18).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TypeVar

import msgspec

from portroom.kernel.files import PROC, list_below, read_below, read_text
from portroom.model.facts.gaps import Gap
from portroom.model.facts.ports import LAST_PORT
from portroom.model.facts.surroundings import PublishedPort
from portroom.model.facts.sysctl_files import DANGLING, DIRECTORY, FILE, SOCKET, shown

DOCKER = "docker"

SOCKETS = (b"/run/docker.sock", b"/var/run/docker.sock")

DAEMON = "dockerd"

DAEMON_FILE = b"/etc/docker/daemon.json"

DATA_ROOT = "/var/lib/docker"

DATA_ROOT_OPTION = re.compile(r"\0(?:--data-root|--graph|-g)[=\0]([^\0]+)")

CONTAINER_ID = re.compile(rb"[0-9a-f]{64}")

LARGEST_FILE_BYTES = 1 << 20
"""A hundred times what Docker keeps of one container."""

COMMAND_LINE_BYTES = 1 << 16

MOST_CONTAINERS = 1_000

AFFECTS = ("collisions",)

Form = TypeVar("Form")


class Binding(msgspec.Struct, rename="pascal"):
    """One port of the host; ``host_port`` is "" where Docker is to choose."""

    host_port: str = ""


Bindings = dict[str, list[Binding] | None]
"""By port of the container: ``80/tcp``."""


class State(msgspec.Struct, rename="pascal"):
    """Whether a container runs."""

    running: bool = False


class Network(msgspec.Struct, rename="pascal"):
    """The ports that a container has while it runs."""

    ports: Bindings | None = None


class Container(msgspec.Struct, rename="pascal"):
    """What ``config.v2.json`` tells of a container; its name begins with a slash."""

    name: str = ""
    state: State | None = None
    network_settings: Network | None = None


class HostConfig(msgspec.Struct, rename="pascal"):
    """What ``hostconfig.json`` tells: the ports that were asked for."""

    port_bindings: Bindings | None = None


class DaemonFile(msgspec.Struct, rename="kebab"):
    """What ``daemon.json`` tells: where Docker keeps its containers; ``graph`` is the old name."""

    data_root: str = ""
    graph: str = ""


def read_published(
    commands: Mapping[int, str], root: bytes, proc: str = PROC
) -> tuple[tuple[PublishedPort, ...], tuple[Gap, ...]]:
    """
    Return the ports that Docker's running containers publish, and what could not be read.

    Args:
        commands: What each process calls itself, by its id.
        root: The folder that stands for ``/``.
        proc: Where procfs is mounted.
    """
    folder = containers_folder(commands, root, proc)
    try:
        ids = [name for name in list_below(root, folder)[0] if CONTAINER_ID.fullmatch(name)]
    except OSError as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError) or not _is_seen(
            commands, root
        ):
            return (), ()
        reason = f"cannot be listed: {error.strerror}; Docker runs, and its ports are not known"
        return (), (Gap(shown(folder), reason, AFFECTS),)
    gaps: list[Gap] = []
    if len(ids) > MOST_CONTAINERS:
        reason = f"{len(ids)} containers, only the first {MOST_CONTAINERS} were looked at"
        gaps.append(Gap(DOCKER, reason, AFFECTS))
    paths = [b"%s/%s" % (folder, name) for name in ids[:MOST_CONTAINERS]]
    ports = {port for path in paths for port in _published(root, path, gaps)}
    order = sorted(ports, key=lambda one: (one.port, one.protocol, one.container))
    return tuple(order), tuple(gaps)


def containers_folder(commands: Mapping[int, str], root: bytes, proc: str = PROC) -> bytes:
    """Return where Docker keeps its containers: as its command line says, its file, its default."""
    data_root = ""
    for pid in (pid for pid, command in commands.items() if command == DAEMON):
        try:
            found = DATA_ROOT_OPTION.search(read_text(f"{proc}/{pid}/cmdline", COMMAND_LINE_BYTES))
        except OSError:
            continue
        data_root = found[1] if found else data_root
    if not data_root:
        file = _decoded(read_below(root, DAEMON_FILE, LARGEST_FILE_BYTES).content, DaemonFile)
        data_root = (file and (file.data_root or file.graph)) or DATA_ROOT
    return b"%s/containers" % data_root.encode("utf-8", "surrogateescape")


def container_name(short_id: str, folder: bytes, root: bytes) -> str:
    """Return the name that Docker gave a container, "" where it cannot be read."""
    try:
        names = list_below(root, folder)[0]
    except OSError:
        return ""
    start = short_id.encode()
    for name in names:
        if start and name.startswith(start) and CONTAINER_ID.fullmatch(name):
            path = b"%s/%s/config.v2.json" % (folder, name)
            found = _decoded(read_below(root, path, LARGEST_FILE_BYTES).content, Container)
            return found.name.removeprefix("/") if found else ""
    return ""


def _is_seen(commands: Mapping[int, str], root: bytes) -> bool:
    """Say whether Docker runs here, as far as it shows."""
    sockets = (read_below(root, path, 0).kind == SOCKET for path in SOCKETS)
    return DAEMON in commands.values() or any(sockets)


def _published(root: bytes, path: bytes, gaps: list[Gap]) -> Iterator[PublishedPort]:
    """Yield the ports of one container, none while it does not run."""
    file = b"%s/config.v2.json" % path
    found = read_below(root, file, LARGEST_FILE_BYTES)
    # A container that was removed meanwhile publishes nothing.
    if found.kind in {DANGLING, DIRECTORY}:
        return
    container = _decoded(found.content, Container) if found.kind == FILE else None
    if container is None:
        what = "is not as Docker writes it" if found.kind == FILE else f"is a {found.kind}"
        gaps.append(Gap(shown(file), f"{what}: its ports are not known", AFFECTS))
        return
    if not (container.state and container.state.running):
        return
    network = container.network_settings or Network()
    yield from _ports(network.ports or _asked_for(root, path), container.name.removeprefix("/"))


def _asked_for(root: bytes, path: bytes) -> Bindings:
    """Return the ports that one container was started with, as far as they are known."""
    raw = read_below(root, b"%s/hostconfig.json" % path, LARGEST_FILE_BYTES).content
    return (_decoded(raw, HostConfig) or HostConfig()).port_bindings or {}


def _ports(bindings: Bindings, container: str) -> Iterator[PublishedPort]:
    """Yield the ports of the host among the bindings of one container."""
    for inside, outside in bindings.items():
        protocol = inside.partition("/")[2] or "tcp"
        for binding in outside or ():
            text = binding.host_port
            if text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= LAST_PORT:
                yield PublishedPort(protocol, int(text[:6]), DOCKER, container)


def _decoded(content: bytes, form: type[Form]) -> Form | None:
    """Return what a file of Docker tells, None where it is not as Docker writes it."""
    try:
        return msgspec.json.decode(content, type=form)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
