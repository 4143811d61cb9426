"""What some kernels answered about one known population of sockets.

Rules of this file:

- the files below ``data/`` are read as they are; ``data/README.md`` tells what
  each holds;
- a socket is compared by what every source tells of it, as ``Made``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

from portroom.kernel.columns import Columns
from portroom.kernel.netlink import HEADER, check_datagram, closing_start, raise_refusal
from portroom.kernel.settings import parse_value
from portroom.model.facts.settings import SETTINGS
from portroom.model.facts.snapshot import Features, Rows, Settings
from portroom.model.facts.sockets import Family, Protocol, TcpState

DATA = Path(__file__).parent / "data"


def version(kernel: str) -> tuple[int, ...]:
    """
    Return the numbers of a kernel's version, to sort by.

    >>> version("6.12.117") > version("6.1.192")
    True
    """
    return tuple(map(int, kernel.split(".")))


KERNELS = tuple(sorted((path.parent.name for path in DATA.glob("*/manifest.json")), key=version))
"""The kernels of which there is a recording, the oldest first."""

DUMPS = (
    ("tcp4", Protocol.TCP, Family.IPV4),
    ("tcp6", Protocol.TCP, Family.IPV6),
    ("udp4", Protocol.UDP, Family.IPV4),
    ("udp6", Protocol.UDP, Family.IPV6),
)
"""The full dumps: name, protocol, and what was asked for."""

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

    folder: Path

    @property
    def kernel(self) -> str:
        """Return the version of the kernel."""
        return self.folder.name

    def text(self, name: str) -> str:
        """Return a recorded text."""
        return (self.folder / name).read_text("utf-8")

    def json(self, name: str) -> Any:
        """Return a recorded JSON value."""
        return json.loads(self.text(name))

    def datagrams(self, name: str) -> Iterator[bytes]:
        """Yield each datagram of a reply, as the kernel sent it."""
        content = (self.folder / f"diag-{name}.bin").read_bytes()
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
        return Features(**self.json("features.json"))

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
        hidden = not self.features.bound_inactive_rows
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
    return Recording(DATA / kernel)


def diag_rows(recorded: Recording) -> Rows:
    """Return the rows of the four full dumps."""
    columns = Columns()
    for name, protocol, family in DUMPS:
        for datagram in recorded.dump(name):
            columns.append(datagram, protocol, family)
    return columns.rows


def sockets_of(rows: Rows) -> Counter[Made]:
    """Return how often each socket is in some rows."""
    return Counter(
        Made(*fields) for fields in zip(*(getattr(rows, one) for one in Made._fields), strict=True)
    )


def disagreements(recorded: Recording) -> list[str]:
    """Return in words what the full dumps have and the manifest lacks, and the reverse."""
    found = sockets_of(diag_rows(recorded))
    expected = Counter(made(one) for one in recorded.listed())
    return [
        *(f"not explained: {one}" for one in (found - expected).elements()),
        *(f"not listed: {one}" for one in (expected - found).elements()),
    ]


def made(one: dict[str, Any]) -> Made:
    """Return a socket of the manifest as it is to be found."""
    local, remote = one["local"], one["remote"]
    family = address_family(local["address"])
    nowhere: dict[str, Any] = {"address": "0.0.0.0" if family is Family.IPV4 else "::", "port": 0}
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
