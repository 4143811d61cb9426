"""
One failure as the kernel told it, before anybody says why it failed.

Rules of this file:

- what no event tells is None, never guessed;
- an address is the kernel's own, of an event or of the stack that it copied when the
  call failed, or was read from the memory of the process just after the call; the
  last may be another one by then, and says so.
"""

from __future__ import annotations

import msgspec

from portroom.model.facts.failure import FailedProcess

CONNECT, BIND = "connect", "bind"

AF_UNIX, AF_INET, AF_INET6 = 1, 2, 10

OTHER_FAMILY = 0
"""A socket that is none of these, as of netlink: AF_UNSPEC, which no socket has."""

Address = tuple[str, int]
"""Address text and port, as ``("10.0.0.1", 443)``."""


class Raw(msgspec.Struct, frozen=True, kw_only=True):
    """
    A connect or bind that failed, seen by the kernel at one instant.

    ``searched`` says that the kernel looked for a local port and found none: the
    matching change of state has local port 0. False where there is no such event;
    a clash of an explicit local port has an event with that port, in ``local``.
    ``told_by_call`` is False for an operation that no system call returned from,
    as one of io_uring: then only the change of state told of it, and ``errno`` is
    what an exhausted search gives.

    Args:
        at_ns: Monotonic clock, in nanoseconds (CLOCK_MONOTONIC).
        operation: ``connect`` or ``bind``.
        errno: Positive number of the error.
        tid: The thread, by its number in the first pid namespace.
        family: AF_UNIX (1), AF_INET (2), AF_INET6 (10), or 0 for a socket of another
            family; None where nothing tells.
        protocol: ``tcp``, ``udp``, or another of IP (``sctp``, ``raw``, …); None
            where nothing tells, or there is none.
        searched: The search for a local port failed.
        local: The local end; None where it is not known, or has neither address
            nor port.
        remote: The remote end of a connect; None where it is not known.
        address_source: ``kernel`` or ``memory``; None where there is no address.
        process: Who failed.
        told_by_call: A system call returned the error.
    """

    at_ns: int
    operation: str
    errno: int
    tid: int
    family: int | None
    protocol: str | None
    searched: bool
    local: Address | None
    remote: Address | None
    address_source: str | None
    process: FailedProcess
    told_by_call: bool = True
