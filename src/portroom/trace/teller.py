"""
From events to a failure: with who it was, and what it was about.

Rules of this file:

- who failed is looked up first, since a process may end at any moment;
- an address that an event tells goes before one that was read from memory;
- what came before is read once for all failures that need it.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Sequence
from typing import NamedTuple

from portroom.model.facts.failure import FROM_KERNEL, FailedProcess
from portroom.model.facts.sockets import MAPPED
from portroom.trace.about import About, find_about
from portroom.trace.addresses import text_of
from portroom.trace.events import CallEnter, CallExit, StateChange
from portroom.trace.pairing import MEMORY_NS, Pair
from portroom.trace.raw import AF_INET, AF_INET6, BIND, CONNECT, Address, Raw
from portroom.trace.recorder import Recorder
from portroom.trace.renames import Renames
from portroom.trace.who import Seen, Who


class Ends(NamedTuple):
    """Both ends of a connection, and who told them."""

    local: Address | None = None
    remote: Address | None = None
    source: str | None = None


class Teller:
    """
    Tells failures.

    Args:
        who: Finds processes.
        recorder: Knows what came before.
        renames: Knows what processes called themselves.
        pid: Tell of this process only; None for all but our own.
    """

    def __init__(
        self, who: Who, recorder: Recorder, renames: Renames, pid: int | None = None
    ) -> None:
        self._who = who
        self._recorder = recorder
        self._renames = renames
        self._pid = pid

    def tell(self, pairs: Sequence[Pair]) -> list[Raw]:
        """Return the failures of some pairs, in their order."""
        self._who.refresh()
        if not pairs:
            return []
        seen = [(pair, self._who.find(pair.tid, pair.at_ns)) for pair in pairs]
        wanted = [(pair, one) for pair, one in seen if self._is_wanted(one.process)]
        about = self._find_about(wanted)
        self._renames.look(time.monotonic_ns())
        told = [
            tell_one(pair, self._as_named(pair, one), about.get(pair, About()))
            for pair, one in wanted
        ]
        self._recorder.forget(pairs[-1].at_ns)
        return [raw for raw in told if raw is not None]

    def _is_wanted(self, process: FailedProcess) -> bool:
        """Say whether failures of a process are to be told."""
        if self._pid is not None:
            return process.pid == self._pid
        # What portroom itself tries while it looks is nobody's failure.
        return process.pid != os.getpid()

    def _as_named(self, pair: Pair, seen: Seen) -> FailedProcess:
        """Return a process as it called itself when it failed."""
        return self._renames.as_named(seen.process, pair.at_ns, seen.read_at_ns)

    def _find_about(self, seen: Sequence[tuple[Pair, Seen]]) -> dict[Pair, About]:
        """Return what the calls without a change of state were about."""
        calls = [(pair, one) for pair, one in seen if pair.state is None]
        if not calls:
            return {}
        about = find_about(
            [(pair.call, one.folder) for pair, one in calls if pair.call], self._recorder
        )
        return {pair: found for (pair, _), found in zip(calls, about, strict=True)}


def tell_one(pair: Pair, process: FailedProcess, about: About) -> Raw | None:
    """Return a failure, None for one that was told already."""
    if pair.state is not None:
        return searched(pair, pair.state, process)
    if pair.call is None or was_told(pair, about.begin):
        return None
    if about.clash is not None and pair.call.errno == errno.EADDRNOTAVAIL:
        return clashed(pair.call, about.clash, process)
    return refused(pair.call, about, process)


def was_told(pair: Pair, begin: CallEnter | None) -> bool:
    """Say whether a call ends whose change of state was told before, as it had waited long."""
    assert pair.call is not None
    if pair.alone is None:
        return False
    if begin is not None:
        return begin.at_ns < pair.alone.at_ns
    return pair.call.at_ns - pair.alone.at_ns < MEMORY_NS


def searched(pair: Pair, state: StateChange, process: FailedProcess) -> Raw:
    """Return the failure of a search for a port."""
    ends = ends_of(state)
    return Raw(
        at_ns=state.at_ns,
        operation=CONNECT,
        errno=errno.EADDRNOTAVAIL,
        tid=state.tid,
        family=state.family,
        protocol="tcp",
        searched=True,
        local=ends.local,
        remote=ends.remote,
        address_source=ends.source,
        process=process,
        told_by_call=pair.call is not None,
    )


def clashed(call: CallExit, state: StateChange, process: FailedProcess) -> Raw:
    """Return the failure of a connect whose local port was given."""
    ends = ends_of(state)
    return Raw(
        at_ns=call.at_ns,
        operation=CONNECT,
        errno=call.errno,
        tid=call.tid,
        family=state.family,
        protocol="tcp",
        searched=False,
        local=ends.local,
        remote=ends.remote,
        address_source=ends.source,
        process=process,
    )


def refused(call: CallExit, about: About, process: FailedProcess) -> Raw:
    """Return the failure of a call that changed no state."""
    is_bind, told = call.operation == BIND, about.told
    protocol = told.protocol
    if call.errno == errno.EAGAIN and told.family in (AF_INET, AF_INET6):
        # A connect of TCP gives another errno.
        protocol = protocol or "udp"
    return Raw(
        at_ns=call.at_ns,
        operation=call.operation,
        errno=call.errno,
        tid=call.tid,
        family=told.family,
        protocol=protocol,
        searched=False,
        local=told.address if is_bind else None,
        remote=None if is_bind else told.address,
        address_source=about.source if told.address else None,
        process=process,
    )


def ends_of(state: StateChange) -> Ends:
    """
    Return both ends that a change of state tells.

    An IPv6 socket that goes to an IPv4 address has its own IPv4 address in the
    field for those, and none in the other.
    """
    is_ipv6 = state.family == AF_INET6 and not state.remote6.startswith(MAPPED)
    local, remote = (state.local6, state.remote6) if is_ipv6 else (state.local, state.remote)
    return Ends(
        (text_of(local), state.local_port), (text_of(remote), state.remote_port), FROM_KERNEL
    )
