"""What a new range takes in that something else counts on, and what holds ports now."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from portroom.model.facts.change import NOTE, REFUSAL, WARNING, Collision, HeldPort
from portroom.model.facts.sockets import Owner
from portroom.render.changes import INDENT
from portroom.render.flow import wrap
from portroom.render.owners import identity
from portroom.render.table import Cell, Column, as_table
from portroom.render.units import Style, paint, plural, printable

MOST_ROWS = 10
"""Rows that are told unless wide; the rest is a number."""

KINDS = {
    "listener": "listener",
    "bound": "bound port",
    "udp": "UDP socket",
    "udp_client": "UDP client",
    "published": "published port",
    "vxlan": "VXLAN",
    "nodeport": "NodePort",
    "service": "service",
}
"""What a person calls the kinds of ``Collision``."""

STATES = {REFUSAL: ("refused", "red"), WARNING: ("warning", "yellow"), NOTE: ("reserved", "green")}
"""What a collision means for the plan, and its colour."""

COLUMNS = (
    Column("PORTS"),
    Column("PROTO", drop=2),
    Column("KIND", drop=1),
    Column("WHAT", least=15),
    Column("STATE"),
)

WIDE_COLUMNS = (*COLUMNS[:4], Column("WHOSE"), COLUMNS[4])


def collision_lines(collisions: Sequence[Collision], style: Style) -> list[str]:
    """Return a table of what the range takes in, what refuses the change first."""
    if not collisions:
        return []
    ranked = sorted(collisions, key=lambda one: list(STATES).index(one.severity))
    ranked = ranked if style.wide else runs(ranked)
    shown = ranked if style.wide or len(ranked) <= MOST_ROWS + 1 else ranked[:MOST_ROWS]
    lines = wrap("The kernel could then choose ports that something else counts on:", style)
    heading = WIDE_COLUMNS if style.wide else COLUMNS
    lines += as_table(heading, [_row(one, style) for one in shown], style)
    return lines + more(len(ranked) - len(shown), style)


def runs(collisions: Sequence[Collision]) -> list[Collision]:
    """Return collisions, adjacent ports of the same processes as one."""
    found: list[Collision] = []
    for one in collisions:
        last = found[-1] if found else None
        if last and one.owners and last.last + 1 == one.first and _nature(last) == _nature(one):
            found[-1] = msgspec.structs.replace(last, last=one.last)
        else:
            found.append(one)
    return found


def _nature(one: Collision) -> tuple[object, ...]:
    """Return what collisions must share to be told as one."""
    return one.kind, one.severity, one.protocol, one.owners


def more(count: int, style: Style) -> list[str]:
    """Return the line that counts what is not told."""
    text = f"and {count:,} more: -o wide tells all."
    return [paint(line, "dim", style) for line in wrap(text, style)] if count else []


def _row(one: Collision, style: Style) -> tuple[str | Cell, ...]:
    """Return the cells of one run of ports; wide has both what and whose it is."""
    word, look = STATES[one.severity]
    label, whose = printable(one.label), owners_text(one.owners)
    what = (label, whose) if style.wide else (whose or label,)
    kind = KINDS.get(one.kind, printable(one.kind))
    return ports_text(one.first, one.last), one.protocol, kind, *what, Cell(word, look)


def ports_text(first: int, last: int) -> str:
    """
    Return a run of ports as it would be typed.

    >>> ports_text(80, 80), ports_text(30000, 32767)
    ('80', '30000-32767')
    """
    return str(first) if first == last else f"{first}-{last}"


def owners_text(owners: Sequence[Owner]) -> str:
    """Return the first process, and how many more there are."""
    if not owners:
        return ""
    rest = f" and {len(owners) - 1} more" if len(owners) > 1 else ""
    return identity(owners[0]) + rest


def held_lines(held: Sequence[HeldPort], style: Style) -> list[str]:
    """Return which ports to be reserved an outgoing connection holds now, and whose."""
    if not held:
        return []
    shown = held if style.wide or len(held) <= MOST_ROWS + 1 else held[:MOST_ROWS]
    text = (
        "Held now by outgoing connections, so that nothing can listen there "
        "until they end; reserving does not end them:"
    )
    lines = wrap(text, style)
    for one in shown:
        lines += wrap(_held(one), style, indent=INDENT, hang=INDENT * 2)
    return lines + more(len(held) - len(shown), style)


def _held(one: HeldPort) -> str:
    """Return one port, how many connections hold it, and whose they are."""
    whose = owners_text(one.owners)
    text = f"{one.protocol} {one.port}: {plural(one.sockets, 'connection')}"
    return f"{text} of {whose}" if whose else text
