"""What a sample reads besides a Snapshot: when it is, and what no counter tells."""

from __future__ import annotations

import datetime
import time
from typing import NamedTuple

from portroom.errors import KernelDataError, NotSupportedError
from portroom.kernel.counters import read_counters
from portroom.kernel.files import PROC, read_text
from portroom.kernel.groups import all_hashed, count_bound
from portroom.kernel.netstat import parse_count
from portroom.model.facts.ports import PortRange
from portroom.model.facts.sample import Instant
from portroom.model.facts.snapshot import Counters, Features


def read_instant(proc: str = PROC) -> Instant:
    """
    Return this moment.

    Args:
        proc: Where the proc file system is mounted.

    Raises:
        NotSupportedError: There is no proc file system.
    """
    try:
        boot_id = read_text(f"{proc}/sys/kernel/random/boot_id").strip()
    except FileNotFoundError as error:
        raise NotSupportedError(
            f"{error.filename} does not exist.", "Mount the proc file system."
        ) from None
    return Instant(
        boot_id=boot_id,
        uptime_s=time.clock_gettime(time.CLOCK_BOOTTIME),
        at=datetime.datetime.now(datetime.UTC),
    )


class Bound(NamedTuple):
    """
    Up to how many TCP sockets are only bound, and counters that were read after.

    One that connects meanwhile is counted twice, rather than never.
    """

    sockets: int
    after: Counters


def bound_sockets(scope: PortRange, counters: Counters, features: Features) -> Bound | None:
    """
    Return up to how many TCP sockets are only bound: ``inuse`` does not count them.

    Args:
        scope: Local ports asked for, both ends included.
        counters: Read just now, in the namespace of the calling thread.
        features: Whether this kernel lists such sockets.

    Returns:
        Their number; where they are not listed all that the whole system may have;
        None where the kernel does not answer.
    """
    if all_hashed(counters):
        return Bound(0, counters)
    if not features.bound_inactive_rows:
        unlisted = counters.tcp_alloc - counters.tcp_inuse - counters.tcp6_inuse
        return Bound(max(0, unlisted), counters)
    try:
        return Bound(count_bound(scope), read_counters())
    except (OSError, KernelDataError):
        return None


def read_active_opens(proc: str = PROC) -> int | None:
    """
    Return how many connects were begun since the namespace was made, None if not told.

    Args:
        proc: Where the proc file system is mounted.
    """
    try:
        text = read_text(f"{proc}/thread-self/net/snmp")
        return parse_count(text, "Tcp", "ActiveOpens", "snmp")
    except (OSError, KernelDataError):
        return None
