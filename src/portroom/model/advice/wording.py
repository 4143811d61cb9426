"""Words that several reasons share: counts, owners, lists that are cut.

Names of processes and devices are hostile text; whoever prints a sentence
escapes it.
"""

from __future__ import annotations

from collections.abc import Sequence

from portroom.model.advice.collisions import Occupied
from portroom.model.facts.ports import PortRange, PortSet
from portroom.model.facts.sockets import Owner

LISTED = 3
"""The most things that a sentence names; a screen has the rest in a table."""


def count(number: int, noun: str) -> str:
    """
    Return a count and its noun.

    >>> count(1, "port"), count(28232, "port")
    ('1 port', '28,232 ports')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def be(number: int) -> str:
    """
    Return the verb for so many things.

    >>> be(1), be(2)
    ('is', 'are')
    """
    return "is" if number == 1 else "are"


def listed(names: Sequence[str]) -> str:
    """
    Return the first names of a list, and how many there are beside.

    >>> listed(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def ports_words(ports: PortSet) -> str:
    """
    Return some ports, cut after a few runs.

    >>> ports_words(PortSet.parse("80,90-99"))
    '80, 90-99'
    """
    return listed([str(one.first) if one.ports == 1 else str(one) for one in ports.runs])


def owner_words(owner: Owner) -> str:
    """Return a process by name and id."""
    return f"{owner.command} (pid {owner.pid})"


def place_words(one: Occupied) -> str:
    """
    Return where something is and who it is.

    >>> place_words(Occupied("vxlan", "udp", 8472, 8472, "flannel.1"))
    'udp 8472 (flannel.1)'
    """
    ports = PortRange(one.first, one.last)
    where = f"{one.protocol} {one.first if ports.ports == 1 else ports}"
    owners = [f"{owner.command}, pid {owner.pid}" for owner in one.owners[:1]]
    who = owners[0] if owners else one.label
    return f"{where} ({who})" if who else where
