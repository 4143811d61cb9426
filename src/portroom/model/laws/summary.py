"""Sessions in numbers: what ``ss -s`` prints, and sockets by state.

Rules of this file:

- the figures of ``ss -s`` come from counters alone, by its own formulas, so
  that both programs always say the same;
- states and ports come from groups alone, and only from groups of all ports;
- a figure that mixes this namespace with the whole system is named in
  ``system_wide``.
"""

from __future__ import annotations

from itertools import chain

from portroom.model.facts.answers import (
    Summary,
    TcpSummary,
    TransportCount,
    Transports,
)
from portroom.model.facts.snapshot import Counters, Gap, Groups
from portroom.model.facts.sockets import Protocol, TcpState

SYSTEM_WIDE = ("tcp.total", "tcp.closed", "tcp.orphaned")
"""
Figures made from ``alloc`` and ``orphan``, which count every namespace.

Source: Linux net/ipv4/proc.c, sockstat_seq_show.
"""

FROM_GROUPS = ("sessions.states", "sessions.udp_states", "sessions.bound_local_ports")
"""Fields of an answer that stay empty without groups of all ports."""


def summary(counters: Counters | Gap, groups: Groups | Gap) -> Summary | Gap:
    """
    Return sessions in numbers, as ``ss -s`` has them, and by state.

    Without groups of all ports, ``states`` and ``udp_states`` are empty and
    ``bound_local_ports`` is None; ``states_gap`` tells why.

    Args:
        counters: What the kernel counts; without them there is no summary.
        groups: Every socket of the namespace.

    Returns:
        The summary, or the Gap that *counters* are.
    """
    if isinstance(counters, Gap):
        return Gap(counters.source, counters.reason, ("sessions",))
    known = None if states_gap(groups) or isinstance(groups, Gap) else groups
    return Summary(
        sockets_total=counters.sockets_used,
        bound_local_ports=bound_local_ports(known) if known else None,
        tcp=tcp_summary(counters),
        transports=transports(counters),
        states=sockets_by_state(known, Protocol.TCP) if known else {},
        udp_states=sockets_by_state(known, Protocol.UDP) if known else {},
        system_wide=SYSTEM_WIDE,
    )


def states_gap(groups: Groups | Gap) -> Gap | None:
    """
    Return why ``summary`` cannot count states from these groups, or None.

    Counting the ports of one range only would call every socket outside of
    it, most listeners among them, absent.
    """
    if isinstance(groups, Gap):
        return Gap(groups.source, groups.reason, FROM_GROUPS)
    if groups.scope is not None:
        reason = f"only sockets on local ports {groups.scope} were read"
        return Gap("groups", reason, FROM_GROUPS)
    return None


def tcp_summary(counters: Counters) -> TcpSummary:
    """
    Return the line ``TCP:`` of ``ss -s``.

    ``closed`` are sockets that exist and are in no table (never connected,
    only bound, or closed and still held by a process) and TIME_WAIT.
    ``established`` counts CLOSE_WAIT too.

    Source: iproute2 misc/ss.c, print_summary.
    """
    hashed = counters.tcp_inuse + counters.tcp6_inuse
    return TcpSummary(
        total=counters.tcp_alloc + counters.tcp_tw,
        established=counters.tcp_curr_estab,
        closed=counters.tcp_alloc - (hashed - counters.tcp_tw),
        orphaned=counters.tcp_orphan,
        time_wait=counters.tcp_tw,
    )


def transports(counters: Counters) -> Transports:
    """
    Return the transport table of ``ss -s``.

    UDP-Lite is in none of its rows, as in ``ss``; INET is the sum of RAW, UDP
    and TCP.

    Source: iproute2 misc/ss.c, print_summary.
    """
    raw = (counters.raw_inuse, counters.raw6_inuse)
    udp = (counters.udp_inuse, counters.udp6_inuse)
    tcp = (counters.tcp_inuse, counters.tcp6_inuse)
    return Transports(
        raw=_transport(*raw),
        udp=_transport(*udp),
        tcp=_transport(*tcp),
        inet=_transport(raw[0] + udp[0] + tcp[0], raw[1] + udp[1] + tcp[1]),
        frag=_transport(counters.frag_inuse, counters.frag6_inuse),
    )


def _transport(ipv4: int, ipv6: int) -> TransportCount:
    """Return one row of the transport table."""
    return TransportCount(total=ipv4 + ipv6, ipv4=ipv4, ipv6=ipv6)


def sockets_by_state(groups: Groups, protocol: Protocol) -> dict[str, int]:
    """
    Return how many sockets of *protocol* each state has, most common first.

    Accepted sockets, which groups fold to a count, are among them. States
    without a socket are left out.
    """
    found: dict[TcpState, int] = {}
    for table in groups.tables:
        if table.protocol is protocol:
            sockets = sum(map(len, table.ports.values()))
            found[table.state] = found.get(table.state, 0) + sockets
    for inbound in groups.inbound:
        if inbound.protocol is protocol:
            found[inbound.state] = found.get(inbound.state, 0) + inbound.sockets
    ranked = sorted(found, key=lambda state: (-found[state], state))
    return {state.name: found[state] for state in ranked if found[state]}


def bound_local_ports(groups: Groups) -> int:
    """
    Return how many distinct local ports are in use.

    A port that TCP and UDP both use counts once, and so does one with many
    sockets. RAW sockets have no port.
    """
    held: set[int] = set()
    for table in groups.tables:
        if table.protocol in PORT_PROTOCOLS:
            # One pass in C: a million sockets take a tenth of a second.
            held.update(chain.from_iterable(table.ports.values()))
    held.update(
        inbound.local_port for inbound in groups.inbound if inbound.protocol in PORT_PROTOCOLS
    )
    held.discard(0)
    return len(held)


PORT_PROTOCOLS = (Protocol.TCP, Protocol.UDP)
