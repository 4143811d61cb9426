"""Scenes for tests: a namespace as it was read, in few words.

``scene`` finds the keys as the use cases do; ``held_by`` says which process has which
sockets, as rows and by key.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from portroom.model.facts.ports import PortRange
from portroom.model.facts.scene import (
    ConntrackStats,
    NamespaceRange,
    NetCounts,
    Pulse,
    Scene,
    Translation,
)
from portroom.model.facts.settings import SETTINGS, kernel_text
from portroom.model.facts.snapshot import (
    Counters,
    GroupTable,
    KeyOwners,
    NetnsId,
    Owners,
    Rows,
    Settings,
    Snapshot,
)
from portroom.model.facts.sockets import Owner, Protocol, TcpState, address_text
from portroom.model.facts.surroundings import Surroundings
from portroom.model.laws.headroom import KeysWanted, as_key, find_keys, owners_by_key
from tests.unit.made_boot import boot
from tests.unit.made_change import HOST, host
from tests.unit.made_groups import FORGETS, table

PERL = Owner(77, 700, "perl", 1000, "crawler.service", None)
NGINX = Owner(4711, 100, "nginx", 33, "nginx.service", None)
SHOP = NetnsId("shop", 4711, 4026532000, "named", 99)
POD = NetnsId("net:[4026532001]", 4712, 4026532001, "container", 1234)

SMALL = PortRange(40000, 40099)
"""A hundred ports, the first one even: percents are ports."""

QUIET_COUNTS = NetCounts(
    active_opens=0, time_wait_overflow=0, time_wait_reused=0, listen_overflows=0, listen_drops=0
)
QUIET_STATS = ConntrackStats(insert_failed=0, dropped=0, early_dropped=0)

LOOKED = Surroundings()
"""Somebody looked around and saw nothing."""


def counters(**counted: int) -> Counters:
    """Return counters of a namespace, 0 where nothing is said."""
    return Counters(**dict.fromkeys(Counters.__struct_fields__, 0) | counted)


def small(*tables: GroupTable, ephemeral: PortRange = SMALL, **changes: Any) -> Snapshot:
    """
    Return a host with a range of a hundred ports, on a kernel that forgets buckets.

    Its files say what it has, so that nothing drifts.
    """
    read = host(*tables, ephemeral=ephemeral, **changes)
    waiting = sum(
        len(ports)
        for one in tables
        if one.state is TcpState.TIME_WAIT
        for ports in one.ports.values()
    )
    assert isinstance(read.settings, Settings)
    lines = (
        f"{row.key} = {kernel_text(read.settings.values[row.key])}"
        for row in SETTINGS
        if read.settings.values.get(row.key, row.default) != row.default
    )
    files = {b"/etc/sysctl.d/90-tests.conf": "\n".join(lines).encode()}
    return msgspec.structs.replace(
        read, features=FORGETS, counters=counters(tcp_tw=waiting), boot=boot(files), owners=Owners()
    )


def connected(first: int, sockets: int, step: int = 1, **of: Any) -> GroupTable:
    """Return connections on so many ports from *first* on, a *step* apart."""
    return table(*range(first, first + sockets * step, step), **of)


def time_waits(first: int, sockets: int, ages_s: Iterable[float], **of: Any) -> GroupTable:
    """Return TIME_WAITs of these ages, the last age for all that follow."""
    ages = list(ages_s)
    ages += [ages[-1]] * (sockets - len(ages))
    left = tuple(int(60_000 - age * 1000) for age in ages[:sockets])
    return connected(first, sockets, state=TcpState.TIME_WAIT, remaining_ms=left, **of)


def held_by(read: Snapshot, *held: tuple[GroupTable, Owner]) -> Snapshot:
    """Return a Snapshot in which processes hold the sockets of tables, by row and by key."""
    rows = Rows(*([] for _ in Rows.__struct_fields__))
    by_inode: dict[int, tuple[Owner, ...]] = {}
    by_key = []
    for one, owner in held:
        for key, ports in one.ports.items():
            counted = msgspec.structs.replace(owner, sockets=len(ports))
            by_key.append(KeyOwners(one.protocol, one.family, key, (counted,), 0))
            for port in ports:
                inode = len(rows.inode) + 1
                by_inode[inode] = (owner,)
                _append(rows, one, key, port, inode)
    return msgspec.structs.replace(
        read, rows=rows, owners=Owners(by_key=tuple(by_key), by_inode=by_inode)
    )


def _append(rows: Rows, one: GroupTable, key: bytes, port: int, inode: int) -> None:
    """Append one socket of a group to rows."""
    rows.protocol.append(one.protocol)
    rows.family.append(one.family)
    rows.state.append(one.state)
    rows.local_address.append(address_text(one.family, key[2:18]))
    rows.local_port.append(port)
    rows.remote_address.append(address_text(one.family, key[18:34]))
    rows.remote_port.append(int.from_bytes(key[:2], "big"))
    for column in (rows.recv_queue_bytes, rows.send_queue_bytes, rows.uid, rows.device):
        column.append(0)
    rows.inode.append(inode)


def without_rows(read: Snapshot) -> Snapshot:
    """Return a Snapshot as the status screen has it: owners by key, and no rows."""
    assert isinstance(read.owners, Owners)
    bare = Snapshot(read.host, read.boot_id, read.taken_at, read.netns)
    return msgspec.structs.replace(read, rows=bare.rows, owners=Owners(read.owners.by_key))


def scene(read: Snapshot | None = None, **parts: Any) -> Scene:
    """Return a Scene with its tightest keys; what is not named was looked at, and is quiet."""
    read = small() if read is None else read
    known = owners_by_key(read.owners)
    keys = tuple(
        as_key(one, known.get((one.id.protocol.value, one.id.group_key, one.id.family), ()))
        for one in find_keys(read, KeysWanted(limit=20)).measured
    )
    quiet = {
        "around": LOOKED,
        "before": pulse(),
        "after": pulse(at_s=1.0),
        "translations": (),
        "ranges": (NamespaceRange(netns=HOST, range=SMALL, reserved_ports=0),),
    }
    return Scene(read=read, keys=keys, **(quiet | parts))


def pulse(at_s: float = 0.0, *, stats: ConntrackStats | None = QUIET_STATS, **counts: int) -> Pulse:
    """Return a reading of counters that are 0 but for those named."""
    return Pulse(at_s=at_s, counts=msgspec.structs.replace(QUIET_COUNTS, **counts), conntrack=stats)


def udp_peers(first: int, sockets: int) -> tuple[GroupTable, ...]:
    """Return connected UDP sockets, each to a destination of its own."""
    return tuple(
        table(
            first + number,
            remote=(f"198.51.{number // 250}.{number % 250 + 1}", 443),
            protocol=Protocol.UDP,
        )
        for number in range(sockets)
    )


def translation(held: int, ports: PortRange | None = None) -> Translation:
    """Return translated connections towards one endpoint."""
    return Translation(
        protocol="tcp",
        local_address="203.0.113.1",
        remote_address="198.51.100.1",
        remote_port=443,
        held_ports=held,
        ports=ports,
    )
