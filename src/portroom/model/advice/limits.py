"""The limit that bites next: what else is used up once there are more ports.

Rules of this file: what was not seen is not told; the limit with the least
room comes first, those without a countable room last.
"""

from __future__ import annotations

from collections.abc import Iterator

from portroom.model.advice.draft import Draft
from portroom.model.advice.wording import owner_words
from portroom.model.facts.change import Limit
from portroom.model.facts.gaps import Gap
from portroom.model.facts.settings import DEFAULT_RANGE, setting_named
from portroom.model.facts.snapshot import Groups, Snapshot
from portroom.model.facts.sockets import TcpState

MAX_BUCKETS_KEY = setting_named("tcp_max_tw_buckets").key


def limits(change: Draft) -> tuple[Limit, ...]:
    """Return the limits that are near once there are more ports; none where there are not."""
    before, after = change.eligible_ports
    if after <= before:
        return ()
    found = [
        *_open_files(change),
        *_conntrack(change),
        *_time_wait(change),
        *_memory(change),
        *filters(change),
    ]
    return tuple(sorted(found, key=lambda one: (one.room is None, one.room or 0)))


def filters(change: Draft) -> Iterator[Limit]:
    """Yield the lines of firewalls that name the default range, if the range goes beyond."""
    ephemeral = change.after.ephemeral
    if all(port in DEFAULT_RANGE for port in ephemeral):
        return
    for line in change.around.filters:
        sentence = f"{line.file}:{line.line} names the default range {DEFAULT_RANGE}: {line.text}"
        yield Limit("filter", "port", None, None, None, sentence)


def _open_files(change: Draft) -> Iterator[Limit]:
    """Yield the limit of open files of the process that is nearest to it."""
    if not change.around.open_files:
        return
    one = min(change.around.open_files, key=lambda files: files.limit - files.used)
    room = max(one.limit - one.used, 0)
    sentence = (
        f"{owner_words(one.owner)} has {one.used:,} of {one.limit:,} files open (RLIMIT_NOFILE): "
        "over it socket() fails with EMFILE."
    )
    yield Limit("open_files", "file", one.used, one.limit, room, sentence)


def _conntrack(change: Draft) -> Iterator[Limit]:
    """Yield the limit of tracked connections."""
    used, most = change.around.conntrack_used, change.around.conntrack_max
    if used is None or most is None:
        return
    sentence = (
        f"{used:,} of {most:,} connections are tracked (nf_conntrack_max): "
        "over it new ones time out."
    )
    yield Limit("nf_conntrack_max", "entry", used, most, max(most - used, 0), sentence)


def _time_wait(change: Draft) -> Iterator[Limit]:
    """Yield the limit of TIME_WAIT entries."""
    most = change.before.number(MAX_BUCKETS_KEY, 0)
    used = time_waits(change.read)
    if used is None or not most:
        return
    sentence = (
        f"{used:,} of {most:,} TIME_WAIT entries are in use (tcp_max_tw_buckets): "
        "over it connections end without one."
    )
    yield Limit("tcp_max_tw_buckets", "socket", used, most, max(most - used, 0), sentence)


def time_waits(read: Snapshot) -> int | None:
    """Return how many connections are in TIME_WAIT, None where nobody looked."""
    if not isinstance(read.counters, Gap):
        return read.counters.tcp_tw
    if not isinstance(read.groups, Groups) or read.groups.scope is not None:
        return None
    return sum(
        sum(map(len, table.ports.values()))
        for table in read.groups.tables
        if table.state is TcpState.TIME_WAIT
    )


def _memory(change: Draft) -> Iterator[Limit]:
    """Yield the limit of memory for TCP, of the whole system."""
    used, most = change.around.tcp_memory_pages, change.around.tcp_memory_max_pages
    if used is None or most is None:
        return
    sentence = (
        f"TCP uses {used:,} of {most:,} pages of memory (tcp_mem), of the whole system: "
        "over it the kernel resets connections."
    )
    yield Limit("tcp_mem", "page", used, most, None, sentence)
