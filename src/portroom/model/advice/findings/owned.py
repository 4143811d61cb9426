"""Which program holds which ports, as far as the Snapshot tells.

A program is all processes of one name, unit and container: the workers of one
server share what their master opened. What has no owner is of no program.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from portroom.model.facts.snapshot import Groups, GroupTable, Owners, Rows, Snapshot
from portroom.model.facts.sockets import Family, Owner, Protocol, TcpState, address_text

GroupKey = tuple[Family, bytes]

Identity = tuple[str, str | None, str | None]


class Program(msgspec.Struct, frozen=True):
    """The processes of one program, and its local ports by group key."""

    owners: tuple[Owner, ...]
    ports: dict[GroupKey, set[int]]

    @property
    def every_port(self) -> set[int]:
        """Return all its ports."""
        return set().union(*self.ports.values())


def identity(owner: Owner) -> Identity:
    """Return what is the same for all processes of a program."""
    return owner.command, owner.unit, owner.container


def programs(
    read: Snapshot, protocol: Protocol, groups: Iterable[tuple[Family, bytes, Iterable[int]]]
) -> list[Program]:
    """
    Return the programs behind some sockets, the one with most ports first.

    Args:
        read: With rows and owners by inode, or with owners by key.
        protocol: Of the sockets.
        groups: Family, group key and local ports.
    """
    if not isinstance(read.owners, Owners):
        return []
    by_end = _by_end(read, protocol)
    by_key = dict(_alone(read.owners, protocol))
    found: dict[Identity, tuple[dict[tuple[int, int], Owner], dict[GroupKey, set[int]]]] = {}
    if by_end or by_key:
        for family, key, ports in groups:
            for owners, port in _owned(family, key, ports, by_end, by_key.get((family, key), ())):
                people, held = found.setdefault(identity(owners[0]), ({}, {}))
                people.update({(one.pid, one.start_time): one for one in owners})
                held.setdefault((family, key), set()).add(port)
    all_found = [Program(tuple(people.values()), held) for people, held in found.values()]
    return sorted(all_found, key=lambda one: (-len(one.every_port), one.owners[0].pid))


def _alone(owners: Owners, protocol: Protocol) -> Iterator[tuple[GroupKey, tuple[Owner, ...]]]:
    """Yield the keys that one program has for itself, with its processes."""
    for one in owners.by_key:
        # A socket of somebody who may not be looked at has no owner either.
        may_be_shared = one.unknown_sockets and not owners.complete
        if (
            one.protocol is protocol
            and not may_be_shared
            and len(set(map(identity, one.owners))) == 1
        ):
            yield (one.family, one.key), one.owners


def _owned(
    family: Family,
    key: bytes,
    ports: Iterable[int],
    by_end: Mapping[tuple[object, ...], tuple[Owner, ...]],
    of_key: tuple[Owner, ...],
) -> Iterator[tuple[tuple[Owner, ...], int]]:
    """Yield the owners of each port of a group, where they are known."""
    if not by_end:
        yield from ((of_key, port) for port in ports if of_key)
        return
    ends = address_text(family, key[2:18]), address_text(family, key[18:34])
    remote_port = int.from_bytes(key[:2], "big")
    for port in ports:
        owners = by_end.get((family, port, remote_port, *ends)) or of_key
        if owners:
            yield owners, port


def _by_end(read: Snapshot, protocol: Protocol) -> dict[tuple[object, ...], tuple[Owner, ...]]:
    """Return the owners of single sockets, by both their ends."""
    rows = read.rows
    if not isinstance(rows, Rows) or not isinstance(read.owners, Owners):
        return {}
    by_inode = read.owners.by_inode
    return {
        (
            rows.family[i],
            rows.local_port[i],
            rows.remote_port[i],
            rows.local_address[i],
            rows.remote_address[i],
        ): by_inode[inode]
        for i, inode in enumerate(rows.inode)
        if rows.protocol[i] is protocol and by_inode.get(inode)
    }


def tables_of(groups: Groups, protocol: Protocol, *states: TcpState) -> Iterator[GroupTable]:
    """Yield the tables of a protocol, of some states or of all."""
    for table in groups.tables:
        if table.protocol is protocol and (not states or table.state in states):
            yield table
