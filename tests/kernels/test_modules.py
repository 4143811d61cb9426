"""Modules are loaded after those that they need."""

from __future__ import annotations

import lzma

from tests.kernels import modules


def module(path, *needs):
    """Write what stands for a module: the part that names its needs, packed as in Debian."""
    path.parent.mkdir(parents=True, exist_ok=True)
    told = b"\0license=GPL\0depends=" + ",".join(needs).encode() + b"\0name=x\0"
    path.write_bytes(lzma.compress(told) if path.suffix == ".xz" else told)


def test_what_is_needed_comes_before(tmp_path):
    """Needs of needs, too; each once; and what a kernel has built in is left out."""
    module(tmp_path / "net/udp_diag.ko", "inet_diag")
    module(tmp_path / "net/inet_diag.ko")
    module(tmp_path / "net/nft_masq.ko.xz", "nf_nat", "nf_tables")
    module(tmp_path / "net/nf_nat.ko.xz", "nf-conntrack", "libcrc32c")
    module(tmp_path / "net/nf-conntrack.ko")
    module(tmp_path / "net/unasked.ko")

    order = modules.load_order(tmp_path, ("udp_diag", "inet_diag", "nft_masq", "built_in"))

    assert ["inet_diag", "udp_diag", "nf_conntrack", "nf_nat", "nft_masq"] == [
        modules.name_of(path) for path in order
    ]
