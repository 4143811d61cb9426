"""Leave out what lies outside the ephemeral range: it holds no eligible port.

A question about headroom reads the range alone, a Snapshot for every question
reads all ports; both must give the same answer. Listeners stay, whatever their
port: they witness who connected.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from portroom.model.facts.ports import PortRange
from portroom.model.facts.snapshot import Groups, GroupTable
from portroom.model.facts.sockets import Kind


def within(groups: Groups, ephemeral: PortRange) -> Groups:
    """Return the groups of local ports in *ephemeral*, ends included, and listeners."""
    if groups.scope == ephemeral:
        return groups
    tables = tuple(_table_within(table, ephemeral) for table in groups.tables)
    inbound = tuple(one for one in groups.inbound if one.local_port in ephemeral)
    return msgspec.structs.replace(groups, tables=tables, inbound=inbound, scope=ephemeral)


def _table_within(table: GroupTable, ephemeral: PortRange) -> GroupTable:
    """Return one table without ports outside the range, and without empty groups."""
    if table.kind is Kind.LISTENER:
        return table
    first, last = ephemeral
    ports: dict[bytes, Sequence[int]] = {}
    times = dict(table.remaining_ms)
    for key, found in table.ports.items():
        if min(found) >= first and max(found) <= last:
            ports[key] = found
            continue
        inside = [place for place, port in enumerate(found) if first <= port <= last]
        if inside:
            ports[key] = [found[place] for place in inside]
            if key in times:
                times[key] = [times[key][place] for place in inside]
    return msgspec.structs.replace(table, ports=ports, remaining_ms=times)
