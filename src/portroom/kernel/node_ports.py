"""NodePorts: the ports that a Kubernetes node answers on, with no socket behind them.

Rules of this file:

- a node is told by the processes that make one, in the namespace in question;
- the range is the one that an API server here was started with, else the
  default: a node without an API server does not know.

Source: Kubernetes, kube-apiserver ``--service-node-port-range``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from portroom.kernel.files import PROC, read_below, read_text
from portroom.model.facts.answers import RangeEnds
from portroom.model.facts.ports import LAST_PORT
from portroom.model.facts.surroundings import NodePorts
from portroom.model.facts.sysctl_files import shown

NODE_PROCESSES = (
    "kubelet",
    "kube-proxy",
    "k3s",
    "k3s-server",
    "k3s-agent",
    "k0s",
    "rke2",
    "kubelite",
)
"""What processes of a node call themselves; the last is that of MicroK8s."""

API_SERVERS = ("kube-apiserver", "k3s", "k3s-server", "k0s", "rke2", "kubelite")

FILES = (
    b"/etc/rancher/k3s/config.yaml",
    b"/etc/systemd/system/k3s.service",
    b"/etc/rancher/rke2/config.yaml",
    b"/etc/k0s/k0s.yaml",
    b"/var/snap/microk8s/current/args/kube-apiserver",
)
"""Where the option stands for servers that do not show it in their command line."""

DEFAULT = RangeEnds(30000, 32767)

COMMAND_LINE_BYTES = 1 << 17

LARGEST_FILE_BYTES = 1 << 20

OPTION = re.compile(
    r"""(?<![\w.])service-node-port-range["']?[\s=:\\]{1,20}["']?(\d{1,5})(?:([-+])(\d{1,5}))?(?!\d)"""
)


class Evidence(NamedTuple):
    """A text that may hold the option, and what it is, for a person."""

    text: str
    what: str


def read_node_ports(
    commands: Mapping[int, str], netns_inode: int, root: bytes, proc: str = PROC
) -> NodePorts | None:
    """
    Return the NodePorts of a namespace, None where nothing makes it a node.

    Args:
        commands: What each process calls itself, by its id.
        netns_inode: The namespace. A process of which it cannot be told where
            it is counts as inside.
        root: The folder that stands for ``/``.
        proc: Where procfs is mounted.
    """
    wanted = {*NODE_PROCESSES, *API_SERVERS}
    here = {
        pid: command
        for pid, command in commands.items()
        if command in wanted and _is_inside(pid, netns_inode, proc)
    }
    agents = [(command, pid) for pid, command in here.items() if command in NODE_PROCESSES]
    if not agents:
        return None
    command, pid = min(agents, key=lambda one: NODE_PROCESSES.index(one[0]))
    seen = f"{command} runs (process {pid})"
    for evidence in _evidence(here, root, proc):
        if ports := parse_option(evidence.text):
            return NodePorts(ports, f"{seen}, {evidence.what} says service-node-port-range")
    return NodePorts(DEFAULT, f"{seen}; the default range")


def _evidence(commands: Mapping[int, str], root: bytes, proc: str) -> Iterable[Evidence]:
    """Yield the command lines of API servers, then the files of those that run."""
    servers = [(pid, command) for pid, command in commands.items() if command in API_SERVERS]
    for pid, command in servers:
        text = _command_line(pid, proc)
        yield Evidence(text, f"the command line of {command} (process {pid})")
    for path in FILES if servers else ():
        text = shown(read_below(root, path, LARGEST_FILE_BYTES).content)
        code = "\n".join(line for line in text.split("\n") if not line.lstrip().startswith("#"))
        yield Evidence(code, shown(path))


def parse_option(text: str) -> RangeEnds | None:
    r"""
    Return the range that an option gives, None where there is none that can be.

    Source: Kubernetes apimachinery/pkg/util/net, ParsePortRange.

    >>> parse_option("kube-apiserver --service-node-port-range=20000+99 --v=2")
    RangeEnds(first=20000, last=20099)
    >>> parse_option('kube-apiserver-arg:\n  - "service-node-port-range=1024-2000"')
    RangeEnds(first=1024, last=2000)
    """
    found = None
    # The last one counts, as for every option that is given twice.
    for match in OPTION.finditer(text):
        first, sign, number = int(match[1]), match[2], int(match[3] or match[1])
        last = first + number if sign == "+" else number
        if 1 <= first <= last <= LAST_PORT:
            found = RangeEnds(first, last)
    return found


def _command_line(pid: int, proc: str) -> str:
    """Return the arguments of a process with blanks between; empty where they cannot be read."""
    try:
        return read_text(f"{proc}/{pid}/cmdline", COMMAND_LINE_BYTES).replace("\0", " ")
    except OSError:
        return ""


def _is_inside(pid: int, netns_inode: int, proc: str) -> bool:
    """Say whether a process is in a namespace, as far as it may be looked at."""
    try:
        return os.readlink(f"{proc}/{pid}/ns/net") == f"net:[{netns_inode}]"
    except PermissionError:
        return True
    except OSError:
        return False
