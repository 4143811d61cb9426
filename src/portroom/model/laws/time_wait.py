"""When a connection in TIME_WAIT gives its port to a new one of the same key.

Source: Linux net/ipv4/tcp_ipv4.c, tcp_twsk_unique; kernel cases c18-c24, c45;
kernel.md 3.8. What the kernel does not tell stays None: whether the ended
connection carried timestamps, but for loopback, where both ends are ours.
"""

from __future__ import annotations

from portroom.model.facts.snapshot import Features, Settings
from portroom.model.facts.sockets import Family, is_loopback

TIME_WAIT_MS = 60_000
"""TCP_TIMEWAIT_LEN: fixed, no setting changes it."""

CLOCK_MARGIN_MS = 20
"""Ages this near to the limit are in doubt: 5 ticks of 4 ms (HZ=250)."""

TICK_MS = 1_000
"""Without tcp_tw_reuse_delay the kernel's whole-second clock must have moved."""


def reuse_applies(settings: Settings, family: Family, local_address: bytes) -> bool:
    """
    Say whether TIME_WAIT towards one key can be reused at all.

    Args:
        settings: tcp_tw_reuse (0, 1, or 2 for loopback) and tcp_timestamps.
        family: Family of the local address.
        local_address: 16 bytes as in sock_diag.
    """
    reuse = settings.number("net.ipv4.tcp_tw_reuse", 0)
    if not settings.number("net.ipv4.tcp_timestamps", 1):
        return False
    return reuse == 1 or (reuse == 2 and is_loopback(family, local_address))


def is_reusable(
    remaining_ms: int, settings: Settings, features: Features, *, loopback: bool
) -> bool | None:
    """
    Say whether one entry may be reused now by connect() to the same remote.

    Only for keys where ``reuse_applies``, and only if the port was given by
    connect() itself.

    Args:
        remaining_ms: Time until the entry ends, of 60,000 at its start.
        settings: tcp_tw_reuse_delay, in ms.
        features: Whether that delay exists, else the clock's second counts.
        loopback: Whether both ends are on this host, so that timestamps are
            known to have been used.

    Returns:
        True, False, or None where the kernel does not tell.
    """
    age_ms = TIME_WAIT_MS - remaining_ms
    if features.tw_reuse_by_age:
        limit_ms = settings.number("net.ipv4.tcp_tw_reuse_delay", TICK_MS)
        if age_ms < limit_ms - CLOCK_MARGIN_MS:
            return False
    else:
        limit_ms = TICK_MS
    if age_ms <= limit_ms + CLOCK_MARGIN_MS or not loopback:
        return None
    return True
