"""Failures as they happen: one at a time, and counted.

Rules of this file:

- a failure is an Event: something at one instant, told by the kernel;
- what the kernel does not tell is None, never guessed; ``address_source`` says
  whether an address is the kernel's own or was read from the process just after,
  which may already be another one;
- commands come from processes: hostile text.
"""

from __future__ import annotations

import datetime

import msgspec

from portroom.model.facts.answers import Answer

FROM_KERNEL, FROM_MEMORY = "kernel", "memory"

EXHAUSTION = frozenset(
    {"key_full", "ports_blocked", "narrowed_range", "bind0_pool_full", "udp_pool_full"}
)
"""Causes that are a want of free local ports."""


class FailedProcess(msgspec.Struct, frozen=True, kw_only=True):
    """
    Who failed. ``pid`` is the process, ``tid`` the thread of it.

    None where the process had ended before it could be looked at. An inode of a
    namespace may be given again, a cookie never is.
    """

    tid: int
    pid: int | None
    start_time: int | None
    command: str | None
    uid: int | None
    unit: str | None
    container: str | None
    netns: str | None
    netns_inode: int | None
    netns_cookie: int | None = None


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """
    A connect or bind that failed. ``operation`` is the system call.

    ``cause`` is one of the causes of `explain`, None where it is not known.
    ``local_port`` is None where there is none: an exhausted search found no port.
    """

    at: datetime.datetime
    operation: str
    error: str
    errno: int
    protocol: str | None
    local_address: str | None
    local_port: int | None
    remote_address: str | None
    remote_port: int | None
    address_source: str | None
    cause: str | None
    process: FailedProcess


class FailureCount(msgspec.Struct, frozen=True, kw_only=True):
    """Failures alike but for time, process number and local end."""

    failures: int
    command: str | None
    unit: str | None
    container: str | None
    netns: str | None
    operation: str
    error: str
    cause: str | None
    protocol: str | None
    remote_address: str | None
    remote_port: int | None
    last_at: datetime.datetime


class FailureCounts(Answer, frozen=True, kw_only=True):
    """
    Failures since ``since``, those that happened most first.

    ``exhausted_total`` are those for want of a free local port; the others have
    another cause, as a full unix backlog. ``lost_events`` are those that the
    kernel had no room for: then the counts are lower bounds.
    ``counts_omitted`` are rows left out, whose failures are in the totals.
    """

    since: datetime.datetime
    failures_total: int
    exhausted_total: int
    lost_events: int
    counts: tuple[FailureCount, ...]
    counts_omitted: int = 0
