"""What six kernels answered about one known population of sockets.

Rules of this file:

- the files below ``data/`` are read as they are; ``data/README.md`` tells what
  each holds;
- a socket is compared by what every source tells of it, as ``Made``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

from portroom.kernel.netlink import HEADER, check_datagram, closing_start, raise_refusal
from portroom.kernel.settings import parse_value
from portroom.model.facts.settings import SETTINGS
from portroom.model.facts.snapshot import Features, Settings
from portroom.model.facts.sockets import Family, Protocol, TcpState

DATA = Path(__file__).parent / "data"

FORGETTING = ("6.17.13", "6.18.15", "7.3.4")
STICKY = ("5.10.262", "6.1.192", "6.12.117")
KERNELS = STICKY + FORGETTING

WITHOUT_BOUND_ROWS = ("5.10.262", "6.1.192")
"""These list no socket that is only bound, in no table."""

WITHOUT_RANGE_OPTION = ("5.10.262",)

SEQUENCE = 1
"""The sequence number of every recorded request."""


class Made(NamedTuple):
    """One socket; v4-mapped ones are IPV4, and no remote is a wildcard and 0."""

    protocol: Protocol
    family: Family
    state: TcpState
    local_address: str
    local_port: int
    remote_address: str
    remote_port: int
    uid: int
    inode: int


class Recording(NamedTuple):
    """The recorded answers of one kernel."""

    kernel: str

    def text(self, name: str) -> str:
        """Return a recorded text."""
        return (DATA / self.kernel / name).read_text("utf-8")

    def json(self, name: str) -> Any:
        """Return a recorded JSON value."""
        return json.loads(self.text(name))

    def datagrams(self, name: str) -> Iterator[bytes]:
        """Yield each datagram of a reply, as the kernel sent it."""
        content = (DATA / self.kernel / f"diag-{name}.bin").read_bytes()
        lengths = self.json("index.json")[f"diag-{name}.bin"]["datagram_lengths"]
        assert sum(lengths) == len(content)
        for length in lengths:
            yield content[:length]
            content = content[length:]

    def dump(self, name: str) -> list[memoryview]:
        """
        Return the datagrams of a dump without the closing message.

        Raises:
            OSError: The kernel refused.
            KernelDataError: A datagram cannot be read, or the end is missing.
        """
        return list(messages_of(self.datagrams(name)))

    def request(self, name: str) -> bytes:
        """Return the payload of the request that was answered."""
        asked = self.json("index.json")[f"diag-{name}.bin"]["request_hex"]
        return bytes.fromhex(asked)[HEADER.size :]

    @property
    def features(self) -> Features:
        """Return what this kernel can do, as it was found by asking it."""
        return Features(
            bucket_forgets=self.kernel in FORGETTING,
            range_option=self.kernel not in WITHOUT_RANGE_OPTION,
            bound_inactive_rows=self.kernel not in WITHOUT_BOUND_ROWS,
            tw_reuse_by_age="net.ipv4.tcp_tw_reuse_delay" in self.settings.values,
        )

    @property
    def settings(self) -> Settings:
        """Return the recorded settings; null is one that the kernel lacks."""
        texts = self.json("sysctl.json")
        return Settings(
            {
                one.key: parse_value(one.key, one.type, texts[one.key])
                for one in SETTINGS
                if texts.get(one.key) is not None
            }
        )

    @property
    def manifest(self) -> list[dict[str, Any]]:
        """Return what is known of each socket that holds a port."""
        return [one for one in self.json("manifest.json")["sockets"] if one["local"]["port"]]

    def listed(self) -> list[dict[str, Any]]:
        """Return the sockets of the manifest that sock_diag lists."""
        hidden = self.kernel in WITHOUT_BOUND_ROWS
        return [one for one in self.manifest if not (hidden and one["state"] == "BOUND_INACTIVE")]


def messages_of(datagrams: Iterator[bytes]) -> Iterator[memoryview]:
    """Yield each datagram without the closing message, checked as when received."""
    for datagram in datagrams:
        view = memoryview(datagram)
        check_datagram(view[:20], len(view), SEQUENCE)
        closing = closing_start(view)
        if closing != 0:
            yield view[:closing]
        if closing is not None:
            raise_refusal(view[closing:])
            return
    raise AssertionError("the recording has no closing message")


@cache
def recording(kernel: str) -> Recording:
    """Return the recording of one kernel."""
    return Recording(kernel)


def made(one: dict[str, Any]) -> Made:
    """Return a socket of the manifest as it is to be found."""
    local, remote = one["local"], one["remote"]
    family = address_family(local["address"])
    nowhere = {"address": "0.0.0.0" if family is Family.IPV4 else "::", "port": 0}
    remote = remote or nowhere
    return Made(
        Protocol(one["protocol"]),
        family,
        TcpState[one["state"]],
        plain(local["address"]),
        local["port"],
        plain(remote["address"]),
        remote["port"],
        one["uid"],
        one["inode"],
    )


def address_family(text: str) -> Family:
    """Return the family of an address, IPV4 for a v4-mapped one."""
    return Family.IPV4 if "." in plain(text) else Family.IPV6


def plain(text: str) -> str:
    """Return an address without the v4-mapped prefix."""
    address = ip_address(text)
    return str(getattr(address, "ipv4_mapped", None) or address)
