"""When no key can be half full, so that nobody needs to be asked for sockets.

Each held port has a socket of its own behind it, so fewer sockets than half the
eligible ports cannot hold half of them. The counters are far cheaper to read than
the sockets, and mostly prove it.
"""

from __future__ import annotations

from portroom.model.facts.snapshot import Counters

HALF = 0.5
"""The occupancy from which on a key is looked at: connect() gets dearer there."""


def can_fill_half(
    counters: Counters, bound_sockets: int, eligible_ports: int, ratio: float = HALF
) -> bool:
    """
    Say whether any key may hold half of its ports, by what the counters tell.

    ``inuse`` of sockstat has sockets that connect or listen, ``tw`` those in
    TIME_WAIT; sockets that are only bound are in neither, and hold a port. A half-open
    connection that came in is in none: it holds the port of its listener, which is.
    TCP and UDP have ports of their own, so that they do not add up.

    Args:
        counters: Socket counts of the namespace. If they are read after the bound
            sockets were counted, one that moves on meanwhile counts twice, never not.
        bound_sockets: TCP sockets that are only bound; up to how many, where the
            kernel does not list them.
        eligible_ports: Ports in the ephemeral range minus reserved ports.
        ratio: Which part of a key counts, if not half.

    >>> counts = Counters(0, 13_000, 0, 1_000, 0, 0, 0, 0, 0, 100, 0, 0, 0, 0, 0)
    >>> can_fill_half(counts, 15, 28_232), can_fill_half(counts, 16, 28_232)
    (False, True)
    """
    tcp = counters.tcp_inuse + counters.tcp6_inuse + counters.tcp_tw + bound_sockets
    udp = counters.udp_inuse + counters.udp6_inuse
    return max(tcp, udp) >= ratio * eligible_ports
