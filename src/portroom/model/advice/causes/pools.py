"""The pools of ports that a question is about: how many ports of each, and who holds them.

A pool is what one search chooses from: towards one destination for TCP connect,
on one local address for bind() to port 0 and for UDP.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from portroom.model.facts.answers import Key
from portroom.model.facts.explanation import ExplainQuestion
from portroom.model.facts.gaps import Gap
from portroom.model.facts.scene import Probed, Reached, Scene
from portroom.model.facts.snapshot import Groups, Settings
from portroom.model.facts.sockets import (
    Endpoint,
    Family,
    Operation,
    Owner,
    Protocol,
    is_wildcard,
    packed_address,
)
from portroom.model.laws.buckets import Buckets, buckets, eligible
from portroom.model.laws.headroom import KeysWanted, as_key, find_keys
from portroom.model.laws.occupancy import KeyId, own_sockets
from portroom.model.laws.scope import within
from portroom.model.laws.unseen import unseen_sockets

NEAR_FULL_RATIO = 0.95
"""Held from here on, a burst of a moment ago may have had all the rest."""

SHARE_THAT_COUNTS = 0.05
"""Who holds less of an exhausted pool did not exhaust it: one listener in a whole range."""

MOST_KEYS = 5
"""Keys without a remote that are judged where the scene brings none."""


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """
    The eligible ports of one TCP connect search, by what becomes of them.

    ``own`` are those on which the 4-tuple exists, ``blocked`` those that are out for
    every destination, and ``both`` the ports that are so for both reasons:
    own + blocked - both + in doubt + free = eligible. ``both_doubtful`` are own ones
    of which it is not known whether they are blocked as well, ``shared`` how many
    ports the kernel would give for a destination that nobody is connected to.

    ``own_doubtful`` are TIME_WAITs of the destination that may be reused,
    ``blocked_doubtful`` ports of connections to elsewhere that may have bound first.
    ``key`` is None for a destination that nothing is connected to.
    """

    key: Key | None
    eligible: int
    own: int
    blocked: int
    own_doubtful: int
    blocked_doubtful: int
    free: int
    both: int = 0
    both_doubtful: int = 0
    shared: int = 0

    @property
    def own_alone(self) -> int:
        """Return how many ports nothing but the 4-tuple keeps from a connect."""
        return self.own - self.both

    @property
    def in_doubt(self) -> int:
        """Return how many ports the kernel does not tell of."""
        return self.own_doubtful + self.blocked_doubtful

    @property
    def exhausted(self) -> bool:
        """Say whether surely no port is left of those that there are."""
        return self.eligible > 0 and not self.free and not self.in_doubt

    @property
    def maybe_exhausted(self) -> bool:
        """Say whether no port is surely left."""
        return self.eligible > 0 and not self.free

    @property
    def near_full(self) -> bool:
        """Say whether so few are left that a burst takes them."""
        taken = self.own_alone + self.blocked
        return self.eligible > 0 and taken >= NEAR_FULL_RATIO * self.eligible

    def counts(self, ports: int) -> bool:
        """Say whether so many ports are a share worth naming."""
        return ports > 0 and ports >= SHARE_THAT_COUNTS * self.eligible


EVERYBODY = KeyId(Protocol.TCP, Operation.BIND0, Family.IPV4, bytes(16))
"""The key whose owners are those of all TCP sockets on ports of the range."""


def everybody(scene: Scene) -> tuple[Owner, ...]:
    """Return the processes with TCP sockets on ports of the range, where they were read."""
    owners = scene.read.owners
    if isinstance(owners, Gap):
        return ()
    wanted = EVERYBODY.protocol, EVERYBODY.family, EVERYBODY.group_key
    named = (one for one in owners.by_key if (one.protocol, one.family, one.key) == wanted)
    return next((one.owners for one in named), ())


def unread(scene: Scene) -> Gap | None:
    """Return why ports cannot be counted, None where they can."""
    for part in (scene.read.settings, scene.read.groups):
        if isinstance(part, Gap):
            return part
    return None


def connect_keys(scene: Scene) -> tuple[Key, ...]:
    """Return the TCP connect keys in no VRF that the scene brings, the fullest first."""
    keys = [
        key
        for key in scene.keys
        if key.protocol == Protocol.TCP.value and key.operation == Operation.CONNECT.value
        if key.vrf is None
    ]
    return tuple(sorted(keys, key=lambda key: (key.free_ports, key.free_ports_max)))


def names_source(asked: ExplainQuestion) -> bool:
    """Say whether a question names the address to go from; any address is none."""
    local = asked.from_address
    return local is not None and not is_wildcard(packed_address(local)[1])


def routed_keys(asked: ExplainQuestion, scene: Scene) -> tuple[Key, ...]:
    """
    Return the TCP connect keys that the question is about, the fullest first.

    A program that binds no address goes from the one that the route gives: keys from
    others are not its own, as far as the route is known.
    """
    keys = connect_keys(scene)
    ways = _ways(scene)
    if asked.remote is None or names_source(asked) or not ways:
        return keys
    return tuple(key for key in keys if _goes(key, ways.get(_there(key))))


def _goes(key: Key, local: str | None) -> bool:
    """Say whether a connection from a local address is one of a key; from none, any is."""
    return local is None or packed_address(local) == packed_address(key.local_address)


def _there(key: Key) -> tuple[Family, bytes, int]:
    """Return the remote endpoint of a connect key."""
    return *packed_address(key.remote_address or "::"), key.remote_port or 0


def _ways(scene: Scene) -> dict[tuple[Family, bytes, int], str]:
    """Return the local address that connect() takes for each remote, as far as it is known."""
    ways = {
        (*packed_address(one.remote.address), one.remote.port): one.local_address
        for one in went(scene)
        if one.local_address is not None
    }
    if ways or isinstance(scene.read.routes, Gap):
        return ways
    routes = {packed_address(one.remote_address): one.local_address for one in scene.read.routes}
    there = {_there(key) for key in connect_keys(scene)}
    return {one: local for one in there if (local := routes.get(one[:2])) is not None}


def connect_pools(scene: Scene, keys: Sequence[Key]) -> tuple[Pool, ...]:
    """Return the pools of some TCP connect keys, in their order."""
    settings, groups = scene.read.settings, scene.read.groups
    if isinstance(settings, Gap) or isinstance(groups, Gap):
        return ()
    inside = within(groups, settings.ephemeral)
    shared = buckets(inside, settings, scene.read.features)
    return tuple(_pool(key, scene, inside, settings, shared) for key in keys)


def new_pool(scene: Scene) -> Pool | None:
    """Return the pool of a destination that nothing is connected to."""
    settings, groups = scene.read.settings, scene.read.groups
    if isinstance(settings, Gap) or isinstance(groups, Gap):
        return None
    inside = within(groups, settings.ephemeral)
    shared = buckets(inside, settings, scene.read.features, unseen_sockets(scene.read))
    said = scene.probed or Probed()
    out = shared.open_ports.intersection(said.blocked)
    doubtful = len(shared.doubtful.difference(out, said.free, said.shared))
    blocked = shared.blocked_ports + len(out)
    doubtful += min(shared.eligible_ports - blocked - doubtful, shared.unseen_sockets)
    return Pool(
        key=None,
        eligible=shared.eligible_ports,
        own=0,
        blocked=blocked,
        own_doubtful=0,
        blocked_doubtful=doubtful,
        free=shared.eligible_ports - blocked - doubtful,
    )


def key_id(key: Key) -> KeyId:
    """Return what a key of an answer is about."""
    family, local = packed_address(key.local_address)
    protocol, operation = Protocol(key.protocol), Operation(key.operation)
    if key.remote_address is None:
        return KeyId(protocol, operation, family, local)
    remote = packed_address(key.remote_address)[1]
    return KeyId(protocol, operation, family, local, remote, key.remote_port or 0)


def _pool(key: Key, scene: Scene, inside: Groups, settings: Settings, shared: Buckets) -> Pool:
    """Return the ports of one key by who holds them; the key's figures are after the probe."""
    mine = own_sockets(key_id(key), inside, settings, scene.read.features)
    said = scene.probed or Probed()
    tuples = eligible(settings).intersection(set().union(*mine.held))
    own = (tuples & shared.open_ports).difference(said.blocked)
    # Such a TIME_WAIT gives its port back only if its socket did not bind first, either.
    doubtful = [
        port
        for port, surely in mine.reusable.items()
        if port in shared.open_ports - own and (port in shared.doubtful or not surely)
    ]
    own_doubtful = min(len(doubtful), key.doubtful_ports)
    alone = min(len(own), key.held_ports)
    both = min(len(tuples - own), key.held_ports - alone)
    return Pool(
        key=key,
        eligible=key.eligible_ports,
        own=alone + both,
        blocked=key.held_ports - alone,
        own_doubtful=own_doubtful,
        blocked_doubtful=key.doubtful_ports - own_doubtful,
        free=key.free_ports,
        both=both,
        both_doubtful=len((own & shared.doubtful).difference(said.free, said.shared)),
        shared=len(said.shared) + len(shared.open_ports - shared.doubtful),
    )


def local_keys(
    asked: ExplainQuestion, scene: Scene, protocol: Protocol, operation: Operation
) -> tuple[Key, ...]:
    """Return the keys without a remote that a question is about, the fullest first."""
    brought = tuple(
        key
        for key in scene.keys
        if key.protocol == protocol.value and key.operation == operation.value
        if key.vrf is None
    )
    if not brought and unread(scene) is None:
        there = () if operation is Operation.BIND0 else tuple(one.remote for one in went(scene))
        wanted = KeysWanted(protocol, operation, there, asked.from_address, MOST_KEYS)
        found = find_keys(scene.read, wanted).measured
        brought = tuple(as_key(one) for one in found if one.id.vrf is None)
    return tuple(sorted(brought, key=lambda key: (key.free_ports, key.free_ports_max)))


def went(scene: Scene) -> tuple[Reached, ...]:
    """Return what became of each remote; none where that could not be asked."""
    return () if isinstance(scene.reached, Gap) else scene.reached


def remotes(scene: Scene) -> tuple[Endpoint, ...]:
    """Return the destinations that are asked about, as far as the scene tells."""
    asked = dict.fromkeys(one.remote for one in went(scene))
    keys = connect_keys(scene)
    return tuple(asked) or tuple(
        Endpoint(key.remote_address or "", key.remote_port or 0) for key in keys
    )


def no_search(asked: ExplainQuestion, scene: Scene) -> str:
    """Return why the kernel looks for no port at all, as a sentence; "" where it does."""
    if asked.from_port:
        return f"The port is named ({asked.from_port}), so the kernel chooses none."
    if scene.address is not None and scene.address.error:
        return (
            f"bind() to {scene.address.address} fails before a port is looked for, "
            f"with {scene.address.error}."
        )
    refused = went(scene)
    if refused and all(one.error for one in refused):
        one = refused[0]
        return f"connect() to {one.remote} fails before a port is looked for, with {one.error}."
    return ""
