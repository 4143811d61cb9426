"""Replace addresses, names and ids in a Snapshot, and keep every count.

The same thing gets the same replacement everywhere, and addresses keep their
order, so every answer has the same numbers in the same rows. Loopback and
wildcard addresses stay, because the rules depend on them; ports, states and
times stay, because they are what is asked about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec

from portroom.model.facts.snapshot import (
    Gap,
    Groups,
    GroupTable,
    KeyOwners,
    Owners,
    Route,
    Rows,
    Snapshot,
    Vrf,
)
from portroom.model.facts.sockets import (
    Family,
    Owner,
    address_text,
    is_loopback,
    is_wildcard,
    packed_address,
)
from portroom.model.laws.redact_boot import redact_boot

NO_BOOT = "00000000-0000-0000-0000-000000000000"

LOW, HIGH, IPV6 = b"\x0a", b"\xf0", b"\xfd"
"""First byte of a replacement: 10.0.0.0/8, 240.0.0.0/8, fd00::/8."""

Place = tuple[Family, bytes]
Part = TypeVar("Part")


def redact(snapshot: Snapshot) -> Snapshot:
    """Return a Snapshot in which nothing tells whose it is."""
    names = _Names(snapshot)
    return msgspec.structs.replace(
        snapshot,
        host="host",
        boot_id=NO_BOOT,
        netns=msgspec.structs.replace(snapshot.netns, name="netns", cookie=None, inode=0, pid=None),
        groups=_or_gap(snapshot.groups, names.groups),
        rows=_or_gap(snapshot.rows, names.rows),
        owners=_or_gap(snapshot.owners, names.owners),
        routes=names.gap(snapshot.routes)
        if isinstance(snapshot.routes, Gap)
        else names.routes(snapshot.routes),
        boot=_or_gap(snapshot.boot, redact_boot),
        users={names.ids["uid"](uid): f"user-{names.ids['uid'](uid)}" for uid in snapshot.users},
        gaps=tuple(map(names.gap, snapshot.gaps)),
    )


def _or_gap(part: Part | Gap, change: Callable[[Part], Part | Gap]) -> Part | Gap:
    """Return a part changed; a Gap names nothing that is not ours."""
    return part if isinstance(part, Gap) else change(part)


class _Counter:
    """Give each value a number, in the order of first mention; 0 stays 0."""

    def __init__(self) -> None:
        self._numbers: dict[object, int] = {0: 0}

    def __call__(self, value: object) -> int:
        """Return the number of a value."""
        return self._numbers.setdefault(value, len(self._numbers))


class _Names:
    """The replacements of one Snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._addresses = _replacements(_addresses(snapshot))
        self._texts: dict[str, str] = {}
        kinds = ("pid", "uid", "inode", "command", "unit", "container", "vrf")
        self.ids = {kind: _Counter() for kind in kinds}

    def packed(self, family: Family, address: bytes) -> bytes:
        """Return the replacement of 16 bytes."""
        return self._addresses.get((family, address), address)

    def text(self, address: str) -> str:
        """Return the replacement of an address in text form."""
        if address not in self._texts:
            try:
                family, packed = packed_address(address)
            except ValueError:
                return "?"
            self._texts[address] = address_text(family, self.packed(family, packed))
        return self._texts[address]

    def key(self, family: Family, key: bytes) -> bytes:
        """Return the replacement of a group key."""
        local, remote = self.packed(family, key[2:18]), self.packed(family, key[18:34])
        return key[:2] + local + remote + key[34:]

    def groups(self, groups: Groups) -> Groups:
        """Return the groups with other addresses."""
        return Groups(
            tuple(self._table(table) for table in groups.tables),
            tuple(
                msgspec.structs.replace(
                    one, local_address=self.packed(one.family, one.local_address)
                )
                for one in groups.inbound
            ),
            groups.scope,
            groups.interrupted,
            self._active(groups.active),
            groups.vrfs and tuple(map(self._vrf, groups.vrfs)),
            groups.devices_seen,
        )

    def _vrf(self, vrf: Vrf) -> Vrf:
        """Return a VRF with another name."""
        return msgspec.structs.replace(vrf, name=f"vrf-{self.ids['vrf'](vrf.name)}")

    def _active(
        self, active: Mapping[tuple[int, bytes], frozenset[int]] | None
    ) -> dict[tuple[int, bytes], frozenset[int]] | None:
        """Return who connected out, under other keys."""
        if active is None:
            return None
        return {
            (family, self.key(Family(family), key)): ports
            for (family, key), ports in active.items()
        }

    def _table(self, table: GroupTable) -> GroupTable:
        """Return one table with other addresses."""

        def renamed(
            numbers: Mapping[bytes, Sequence[int]],
        ) -> dict[bytes, Sequence[int]]:
            """Return the same numbers under other keys."""
            return {self.key(table.family, key): value for key, value in numbers.items()}

        return msgspec.structs.replace(
            table, ports=renamed(table.ports), remaining_ms=renamed(table.remaining_ms)
        )

    def rows(self, rows: Rows) -> Rows:
        """Return the rows with other addresses, users and inodes."""
        return msgspec.structs.replace(
            rows,
            local_address=list(map(self.text, rows.local_address)),
            remote_address=list(map(self.text, rows.remote_address)),
            uid=list(map(self.ids["uid"], rows.uid)),
            inode=list(map(self.ids["inode"], rows.inode)),
        )

    def owners(self, owners: Owners) -> Owners:
        """Return the owners with other names."""
        return Owners(
            by_key=tuple(
                KeyOwners(
                    one.protocol,
                    one.family,
                    self.key(one.family, one.key),
                    tuple(map(self._owner, one.owners)),
                    one.unknown_sockets,
                )
                for one in owners.by_key
            ),
            by_inode={
                self.ids["inode"](inode): tuple(map(self._owner, found))
                for inode, found in owners.by_inode.items()
            },
            complete=owners.complete,
        )

    def _owner(self, owner: Owner) -> Owner:
        """Return one owner with other names."""
        return Owner(
            pid=self.ids["pid"]((owner.pid, owner.start_time)),
            start_time=0,
            command=f"process-{self.ids['command'](owner.command)}",
            uid=None if owner.uid is None else self.ids["uid"](owner.uid),
            unit=owner.unit and f"unit-{self.ids['unit'](owner.unit)}",
            container=owner.container and f"container-{self.ids['container'](owner.container)}",
            sockets=owner.sockets,
        )

    def routes(self, routes: tuple[Route, ...]) -> tuple[Route, ...]:
        """Return the routes with other addresses."""
        return tuple(
            Route(self.text(one.remote_address), self.text(one.local_address), one.device)
            for one in routes
        )

    def gap(self, gap: Gap) -> Gap:
        """Return a Gap; one about a route names an address and loses its words."""
        return Gap(gap.source, "redacted", gap.affects) if gap.source == "route" else gap


def _addresses(snapshot: Snapshot) -> set[Place]:
    """Return every address of a Snapshot."""
    found: set[Place] = set()
    groups, rows = snapshot.groups, snapshot.rows
    if not isinstance(groups, Gap):
        for table in groups.tables:
            for key in table.ports:
                found.add((table.family, key[2:18]))
                found.add((table.family, key[18:34]))
        found.update((one.family, one.local_address) for one in groups.inbound)
    if not isinstance(rows, Gap):
        found.update(_parsed({*rows.local_address, *rows.remote_address}))
    if not isinstance(snapshot.routes, Gap):
        for route in snapshot.routes:
            found.update(_parsed((route.remote_address, route.local_address)))
    return found


def _parsed(texts: Iterable[str]) -> Iterable[Place]:
    """Yield the addresses among some texts."""
    for text in texts:
        try:
            yield packed_address(text)
        except ValueError:
            continue


def _replacements(addresses: set[Place]) -> dict[Place, bytes]:
    """Return a replacement for each address that tells something, in their order."""
    found: dict[Place, bytes] = {}
    for family in Family:
        telling = sorted(
            address
            for of, address in addresses
            if of is family and not is_wildcard(address) and not is_loopback(of, address)
        )
        for number, address in enumerate(telling, start=1):
            length = 4 if family is Family.IPV4 else 16
            packed = _first_byte(family, address) + number.to_bytes(length - 1, "big")
            found[family, address] = packed.ljust(16, b"\0")
    return found


def _first_byte(family: Family, address: bytes) -> bytes:
    """Return how a replacement begins: it stays below or above 127.0.0.0/8."""
    if family is Family.IPV6:
        return IPV6
    return LOW if address[0] < 127 else HIGH
