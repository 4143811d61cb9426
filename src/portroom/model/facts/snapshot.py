"""The Snapshot: what was read at one moment of one network namespace.

Rules of this file:

- a Snapshot is a header plus parts; a part is present, or a Gap says why not;
- a part that nobody asked for is the Gap ``not_looked_at``;
- nothing here knows how a part is read, nor what it means;
- the saved form is made and read in ``saved.py`` alone.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from portroom.model.facts.gaps import NOT_LOOKED_AT, Gap, not_looked_at, part_or_none
from portroom.model.facts.ports import PortRange, PortSet
from portroom.model.facts.sockets import Family, Kind, Owner, Protocol, TcpState

if TYPE_CHECKING:
    # Most questions do without, so that starting does as well.
    from portroom.model.facts.boot import BootFacts

__all__ = ["NOT_LOOKED_AT", "Gap", "NetnsId", "Snapshot", "not_looked_at", "part_or_none"]

ADDRESS_KEY_BYTES = 38
"""Remote port (2, big-endian), local and remote address (16 each), device (4)."""


class NetnsId(msgspec.Struct, frozen=True):
    """
    A network namespace.

    ``cookie`` (SO_NETNS_COOKIE) is unique for one boot; None where the kernel
    has none. ``inode`` may be reused. ``kind`` is ``host``, ``named``,
    ``container`` or ``process``; ``pid`` is a process inside, if one is known.
    """

    name: str
    cookie: int | None
    inode: int
    kind: str
    pid: int | None = None

    @property
    def lasting_name(self) -> str:
        """
        Return what it is called as long as it is there: not by a process, which may end.

        >>> NetnsId("pid:7 (web)", 12, 4026531833, "process", 7).lasting_name
        'netns:12'
        """
        return f"netns:{self.cookie}" if self.kind == "process" and self.cookie else self.name


class Features(msgspec.Struct, frozen=True):
    """
    What this kernel can do, each asked of the kernel itself.

    True, False, or None where it could not be asked. ``bucket_forgets``: a
    port comes back to automatic connects once its last bound owner left
    (else it stays blocked until it has no owner at all). ``tw_reuse_by_age``:
    a TIME_WAIT is reusable after a delay in ms, not with the next clock
    second. ``range_option``: sockets have IP_LOCAL_PORT_RANGE.
    ``bound_inactive_rows``: sock_diag lists sockets that are only bound.
    """

    bucket_forgets: bool | None = None
    range_option: bool | None = None
    bound_inactive_rows: bool | None = None
    tw_reuse_by_age: bool | None = None


SettingValue = int | PortRange | PortSet


class Settings(msgspec.Struct, frozen=True):
    """
    The settings of one namespace, by sysctl key; a missing key does not exist here.
    """

    values: dict[str, SettingValue]

    @property
    def ephemeral(self) -> PortRange:
        """Return ``net.ipv4.ip_local_port_range``, both ends included."""
        value = self.values["net.ipv4.ip_local_port_range"]
        assert isinstance(value, PortRange)
        return value

    @property
    def reserved(self) -> PortSet:
        """Return ``net.ipv4.ip_local_reserved_ports``; empty where it is missing."""
        value = self.values.get("net.ipv4.ip_local_reserved_ports", PortSet())
        assert isinstance(value, PortSet)
        return value

    def number(self, key: str, default: int) -> int:
        """Return the number of a sysctl, or *default* where it does not exist."""
        value = self.values.get(key, default)
        assert isinstance(value, int)
        return value


class GroupTable(msgspec.Struct):
    """
    Sockets alike but for addresses and local port, grouped by addresses.

    ``ports`` maps a key of ADDRESS_KEY_BYTES (remote port big-endian, local
    address, remote address, each 16 bytes as in sock_diag, device index
    little-endian) to the local ports of that group, in no order.
    ``remaining_ms`` is filled for TIME_WAIT where reuse can apply: for the
    same key and in the same order, milliseconds until the entry ends.
    ``v6only`` is None where the kernel does not tell.
    """

    protocol: Protocol
    family: Family
    state: TcpState
    kind: Kind
    v6only: bool | None
    ports: Mapping[bytes, Sequence[int]]
    remaining_ms: Mapping[bytes, Sequence[int]] = {}


class Inbound(msgspec.Struct, frozen=True):
    """
    Accepted sockets on one listening port and local address, folded to a count.

    ``local_address`` is 16 bytes as in sock_diag.
    """

    protocol: Protocol
    family: Family
    local_address: bytes
    local_port: int
    state: TcpState
    sockets: int


class Vrf(msgspec.Struct, frozen=True):
    """
    A VRF: a device with a routing table of its own, and the devices enslaved to it.

    ``index`` is that of the VRF's own device, ``devices`` the indexes of the others.
    """

    index: int
    name: str
    devices: tuple[int, ...] = ()


class Groups(msgspec.Struct):
    """
    Who holds which local ports.

    ``scope`` is the range of local ports that was asked for, None for all.
    ``active`` lists, for each group key of one family, the ports of sockets
    with an automatic port that surely connected out themselves; None where
    nobody asked. ``interrupted`` says that the tables changed during a dump.
    ``vrfs`` are those of the namespace, None where it is not known which there
    are. ``devices_seen`` is False where the source does not tell which sockets
    are bound to a device.
    """

    tables: tuple[GroupTable, ...]
    inbound: tuple[Inbound, ...]
    scope: PortRange | None = None
    interrupted: bool = False
    active: Mapping[tuple[int, bytes], frozenset[int]] | None = None
    vrfs: tuple[Vrf, ...] | None = None
    devices_seen: bool = True


class Rows(msgspec.Struct):
    """
    Sockets one by one, as columns of equal length.

    Addresses are text; ports are 0 where there is none; ``recv_queue_bytes``
    and ``send_queue_bytes`` are as the kernel tells them (for a listener: the
    length and the limit of its backlog).
    """

    protocol: list[Protocol]
    family: list[Family]
    state: list[TcpState]
    local_address: list[str]
    local_port: list[int]
    remote_address: list[str]
    remote_port: list[int]
    recv_queue_bytes: list[int]
    send_queue_bytes: list[int]
    uid: list[int]
    inode: list[int]
    device: list[int]


class KeyOwners(msgspec.Struct, frozen=True):
    """The processes behind one group key, and how many sockets have none."""

    protocol: Protocol
    family: Family
    key: bytes
    owners: tuple[Owner, ...]
    unknown_sockets: int


class Owners(msgspec.Struct, frozen=True):
    """
    Who owns what was asked for: by group key, and by socket inode.

    ``complete`` is False where processes of other users could not be read.
    """

    by_key: tuple[KeyOwners, ...] = ()
    by_inode: dict[int, tuple[Owner, ...]] = {}
    complete: bool = True


class Counters(msgspec.Struct, frozen=True):
    """
    Socket counts that the kernel keeps, from sockstat, sockstat6 and snmp.

    Per namespace, but for ``tcp_orphan``, ``tcp_alloc`` and
    ``sockets_used`` of old kernels, which count the whole system. Sockets,
    not bytes.
    """

    sockets_used: int
    tcp_inuse: int
    tcp_orphan: int
    tcp_tw: int
    tcp_alloc: int
    udp_inuse: int
    udplite_inuse: int
    raw_inuse: int
    frag_inuse: int
    tcp6_inuse: int
    udp6_inuse: int
    udplite6_inuse: int
    raw6_inuse: int
    frag6_inuse: int
    tcp_curr_estab: int


class Route(msgspec.Struct, frozen=True):
    """The local address and device that the kernel would take for a remote."""

    remote_address: str
    local_address: str
    device: int


class Snapshot(msgspec.Struct, frozen=True):
    """
    What was read at one moment of one network namespace.

    ``users`` names the user ids in ``rows``, as this host knows them. ``boot``
    is of the system: its files reach one of the namespaces alone.
    """

    host: str
    boot_id: str
    taken_at: datetime.datetime
    netns: NetnsId
    features: Features = Features()
    settings: Settings | Gap = not_looked_at("settings")
    groups: Groups | Gap = not_looked_at("groups")
    rows: Rows | Gap = not_looked_at("rows")
    owners: Owners | Gap = not_looked_at("owners")
    counters: Counters | Gap = not_looked_at("counters")
    routes: tuple[Route, ...] | Gap = not_looked_at("routes")
    boot: BootFacts | Gap = not_looked_at("boot")
    users: dict[int, str] = {}
    gaps: tuple[Gap, ...] = ()
