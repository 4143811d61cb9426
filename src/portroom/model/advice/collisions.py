"""Ports that something counts on and that the kernel could choose after a change.

Rules of this file:

- what matters is *newly*: choosable after the change and not before. A port
  that was inside the range all the time is no news of this change;
- a port is told once a protocol, by what says most about it (``KINDS``);
- part of the portable core: standard library and Python 3.9 syntax only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from portroom.model.facts.ports import PortRange, PortSet

PUBLISHED = "published"
VXLAN = "vxlan"
LISTENER = "listener"
BOUND = "bound"
UDP = "udp"
NODE_PORTS = "nodeport"
SERVICE = "service"
UDP_CLIENT = "udp_client"

LABELS = 3
"""The most names that one port is told with."""


class Weight(NamedTuple):
    """
    What a kind of occupation means for a change.

    Args:
        refuses: The change is refused unless the port is reserved.
        proposed: The port is among those proposed to be reserved.
    """

    refuses: bool
    proposed: bool


KINDS: Mapping[str, Weight] = {
    PUBLISHED: Weight(refuses=True, proposed=True),
    VXLAN: Weight(refuses=True, proposed=True),
    LISTENER: Weight(refuses=True, proposed=True),
    BOUND: Weight(refuses=True, proposed=True),
    UDP: Weight(refuses=True, proposed=True),
    SERVICE: Weight(refuses=False, proposed=True),
    NODE_PORTS: Weight(refuses=False, proposed=True),
    # Connected, so perhaps a client whose port the kernel chose while the
    # range was wider: to reserve that would be wrong.
    UDP_CLIENT: Weight(refuses=False, proposed=False),
}
"""The kinds, the one that says most about a port first."""


class Choice(NamedTuple):
    """What the kernel chooses from: the ephemeral range without reserved ports."""

    ephemeral: PortRange
    reserved: PortSet = PortSet()

    @property
    def ports(self) -> PortSet:
        """
        Return the ports that may be chosen.

        >>> str(Choice(PortRange(5, 8), PortSet.parse("6-7")).ports)
        '5,8'
        """
        return PortSet([self.ephemeral]) - self.reserved


class Occupied(NamedTuple):
    """
    Ports that something counts on.

    Args:
        kind: One of KINDS.
        protocol: ``tcp``, ``udp``, or ``tcp/udp`` for both.
        first: The first port.
        last: The last port, included.
        label: What it is, hostile text.
        owners: Who is behind it, in any form the caller likes.
    """

    kind: str
    protocol: str
    first: int
    last: int
    label: str
    owners: Sequence[Any] = ()


def newly_choosable(before: Choice, after: Choice) -> PortSet:
    """
    Return the ports that may be chosen after a change and could not be before.

    >>> before = Choice(PortRange(10, 20), PortSet.parse("15"))
    >>> str(newly_choosable(before, Choice(PortRange(8, 18))))
    '8-9,15'
    """
    return after.ports - before.ports


def collisions(before: Choice, after: Choice, occupied: Iterable[Occupied]) -> list[Occupied]:
    """
    Return what counts on ports that become choosable, cut to these ports.

    >>> web = Occupied(LISTENER, "tcp", 8080, 8080, "0.0.0.0:8080")
    >>> old, new = Choice(PortRange(32768, 60999)), Choice(PortRange(8000, 60999))
    >>> [one.first for one in collisions(old, new, [web])]
    [8080]
    >>> collisions(old, new._replace(reserved=PortSet.parse("8080")), [web])
    []
    """
    newly = newly_choosable(before, after)
    single = frozenset(newly)
    inside = [
        one._replace(first=run.first, last=run.last)
        for one in occupied
        if one.first != one.last or one.first in single
        for run in newly.within(PortRange(one.first, one.last)).runs
    ]
    return sorted(_merged(inside), key=lambda one: (list(KINDS).index(one.kind), one[1:4]))


def proposal(reserved: PortSet, found: Iterable[Occupied]) -> PortSet:
    """
    Return the reserved ports with those added that keep collisions away.

    >>> web = Occupied(LISTENER, "tcp", 8080, 8080, "")
    >>> str(proposal(PortSet.parse("9000"), [web]))
    '8080,9000'
    """
    added = (PortRange(one.first, one.last) for one in found if KINDS[one.kind].proposed)
    return PortSet([*reserved.runs, *added])


def _merged(found: Iterable[Occupied]) -> list[Occupied]:
    """Return each port once a protocol; runs of several ports stay apart."""
    by_place: dict[tuple[str, int, int], list[Occupied]] = {}
    for one in found:
        by_place.setdefault((one.protocol, one.first, one.last), []).append(one)
    return [_one_of(same) for same in by_place.values()]


def _one_of(same: Sequence[Occupied]) -> Occupied:
    """Return what occupies one place, by what says most, with the owners of all."""
    rank = list(KINDS)
    best = min(same, key=lambda one: rank.index(one.kind))
    labels = list(dict.fromkeys(one.label for one in same if one.kind == best.kind and one.label))
    owners: list[Any] = []
    for one in same:
        owners.extend(owner for owner in one.owners if owner not in owners)
    more = [f"and {len(labels) - LABELS} more"] if len(labels) > LABELS else []
    return best._replace(label=", ".join(labels[:LABELS] + more), owners=tuple(owners))
