"""The saved form of a Snapshot: the same facts, in a layout that stays.

Rules of this file:

- these structs are a public format: a change that old readers cannot take
  raises FORMAT_VERSION;
- ports are sorted, and are 16-bit big-endian bytes in a file, canonical text
  (``40000,40002-40009``) in JSON;
- addresses are text; a key keeps its device index;
- a path or the content of a file is bytes in a file, escaped text in JSON.
"""

from __future__ import annotations

import datetime
from array import array

import msgspec

from portroom.model.facts.boot import BootProgram, BootWriter, Tuned
from portroom.model.facts.ports import PortSet
from portroom.model.facts.snapshot import (
    Counters,
    Features,
    Gap,
    NetnsId,
    Route,
    Rows,
    Vrf,
)
from portroom.model.facts.sockets import Kind, Owner, Protocol

FORMAT = "portroom-snapshot"
FORMAT_VERSION = 1


class PackedPorts:
    """Sorted local ports, one a socket, as 16-bit big-endian bytes."""

    __slots__ = ("packed",)

    def __init__(self, packed: bytes) -> None:
        self.packed = packed

    @classmethod
    def of(cls, ports: list[int]) -> PackedPorts:
        """Return sorted *ports* packed."""
        return cls(b"".join([port.to_bytes(2, "big") for port in ports]))

    @property
    def ports(self) -> array[int]:
        """Return the ports as numbers."""
        found = array("H", self.packed)
        if array("H", b"\0\1")[0] != 1:
            found.byteswap()
        return found

    def __eq__(self, other: object) -> bool:
        """Say whether both hold the same ports."""
        return isinstance(other, PackedPorts) and self.packed == other.packed

    def __hash__(self) -> int:
        """Return a hash of the ports."""
        return hash(self.packed)

    def __str__(self) -> str:
        """Return the canonical text."""
        return str(PortSet.of(self.ports))


class RawText:
    """Bytes that are text as a rule, such as a path or the lines of a file."""

    __slots__ = ("raw",)

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def __eq__(self, other: object) -> bool:
        """Say whether both are the same bytes."""
        return isinstance(other, RawText) and self.raw == other.raw

    def __hash__(self) -> int:
        """Return a hash of the bytes."""
        return hash(self.raw)

    def __str__(self) -> str:
        r"""
        Return the text, from which the bytes can be had back.

        A backslash is written twice, a byte that is no UTF-8 as ``\xNN``.

        >>> print(RawText(b"a\\b\xff\n"), end="")
        a\\b\xff
        """
        return self.raw.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


class SavedSetting(msgspec.Struct, frozen=True):
    """One sysctl: its key and its text in canonical form."""

    key: str
    value: str


class SavedGroup(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    Sockets alike but for their local port.

    ``remaining_ms`` is in the order of ``ports``, for TIME_WAIT that may be
    reused; ``active_ports`` surely connected out.
    """

    protocol: Protocol
    family: int
    state: str
    kind: Kind
    local_address: str
    remote_address: str
    remote_port: int
    device: int
    ports: PackedPorts
    v6only: bool | None = None
    remaining_ms: list[int] = []
    active_ports: PackedPorts | None = None


class SavedInbound(msgspec.Struct, frozen=True):
    """Accepted sockets on one listening port and local address, as a count."""

    protocol: Protocol
    family: int
    local_address: str
    local_port: int
    state: str
    sockets: int


class SavedGroups(msgspec.Struct, frozen=True):
    """
    Who holds which local ports; ``scope`` is null for all ports.

    ``active_known`` says whether the kernel was asked who connected out,
    ``vrfs_known`` whether it told which VRFs there are, ``devices_seen`` whether
    the device of each socket is known.
    """

    groups: list[SavedGroup]
    inbound: list[SavedInbound]
    scope: str | None = None
    interrupted: bool = False
    active_known: bool = False
    vrfs_known: bool = False
    vrfs: tuple[Vrf, ...] = ()
    devices_seen: bool = True


class SavedKeyOwners(msgspec.Struct, frozen=True):
    """The processes behind one key, and how many of its sockets have none."""

    protocol: Protocol
    family: int
    local_address: str
    remote_address: str
    remote_port: int
    owners: tuple[Owner, ...]
    unknown_sockets: int
    device: int = 0


class SavedSocketOwners(msgspec.Struct, frozen=True):
    """The processes that hold one socket, by its inode."""

    inode: int
    owners: tuple[Owner, ...]


class SavedOwners(msgspec.Struct, frozen=True):
    """Who owns what."""

    by_key: list[SavedKeyOwners]
    by_inode: list[SavedSocketOwners]
    complete: bool


class SavedSysctlFile(msgspec.Struct, frozen=True):
    """
    One name in a directory of sysctl files: what it leads to, and its lines.

    ``link`` is where a symbolic link points, empty for none.
    """

    path: RawText
    kind: str
    content: RawText
    link: RawText


class SavedUnseen(msgspec.Struct, frozen=True):
    """What was not looked into, and why."""

    path: RawText
    reason: str


class SavedBoot(msgspec.Struct, frozen=True, kw_only=True):
    """What decides at the next boot: the program, other writers, and all sysctl files."""

    program: BootProgram
    writers: tuple[BootWriter, ...]
    tuned: Tuned | None
    files: list[SavedSysctlFile]
    unseen: list[SavedUnseen]
    root: str
    gaps: tuple[Gap, ...]


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A whole Snapshot; a part is there, or its Gap says why not."""

    format: str = FORMAT
    format_version: int = FORMAT_VERSION
    schema_version: int = 1
    host: str
    boot_id: str
    taken_at: datetime.datetime
    netns: NetnsId
    features: Features
    settings: list[SavedSetting] | None = None
    groups: SavedGroups | None = None
    rows: Rows | None = None
    owners: SavedOwners | None = None
    counters: Counters | None = None
    routes: tuple[Route, ...] | None = None
    boot: SavedBoot | None = None
    users: dict[int, str] = {}
    gaps: tuple[Gap, ...] = ()
    missing: dict[str, Gap] = {}
