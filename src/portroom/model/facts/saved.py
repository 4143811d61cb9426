"""A Snapshot to its Document and back: nothing is lost, nothing is guessed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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
from portroom.model.facts.ports import PortRange, PortSet
from portroom.model.facts.snapshot import (
    Gap,
    Groups,
    GroupTable,
    Inbound,
    KeyOwners,
    Owners,
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

PARTS = ("settings", "groups", "rows", "owners", "counters", "routes")


def as_document(snapshot: Snapshot) -> Document:
    """Return the saved form of a Snapshot."""
    parts = {name: getattr(snapshot, name) for name in PARTS}
    settings, groups = part_or_none(snapshot.settings), part_or_none(snapshot.groups)
    owners = part_or_none(snapshot.owners)
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
        rows=part("rows", document.rows),
        owners=part("owners", owners and _load_owners(owners)),
        counters=part("counters", document.counters),
        routes=part("routes", document.routes),
        users=document.users,
        gaps=document.gaps,
    )


def _save_settings(settings: Settings) -> list[SavedSetting]:
    """Return settings as text; a range as ``first last``."""
    return [
        SavedSetting(key, f"{value.first} {value.last}")
        if isinstance(value, PortRange)
        else SavedSetting(key, str(value))
        for key, value in settings.values.items()
    ]


def _load_settings(saved: list[SavedSetting]) -> Settings:
    """Return typed settings; the type of each is in the table of settings."""
    from portroom.model.facts.settings import SETTINGS, ValueType

    types = {setting.key: setting.type for setting in SETTINGS}
    values: dict[str, SettingValue] = {}
    for one in saved:
        match types.get(one.key):
            case ValueType.RANGE:
                first, last = one.value.split()
                values[one.key] = PortRange(int(first), int(last))
            case ValueType.PORTS:
                values[one.key] = PortSet.parse(one.value)
            case ValueType.NUMBER:
                values[one.key] = int(one.value)
            case None:
                continue
    return Settings(values)


def _save_groups(groups: Groups) -> SavedGroups:
    """Return groups with text addresses and sorted ports."""
    saved = [
        _save_group(table, key, ports, groups.active.get((int(table.family), key), frozenset()))
        for table in groups.tables
        for key, ports in table.ports.items()
    ]
    saved.sort(key=lambda one: (one.protocol.value, one.family, one.state, one.kind.value))
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
    scope = None if groups.scope is None else str(groups.scope)
    return SavedGroups(saved, inbound, scope, groups.interrupted)


def _save_group(
    table: GroupTable, key: bytes, ports: Sequence[int], active: frozenset[int]
) -> SavedGroup:
    """Return one group, ports sorted and times with them."""
    times = table.remaining_ms.get(key)
    pairs = sorted(zip(ports, times, strict=True)) if times else []
    return SavedGroup(
        protocol=table.protocol,
        family=int(table.family),
        state=table.state.name,
        kind=table.kind,
        local_address=address_text(table.family, key[2:18]),
        remote_address=address_text(table.family, key[18:34]),
        remote_port=int.from_bytes(key[:2], "big"),
        device=int.from_bytes(key[34:38], "little"),
        ports=PackedPorts.of([port for port, _ in pairs] if pairs else sorted(ports)),
        v6only=table.v6only,
        remaining_ms=[time for _, time in pairs],
        active_ports=PackedPorts.of(sorted(active.intersection(ports))) if active else None,
    )


def _load_groups(saved: SavedGroups) -> Groups:
    """Return groups in tables again."""
    tables: dict[tuple[object, ...], GroupTable] = {}
    active: dict[tuple[int, bytes], frozenset[int]] = {}
    for one in saved.groups:
        place = one.protocol, one.family, TcpState[one.state], one.kind, one.v6only
        if place not in tables:
            tables[place] = _empty_table(*place)
        key = group_key(one.local_address, one.remote_address, one.remote_port, one.device)
        _mutable(tables[place].ports)[key] = one.ports.ports
        if one.remaining_ms:
            _mutable(tables[place].remaining_ms)[key] = one.remaining_ms
        if one.active_ports is not None:
            active[one.family, key] = frozenset(one.active_ports.ports)
    inbound = tuple(
        Inbound(
            one.protocol,
            *packed_address(one.local_address),
            one.local_port,
            TcpState[one.state],
            one.sockets,
        )
        for one in saved.inbound
    )
    scope = None
    if saved.scope is not None:
        first, _, last = saved.scope.partition("-")
        scope = PortRange(int(first), int(last or first))
    return Groups(tuple(tables.values()), inbound, scope, saved.interrupted, active)


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


def group_key(local: str, remote: str, remote_port: int, device: int) -> bytes:
    """
    Return the key of a group from text addresses.

    Raises:
        ValueError: An address is none, or a number is out of bounds.
    """
    try:
        return (
            remote_port.to_bytes(2, "big")
            + packed_address(local)[1]
            + packed_address(remote)[1]
            + device.to_bytes(4, "little")
        )
    except OverflowError as error:
        raise ValueError(str(error)) from None


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
                group_key(one.local_address, one.remote_address, one.remote_port, 0),
                one.owners,
                one.unknown_sockets,
            )
            for one in saved.by_key
        ),
        by_inode={one.inode: one.owners for one in saved.by_inode},
        complete=saved.complete,
    )
