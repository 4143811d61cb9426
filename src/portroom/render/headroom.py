"""Headroom: how many more connections fit, said first, then the keys behind it.

Rules of this file: the sure figure leads; where the kernel leaves doubt, both
ends are said and how to settle it; a state is a word as well as a colour.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from portroom.model.advice.commands import netns_option
from portroom.model.facts.answers import Answer, Headroom, Key
from portroom.model.facts.snapshot import Gap, NetnsId
from portroom.model.laws.headroom import SPARE_PORTS
from portroom.model.laws.untold import ONCE
from portroom.render import gaps, owners
from portroom.render.document import as_json, as_json_lines
from portroom.render.flow import wrap
from portroom.render.table import Cell, Column, as_csv, as_table
from portroom.render.units import (
    Style,
    endpoint,
    number,
    paint,
    percent,
    plural,
    printable,
    span,
)

__all__ = ["as_csv_text", "as_json", "as_jsonl", "as_text"]

TIGHT_RATIO = 0.8
"""From this occupancy on a key is called tight: a fifth of its ports is left."""

BAR_CELLS = 8

EXHAUSTED_BY = {"tcp": "EADDRNOTAVAIL", "udp": "EAGAIN"}
"""What connect() gets where no port is left, by protocol."""

COLUMNS = (
    Column("NETNS", least=6, drop=1),
    Column("DESTINATION", least=21, middle=True),
    Column("FROM", least=9, middle=True, drop=5),
    Column("PROTO"),
    Column("OPERATION"),
    Column("ELIGIBLE", right=True),
    Column("HELD", right=True, drop=2),
    Column("IN DOUBT", right=True),
    Column("FREE", right=True),
    Column("OCCUPANCY", drop=4),
    Column("", right=True, drop=1),
    Column("STATE"),
    Column("WHO", least=12, drop=3),
)

WIDE_ONLY = frozenset({"PROTO", "OPERATION", "ELIGIBLE", "IN DOUBT"})

SOCKET_ADDRESS = (
    "The remote address is the one that the socket has: a ClusterIP under kube-proxy, "
    "the pod's own under socket-level load balancing."
)


def as_text(answer: Headroom, style: Style) -> str:
    """Return the answer for a terminal: the sentence, the keys, the gaps."""
    return all_as_text([answer], style)


def all_as_text(answers: Sequence[Headroom], style: Style) -> str:
    """Return the answers of one or several namespaces, their keys in one table."""
    several = len(answers) > 1
    found = [(answer, key) for answer in answers for key in answer.keys]
    found.sort(key=lambda pair: tightness(pair[1]))
    total = sum(answer.keys_total for answer in answers)
    gaps_found = [gap for answer in answers for gap in answer.gaps]
    tightest = found[0][1] if found else None
    where = found[0][0].netns if found else None
    known = not gaps.hides(gaps_found, "keys")
    once = is_asked_once(gaps_found)
    lines = headline(tightest, total, style, known=known, netns=where, named=several, once=once)
    if total == 1 and len(found) == 1:
        lines += ["", *detail(found[0][1], gaps_found, style)]
    elif found:
        lines += ["", *key_table(found, style, netns=several)]
        lines += _omitted(sum(answer.keys_omitted for answer in answers), style)
    if tightest is not None and tightest.exhausted:
        lines += ["", *wrap(way_on(tightest, where), style)]
    return "\n".join([*lines, "", *gaps.footer(answers, style)]) + "\n"


def tightness(key: Key) -> float:
    """
    Return what sorts the keys of several namespaces, the fullest first.

    Within one answer it changes nothing: its keys come in that order.
    """
    return -key.occupancy_ratio


def headline(
    key: Key | None,
    total: int,
    style: Style,
    *,
    known: bool = True,
    netns: NetnsId | None = None,
    named: bool = False,
    once: bool = False,
) -> list[str]:
    """
    Return the answer in words.

    Args:
        key: The tightest key, or None where there is none.
        total: How many keys there are.
        style: Its width breaks the lines.
        known: Whether no key means that nothing is held.
        netns: Where the tightest key is.
        named: Whether to name that namespace, because there are several.
        once: Whether this kernel can only be asked whether any port is left.
    """
    if key is None:
        text = "Nothing holds a local port towards any destination."
        text = text if known else "How many more connections fit is not known."
        return [paint(line, "bold", style) for line in wrap(text, style)]
    rank = f" in namespace {printable(netns.name)}" if named and netns else ""
    rank += f", the tightest of {plural(total, 'key')}" if total > 1 else ""
    text = answered(key, rank, netns, once=once)
    return [paint(line, look(key, "bold"), style) for line in wrap(text, style)]


def answered(key: Key, rank: str = "", netns: NetnsId | None = None, *, once: bool = False) -> str:
    """Return how many more connections fit for one key, and any doubt about it."""
    if not key.doubtful_ports:
        return fits(key, rank)
    return f"{fits(key, rank).rstrip('.')}: {doubt(key, netns, once=once)}"


def fits(key: Key, rank: str = "") -> str:
    """Return how many more connections fit for one key, as a sentence."""
    if key.exhausted:
        return (
            f"No more {_what(key, 2)}{rank}: all {number(key.eligible_ports)} "
            "eligible ports are held."
        )
    if key.free_ports == key.free_ports_max:
        verb = "fits" if key.free_ports == 1 else "fit"
        return f"{number(key.free_ports)} more {_what(key, key.free_ports, verb)}{rank}."
    return (
        f"Between {number(key.free_ports)} and {number(key.free_ports_max)} more "
        f"{_what(key, 2)}{rank}."
    )


def _what(key: Key, count: int, verb: str = "fit") -> str:
    """Return what fits and to where: ``connections fit to 10.0.0.1:443``."""
    ending = "" if count == 1 else "s"
    if key.operation == "bind0":
        kind = f"{key.protocol.upper()} socket{ending} bound to port 0"
        return f"{kind} {verb} on {printable(key.local_address)}"
    if key.remote_address is None:
        kind = f"{key.protocol.upper()} socket{ending}"
        return f"{kind} {verb} on {printable(key.local_address)}"
    return f"connection{ending} {verb} to {destination(key)}"


def doubt(key: Key, netns: NetnsId | None = None, *, once: bool = False) -> str:
    """
    Return why a key is in doubt and what settles it; "" where it is not.

    Args:
        key: Whose ports.
        netns: Where it is, as the command that settles it must say.
        once: Whether this kernel can only be asked whether any port is left.
    """
    if not key.doubtful_ports:
        return ""
    ports = plural(key.doubtful_ports, "port")
    pronoun = "it" if key.doubtful_ports == 1 else "they"
    text = f"the kernel does not tell of {ports} whether {pronoun} can be chosen."
    if key.remote_address is not None and key.doubtful_ports > 1 and key.vrf is None:
        text += _way_to_settle(key, netns, once=once)
    return text


def _way_to_settle(key: Key, netns: NetnsId | None, *, once: bool) -> str:
    """Return what settles the doubt about a key, or whether any of its ports is left."""
    last = " --probe-last" if key.free_ports < SPARE_PORTS else ""
    words = f"portroom headroom {destination(key)} --probe{last}{option(netns)}"
    if not once:
        return f" Settle it with: {words}"
    return "" if key.free_ports else f" Whether any is left, ask with: {words}"


def is_asked_once(found: Sequence[Gap]) -> bool:
    """Say whether the kernel tells of no single port, by the gaps of an answer."""
    return ONCE in found


def way_on(key: Key, netns: NetnsId | None = None) -> str:
    """Return which command tells why a key is exhausted, and what to do."""
    error = "EADDRINUSE" if key.operation == "bind0" else EXHAUSTED_BY[key.protocol]
    end = f"--from {printable(key.local_address)} --proto {key.protocol}"
    if key.remote_address is not None:
        end = f"--remote {destination(key)} --from {printable(key.local_address)}"
    command = f"portroom explain {error} {end}{option(netns)}"
    return f"Why, and what to do: {command}"


def option(netns: NetnsId | None) -> str:
    """Return what a command must add to look into a namespace; "" for the host."""
    return printable(netns_option(netns))


def destination(key: Key) -> str:
    """Return the remote endpoint of a key, or what it is instead of one."""
    if key.remote_address is not None:
        return endpoint(printable(key.remote_address), key.remote_port)
    operation = " bind" if key.operation == "bind0" else ""
    return f"{key.protocol}{operation} on {local(key)}"


def local(key: Key) -> str:
    """Return the local address of a key, with its VRF as ``ss`` writes a device."""
    vrf = "" if key.vrf is None else f"%{key.vrf}"
    return printable(key.local_address + vrf)


def state(key: Key) -> str:
    """
    Return the word for how full a key is, by the sure figures; "" is no worry.

    ``in doubt`` is a key that may be tight or exhausted, for all the kernel
    tells.
    """
    if key.exhausted:
        return "exhausted"
    if key.occupancy_ratio >= TIGHT_RATIO:
        return "tight"
    return "in doubt" if key.occupancy_ratio_max >= TIGHT_RATIO else ""


def look(key: Key, calm: str = "") -> str:
    """Return the colour of a key's state, *calm* where there is no worry."""
    return {"exhausted": "red", "tight": "yellow"}.get(state(key), calm)


def bar(key: Key, style: Style) -> str:
    """
    Return occupancy as a bar: held, in doubt, free.

    A cell is full once its whole share is reached: the bar never overstates.
    """
    sure = int(key.occupancy_ratio * BAR_CELLS)
    most = max(sure, int(key.occupancy_ratio_max * BAR_CELLS))
    full, doubtful, free = "#?." if style.ascii else "█▒░"
    return full * sure + doubtful * (most - sure) + free * (BAR_CELLS - most)


def key_table(
    found: Sequence[tuple[Answer, Key]], style: Style, *, netns: bool = False
) -> list[str]:
    """
    Return the table of keys.

    Args:
        found: Each key with the answer it stands in.
        style: Its width leaves out columns; ``wide`` shows all.
        netns: Whether the namespace is a column.
    """
    rows = [_row(answer.netns.name, answer.gaps, key, style) for answer, key in found]
    hidden = set() if style.wide else set(WIDE_ONLY)
    hidden |= set() if netns else {"NETNS"}
    places = [i for i, column in enumerate(COLUMNS) if column.title not in hidden]
    columns = [COLUMNS[i] for i in places]
    if len({destination(key) for _, key in found}) < len(found):
        # The local address tells keys of one destination apart: leave it out last.
        columns = [c._replace(drop=1) if c.title == "FROM" else c for c in columns]
    return as_table(columns, [[row[i] for i in places] for row in rows], style)


def _row(netns: str, gaps_found: Sequence[Gap], key: Key, style: Style) -> tuple[str | Cell, ...]:
    """Return the cells of one key, one for each of COLUMNS."""
    return (
        printable(netns),
        destination(key),
        local(key),
        key.protocol,
        key.operation,
        number(key.eligible_ports),
        number(key.held_ports),
        number(key.doubtful_ports),
        Cell(span(key.free_ports, key.free_ports_max, style), look(key)),
        Cell(bar(key, style), look(key, "green")),
        percent(key.occupancy_ratio),
        Cell(state(key), look(key, "yellow")),
        owners.short(key, gaps_found),
    )


def _omitted(count: int, style: Style) -> list[str]:
    """Return the line that tells of keys not shown."""
    if not count:
        return []
    text = f"{plural(count, 'less tight key')} not shown; --limit 0 shows all."
    return [paint(line, "dim", style) for line in wrap(text, style)]


def detail(key: Key, gaps_found: Sequence[Gap], style: Style) -> list[str]:
    """Return one key in full, a line a figure."""
    full = " ".join(filter(None, (percent(key.occupancy_ratio), state(key))))
    figures = [
        ("local address", local(key)),
        ("eligible", number(key.eligible_ports)),
        ("held", number(key.held_ports)),
        ("in doubt", number(key.doubtful_ports)),
        ("free", span(key.free_ports, key.free_ports_max, style)),
        ("occupancy", f"{paint(bar(key, style), look(key, 'green'), style)} {full}"),
    ]
    lines = [f"  {name:<14}{value}" for name, value in figures]
    states = [f"{number(count)} {name}" for name, count in key.states.items()]
    lines += _listed("its sockets", states or ["none"])
    lines += _listed("owners", owners.long(key, gaps_found))
    if key.remote_address is not None:
        note = wrap(SOCKET_ADDRESS, style)
        lines += ["", *(paint(line, "dim", style) for line in note)]
    return lines


def _listed(name: str, values: Sequence[str]) -> list[str]:
    """Return a figure of several values, a line each."""
    names = [name, *[""] * len(values)]
    return [f"  {head:<14}{value}" for head, value in zip(names, values, strict=False)]


CSV_COLUMNS = (
    "netns",
    "protocol",
    "operation",
    "local_address",
    "remote_address",
    "remote_port",
    "eligible_ports",
    "held_ports",
    "doubtful_ports",
    "free_ports",
    "free_ports_max",
    "occupancy_ratio",
    "occupancy_ratio_max",
    "exhausted",
    "owners",
    "vrf",
)


def csv_row(netns: str, key: Key) -> tuple[object, ...]:
    """Return the fields of one key, one for each of CSV_COLUMNS."""
    return (
        netns,
        *(getattr(key, name) for name in CSV_COLUMNS[1:-2]),
        owners.short(key) if key.owners else None,
        key.vrf,
    )


def as_csv_text(answers: Sequence[Headroom]) -> str:
    """Return a line a key, of one or several namespaces."""
    return as_csv(CSV_COLUMNS, _csv_rows(answers))


def _csv_rows(answers: Sequence[Headroom]) -> Iterator[tuple[object, ...]]:
    """Yield the fields of each key."""
    for answer in answers:
        for key in answer.keys:
            yield csv_row(answer.netns.name, key)


def as_jsonl(answer: Headroom) -> str:
    """Return a line a key."""
    return as_json_lines(answer, answer.keys)
