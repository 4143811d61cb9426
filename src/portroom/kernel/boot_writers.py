"""What else sets a sysctl, besides the program that applies the sysctl files at boot.

Rules of this file:

- processes and the kernel command line are those of this host, so they count
  for the root ``/`` alone;
- a process is named for what its program is known to write, whether it does
  so here or not;
- words and names are hostile text and stay what they are.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from portroom.kernel.boot_installed import installed_programs
from portroom.kernel.boot_traces import read_traces
from portroom.kernel.boot_tuned import read_tuned
from portroom.kernel.files import PROC, read_text
from portroom.kernel.processes import process_ids, read_command, unlisted_processes
from portroom.model.facts.boot import (
    ANY_TIME,
    BEFORE,
    KERNEL_COMMAND_LINE,
    PROCESS,
    TUNED,
    BootWriter,
    BootWriters,
    Version,
)
from portroom.model.facts.gaps import Gap
from portroom.model.laws.sysctl_lines import with_dots, with_slashes

PREFIX = "sysctl"

BLANKS = " \t\n\v\f\r"


class Known(NamedTuple):
    """
    A program that is known to write sysctls.

    ``command`` is what the process calls itself, cut to 15 bytes by the kernel;
    ``keys`` are patterns with dots; ``what`` goes on after the key.
    """

    command: str
    keys: tuple[str, ...]
    when: str
    what: str


CONNTRACK = (
    "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_tcp_timeout_established",
    "net.netfilter.nf_conntrack_tcp_timeout_close_wait",
)
LINKS = ("net.ipv4.conf.*", "net.ipv4.neigh.*", "net.ipv6.conf.*", "net.ipv6.neigh.*")

KNOWN = (
    Known(
        "systemd",
        ("fs.file-max", "fs.nr_open"),
        BEFORE,
        "raised to the highest value when systemd starts, unless it is built without that",
    ),
    Known(
        "kube-proxy",
        (
            *CONNTRACK,
            "net.netfilter.nf_conntrack_tcp_be_liberal",
            "net.netfilter.nf_conntrack_udp_timeout*",
        ),
        ANY_TIME,
        "set at each start of kube-proxy, as its conntrack configuration says",
    ),
    Known(
        "k3s-server",
        (*CONNTRACK, "net.ipv4.conf.*.forwarding", "net.ipv6.conf.*.forwarding"),
        ANY_TIME,
        "set at each start of k3s, which has kube-proxy inside",
    ),
    Known(
        "k3s-agent",
        (*CONNTRACK, "net.ipv4.conf.*.forwarding", "net.ipv6.conf.*.forwarding"),
        ANY_TIME,
        "set at each start of k3s, which has kube-proxy inside",
    ),
    Known(
        "kubelet",
        (
            "vm.overcommit_memory",
            "vm.panic_on_oom",
            "kernel.panic",
            "kernel.panic_on_oops",
            "kernel.keys.root_maxkeys",
            "kernel.keys.root_maxbytes",
        ),
        ANY_TIME,
        "set at each start of kubelet, unless protectKernelDefaults makes it refuse",
    ),
    Known(
        "bpftune",
        ("net.ipv4.tcp_max_orphans", "net.ipv4.tcp_[rw]mem", "net.ipv4.tcp_mem"),
        ANY_TIME,
        "changed by bpftune whenever it sees a need",
    ),
    Known(
        "dockerd",
        ("net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding"),
        ANY_TIME,
        "switched on at each start of dockerd; other sysctls it sets in containers only",
    ),
    Known(
        "systemd-network",
        (*LINKS, "net.ipv4.ip_forward"),
        ANY_TIME,
        "set by systemd-networkd as its configuration says, when links come up",
    ),
    Known(
        "NetworkManager",
        LINKS,
        ANY_TIME,
        "set by NetworkManager for the devices that it manages, when they come up",
    ),
    Known(
        "systemd-udevd",
        LINKS,
        ANY_TIME,
        "applied again from the sysctl files when a network device appears",
    ),
    Known(
        "cilium-agent",
        (
            "net.core.bpf_jit_enable",
            "net.ipv4.conf.*",
            "net.ipv4.fib_multipath_use_neigh",
            "kernel.unprivileged_bpf_disabled",
        ),
        ANY_TIME,
        "set at each start of the agent; the ports that Cilium reserves, it reserves in pods only",
    ),
)
"""
Processes that write sysctls of the host, and which.

Source: Kubernetes pkg/proxy/conntrack and pkg/kubelet/cm, k3s
pkg/agent/syssetup, bpftune(8), dockerd(8), systemd.network(5), the udev rules
and the notes of systemd 240, Cilium pull request 32128.
"""


def read_boot_writers(
    keys: Sequence[str],
    root: str = "/",
    proc: str = PROC,
    installed: Mapping[str, Version | None] | None = None,
) -> BootWriters:
    """
    Say what sets any of the keys besides the boot program.

    Args:
        keys: Sysctl keys, with dots or slashes.
        root: The folder that stands for ``/``. For any but ``/`` only files
            count, never processes nor the kernel command line.
        proc: Where the proc file system of this host is mounted.
        installed: The programs below *root*, None to find out: lists of packages
            are long.

    Returns:
        The writers in the order in which they write, as far as there is one,
        and what could not be read.

    Raises:
        OSError: *root* is no folder that can be entered.
    """
    base = os.fsencode(root)
    os.close(os.open(base, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
    writers: list[BootWriter] = []
    gaps: list[Gap] = []
    tuned = None
    if os.path.realpath(base) == b"/":
        writers += _of_kernel_command_line(keys, proc, gaps)
        writers += _of_processes(keys, proc, gaps)
    installed = installed_programs(base) if installed is None else installed
    if TUNED in installed:
        tuned, found, missing = read_tuned(keys, base, installed[TUNED])
        writers += found
        gaps += missing
    traces, unread = read_traces(keys, base)
    return BootWriters(writers=(*writers, *traces), tuned=tuned, gaps=(*gaps, *unread))


def _of_kernel_command_line(
    keys: Sequence[str], proc: str, gaps: list[Gap]
) -> Iterator[BootWriter]:
    """Yield a writer for each word of the kernel command line that sets one of the keys."""
    path = f"{proc}/cmdline"
    try:
        line = read_text(path)
    except OSError as error:
        gaps.append(Gap(path, f"cannot be read: {error.strerror}", ("others",)))
        return
    wanted = {with_slashes(os.fsencode(key)): key for key in keys}
    for name, value in parse_sysctl_words(line):
        if key := wanted.get(os.fsencode(name)):
            yield BootWriter(
                kind=KERNEL_COMMAND_LINE,
                name="kernel command line",
                key=key,
                value=value,
                file=path,
                line=1,
                when=BEFORE,
                sentence=(
                    f"The kernel command line sets {key} before init starts; "
                    "what the boot program writes replaces it."
                ),
            )


def parse_sysctl_words(line: str) -> Iterator[tuple[str, str]]:
    """
    Yield path below ``/proc/sys`` and value of each ``sysctl.KEY=VALUE``.

    Every dot becomes a slash, unlike in sysctl files. A word without value,
    or with an empty one, sets nothing; ``--`` ends what the kernel looks at.

    Source: Linux fs/proc/proc_sysctl.c, process_sysctl_arg.

    >>> list(parse_sysctl_words('quiet sysctl.net.ipv4.tcp_rmem="4096 8192" -- sysctl.a=1'))
    [('net/ipv4/tcp_rmem', '4096 8192')]
    """
    for word in split_words(line):
        if word == "--":
            return
        name, _, value = word.partition("=")
        if name.startswith((f"{PREFIX}.", f"{PREFIX}/")) and value:
            yield name[len(PREFIX) + 1 :].replace(".", "/"), value


def split_words(line: str) -> Iterator[str]:
    """
    Yield the words of the kernel command line; quotes keep blanks together.

    A quote at the start of a word or of its value is taken off with the one
    at the end; any other stays.

    Source: Linux lib/cmdline.c, next_arg.

    >>> list(split_words('a="b c" "d=e f"  g'))
    ['a=b c', 'd=e f', 'g']
    """
    word, quoted = "", False
    for character in line.removesuffix("\n"):
        if character in BLANKS and not quoted:
            if word:
                yield _unquoted(word)
            word = ""
            continue
        quoted ^= character == '"'
        word += character
    if word:
        yield _unquoted(word)


def _unquoted(word: str) -> str:
    """
    Return a word without the quotes around it or its value.

    One quote at the end goes with that before the value, or else with that before
    the word.
    """
    quoted = word.startswith('"')
    name, equals, value = word.removeprefix('"').partition("=")
    if value.startswith('"'):
        value = value.removeprefix('"')
        quoted = quoted and not value.endswith('"')
        value = value.removesuffix('"')
    whole = name + equals + value
    return whole.removesuffix('"') if quoted else whole


def _of_processes(keys: Sequence[str], proc: str, gaps: list[Gap]) -> Iterator[BootWriter]:
    """Yield a writer for each key that a running program is known to write."""
    if unlisted_processes(proc):
        gaps.append(Gap("processes", "some may be hidden from this one", ("others",)))
    commands = _commands(proc)
    for known in KNOWN:
        for key in keys if known.command in commands else ():
            dotted = os.fsdecode(with_dots(with_slashes(os.fsencode(key))))
            if any(fnmatch.fnmatchcase(dotted, pattern) for pattern in known.keys):
                yield BootWriter(
                    kind=PROCESS,
                    name=known.command,
                    key=key,
                    value=None,
                    file=None,
                    line=None,
                    when=known.when,
                    sentence=f"{known.command} runs: {key} is {known.what}.",
                )


def _commands(proc: str) -> set[str]:
    """Return what the processes call themselves that share our network namespace, or may."""
    own = _network(proc, "self")
    found = set()
    for pid in process_ids(proc):
        command = read_command(pid, proc)
        # One in another network namespace writes there; one that hides its own may be here.
        if command and _network(proc, str(pid)) in {own, ""}:
            found.add(command)
    return found


def _network(proc: str, process: str) -> str:
    """Return what tells the network namespace of a process, empty where it is not told."""
    try:
        return os.readlink(f"{proc}/{process}/ns/net")
    except OSError:
        return ""
