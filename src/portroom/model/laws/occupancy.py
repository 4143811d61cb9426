"""Who holds what: eligible, held, doubtful and free ports of one key.

The rule for available ports, as tried against the kernel. For TCP connect a
port is out if its bucket is (``buckets.py``) or if the same 4-tuple exists;
for bind(address, 0) and for UDP if any owner's address overlaps
(``overlap.py``), whatever the destination.

held + doubtful + free = eligible, always.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from portroom.model.facts.ports import PortRange
from portroom.model.facts.snapshot import (
    Features,
    Groups,
    GroupTable,
    Settings,
    Vrf,
)
from portroom.model.facts.sockets import (
    Family,
    Kind,
    Operation,
    Protocol,
    TcpState,
    is_loopback,
)
from portroom.model.laws.buckets import Buckets, eligible
from portroom.model.laws.overlap import overlaps
from portroom.model.laws.spaces import UNBOUND_DEVICE, Devices, are_apart, both, in_the_way
from portroom.model.laws.time_wait import is_reusable, reuse_applies


class KeyId(msgspec.Struct, frozen=True):
    """
    What a key is about, addresses as 16 bytes as in sock_diag.

    UDP and bind0 keys have no remote: ``remote_address`` is zeros. ``vrf`` is
    where its sockets are: bound to the VRF itself, or to no device for None.
    """

    protocol: Protocol
    operation: Operation
    family: Family
    local_address: bytes
    remote_address: bytes = bytes(16)
    remote_port: int = 0
    vrf: Vrf | None = None

    @property
    def group_key(self) -> bytes:
        """Return the key of its groups, for sockets bound to its VRF, or to no device."""
        return self.group_key_on(0 if self.vrf is None else self.vrf.index)

    def group_key_on(self, device: int) -> bytes:
        """Return the key of its groups, for sockets bound to a device."""
        port = self.remote_port.to_bytes(2, "big")
        return port + self.local_address + self.remote_address + device.to_bytes(4, "little")


class Own(msgspec.Struct):
    """
    The sockets of one connect key: their ports by state.

    ``held`` are surely in the way; ``reusable`` are TIME_WAIT ports that the
    kernel may give out again, with True where it surely would.
    """

    held: list[Sequence[int]] = []
    reusable: dict[int, bool] = {}
    states: dict[str, int] = {}


class Figures(msgspec.Struct, frozen=True):
    """
    The numbers of one key, in ports; held + doubtful + free = eligible.

    ``lost_ports`` is 1 where a free end port counts as doubtful, because the
    search over a same-parity range may leave it out.
    """

    eligible_ports: int
    held_ports: int
    doubtful_ports: int
    free_ports: int
    lost_ports: int = 0


def connect_figures(own: Own, buckets: Buckets, settings: Settings) -> Figures:
    """
    Return the numbers of one TCP connect key.

    Args:
        own: The key's own sockets.
        buckets: What is blocked or in doubt for every key.
        settings: The range, for the port that a same-parity range may lose.
    """
    held = _own_held(own, buckets)
    all_in_doubt = len(buckets.doubtful) == len(buckets.open_ports)
    doubtful = len(buckets.doubtful) - len(held if all_in_doubt else held & buckets.doubtful)
    doubtful += sum(
        not surely and port not in buckets.doubtful
        for port, surely in own.reusable.items()
        # A socket that ended between two dumps is in both, and held.
        if port in buckets.open_ports and port not in held
    )
    free = len(buckets.open_ports) - len(held) - doubtful
    unseen = min(free, buckets.unseen_sockets)
    free, doubtful = free - unseen, doubtful + unseen
    ends = settings.ephemeral
    lost = _lost_port(settings, free, ({ends.first, ends.last} & buckets.open_ports) - held)
    held_ports = buckets.blocked_ports + len(held)
    return Figures(buckets.eligible_ports, held_ports, doubtful + lost, free - lost, lost)


def doubtful_ports(own: Own, buckets: Buckets, *, whole: bool = False) -> frozenset[int]:
    """
    Return the ports of one connect key that a probe may settle: no TIME_WAIT.

    Args:
        own: The key's own sockets.
        buckets: What is blocked or in doubt for every key.
        whole: Whether all ports that may be free are wanted.
    """
    asked = buckets.open_ports if whole else buckets.doubtful
    return asked - _own_held(own, buckets) - own.reusable.keys()


def settled(
    figures: Figures,
    free: frozenset[int],
    held: frozenset[int],
    settings: Settings,
    *,
    whole: bool = False,
) -> Figures:
    """
    Return the numbers after the kernel called some ports free or held.

    Args:
        figures: The numbers before.
        free: Ports that the kernel would give.
        held: Ports that it would not give.
        settings: The range, for the port that a same-parity range may lose.
        whole: Whether it was asked about all that may be free, not only about those
            in doubt.
    """
    if whole:
        asked = figures.doubtful_ports + figures.free_ports
        figures = msgspec.structs.replace(figures, doubtful_ports=asked, free_ports=0, lost_ports=0)
    ends = {settings.ephemeral.first, settings.ephemeral.last} & free
    lost = 0 if figures.lost_ports else _lost_port(settings, len(free), ends)
    return Figures(
        figures.eligible_ports,
        figures.held_ports + len(held),
        figures.doubtful_ports - len(free) - len(held) + lost,
        figures.free_ports + len(free) - lost,
        figures.lost_ports + lost,
    )


def _own_held(own: Own, buckets: Buckets) -> frozenset[int]:
    """Return the open ports that the key's own sockets surely hold."""
    if len(own.held) == 1:
        return buckets.open_ports.intersection(own.held[0])
    return buckets.open_ports.intersection(set().union(*own.held))


def _lost_port(settings: Settings, free: int, free_ends: set[int]) -> int:
    """Return 1 if a same-parity range may leave out a free end port, else 0."""
    return int(settings.ephemeral.same_parity and free > 0 and bool(free_ends))


def own_sockets(key: KeyId, groups: Groups, settings: Settings, features: Features) -> Own:
    """
    Return the sockets of one TCP connect key.

    A socket bound to a device does not stop an unbound newcomer (kernel case
    c29), so its port is not held by the 4-tuple. Within a VRF one that is bound
    to the VRF stops every newcomer, one on an enslaved device those on the same.
    """
    own = Own([], {}, {})
    places = places_of(key, groups, settings)
    for table in groups.tables:
        if table.protocol is Protocol.TCP and table.family is key.family:
            for group, surely in places:
                ports = table.ports.get(group)
                if ports:
                    _count(own.states, table.state, len(ports))
                    if surely:
                        _add_own(own, group, table, ports, settings, features)
                    else:
                        own.reusable.update(dict.fromkeys(ports, False))
    return own


def places_of(key: KeyId, groups: Groups, settings: Settings) -> tuple[tuple[bytes, bool], ...]:
    """Return the group keys of a key's sockets, and whether these surely hold their 4-tuple."""
    apart, devices = are_apart(settings), Devices(groups)
    unbound = key.group_key_on(0)
    if key.vrf is None:
        return ((unbound, not apart or devices.index(UNBOUND_DEVICE) is not None),)
    shared = () if apart else ((unbound, True),)
    enslaved = ((key.group_key_on(device), False) for device in key.vrf.devices)
    return ((key.group_key, True), *shared, *enslaved)


def _add_own(
    own: Own,
    group: bytes,
    table: GroupTable,
    ports: Sequence[int],
    settings: Settings,
    features: Features,
) -> None:
    """Add one group of a key's sockets to *own*, reusable TIME_WAITs apart."""
    times = table.remaining_ms.get(group)
    family, local_address = table.family, group[2:18]
    ended = table.state is TcpState.TIME_WAIT
    if not (ended and times and reuse_applies(settings, family, local_address)):
        own.held.append(ports)
        return
    loopback = is_loopback(family, local_address)
    kept = []
    for port, remaining_ms in zip(ports, times, strict=True):
        reusable = is_reusable(remaining_ms, settings, features, loopback=loopback)
        if reusable is False:
            kept.append(port)
        else:
            own.reusable[port] = bool(reusable)
    own.held.append(kept)


class LocalOwner(msgspec.Struct, frozen=True):
    """
    All that is held on one local address in one way.

    ``v6only`` is None where the kernel does not tell; ``states`` counts
    sockets. ``device`` is the index of the one they are bound to, 0 for none;
    ``place`` that of its VRF, 0 for none, None where it is not known.
    """

    family: Family
    address: bytes
    v6only: bool | None
    ports: set[int]
    states: dict[str, int]
    device: int = 0
    place: int | None = 0


def local_owners(
    protocol: Protocol, groups: Groups, ephemeral: PortRange
) -> tuple[LocalOwner, ...]:
    """Return who holds ports of the range, ends included, by local address."""
    first, last = ephemeral
    owners: dict[tuple[Family, bytes, bool | None, bytes], LocalOwner] = {}
    devices = Devices(groups)

    def of(family: Family, address: bytes, v6only: bool | None, device: bytes) -> LocalOwner:
        """Return the owner of one address, made at its first mention."""
        place = family, address, v6only, device
        if place not in owners:
            index = int.from_bytes(device, "little")
            vrf = devices.index(device)
            owners[place] = LocalOwner(family, address, v6only, set(), {}, index, vrf)
        return owners[place]

    for table in groups.tables:
        if table.protocol is protocol:
            for key, ports in table.ports.items():
                inside = [port for port in ports if first <= port <= last]
                if inside:
                    owner = of(table.family, key[2:18], _v6only(table, key[2:18]), key[34:38])
                    owner.ports.update(inside)
                    _count(owner.states, table.state, len(inside))
    for accepted in groups.inbound:
        # A child is v6only if its listener is, and its listener is in a table.
        if accepted.protocol is protocol and accepted.local_port in ephemeral:
            owner = of(accepted.family, accepted.local_address, True, UNBOUND_DEVICE)
            owner.ports.add(accepted.local_port)
            _count(owner.states, accepted.state, accepted.sockets)
    return tuple(owners.values())


def overlap_figures(
    key: KeyId, owners: tuple[LocalOwner, ...], settings: Settings, unseen_sockets: int = 0
) -> tuple[Figures, dict[str, int]]:
    """
    Return the numbers of a bind0 key, or of a UDP key of either operation.

    Every owner whose address overlaps is in the way, in any state; what the
    new socket sets (SO_REUSEADDR, SO_REUSEPORT) is taken to be nothing.

    Args:
        key: The key.
        owners: Who holds ports, by local address.
        settings: The range and the reserved ports.
        unseen_sockets: Up to how many TCP sockets are no owners, see ``unseen.py``.

    Returns:
        The numbers, and the sockets in the way by state.
    """
    every = eligible(settings)
    held: set[int] = set()
    maybe: set[int] = set()
    states: dict[str, int] = {}
    apart = key.protocol is Protocol.TCP and are_apart(settings)
    for owner in owners:
        holds = stands_in_the_way(key, owner, apart=apart)
        if holds is not False:
            (held if holds else maybe).update(owner.ports & every)
            for state, sockets in owner.states.items():
                states[state] = states.get(state, 0) + sockets
    doubtful = len(maybe - held)
    free = len(every) - len(held) - doubtful
    lost = 0
    if key.protocol is Protocol.TCP:
        unseen = min(free, unseen_sockets)
        free, doubtful = free - unseen, doubtful + unseen
        ends = {settings.ephemeral.first, settings.ephemeral.last} & every
        lost = _lost_port(settings, free, ends - held - maybe)
    return Figures(len(every), len(held), doubtful + lost, free - lost, lost), states


def stands_in_the_way(key: KeyId, owner: LocalOwner, *, apart: bool) -> bool | None:
    """
    Say whether the ports of an owner are out for a bind0 key, or a UDP key.

    Args:
        key: The key.
        owner: Who holds ports of the same protocol.
        apart: Whether VRFs have ports of their own.

    Returns:
        True, False, or None where the kernel does not tell.
    """
    return both(
        overlaps(key.family, key.local_address, owner.family, owner.address, owner.v6only),
        in_the_way(key.vrf, owner.device, owner.place, apart=apart),
    )


def _count(states: dict[str, int], state: TcpState, sockets: int) -> None:
    """Add sockets of one state."""
    states[state.name] = states.get(state.name, 0) + sockets


def _v6only(table: GroupTable, address: bytes) -> bool | None:
    """
    Return whether an owner is IPv6 only; a bound specific address always is.

    Source: Linux net/ipv6/af_inet6.c, __inet6_bind.
    """
    bound = table.kind in (Kind.LISTENER, Kind.BOUND, Kind.EXPLICIT)
    if table.v6only is None and bound and table.family is Family.IPV6:
        return any(address) or None
    return table.v6only
