"""A Snapshot to its Document and back: nothing is lost, nothing is guessed."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from portroom.model.facts.document import (
    Document,
    PackedPorts,
    SavedGroup,
    SavedGroups,
    SavedInbound,
    SavedKeyOwners,
    SavedOwners,
    SavedSetting,
    SavedSocketOwners,
)
from portroom.model.facts.ports import LAST_PORT, PortRange
from portroom.model.facts.saved_boot import load_boot, save_boot
from portroom.model.facts.snapshot import (
    Gap,
    Groups,
    GroupTable,
    Inbound,
    KeyOwners,
    Owners,
    Rows,
    Settings,
    SettingValue,
    Snapshot,
    part_or_none,
)
from portroom.model.facts.sockets import (
    Family,
    Kind,
    Protocol,
    TcpState,
    address_text,
    packed_address,
)

PARTS = ("settings", "groups", "rows", "owners", "counters", "routes", "boot")


def as_document(snapshot: Snapshot) -> Document:
    """Return the saved form of a Snapshot."""
    parts = {name: getattr(snapshot, name) for name in PARTS}
    settings, groups = part_or_none(snapshot.settings), part_or_none(snapshot.groups)
    owners, boot = part_or_none(snapshot.owners), part_or_none(snapshot.boot)
    return Document(
        host=snapshot.host,
        boot_id=snapshot.boot_id,
        taken_at=snapshot.taken_at,
        netns=snapshot.netns,
        features=snapshot.features,
        settings=None if settings is None else _save_settings(settings),
        groups=None if groups is None else _save_groups(groups),
        rows=part_or_none(snapshot.rows),
        owners=None if owners is None else _save_owners(owners),
        counters=part_or_none(snapshot.counters),
        routes=part_or_none(snapshot.routes),
        boot=None if boot is None else save_boot(boot),
        users=snapshot.users,
        gaps=snapshot.gaps,
        missing={name: part for name, part in parts.items() if isinstance(part, Gap)},
    )


def from_document(document: Document) -> Snapshot:
    """
    Return the Snapshot that a Document holds.

    Raises:
        ValueError: A value in it cannot be, such as an address that is none.
    """

    def part(name: str, value: Any) -> Any:
        """Return a part, or the Gap that stands for it."""
        gap = Gap(name, "not in the file", (name,))
        return document.missing.get(name, gap) if value is None else value

    settings, groups, owners = document.settings, document.groups, document.owners
    return Snapshot(
        host=document.host,
        boot_id=document.boot_id,
        taken_at=document.taken_at,
        netns=document.netns,
        features=document.features,
        settings=part("settings", None if settings is None else _load_settings(settings)),
        groups=part("groups", groups and _load_groups(groups)),
        rows=part("rows", document.rows and _load_rows(document.rows)),
        owners=part("owners", owners and _load_owners(owners)),
        counters=part("counters", document.counters),
        routes=part("routes", document.routes),
        boot=part("boot", document.boot and load_boot(document.boot)),
        users=document.users,
        gaps=document.gaps,
    )


def _save_settings(settings: Settings) -> list[SavedSetting]:
    """Return settings as text; a range as ``first last``."""
    from portroom.model.facts.settings import kernel_text

    return [SavedSetting(key, kernel_text(value)) for key, value in settings.values.items()]


def _load_settings(saved: list[SavedSetting]) -> Settings:
    """Return typed settings; the type of each is in the table of settings."""
    from portroom.model.facts.settings import RANGE_KEY, SETTINGS, parse_value

    types = {setting.key: setting.type for setting in SETTINGS}
    values: dict[str, SettingValue] = {}
    for one in saved:
        if one.key in types:
            values[one.key] = parse_value(types[one.key], one.value)
    if RANGE_KEY not in values:
        raise ValueError(f"settings without {RANGE_KEY}")
    return Settings(values)


class _Place(NamedTuple):
    """What the sockets of one saved group have in common, in the order of a file."""

    protocol: str
    family: Family
    state: str
    kind: str
    v6only: bool | None
    key: bytes
    timed: bool

    @property
    def order(self) -> tuple[Any, ...]:
        """Return what saved groups are sorted by, so that equal ones give equal files."""
        return *self[:4], str(self.v6only), self.key, self.timed


_Parts = list[tuple[Sequence[int], Sequence[int]]]
"""Ports and their remaining times, of each table that has a place."""


def _save_groups(groups: Groups) -> SavedGroups:
    """Return groups with text addresses and sorted ports, each place once."""
    parts: dict[_Place, _Parts] = {}
    for table in groups.tables:
        shared = table.protocol.value, table.family, table.state.name, table.kind.value
        for key, ports in table.ports.items():
            times = table.remaining_ms.get(key, ())
            place = _Place(*shared, table.v6only, key, bool(times))
            parts.setdefault(place, []).append((ports, times))
    saved = [
        _save_group(
            place, parts[place], (groups.active or {}).get((place.family, place.key), frozenset())
        )
        for place in sorted(parts, key=lambda place: place.order)
    ]
    inbound = [
        SavedInbound(
            one.protocol,
            int(one.family),
            address_text(one.family, one.local_address),
            one.local_port,
            one.state.name,
            one.sockets,
        )
        for one in groups.inbound
    ]
    inbound.sort(key=lambda one: (one.protocol.value, *msgspec.structs.astuple(one)[1:]))
    scope = None if groups.scope is None else str(groups.scope)
    return SavedGroups(
        saved,
        inbound,
        scope,
        groups.interrupted,
        active_known=groups.active is not None,
        vrfs_known=groups.vrfs is not None,
        vrfs=groups.vrfs or (),
        devices_seen=groups.devices_seen,
    )


def _save_group(place: _Place, parts: _Parts, active: frozenset[int]) -> SavedGroup:
    """Return one group, ports sorted and times with them."""
    ports = [port for some, _ in parts for port in some]
    times = [time for _, some in parts for time in some]
    pairs = sorted(zip(ports, times, strict=True)) if times else []
    return SavedGroup(
        protocol=Protocol(place.protocol),
        family=int(place.family),
        state=place.state,
        kind=Kind(place.kind),
        local_address=address_text(place.family, place.key[2:18]),
        remote_address=address_text(place.family, place.key[18:34]),
        remote_port=int.from_bytes(place.key[:2], "big"),
        device=int.from_bytes(place.key[34:38], "little"),
        ports=PackedPorts.of([port for port, _ in pairs] if pairs else sorted(ports)),
        v6only=place.v6only,
        remaining_ms=[time for _, time in pairs],
        active_ports=PackedPorts.of(sorted(active.intersection(ports))) if active else None,
    )


def _load_groups(saved: SavedGroups) -> Groups:
    """Return groups in tables again."""
    tables: dict[tuple[object, ...], GroupTable] = {}
    active: dict[tuple[int, bytes], frozenset[int]] = {}
    for one in saved.groups:
        key = _group_key(
            one.family, one.local_address, one.remote_address, one.remote_port, one.device
        )
        ports = one.ports.ports
        if not ports:
            raise ValueError("a group without ports")
        if one.remaining_ms and len(one.remaining_ms) != len(ports):
            raise ValueError(f"{len(one.remaining_ms)} times for {len(ports)} ports")
        timed = bool(one.remaining_ms)
        place = one.protocol, one.family, TcpState[one.state], one.kind, one.v6only
        table = tables.setdefault((*place, timed), _empty_table(*place))
        if key in table.ports:
            raise ValueError(f"two groups of {one.local_address} and {one.remote_address}")
        _mutable(table.ports)[key] = ports
        if timed:
            _mutable(table.remaining_ms)[key] = one.remaining_ms
        if one.active_ports is not None:
            before = active.get((one.family, key), frozenset())
            active[one.family, key] = before.union(one.active_ports.ports)
    inbound = tuple(map(_load_inbound, saved.inbound))
    scope = None if saved.scope is None else PortRange.parse(saved.scope.replace("-", " "))
    return Groups(
        tuple(tables.values()),
        inbound,
        scope,
        saved.interrupted,
        active=active if saved.active_known else None,
        vrfs=saved.vrfs if saved.vrfs_known else None,
        devices_seen=saved.devices_seen,
    )


def _load_inbound(one: SavedInbound) -> Inbound:
    """Return one count of accepted sockets again."""
    family = Family(one.family)
    address = _packed(family, one.local_address)
    if not 0 <= one.local_port <= LAST_PORT or one.sockets < 0:
        raise ValueError(f"{one.sockets} sockets on port {one.local_port}")
    state = TcpState[one.state]
    return Inbound(one.protocol, family, address, one.local_port, state, one.sockets)


def _load_rows(rows: Rows) -> Rows:
    """Return rows as they are, if their columns go together and can be read."""
    lengths = {len(getattr(rows, name)) for name in Rows.__struct_fields__}
    if len(lengths) != 1:
        raise ValueError(f"columns of {sorted(lengths)} rows")
    for text in {*rows.local_address, *rows.remote_address}:
        packed_address(text)
    return rows


def _empty_table(
    protocol: Protocol, family: int, state: TcpState, kind: Kind, v6only: bool | None
) -> GroupTable:
    """Return a table to be filled."""
    return GroupTable(protocol, Family(family), state, kind, v6only, {}, {})


def _mutable(
    ports: Mapping[bytes, Sequence[int]],
) -> dict[bytes, Sequence[int]]:
    """Return the dict that a table under construction was given."""
    if not isinstance(ports, dict):
        raise TypeError(type(ports).__name__)
    return ports


def _group_key(family: int, local: str, remote: str, remote_port: int, device: int) -> bytes:
    """
    Return the key of a group from text addresses.

    Raises:
        ValueError: An address is none, or a number is out of bounds.
    """
    try:
        return (
            remote_port.to_bytes(2, "big")
            + _packed(Family(family), local)
            + _packed(Family(family), remote)
            + device.to_bytes(4, "little")
        )
    except OverflowError as error:
        raise ValueError(str(error)) from None


def _packed(family: Family, text: str) -> bytes:
    """Return an address of *family* as 16 bytes; a v4-mapped one stays as it is."""
    if family is Family.IPV4:
        return ipaddress.IPv4Address(text).packed + bytes(12)
    return ipaddress.IPv6Address(text).packed


def _save_owners(owners: Owners) -> SavedOwners:
    """Return owners with text addresses."""
    return SavedOwners(
        by_key=[
            SavedKeyOwners(
                one.protocol,
                int(one.family),
                address_text(one.family, one.key[2:18]),
                address_text(one.family, one.key[18:34]),
                int.from_bytes(one.key[:2], "big"),
                one.owners,
                one.unknown_sockets,
                int.from_bytes(one.key[34:38], "little"),
            )
            for one in owners.by_key
        ],
        by_inode=[SavedSocketOwners(*entry) for entry in owners.by_inode.items()],
        complete=owners.complete,
    )


def _load_owners(saved: SavedOwners) -> Owners:
    """Return owners by key and by inode again."""
    return Owners(
        by_key=tuple(
            KeyOwners(
                one.protocol,
                Family(one.family),
                _group_key(
                    one.family, one.local_address, one.remote_address, one.remote_port, one.device
                ),
                one.owners,
                one.unknown_sockets,
            )
            for one in saved.by_key
        ),
        by_inode={one.inode: one.owners for one in saved.by_inode},
        complete=saved.complete,
    )
