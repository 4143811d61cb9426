"""Which ports no automatic connect() can get, whatever its destination.

The kernel keeps one bucket for each local port of a namespace, or of a VRF
(``spaces.py``), for both families and all addresses. A port that any socket got
by bind(), listen() or accept() is out for every automatic connect; a port held by
connections that connect() itself placed is shared by 4-tuple.

What sock_diag does not tell is whether a connected socket asked for "any
port" with bind() first. Such a port is in doubt, unless it is proven:

- a socket there has NO_PORT set (IP_BIND_ADDRESS_NO_PORT) and connected out, or
- two sockets that are known to have connected out share one local address:
  bind() would have refused the second. Sockets that were accepted may share
  it too (their listener gone), so sharing alone proves nothing.

On a kernel whose bucket does not forget, every port with an owner is in
doubt: a bound owner may have come by while it lived.

Source: Linux net/ipv4/inet_hashtables.c, __inet_hash_connect;
net/ipv4/inet_connection_sock.c; kernel cases c05-c17, c22, c23, c43, c44.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from portroom.model.facts.snapshot import Features, Groups, GroupTable, Settings, Vrf
from portroom.model.facts.sockets import (
    Family,
    Kind,
    Protocol,
    TcpState,
    is_loopback,
    is_wildcard,
)
from portroom.model.laws.spaces import in_space

BOUND_KINDS = (Kind.LISTENER, Kind.EXPLICIT, Kind.BOUND, Kind.CHILD)


class Buckets(msgspec.Struct, frozen=True):
    """
    The eligible ports of a namespace as automatic TCP connects see them.

    ``blocked_ports`` are surely out for every destination. ``open_ports`` are
    eligible and not blocked; ``doubtful`` is the part of them whose bucket
    may keep everybody else out. ``unseen_sockets`` is up to how many more ports
    are held by sockets that show in no table, nobody knows which.
    """

    eligible_ports: int
    blocked_ports: int
    open_ports: frozenset[int]
    doubtful: frozenset[int]
    unseen_sockets: int = 0


def eligible(settings: Settings) -> frozenset[int]:
    """Return the ports that the kernel may choose: range minus reserved."""
    ephemeral = settings.ephemeral
    every = frozenset(range(ephemeral.first, ephemeral.last + 1))
    return every.difference(settings.reserved.within(ephemeral))


def buckets(
    groups: Groups,
    settings: Settings,
    features: Features,
    unseen_sockets: int = 0,
    vrf: Vrf | None = None,
) -> Buckets:
    """
    Sort the eligible ports into blocked, doubtful and freely shared ones.

    Args:
        groups: All TCP sockets of one namespace, at least those in the range.
        settings: Range, reserved ports and ip_autobind_reuse.
        features: Whether a bucket forgets; unknown counts as "no".
        unseen_sockets: Up to how many sockets are in no group, see ``unseen.py``.
        vrf: Where the connects are made from, None for no VRF.
    """
    every = eligible(settings)
    inside, maybe_inside = in_space(groups, settings, vrf)
    blocked = set(_blocked(inside))
    open_ports = every - blocked
    doubtful = _unproven(inside, settings, features) | maybe_inside
    return Buckets(
        eligible_ports=len(every),
        blocked_ports=len(every) - len(open_ports),
        open_ports=open_ports,
        doubtful=open_ports & doubtful,
        unseen_sockets=unseen_sockets,
    )


def _blocked(groups: Groups) -> Iterator[int]:
    """Yield each TCP port with an owner that surely was bound or accepted."""
    for table in groups.tables:
        if table.protocol is Protocol.TCP and table.kind in BOUND_KINDS:
            for ports in table.ports.values():
                yield from ports
    for accepted in groups.inbound:
        if accepted.protocol is Protocol.TCP:
            yield accepted.local_port


Place = tuple[Family, bytes]
"""A local address and the device bound to: 16 and 4 bytes as in sock_diag."""

MAY_HAVE_ENDED = (TcpState.FIN_WAIT2, TcpState.TIME_WAIT)
"""What has ended no longer tells whether its port was asked for by number: with
SO_REUSEADDR several such sockets share one address, and none was placed."""


def _unproven(groups: Groups, settings: Settings, features: Features) -> set[int]:
    """Return the ports with an owner that may have been bound first."""
    forgets = features.bucket_forgets is True
    autobind_reuse = settings.number("net.ipv4.ip_autobind_reuse", 0)
    proven = _proven(groups) if forgets and not autobind_reuse else {}
    tables = list(connected(groups))
    if not any(proven.values()):
        every = (ports for table in tables for ports in table.ports.values())
        return _union(every, eligible(settings))
    owned: defaultdict[Place, list[Sequence[int]]] = defaultdict(list)
    for table in tables:
        for key, ports in table.ports.items():
            owned[place(table.family, key)].append(ports)
    found: set[int] = set()
    for where, lists in owned.items():
        found |= set().union(*lists) - proven.get(where, set())
    return found


def _union(groups: Iterable[Sequence[int]], enough: frozenset[int]) -> set[int]:
    """Return the ports of all groups; a million sockets soon have all of *enough*."""
    found: set[int] = set()
    for ports in groups:
        found.update(ports)
        if len(found) >= len(enough) and enough <= found:
            break
    return found


def _proven(groups: Groups) -> defaultdict[Place, set[int]]:
    """Return, by local address, the ports that connect() surely placed there."""
    witnesses: defaultdict[Place, Counter[int]] = defaultdict(Counter)
    proven: defaultdict[Place, set[int]] = defaultdict(set)
    listeners = Listeners(groups)
    for table in connected(groups):
        if not _may_witness(table, groups, listeners):
            continue
        for key, ports in table.ports.items():
            out = _connected_out(table, key, ports, groups, listeners)
            where = place(table.family, key)
            if table.kind is Kind.NO_PORT:
                proven[where].update(out)
            else:
                witnesses[where].update(out)
    for where, count in witnesses.items():
        proven[where].update(port for port, sockets in count.items() if sockets > 1)
    return proven


def _connected_out(
    table: GroupTable,
    key: bytes,
    ports: Sequence[int],
    groups: Groups,
    listeners: Listeners,
) -> Iterable[int]:
    """
    Return the ports of a group whose sockets connected out themselves.

    Where nobody asked the kernel for it, the second best has to do: the NO_PORT
    flag, which an accepted socket inherits from its listener, and a remote end
    that is a listener here, from whose port somebody may have connected.
    """
    if table.state in MAY_HAVE_ENDED:
        return ()
    if table.state is TcpState.SYN_SENT:
        return ports
    if groups.active is None:
        flagged = table.kind is Kind.NO_PORT
        return ports if flagged or listeners.serve(table.family, key) else ()
    # Other tables may have the same key: each port witnesses once.
    return groups.active.get((int(table.family), key), frozenset()).intersection(ports)


def place(family: Family, key: bytes) -> Place:
    """Return where the sockets of a group are: local address and device."""
    return family, key[2:18] + key[34:38]


def _may_witness(table: GroupTable, groups: Groups, listeners: Listeners) -> bool:
    """Say whether any group of a table can prove anything: most tables cannot."""
    if table.kind is Kind.NO_PORT or table.state is TcpState.SYN_SENT:
        return True
    return bool(listeners) if groups.active is None else bool(groups.active)


def connected(groups: Groups) -> Iterator[GroupTable]:
    """Yield each table of TCP sockets of kind UNKNOWN or NO_PORT."""
    for table in groups.tables:
        if table.protocol is Protocol.TCP and table.kind not in BOUND_KINDS:
            yield table


class Listeners:
    """The TCP listeners of a namespace, to ask whether they cover an address."""

    def __init__(self, groups: Groups) -> None:
        self._places: set[tuple[Family, bytes, int]] = set()
        self._dual: set[int] = set()
        self._ports: set[bytes] = set()
        for table in groups.tables:
            if table.protocol is Protocol.TCP and table.kind is Kind.LISTENER:
                for key, ports in table.ports.items():
                    self._add(table, key[2:18], ports)

    def _add(self, table: GroupTable, address: bytes, ports: Sequence[int]) -> None:
        """Remember the listeners of one group."""
        self._places.update((table.family, address, port) for port in ports)
        self._ports.update(port.to_bytes(2, "big") for port in ports)
        if table.family is Family.IPV6 and is_wildcard(address) and not table.v6only:
            self._dual.update(ports)

    def __bool__(self) -> bool:
        """Say whether there is any listener."""
        return bool(self._places)

    def cover(self, family: Family, address: bytes, port: int) -> bool:
        """Say whether a listener would accept at this local address and port."""
        return (
            (family, address, port) in self._places
            or (family, bytes(16), port) in self._places
            or (family is Family.IPV4 and port in self._dual)
        )

    def serve(self, family: Family, key: bytes) -> bool:
        """
        Say whether the remote end of a group is a listener of this namespace.

        Then the local end connected out: its peer was accepted.
        """
        if key[:2] not in self._ports:
            return False
        remote = key[18:34]
        here = is_loopback(family, remote) or remote == key[2:18]
        return here and self.cover(family, remote, int.from_bytes(key[:2], "big"))
