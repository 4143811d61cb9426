"""What counts on ports of this host, from its sockets and from its surroundings.

A socket is told with its owners where the Snapshot has its row; the groups tell
that it is there where the row could not be read.
"""

from __future__ import annotations

from collections.abc import Iterator

from portroom.model.advice.collisions import (
    BOUND,
    LISTENER,
    NODE_PORTS,
    PUBLISHED,
    SERVICE,
    UDP,
    UDP_CLIENT,
    VXLAN,
    Occupied,
)
from portroom.model.facts.gaps import Gap
from portroom.model.facts.snapshot import Groups, GroupTable, Rows, Snapshot
from portroom.model.facts.sockets import Endpoint, Kind, Owner, Protocol, TcpState, address_text
from portroom.model.facts.surroundings import Surroundings

OF_TCP = {TcpState.LISTEN: LISTENER, TcpState.BOUND_INACTIVE: BOUND}

UDP_KINDS = (Protocol.UDP, Protocol.UDPLITE)


def occupied(read: Snapshot, around: Surroundings) -> tuple[Occupied, ...]:
    """Return everything that is known to count on a port."""
    return (*of_sockets(read), *of_surroundings(around))


def unseen(read: Snapshot) -> Gap | None:
    """Return why the sockets of all ports are not known, or None where they are."""
    if isinstance(read.rows, Rows) and read.rows.inode:
        return None
    if isinstance(read.groups, Gap):
        return read.groups
    if read.groups.scope is not None:
        return Gap("groups", f"only sockets on local ports {read.groups.scope} were read")
    return None


def of_sockets(read: Snapshot) -> Iterator[Occupied]:
    """Yield the sockets that got their port by its number, or may have."""
    if isinstance(read.rows, Rows):
        by_inode = {} if isinstance(read.owners, Gap) else read.owners.by_inode
        yield from _of_rows(read.rows, by_inode)
    if isinstance(read.groups, Groups):
        for table in read.groups.tables:
            yield from _of_table(table)


def of_surroundings(around: Surroundings) -> Iterator[Occupied]:
    """Yield what counts on a port without a socket, or beside one."""
    for one in around.published:
        label = f"{one.runtime} container {one.container}".rstrip()
        yield Occupied(PUBLISHED, one.protocol, one.port, one.port, label)
    for device in around.vxlan:
        yield Occupied(VXLAN, "udp", device.port, device.port, device.device)
    for service in around.services:
        label = f"{service.service} of {service.unit}"
        yield Occupied(SERVICE, service.protocol, service.port, service.port, label)
    if around.node_ports is not None:
        first, last = around.node_ports.ports.first, around.node_ports.ports.last
        yield Occupied(NODE_PORTS, "tcp/udp", first, last, around.node_ports.evidence)


def _of_rows(rows: Rows, by_inode: dict[int, tuple[Owner, ...]]) -> Iterator[Occupied]:
    """Yield the sockets of rows that count on a port."""
    for i, port in enumerate(rows.local_port):
        kind = _kind(rows.protocol[i], rows.state[i], connected=bool(rows.remote_port[i]))
        if port and kind:
            label = str(Endpoint(rows.local_address[i], port))
            owners = by_inode.get(rows.inode[i], ())
            yield Occupied(kind, _protocol(rows.protocol[i]), port, port, label, owners)


def _of_table(table: GroupTable) -> Iterator[Occupied]:
    """Yield the sockets of one table that count on a port."""
    for key, ports in table.ports.items():
        state = table.state
        if table.protocol is Protocol.TCP and table.kind is Kind.BOUND:
            state = TcpState.BOUND_INACTIVE
        kind = _kind(table.protocol, state, connected=any(key[:2]))
        address = address_text(table.family, key[2:18])
        for port in ports if kind else ():
            label = str(Endpoint(address, port))
            yield Occupied(kind, _protocol(table.protocol), port, port, label)


def _kind(protocol: Protocol, state: TcpState, *, connected: bool) -> str:
    """Return what a socket is for its port, "" where it does not count on it."""
    if protocol in UDP_KINDS:
        return UDP_CLIENT if connected else UDP
    return OF_TCP.get(state, "") if protocol is Protocol.TCP else ""


def _protocol(protocol: Protocol) -> str:
    """Return ``tcp`` or ``udp``: UDP-Lite is told as UDP."""
    return "tcp" if protocol is Protocol.TCP else "udp"
