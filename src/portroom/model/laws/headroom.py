"""From a Snapshot to the keys of an answer: which keys, and how full they are."""

from __future__ import annotations

import msgspec

from portroom.model.facts.answers import Key
from portroom.model.facts.snapshot import (
    Gap,
    Groups,
    Owners,
    Settings,
    Snapshot,
    Vrf,
)
from portroom.model.facts.sockets import (
    Endpoint,
    Family,
    Operation,
    Owner,
    Protocol,
    address_text,
    packed_address,
)
from portroom.model.laws.buckets import buckets
from portroom.model.laws.occupancy import (
    Figures,
    KeyId,
    LocalOwner,
    doubtful_ports,
    local_owners,
    overlap_figures,
    own_sockets,
    settled,
)
from portroom.model.laws.scope import within
from portroom.model.laws.spaces import UNBOUND_DEVICE, are_apart
from portroom.model.laws.tightest import (
    Counts,
    Measured,
    by_vrf,
    connect_key,
    count_keys,
    remoteless_keys,
    tightest,
)
from portroom.model.laws.unseen import unseen_sockets
from portroom.model.laws.untold import untold

VRFS_UNKNOWN = (
    "which devices belong to a VRF is not known: "
    "ports of sockets that are bound to a device are in doubt"
)
DEVICES_UNKNOWN = (
    "which sockets are bound to a VRF is not known: each TCP port with an owner is in doubt"
)
ELSEWHERE = "the figures are for sockets that are in no VRF; one that is bound to a VRF has others"


class KeysWanted(msgspec.Struct, frozen=True):
    """
    Which keys an answer is about; addresses are text.

    ``remotes`` with port 0 mean every key to that address; none means every
    key there is. ``protocol`` None is TCP and UDP together. ``limit`` 0 is
    all.
    """

    protocol: Protocol | None = None
    operation: Operation = Operation.CONNECT
    remotes: tuple[Endpoint, ...] = ()
    from_address: str | None = None
    limit: int = 0

    @property
    def is_every(self) -> bool:
        """Say whether no address narrows the keys."""
        return self.from_address is None and not self.remotes


class Keys(msgspec.Struct, frozen=True):
    """The keys found, the tightest first, and how many there are in all."""

    measured: tuple[Measured, ...]
    total: int
    gaps: tuple[Gap, ...] = ()


def find_keys(snapshot: Snapshot, wanted: KeysWanted) -> Keys:
    """
    Return the wanted keys of a Snapshot.

    A destination without a connection has a key too: its local address comes
    from ``from_address`` or from the Snapshot's routes, else it is a Gap. A
    question by address is about sockets in no VRF; keys within one are among
    all keys only.

    Args:
        snapshot: With settings, and groups of at least the ephemeral range.
        wanted: Which keys.
    """
    settings, groups = snapshot.settings, snapshot.groups
    if isinstance(settings, Gap):
        return Keys((), 0, (settings,))
    if isinstance(groups, Gap):
        return Keys((), 0, (groups,))
    inside = within(groups, settings.ephemeral)
    search = _Search(settings, inside, snapshot, wanted)
    gaps: tuple[Gap, ...] = ()
    if wanted.operation is Operation.CONNECT and wanted.protocol is not Protocol.UDP:
        gaps = search.add_connects(snapshot)
    if wanted.operation is Operation.BIND0 or wanted.protocol is not Protocol.TCP:
        search.add_remoteless()
    return search.result((*gaps, *_about_vrfs(settings, inside, wanted)))


def _about_vrfs(settings: Settings, groups: Groups, wanted: KeysWanted) -> tuple[Gap, ...]:
    """Return what is not known, or not told, because of VRFs."""
    apart = are_apart(settings)
    if groups.vrfs is None:
        unknown = apart and any(
            key[34:] != UNBOUND_DEVICE
            for table in groups.tables
            if table.protocol is Protocol.TCP
            for key in table.ports
        )
        return (Gap("vrf", VRFS_UNKNOWN, ("keys.held_ports",)),) if unknown else ()
    if groups.vrfs and apart and not groups.devices_seen:
        return (Gap("vrf", DEVICES_UNKNOWN, ("keys.held_ports",)),)
    if groups.vrfs and not wanted.is_every:
        names = ", ".join(sorted(vrf.name for vrf in groups.vrfs))
        return (Gap("vrf", f"{ELSEWHERE} ({names})", ("keys.free_ports",)),)
    return ()


class _Search:
    """One search for keys: what it looks in, and what it found so far."""

    def __init__(
        self, settings: Settings, groups: Groups, snapshot: Snapshot, wanted: KeysWanted
    ) -> None:
        self._settings = settings
        self._groups = groups
        self._features = snapshot.features
        self._unseen = unseen_sockets(snapshot)
        self._wanted = wanted
        self._found: list[Measured] = []
        self._total = 0

    def add_connects(self, snapshot: Snapshot) -> tuple[Gap, ...]:
        """Add the TCP connect keys; return what is missing for some."""
        wanted = self._wanted
        remotes = {_packed(remote) for remote in wanted.remotes}
        local = packed_address(wanted.from_address) if wanted.from_address else None

        def is_wanted(family: Family, key: bytes) -> bool:
            """Say whether a group belongs to a wanted key."""
            port = int.from_bytes(key[:2], "big")
            there = family, key[18:34]
            return (local is None or local == (family, key[2:18])) and (
                not remotes or (*there, port) in remotes or (*there, 0) in remotes
            )

        counts = count_keys(self._groups, None if wanted.is_every else is_wanted)
        (_, outside), *inside = by_vrf(counts, self._groups)
        known, gaps = _asked_for(snapshot, wanted, outside)
        for key in known:
            outside[key.family].setdefault(key.group_key, 0)
        self._add_tightest(outside, None)
        for vrf, part in inside if wanted.is_every else ():
            self._add_tightest(part, vrf)
        return gaps

    def _add_tightest(self, counts: Counts, vrf: Vrf | None) -> None:
        """Add the tightest of some TCP connect keys, all in one VRF or in none."""
        settings, features = self._settings, self._features
        self._total += sum(map(len, counts.values()))
        shared = buckets(self._groups, settings, features, self._unseen, vrf)
        self._found += tightest(
            counts, self._groups, shared, settings, features, self._wanted.limit, vrf
        )

    def add_remoteless(self) -> None:
        """Add the bind0 keys, or the UDP keys."""
        wanted = self._wanted
        bind0 = wanted.operation is Operation.BIND0
        protocol = wanted.protocol or (Protocol.TCP if bind0 else Protocol.UDP)
        owners = local_owners(protocol, self._groups, self._settings.ephemeral)
        found = [
            Measured(key, *overlap_figures(key, owners, self._settings, self._unseen))
            for key in _remoteless(wanted, protocol)
            or self._remoteless_keys(protocol, owners)
            or _wildcard(wanted, protocol)
        ]
        # By more than what is held: a saved Snapshot keeps no order of tables.
        found.sort(key=_remoteless_order)
        self._found += found
        self._total += len(found)

    def _remoteless_keys(self, protocol: Protocol, owners: tuple[LocalOwner, ...]) -> list[KeyId]:
        """Return every key without a remote that has owners; where VRFs are apart, by VRF."""
        operation = self._wanted.operation
        vrfs = self._groups.vrfs
        if not vrfs or protocol is not Protocol.TCP or not are_apart(self._settings):
            return remoteless_keys(protocol, operation, owners)
        outside = [owner for owner in owners if not owner.place]
        found = remoteless_keys(protocol, operation, outside)
        for vrf in vrfs:
            inside = [owner for owner in owners if owner.place == vrf.index]
            found += remoteless_keys(protocol, operation, inside, vrf)
        return found

    def result(self, gaps: tuple[Gap, ...]) -> Keys:
        """Return all that was found, the tightest first, cut to the limit."""
        found = sorted(self._found, key=lambda one: -one.figures.held_ports)
        shown = tuple(found[: self._wanted.limit or None])
        return Keys(shown, self._total, gaps + untold(self._features, shown))


def _remoteless_order(one: Measured) -> tuple[int, int, Family, bytes, int]:
    """Return what keys without a remote are sorted by: held, sockets, address, VRF."""
    key, sockets = one.id, sum(one.states.values())
    vrf = 0 if key.vrf is None else key.vrf.index
    return -one.figures.held_ports, -sockets, key.family, key.local_address, vrf


def _packed(remote: Endpoint) -> tuple[Family, bytes, int]:
    """Return family, 16 bytes and port of an endpoint."""
    return *packed_address(remote.address), remote.port


def _asked_for(
    snapshot: Snapshot, wanted: KeysWanted, counts: Counts
) -> tuple[list[KeyId], tuple[Gap, ...]]:
    """
    Return the keys that exist because they were asked for, and what is missing.

    Nothing is missing for a destination that has connections already.
    """
    found = []
    gaps = []
    for remote in wanted.remotes:
        if remote.port:
            local = wanted.from_address or _route(snapshot, remote)
            remote_family, there, port = _packed(remote)
            to_port = port.to_bytes(2, "big")
            if local is not None:
                family, address = packed_address(local)
                found.append(connect_key(family, to_port + address + there + bytes(4)))
            elif not any(
                key[:2] == to_port and key[18:34] == there for key in counts[remote_family]
            ):
                gaps.append(_no_route(snapshot, remote))
    return found, tuple(gaps)


def _route(snapshot: Snapshot, remote: Endpoint) -> str | None:
    """Return the local address that the route to *remote* gives, if it is known."""
    if isinstance(snapshot.routes, Gap):
        return None
    for route in snapshot.routes:
        if packed_address(route.remote_address) == packed_address(remote.address):
            return route.local_address
    return None


def _no_route(snapshot: Snapshot, remote: Endpoint) -> Gap:
    """Return the Gap of a destination whose local address is not known."""
    missing = snapshot.routes
    reason = missing.reason if isinstance(missing, Gap) else f"no route to {remote.address}"
    return Gap("route", f"{reason}: name the local address with --from", ("keys",))


def _remoteless(wanted: KeysWanted, protocol: Protocol) -> list[KeyId]:
    """Return the remote-less keys that were asked for by an address."""
    if wanted.from_address is not None:
        family, address = packed_address(wanted.from_address)
        return [KeyId(protocol, wanted.operation, family, address)]
    families = dict.fromkeys(packed_address(remote.address)[0] for remote in wanted.remotes)
    return [KeyId(protocol, wanted.operation, family, bytes(16)) for family in families]


def _wildcard(wanted: KeysWanted, protocol: Protocol) -> list[KeyId]:
    """Return the key of any address, for a question that is about nothing else."""
    if wanted.operation is Operation.CONNECT and wanted.protocol is None:
        return []
    return [KeyId(protocol, wanted.operation, Family.IPV4, bytes(16))]


SPARE_PORTS = 2
"""Ports surely free below which the probe, which holds one, is refused."""


class Doubt(msgspec.Struct, frozen=True):
    """
    The ports of one connect key that the kernel itself may be asked about.

    ``whole``: these are all that may be free, because any of them may be held by a
    socket that no table shows.
    """

    measured: Measured
    ports: frozenset[int]
    whole: bool = False


def doubts(
    snapshot: Snapshot, keys: tuple[Measured, ...], *, whole: bool = False
) -> tuple[Doubt, ...]:
    """
    Return the connect keys with ports in doubt, and those ports.

    A port in TIME_WAIT of the key itself is never among them: the probe would
    take its entry.

    Args:
        snapshot: With settings and groups.
        keys: Those that may be in doubt.
        whole: Whether to name every port that may be free, where sockets that no
            table shows may hold any of them.
    """
    settings, groups = snapshot.settings, snapshot.groups
    if isinstance(settings, Gap) or isinstance(groups, Gap):
        return ()
    # The probe is bound to no device, so that it tells nothing of a VRF.
    keys = tuple(one for one in keys if one.id.vrf is None)
    inside = within(groups, settings.ephemeral)
    whole = whole and unseen_sockets(snapshot) > 0
    shared = buckets(inside, settings, snapshot.features)
    found = []
    for one in keys:
        if one.id.protocol is Protocol.TCP and one.id.operation is Operation.CONNECT:
            own = own_sockets(one.id, inside, settings, snapshot.features)
            ports = doubtful_ports(own, shared, whole=whole)
            if ports:
                found.append(Doubt(one, ports, whole))
    return tuple(found)


def settle(
    keys: Keys,
    key: KeyId,
    free: frozenset[int],
    held: frozenset[int],
    settings: Settings,
    *,
    whole: bool = False,
) -> Keys:
    """Return the keys after the kernel settled some ports of one, see ``settled``."""
    (before,) = (one.figures for one in keys.measured if one.id == key)
    return with_figures(keys, key, settled(before, free, held, settings, whole=whole))


def with_figures(keys: Keys, key: KeyId, figures: Figures) -> Keys:
    """Return the keys, one of them with other numbers."""
    measured = tuple(
        Measured(one.id, figures, one.states) if one.id == key else one for one in keys.measured
    )
    return Keys(measured, keys.total, keys.gaps)


def as_key(measured: Measured, owners: tuple[Owner, ...] = ()) -> Key:
    """Return one key as answers have it."""
    key, figures = measured.id, measured.figures
    remote = bool(key.remote_port)
    eligible = figures.eligible_ports
    free_max = figures.free_ports + figures.doubtful_ports
    return Key(
        protocol=key.protocol.value,
        operation=key.operation.value,
        local_address=address_text(key.family, key.local_address),
        remote_address=address_text(key.family, key.remote_address) if remote else None,
        remote_port=key.remote_port if remote else None,
        eligible_ports=eligible,
        held_ports=figures.held_ports,
        doubtful_ports=figures.doubtful_ports,
        free_ports=figures.free_ports,
        free_ports_max=free_max,
        occupancy_ratio=_ratio(figures.held_ports, eligible),
        occupancy_ratio_max=_ratio(figures.held_ports + figures.doubtful_ports, eligible),
        exhausted=free_max == 0,
        states=dict(sorted(measured.states.items(), key=lambda entry: (-entry[1], entry[0]))),
        owners=owners,
        vrf=None if key.vrf is None else key.vrf.name,
    )


def _ratio(ports: int, eligible: int) -> float:
    """Return ports / eligible to six digits; with nothing eligible all is held."""
    return round(ports / eligible, 6) if eligible else 1.0


def owners_by_key(owners: Owners | Gap) -> dict[tuple[str, bytes, int], tuple[Owner, ...]]:
    """Return the owners of a Snapshot by protocol, group key and family."""
    if isinstance(owners, Gap):
        return {}
    return {(one.protocol.value, one.key, int(one.family)): one.owners for one in owners.by_key}
