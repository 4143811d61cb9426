"""Rates from one reading: how fast TIME_WAITs come in, and what a key sustains.

A TIME_WAIT lasts 60 s and tells how long it still has, so that its age is known:
the young ones are the connections that ended just now. No second reading is
needed, and no memory of an earlier one.
"""

from __future__ import annotations

from collections.abc import Sequence

from portroom.model.facts.snapshot import Settings
from portroom.model.facts.sockets import Family
from portroom.model.laws.time_wait import TICK_MS, TIME_WAIT_MS, reuse_applies

YOUNG_S = 5.0
"""
Seconds that count as just now.

Long enough for the kernel's timers, which may end an entry a tick late, and for
rates that matter to leave dozens of entries; short enough to forget a burst.
"""


def max_connect_rate(eligible_ports: int, hold_time_s: float) -> float:
    """
    Return the highest steady rate of new connections to one remote endpoint.

    By Little's law, ports held = rate x hold time; at most *eligible_ports*
    can be held at once for one (local address, remote endpoint) pair.

    Args:
        eligible_ports: Ports in the ephemeral range minus reserved ports.
        hold_time_s: Seconds from connect() until the port may be chosen
            again for the same remote endpoint, TIME_WAIT included.

    Returns:
        Connections per second.

    Raises:
        ValueError: The hold time is not positive.

    >>> round(max_connect_rate(28_232, hold_time_s=60.0), 1)
    470.5
    """
    if hold_time_s <= 0:
        raise ValueError(f"hold_time_s must be positive, not {hold_time_s!r}")
    return eligible_ports / hold_time_s


def hold_time_s(settings: Settings, family: Family, local_address: bytes) -> float:
    """
    Return for how long the least connection of one key holds its port, in seconds.

    That is TIME_WAIT, or what passes of it until tcp_tw_reuse may take the entry.

    Args:
        settings: tcp_tw_reuse, its delay, and tcp_timestamps.
        family: Family of the local address.
        local_address: 16 bytes as in sock_diag.
    """
    if not reuse_applies(settings, family, local_address):
        return TIME_WAIT_MS / 1000
    # Without the setting the next second of the kernel's clock decides: about as long.
    return settings.number("net.ipv4.tcp_tw_reuse_delay", TICK_MS) / 1000


def young(remaining_ms: Sequence[int]) -> int:
    """
    Return how many TIME_WAITs are younger than YOUNG_S.

    Args:
        remaining_ms: Time until each entry ends, of 60,000 at its start.

    >>> young([59_900, 55_001, 55_000, 54_999, 10])
    2
    """
    oldest_ms = TIME_WAIT_MS - YOUNG_S * 1000
    return sum(left > oldest_ms for left in remaining_ms)


def inflow_per_s(remaining_ms: Sequence[int]) -> float:
    """
    Return how many connections a second ended in TIME_WAIT just now.

    Args:
        remaining_ms: Time until each entry ends.

    >>> inflow_per_s([59_000] * 10 + [30_000] * 500)
    2.0
    """
    return young(remaining_ms) / YOUNG_S


def seconds_until_full(free_ports: int, remaining_ms: Sequence[int], inflow: float) -> float | None:
    """
    Return when no port is left if connections go on ending as they do; None is never.

    Each new TIME_WAIT holds a port for 60 s, and the present ones give theirs
    back one by one.

    Args:
        free_ports: Ports that are free now.
        remaining_ms: Time until each present entry ends.
        inflow: New entries a second.

    >>> seconds_until_full(100, [], 10.0)
    10.0
    >>> seconds_until_full(100, [5_000] * 50, 10.0)
    15.0
    >>> seconds_until_full(1000, [], 10.0) is None
    True
    """
    if inflow <= 0:
        return None
    returned = 0
    for left_ms in sorted(remaining_ms):
        full_s = (free_ports + returned) / inflow
        if full_s <= left_ms / 1000:
            return full_s
        returned += 1
    full_s = (free_ports + returned) / inflow
    return full_s if full_s <= TIME_WAIT_MS / 1000 else None
