"""How the connections of each key come and go, from one reading.

A TIME_WAIT tells for how long it still holds its port. So one reading has the last
minute in it, and the coming one: how many began in each second of the last, and how
many end in each second of the next.

The kernel ends them up to about two seconds late: far timers are rounded up.

Source: Linux kernel/time/timer.c, "levels"; net/ipv4/inet_timewait_sock.c.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import compress, repeat
from operator import floordiv

from portroom.model.facts.gaps import Gap
from portroom.model.facts.ports import PortRange
from portroom.model.facts.sample import Flow
from portroom.model.facts.snapshot import Groups, GroupTable, Settings, Snapshot
from portroom.model.facts.sockets import Operation, Protocol, TcpState
from portroom.model.laws.occupancy import KeyId, places_of
from portroom.model.laws.rates import hold_time_s
from portroom.model.laws.tightest import Measured
from portroom.model.laws.time_wait import TIME_WAIT_MS

SECOND_MS = 1_000
SECONDS = TIME_WAIT_MS // SECOND_MS


def flows(read: Snapshot, keys: Sequence[Measured]) -> tuple[Flow, ...]:
    """
    Return how the connections of some keys come and go; none where sockets were not read.

    Args:
        read: With settings, and groups that have the remaining times.
        keys: Keys of this Snapshot.

    Returns:
        One for each key, in their order.
    """
    settings, groups = read.settings, read.groups
    if isinstance(settings, Gap) or isinstance(groups, Gap):
        return ()
    ended = time_wait_tables(groups)
    return tuple(_flow(one, ended, groups, settings) for one in keys)


def time_wait_tables(groups: Groups) -> tuple[GroupTable, ...]:
    """Return the tables of TCP connections in TIME_WAIT."""
    return tuple(
        table
        for table in groups.tables
        if table.protocol is Protocol.TCP and table.state is TcpState.TIME_WAIT
    )


def _flow(one: Measured, ended: Sequence[GroupTable], groups: Groups, settings: Settings) -> Flow:
    """Return how the connections of one key come and go."""
    waiting = one.states.get(TcpState.TIME_WAIT.name, 0)
    times: list[Sequence[int]] = []
    if waiting and one.id.remote_port:
        times = [times for _, times in time_waits(one.id, ended, groups, settings)]
    return Flow(
        alive_sockets=sum(one.states.values()) - waiting,
        time_wait_sockets=waiting,
        ends=ends_by_second(times) if any(times) else (),
        hold_time_s=_hold_time_s(one.id, settings),
    )


def time_waits(
    key: KeyId, ended: Sequence[GroupTable], groups: Groups, settings: Settings
) -> Iterator[tuple[Sequence[int], Sequence[int]]]:
    """
    Yield local ports of a connect key in TIME_WAIT, and how long each still has, in ms.

    The times are empty where the kernel was not asked for them.

    Args:
        key: A key with a remote.
        ended: The tables of TIME_WAIT.
        groups: What they are from.
        settings: Whether VRFs are apart.
    """
    places = [place for place, _ in places_of(key, groups, settings)]
    whole = groups.scope == settings.ephemeral
    for table in ended:
        if table.family is key.family:
            for place in places:
                ports = table.ports.get(place)
                if ports:
                    times = table.remaining_ms.get(place, ())
                    yield (ports, times) if whole else _inside(ports, times, settings.ephemeral)


def _inside(
    ports: Sequence[int], times: Sequence[int], ephemeral: PortRange
) -> tuple[Sequence[int], Sequence[int]]:
    """Return the ports of the range, ends included, and their times: others hold nothing."""
    first, last = ephemeral
    if min(ports) >= first and max(ports) <= last:
        return ports, times
    inside = [first <= port <= last for port in ports]
    return list(compress(ports, inside)), list(compress(times, inside))


def ends_by_second(times: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """
    Return how many of some entries end within the first, second, … coming second.

    Args:
        times: Lists of milliseconds until each entry ends; what is longer than
            TIME_WAIT counts in the last second.

    Returns:
        60 numbers.

    >>> ends = ends_by_second([[0, 999, 1_000], [59_999, 60_000]])
    >>> ends[:3], ends[-1], sum(ends)
    ((2, 1, 0), 2, 5)
    """
    counted: Counter[int] = Counter()
    for some in times:
        # Two C loops: a key may have tens of thousands of entries.
        counted.update(map(floordiv, some, repeat(SECOND_MS)))
    for second in [second for second in counted if second >= SECONDS]:
        counted[SECONDS - 1] += counted.pop(second)
    return tuple(counted[second] for second in range(SECONDS))


def _hold_time_s(key: KeyId, settings: Settings) -> float:
    """Return for how long the least connection of a key holds its port, in seconds."""
    if key.protocol is not Protocol.TCP:
        return 0.0
    if key.operation is not Operation.CONNECT:
        # Reuse is for connect() alone: bind() to port 0 waits for the end.
        return TIME_WAIT_MS / SECOND_MS
    return hold_time_s(settings, key.family, key.local_address)
