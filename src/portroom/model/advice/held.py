"""Which ports that are to be reserved an outgoing connection holds now.

Reserving stops the kernel from choosing a port again; who has it keeps it, and
the service it is reserved for cannot start before that ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from portroom.model.facts.change import HeldPort
from portroom.model.facts.gaps import Gap
from portroom.model.facts.snapshot import Groups, GroupTable, Rows, Snapshot
from portroom.model.facts.sockets import Kind, Owner, Protocol
from portroom.model.laws.ownership import owners_of

NOT_OUTGOING = (Kind.LISTENER, Kind.BOUND, Kind.CHILD)

Place = tuple[str, int]
"""Protocol and local port."""


def held_now(read: Snapshot, ports: Collection[int]) -> tuple[HeldPort, ...]:
    """
    Return the ports of *ports* that outgoing connections hold, lowest first.

    TIME_WAIT counts: it keeps a bind() away, too. UDP sockets count where they
    are connected.
    """
    if not ports or not isinstance(read.groups, Groups):
        return ()
    wanted = frozenset(ports)
    counted: Counter[Place] = Counter()
    for table in read.groups.tables:
        counted.update(_places(table, wanted))
    owners = _owners(read, counted)
    return tuple(
        HeldPort(protocol, port, counted[protocol, port], owners.get((protocol, port), ()))
        for protocol, port in sorted(counted, key=lambda place: (place[1], place[0]))
    )


def _places(table: GroupTable, wanted: frozenset[int]) -> Iterator[Place]:
    """Yield where each outgoing connection of a table holds a wanted port."""
    if table.kind in NOT_OUTGOING or table.protocol not in {Protocol.TCP, Protocol.UDP}:
        return
    for key, ports in table.ports.items():
        if any(key[:2]):
            yield from ((table.protocol.value, port) for port in ports if port in wanted)


def _owners(read: Snapshot, places: Collection[Place]) -> dict[Place, tuple[Owner, ...]]:
    """Return who is behind the connections, as far as the Snapshot has rows of them."""
    if isinstance(read.rows, Gap) or isinstance(read.owners, Gap) or not places:
        return {}
    inodes: dict[Place, list[tuple[int, int]]] = {}
    for i, inode in _connected(read.rows):
        place = read.rows.protocol[i].value, read.rows.local_port[i]
        if place in places:
            inodes.setdefault(place, []).append((inode, 1))
    return {place: owners_of(read.owners.by_inode, found) for place, found in inodes.items()}


def _connected(rows: Rows) -> Iterator[tuple[int, int]]:
    """Yield place and inode of each row that has a remote end."""
    for i, inode in enumerate(rows.inode):
        if rows.remote_port[i]:
            yield i, inode
