"""Which of the causes of `explain` a failure had that was just seen to happen.

Rules of this file:

- the failure itself is evidence: a search for a port that failed proves that
  the ports in doubt are out, or that a socket option narrowed the search;
- the sockets are read shortly after: a few ports may have come free meanwhile, many
  may not; then the cause is not known;
- an errno alone is never a cause: what nothing tells is None.

Source: Linux net/ipv4/inet_hashtables.c, __inet_hash_connect; kernel cases c01-c11,
c53, c62, u1-u4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property
from typing import NamedTuple

from portroom.model.advice.causes.pools import NEAR_FULL_RATIO, SHARE_THAT_COUNTS
from portroom.model.facts.failure import EXHAUSTION
from portroom.model.facts.gaps import Gap
from portroom.model.facts.scene import Window
from portroom.model.facts.snapshot import Groups, GroupTable, Settings, Snapshot
from portroom.model.facts.sockets import Endpoint, Family, Operation, Protocol, packed_address
from portroom.model.laws.buckets import BOUND_KINDS, Buckets, Listeners, buckets, eligible
from portroom.model.laws.occupancy import KeyId, LocalOwner, local_owners, stands_in_the_way
from portroom.model.laws.overlap import overlaps
from portroom.model.laws.scope import within
from portroom.model.laws.selection import may_choose, went_out, window
from portroom.model.laws.spaces import UNBOUND_DEVICE, are_apart
from portroom.model.laws.unseen import unseen_sockets

CONNECT, BIND = "connect", "bind"
EADDRNOTAVAIL, EADDRINUSE, EAGAIN = 99, 98, 11
"""x86 and ARM numbers."""

UNIX = 1
ANYWHERE = "::"
"""Overlaps every address of both families."""

ANY_ADDRESS = {int(Family.IPV4): "0.0.0.0", int(Family.IPV6): ANYWHERE}  # noqa: S104 - not to listen
INTERNET = frozenset(ANY_ADDRESS)

POOL_FULL = {Protocol.TCP: "bind0_pool_full", Protocol.UDP: "udp_pool_full"}

SLACK_PORTS = 2
"""Ports that may have come free between failure and reading, however small the range:
one that closed, and the one that same parity loses. Of a larger one a share may, see
NEAR_FULL_RATIO: 1,000 closes a second and a reading of 0.1 s are 100 of 28,232 ports."""


class Attempt(NamedTuple):
    """
    What was tried and refused.

    Args:
        operation: ``connect`` or ``bind``.
        errno: Positive number of the error.
        family: AF_UNIX, AF_INET or AF_INET6; None where nothing tells.
        protocol: ``tcp``, ``udp`` or another name; None where nothing tells.
        searched: The kernel looked for a local port and found none.
        local: The local end, its port 0 where there is none; None if not known.
        remote: The remote end, None if there is none or it is not known.
    """

    operation: str
    errno: int
    family: int | None = None
    protocol: str | None = None
    searched: bool = False
    local: Endpoint | None = None
    remote: Endpoint | None = None

    @property
    def is_bind0(self) -> bool:
        """Say whether any port was asked for with bind()."""
        return self.operation == BIND and self.local is not None and not self.local.port

    @property
    def is_udp_search(self) -> bool:
        """Say whether a UDP connect found no port; one of TCP gives another errno."""
        return (
            (self.operation, self.errno) == (CONNECT, EAGAIN)
            and self.family in INTERNET
            and self.protocol in {None, Protocol.UDP.value}
        )

    @property
    def is_unread_bind(self) -> bool:
        """Say whether a bind found in use what was not read in time: a port, or all of them."""
        return (
            (self.operation, self.errno) == (BIND, EADDRINUSE)
            and self.family in INTERNET
            and self.local is None
        )


def told(attempt: Attempt) -> str | None:
    """
    Return the cause that the events alone tell, None where the sockets must.

    >>> told(Attempt("connect", 11, family=1))
    'unix_backlog_full'
    """
    if attempt.errno == EAGAIN and attempt.operation == CONNECT:
        return "unix_backlog_full" if attempt.family == UNIX else None
    if attempt.errno != EADDRNOTAVAIL or attempt.searched:
        return None
    if attempt.operation == BIND:
        return "address_not_local"
    if attempt.local is not None and attempt.local.port:
        return "tuple_clash"
    return "no_source_address" if attempt.family in INTERNET else None


def is_judged(attempt: Attempt) -> bool:
    """Say whether the sockets of the namespace can tell the cause."""
    is_bind = (attempt.operation, attempt.errno) == (BIND, EADDRINUSE)
    return attempt.searched or attempt.is_udp_search or is_bind


def needs_all_ports(attempt: Attempt) -> bool:
    """Say whether sockets outside of the ephemeral range count: for a bind to one port."""
    return attempt.operation == BIND and attempt.local is not None and bool(attempt.local.port)


def is_exhaustion(attempt: Attempt, cause: str | None) -> bool:
    """Say whether a failure was for want of a free local port, its cause known or not."""
    is_bind0 = attempt.is_bind0 and attempt.errno == EADDRINUSE
    return attempt.searched or attempt.is_udp_search or is_bind0 or cause in EXHAUSTION


class Evidence:
    """
    What one Snapshot tells of failures that came shortly before it.

    Args:
        read: With settings and groups; of all ports, to judge a bind to one.
    """

    def __init__(self, read: Snapshot) -> None:
        self._read = read
        self._pools: dict[Protocol, tuple[LocalOwner, ...]] = {}
        self._has_room: dict[Protocol, bool] = {}

    def cause(self, attempt: Attempt, windows: Sequence[Window] = ()) -> str | None:
        """
        Return the cause of a failure, None where these sockets do not tell it.

        Args:
            attempt: What failed.
            windows: IP_LOCAL_PORT_RANGE of the sockets of the process, if known.
        """
        settings, groups = self._read.settings, self._read.groups
        if isinstance(settings, Gap) or isinstance(groups, Gap):
            return None
        every = eligible(settings)
        if attempt.searched:
            return self._of_connect(attempt, every, settings, windows)
        if attempt.is_bind0 or attempt.is_udp_search:
            return self._of_any_port(attempt, every, settings, windows)
        return _of_bind(attempt, groups, settings)

    def names_port(self, attempt: Attempt) -> bool:
        """
        Say whether a bind of which nothing is known must have asked for one port.

        It must where bind() to port 0 has half of the ports left on any address, also if
        sockets that show nowhere hold some; unless its socket had a range of its own.
        """
        settings, protocols = self._read.settings, _protocols(attempt)
        if isinstance(settings, Gap) or isinstance(self._read.groups, Gap) or not protocols:
            return False
        for protocol in protocols:
            if protocol not in self._has_room:
                every = eligible(settings)
                left = every - self._taken_on(ANYWHERE, protocol, settings)
                unseen = unseen_sockets(self._read) if protocol is Protocol.TCP else 0
                room = len(left) - unseen
                self._has_room[protocol] = bool(every) and 2 * room >= len(every)
        return all(self._has_room[protocol] for protocol in protocols)

    def _of_connect(
        self,
        attempt: Attempt,
        every: frozenset[int],
        settings: Settings,
        windows: Sequence[Window],
    ) -> str | None:
        """Return the cause of a connect that found no port."""
        if not every:
            return "narrowed_range"
        shared, groups = self._shared
        own = set(self._own_ports(attempt, groups))
        blocked = every - shared.open_ports
        if _is_full(every, blocked | own):
            own_share = len(own & shared.open_ports) / len(every)
            return "key_full" if own_share >= SHARE_THAT_COUNTS else "ports_blocked"
        # The search failed, so the doubt is settled: these are out for everybody.
        taken = blocked | own | shared.doubtful
        if _is_full(every, taken):
            return "ports_blocked"
        return _narrowed(every, taken, settings, windows)

    def _of_any_port(
        self,
        attempt: Attempt,
        every: frozenset[int],
        settings: Settings,
        windows: Sequence[Window],
    ) -> str | None:
        """Return the cause of a bind to any port, or a connect of UDP, that found none."""
        if not every:
            return "narrowed_range"
        for protocol in _protocols(attempt):
            taken = self._taken_on(_address(attempt), protocol, settings)
            if _is_full(every, taken):
                return POOL_FULL[protocol]
            if cause := _narrowed(every, taken, settings, windows):
                return cause
        return None

    def _taken_on(self, address_text: str, protocol: Protocol, settings: Settings) -> set[int]:
        """Return the ports of the range that are held on an address, doubt included."""
        family, address = packed_address(address_text)
        if protocol not in self._pools:
            self._pools[protocol] = local_owners(protocol, self._shared[1], settings.ephemeral)
        key = KeyId(protocol, Operation.BIND0, family, address)
        apart = protocol is Protocol.TCP and are_apart(settings)
        return {
            port
            for owner in self._pools[protocol]
            if stands_in_the_way(key, owner, apart=apart) is not False
            for port in owner.ports
        }

    def _own_ports(self, attempt: Attempt, groups: Groups) -> Iterator[int]:
        """Yield the ports of sockets with the ends of a connect, bound to any device."""
        if attempt.remote is None or attempt.local is None:
            return
        family, here = packed_address(attempt.local.address)
        there = packed_address(attempt.remote.address)[1]
        ends = attempt.remote.port.to_bytes(2, "big") + here + there
        for table in groups.tables:
            if table.protocol is Protocol.TCP and table.family is family:
                yield from table.ports.get(ends + UNBOUND_DEVICE, ())
        for device_family, key, ports in self._on_devices:
            if device_family is family and key[:34] == ends:
                yield from ports

    @cached_property
    def _on_devices(self) -> list[tuple[Family, bytes, Sequence[int]]]:
        """Return the groups of TCP sockets that are bound to a device."""
        return [
            (table.family, key, ports)
            for table in self._shared[1].tables
            if table.protocol is Protocol.TCP
            for key, ports in table.ports.items()
            if key[34:] != UNBOUND_DEVICE
        ]

    @cached_property
    def _shared(self) -> tuple[Buckets, Groups]:
        """Return what is out for every destination, and the sockets of the range."""
        settings, groups = self._read.settings, self._read.groups
        assert isinstance(settings, Settings)
        assert isinstance(groups, Groups)
        inside = within(groups, settings.ephemeral)
        return buckets(inside, settings, self._read.features), inside


def _is_full(every: frozenset[int], taken: Iterable[int]) -> bool:
    """Say whether so few ports are not taken that they may have come free just now."""
    free = len(every.difference(taken))
    slack = max(SLACK_PORTS, int(len(every) * (1 - NEAR_FULL_RATIO)))
    return free <= min(slack, len(every) // 2)


def _narrowed(
    every: frozenset[int], taken: AbstractSet[int], settings: Settings, windows: Sequence[Window]
) -> str | None:
    """Return the cause if an option of the process's sockets leaves full ports alone."""
    for option in windows:
        inside = window(settings.ephemeral, option.first, option.last)
        ports = every.intersection(range(inside.first, inside.last + 1))
        if len(ports) < len(every) and (not ports or _is_full(ports, taken)):
            return "narrowed_range"
    return None


def _address(attempt: Attempt) -> str:
    """Return on which address a port was asked for; a connect of UDP asks for it on all."""
    if attempt.local is None:
        return ANY_ADDRESS[attempt.family or int(Family.IPV4)]
    return attempt.local.address


def _protocols(attempt: Attempt) -> tuple[Protocol, ...]:
    """Return which protocol asked; both where nothing tells, TCP first; none for others."""
    if attempt.is_udp_search:
        return (Protocol.UDP,)
    both = (Protocol.TCP, Protocol.UDP)
    return tuple(one for one in both if attempt.protocol in {None, one.value})


def _of_bind(attempt: Attempt, groups: Groups, settings: Settings) -> str | None:
    """Return the cause of a bind to one port: who holds it there."""
    if attempt.local is None:
        return None
    holders = set(_holders(attempt, attempt.local, groups, settings))
    # A connection in the way does not matter where a listener is in the way, too.
    return next((one for one in ("port_taken", "port_held_by_outgoing") if one in holders), None)


def _holders(
    attempt: Attempt, local: Endpoint, groups: Groups, settings: Settings
) -> Iterator[str]:
    """Yield as causes what holds a port on an overlapping address."""
    family, address = packed_address(local.address)
    protocols, listeners = _protocols(attempt), Listeners(groups)
    for table in groups.tables:
        if table.protocol in protocols:
            for key, ports in table.ports.items():
                owner = key[2:18]
                if (
                    overlaps(family, address, table.family, owner, table.v6only) is not False
                    and local.port in ports
                ):
                    yield _holder(table, key, local.port, settings, listeners)
    for accepted in groups.inbound:
        owner = accepted.local_address
        if (
            accepted.protocol in protocols
            and accepted.local_port == local.port
            and overlaps(family, address, accepted.family, owner, True) is not False
        ):
            yield "port_taken"


def _holder(
    table: GroupTable, key: bytes, port: int, settings: Settings, listeners: Listeners
) -> str:
    """
    Return as a cause what a socket on a port is.

    What goes to a listener of this namespace surely went out; accepted sockets of a
    listener that is there are not among these.
    """
    if table.kind in BOUND_KINDS or not any(key[:2]):
        return "port_taken"
    surely = listeners.serve(table.family, key) or None
    is_outgoing = went_out(surely, choosable=may_choose(port, settings), listened=False)
    return "port_held_by_outgoing" if is_outgoing else "port_taken"
