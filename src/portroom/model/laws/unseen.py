"""How many sockets may hold a port and show in no table.

A kernel that lists no socket that is only bound hides it from every table, yet it
holds its port. It counts it: ``alloc`` of sockstat has every TCP socket of the system,
``inuse`` those of one namespace that connect or listen. What is in the first alone may
be bound here, or idle, or in another namespace: it is a bound, never a number.

Source: Linux net/ipv4/proc.c, sockstat_seq_show; kernels-older.md 4.
"""

from __future__ import annotations

from portroom.model.facts.ports import LAST_PORT
from portroom.model.facts.snapshot import Counters, Snapshot


def unseen_sockets(read: Snapshot) -> int:
    """
    Return up to how many TCP sockets of a namespace are only bound and in no table.

    Each holds one port at most. Where the counters could not be read, all may be held.
    """
    if read.features.bound_inactive_rows:
        return 0
    return unhashed(read.counters) if isinstance(read.counters, Counters) else LAST_PORT


def unhashed(counters: Counters) -> int:
    """
    Return up to how many TCP sockets of a namespace neither connect nor listen.

    >>> unhashed(Counters(0, 3, 0, 0, 9, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0))
    4
    """
    return max(0, counters.tcp_alloc - counters.tcp_inuse - counters.tcp6_inuse)
