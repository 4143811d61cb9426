"""Sessions in numbers: by state, and as ``ss -s`` has them.

Rules of this file: a figure that counts the whole system carries a star, and
the star is explained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from portroom.model.facts.answers import Summary
from portroom.model.facts.snapshot import Gap
from portroom.render.flow import TIED, beside, wrap
from portroom.render.gaps import hides
from portroom.render.units import Style, columns, number, paint, plural

STAR_NOTE = "(*: whole system)"

TRANSPORTS = ("raw", "udp", "tcp", "inet", "frag")


def as_lines(
    summary: Summary, style: Style, *, gaps: Sequence[Gap] = (), short: bool = False
) -> list[str]:
    """
    Return the blocks by state and transport, then the figures of ``ss -s``.

    States that could not be read are left out, not told as none.

    Args:
        summary: Sessions in numbers.
        style: Its width decides what stands side by side.
        gaps: What could not be read.
        short: Leave out the transport table and the figures of ``ss -s``.
    """
    blocks = []
    if not hides(gaps, "sessions.states"):
        blocks += [_by_state("TCP", summary.states), _by_state("UDP", summary.udp_states)]
    if not short:
        blocks.append(_transports(summary))
    widths = [max(map(columns, block)) for block in blocks]
    drawn = [[paint(block[0], "dim", style), *block[1:]] for block in blocks]
    lines = beside(drawn, widths, style)
    return lines if short else [*lines, *wrap(totals(summary), style, hang="  ")]


def totals(summary: Summary) -> str:
    """Return the first two lines of ``ss -s`` as one, and the ports in use."""
    tcp = summary.tcp
    names = [("total", tcp.total), ("estab", tcp.established), ("closed", tcp.closed)]
    names += [("orphaned", tcp.orphaned), ("timewait", tcp.time_wait)]
    figures = [
        f"{name}{TIED}{number(count)}{_star(summary, _field(name))}" for name, count in names
    ]
    text = f"ss -s: TCP {', '.join(figures)}; "
    text += f"Total{TIED}{number(summary.sockets_total)}{_star(summary, 'sockets_total')}"
    if summary.bound_local_ports is not None:
        text += f"; {plural(summary.bound_local_ports, 'local port')} in use"
    return f"{text} {STAR_NOTE.replace(' ', TIED)}" if summary.system_wide else text


def _field(name: str) -> str:
    """Return the field of an answer behind a word of ``ss -s``."""
    renamed = {"estab": "established", "timewait": "time_wait"}
    return f"tcp.{renamed.get(name, name)}"


def _star(summary: Summary, field: str) -> str:
    """Return a star for a figure of the whole system."""
    return "*" if field in summary.system_wide else ""


def _by_state(protocol: str, states: Mapping[str, int]) -> list[str]:
    """Return the block of one protocol: its total, then each state."""
    rows = [(name, number(count)) for name, count in states.items()]
    return _two_columns(f"{protocol} BY STATE", number(sum(states.values())), rows)


def _two_columns(title: str, total: str, rows: Sequence[tuple[str, str]]) -> list[str]:
    """Return names and numbers, the numbers aligned right."""
    lines = [(title, total), *rows]
    left = max(len(name) for name, _ in lines)
    right = max(len(count) for _, count in lines)
    return [f"{name:<{left}}  {count:>{right}}" for name, count in lines]


def _transports(summary: Summary) -> list[str]:
    """Return the transport table of ``ss -s``."""
    rows = [("TRANSPORT", "TOTAL", "IPv4", "IPv6")]
    for name in TRANSPORTS:
        row = getattr(summary.transports, name)
        total, ipv4, ipv6 = number(row.total), number(row.ipv4), number(row.ipv6)
        rows.append((name.upper(), total, ipv4, ipv6))
    widths = [max(len(row[place]) for row in rows) for place in range(4)]
    return [
        f"{row[0]:<{widths[0]}}"
        + "".join(f"  {row[place]:>{widths[place]}}" for place in (1, 2, 3))
        for row in rows
    ]
