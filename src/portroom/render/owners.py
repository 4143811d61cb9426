"""Who holds ports, in few words. A name is what the process says: hostile text."""

from __future__ import annotations

from collections.abc import Sequence

from portroom.model.facts.answers import Key
from portroom.model.facts.snapshot import Gap
from portroom.model.facts.sockets import Owner
from portroom.render.gaps import is_unseen
from portroom.render.units import number, printable

UNKNOWN = "unknown"
"""The owner of a socket that has none in the kernel: TIME_WAIT never has one."""

NOT_READABLE = "not readable"
"""The owner of a socket that portroom may not see."""


def short(key: Key, gaps: Sequence[Gap] = ()) -> str:
    """
    Return the programs behind a key, the largest first: ``nginx 200, unknown 3``.

    Processes of one name are one entry. Where nobody looked the answer is "",
    where nobody may look ``not readable``.
    """
    by_name: dict[str, int] = {}
    for owner in key.owners:
        name = printable(owner.command)
        by_name[name] = by_name.get(name, 0) + owner.sockets
    ranked = sorted(by_name.items(), key=lambda item: (-item[1], item[0]))
    words = [f"{name} {number(sockets)}" for name, sockets in ranked]
    if words or was_looked_at(gaps):
        words += [f"{word} {number(sockets)}" for word, sockets in unseen(key, gaps)]
    return ", ".join(words)


def long(key: Key, gaps: Sequence[Gap] = ()) -> list[str]:
    """Return one line for each process behind a key, the largest first."""
    ranked = sorted(key.owners, key=lambda owner: (-owner.sockets, owner.pid))
    lines = [f"{number(owner.sockets)} {identity(owner)}" for owner in ranked]
    if lines or was_looked_at(gaps):
        lines += [f"{number(sockets)} {word}" for word, sockets in unseen(key, gaps)]
    return lines


def identity(owner: Owner) -> str:
    """Return a process by name, pid and what runs it."""
    places = [f"pid {owner.pid}", owner.unit or "", owner.container or ""]
    words = ", ".join(printable(place) for place in places if place)
    return f"{printable(owner.command)} ({words})"


def unseen(key: Key, gaps: Sequence[Gap]) -> list[tuple[str, int]]:
    """
    Return how many sockets of a key have no owner that was seen, by the reason.

    In TIME_WAIT the kernel itself knows none; others may be out of reach.
    """
    seen = sum(owner.sockets for owner in key.owners)
    missing = max(0, sum(key.states.values()) - seen)
    unknown = min(missing, key.states.get("TIME_WAIT", 0))
    if not _owners_gap(gaps):
        unknown = missing
    words = [(UNKNOWN, unknown), (NOT_READABLE, missing - unknown)]
    return [(word, sockets) for word, sockets in words if sockets]


def was_looked_at(gaps: Sequence[Gap]) -> bool:
    """Say whether anybody looked for owners."""
    gap = _owners_gap(gaps)
    return gap is None or not is_unseen(gap)


def _owners_gap(gaps: Sequence[Gap]) -> Gap | None:
    """Return the gap of the owners, if they have one."""
    return next((gap for gap in gaps if gap.source.startswith("owners")), None)
