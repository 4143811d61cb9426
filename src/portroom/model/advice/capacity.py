"""How many connections fit before and after a change, to any destination and to the tight ones."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from portroom.model.advice.draft import Draft
from portroom.model.facts.change import Capacity, KeyChange
from portroom.model.facts.snapshot import Groups, Settings, Snapshot
from portroom.model.facts.sockets import Operation, Protocol
from portroom.model.laws.buckets import buckets
from portroom.model.laws.headroom import KeysWanted, as_key, find_keys
from portroom.model.laws.occupancy import KeyId, local_owners, overlap_figures
from portroom.model.laws.scope import within
from portroom.model.laws.tightest import Measured, measure
from portroom.model.laws.unseen import unseen_sockets

SHOWN = 5
"""Keys that a plan tells."""


def capacity(change: Draft) -> Capacity:
    """Return how many connections fit to one destination, where none is open yet."""
    return Capacity(*change.eligible_ports)


def tightest(change: Draft) -> tuple[KeyChange, ...]:
    """
    Return the keys with the fewest free ports, and how many before and after.

    A key may be tight only before or only after; those with the fewest free
    ports after the change come first. Nothing is told where the range and the
    reserved ports stay, or where the sockets were not read.
    """
    groups = change.read.groups
    if not change.changes_choice or not isinstance(groups, Groups) or groups.scope is not None:
        return ()
    now = change.read
    then = msgspec.structs.replace(now, settings=change.after)
    tight = [
        one.id for read in (now, then) for one in find_keys(read, KeysWanted(limit=SHOWN)).measured
    ]
    wanted = tuple(dict.fromkeys(tight))
    found = map(
        _change, _measured(now, change.before, wanted), _measured(then, change.after, wanted)
    )
    return tuple(sorted(found, key=lambda one: one.free_ports_after)[:SHOWN])


def _measured(read: Snapshot, settings: Settings, wanted: Iterable[KeyId]) -> list[Measured]:
    """Return the numbers of some keys under some settings, in the same order."""
    assert isinstance(read.groups, Groups)
    inside = within(read.groups, settings.ephemeral)
    keys, unseen = tuple(wanted), unseen_sockets(read)
    shared = {
        vrf: buckets(inside, settings, read.features, unseen, vrf)
        for vrf in {key.vrf for key in keys}
    }
    found = []
    for key in keys:
        if key.protocol is Protocol.TCP and key.operation is Operation.CONNECT:
            found.append(measure(key, inside, shared[key.vrf], settings, read.features))
        else:
            owners = local_owners(key.protocol, inside, settings.ephemeral)
            found.append(Measured(key, *overlap_figures(key, owners, settings, unseen)))
    return found


def _change(before: Measured, after: Measured) -> KeyChange:
    """Return the free ports of one key, before and after."""
    now, then = as_key(before), as_key(after)
    return KeyChange(
        now.protocol,
        now.local_address,
        now.remote_address,
        now.remote_port,
        now.free_ports,
        then.free_ports,
    )
