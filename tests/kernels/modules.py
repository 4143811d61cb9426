"""Kernel modules that a guest loads, from the unpacked packages of its kernel."""

from __future__ import annotations

import lzma
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

WANTED = (
    "inet_diag",
    "tcp_diag",
    "udp_diag",
    "raw_diag",
    "unix_diag",
    "mptcp_diag",
    "dummy",
    "veth",
    "vrf",
    "vxlan",
    "nf_tables",
    "nf_conntrack_netlink",
    "nft_chain_nat",
    "nft_counter",
    "nft_ct",
    "nft_masq",
    "nft_nat",
    "nft_redir",
    "nft_reject_inet",
)
"""Those that tests use; what these need is found out, what a kernel has built in is not there."""

_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")


def load_order(folder: Path, wanted: Iterable[str] = WANTED) -> list[Path]:
    """
    Return the files of modules, each after all that it needs.

    Args:
        folder: Where the packages of one kernel are unpacked.
        wanted: The modules that are to be loaded.
    """
    files = {name_of(path): path for path in folder.rglob("*.ko*")}
    order: dict[str, Path] = {}

    def add(name: str) -> None:
        """Add one module after those that it needs."""
        if name in order or name not in files:
            return
        for needed in _needs(read_module(files[name])):
            add(needed)
        order[name] = files[name]

    for name in wanted:
        add(name)
    return list(order.values())


def name_of(path: Path) -> str:
    """
    Return the name of a module.

    >>> name_of(Path("nf-nat.ko.xz"))
    'nf_nat'
    """
    return path.name.partition(".")[0].replace("-", "_")


def read_module(path: Path) -> bytes:
    """Return a module as the kernel takes it."""
    content = path.read_bytes()
    return lzma.decompress(content) if path.suffix == ".xz" else content


def _needs(content: bytes) -> Iterator[str]:
    """Yield the modules that a module names as needed."""
    found = _DEPENDS.search(content)
    for name in (found[1] if found else b"").decode().split(","):
        if name:
            yield name.replace("-", "_")
