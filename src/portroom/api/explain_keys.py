"""The keys that explain judges: which, what the kernel says of them, and whose they are.

The zero-packet probe is asked only where a key may be exhausted and the kernel
does not tell: it stops at the second free port, which proves the contrary.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from portroom.api.probing import ask_for_nobody, settle_enough
from portroom.errors import InvalidRequestError, NotSupportedError
from portroom.kernel.snapshot import KEY_OWNERS_UP_TO, read_key_owners
from portroom.model.advice.causes.pools import names_source
from portroom.model.facts.answers import Key
from portroom.model.facts.explanation import ExplainQuestion
from portroom.model.facts.gaps import NOT_LOOKED_AT, Gap
from portroom.model.facts.ports import PortSet
from portroom.model.facts.scene import Probed
from portroom.model.facts.snapshot import Snapshot
from portroom.model.facts.sockets import Endpoint, Operation, Protocol, packed_address
from portroom.model.laws.buckets import buckets
from portroom.model.laws.headroom import (
    SPARE_PORTS,
    Keys,
    KeysWanted,
    as_key,
    doubts,
    find_keys,
    owners_by_key,
)
from portroom.model.laws.scope import within
from portroom.model.laws.tightest import Measured
from portroom.model.laws.unseen import unseen_sockets
from portroom.model.laws.untold import ONCE, STICKS

NO_PORT = frozenset({"EADDRNOTAVAIL"})
"""The error of a connect that found no port."""

ON_THE_PATH = frozenset({"ETIMEDOUT", "EPERM"})
"""Errors whose causes show in counters that rise."""

FOR_FILES = frozenset({"EMFILE", "ENFILE"})
"""Errors of limits that processes with many connections meet."""

TIGHTEST = 5
"""Keys that are judged where no destination is named."""

ANY = "0.0.0.0"  # noqa: S104 - a question, nothing is bound
"""What bind() asks for that is in the way of everybody, and everybody in its way."""


class Asked(NamedTuple):
    """A question, its names resolved."""

    question: ExplainQuestion
    remotes: tuple[Endpoint, ...]
    local: str | None

    @property
    def source(self) -> str | None:
        """Return the local address that a connect comes from; None where the route gives it."""
        return self.local if names_source(self.question) else None

    def about(self, errors: frozenset[str]) -> bool:
        """Say whether the question is about one of these errors, or about any."""
        return self.question.error is None or self.question.error in errors


def _searches(read: Snapshot, asked: Asked) -> list[KeysWanted]:
    """Return which keys are to be judged: those of the operations that give the error."""
    question = asked.question
    udp_only = question.protocol is Protocol.UDP
    found: list[KeysWanted] = []
    if not udp_only and asked.about(NO_PORT | ON_THE_PATH):
        found += _routed(read, asked)
        remotes, source = asked.remotes, asked.source
        found.append(KeysWanted(Protocol.TCP, Operation.CONNECT, remotes, source, TIGHTEST))
    if asked.about(frozenset({"EADDRINUSE"})):
        protocol = question.protocol or Protocol.TCP
        found.append(KeysWanted(protocol, Operation.BIND0, (), asked.local, TIGHTEST))
    if question.protocol is not Protocol.TCP and asked.about(frozenset({"EAGAIN"})):
        remotes, local = asked.remotes, asked.local
        found.append(KeysWanted(Protocol.UDP, Operation.CONNECT, remotes, local, TIGHTEST))
    return found


def _routed(read: Snapshot, asked: Asked) -> Iterator[KeysWanted]:
    """Yield the key of each remote from where its route goes, however full other sources are."""
    if asked.source is not None or isinstance(read.routes, Gap):
        return
    for remote in asked.remotes:
        for route in read.routes:
            if packed_address(route.remote_address) == packed_address(remote.address):
                source = route.local_address
                yield KeysWanted(Protocol.TCP, Operation.CONNECT, (remote,), source)


def found_keys(read: Snapshot, asked: Asked) -> tuple[Keys, tuple[Gap, ...]]:
    """Return the keys to judge, and why some are missing."""
    found = [find_keys(read, wanted) for wanted in _searches(read, asked)]
    measured = {one.id: one for keys in found for one in keys.measured}
    # What the kernel does not tell of these keys is said once it was asked.
    gaps = (gap for keys in found for gap in keys.gaps if gap not in (STICKS, ONCE))
    return Keys(tuple(measured.values()), len(measured)), tuple(dict.fromkeys(gaps))


def settled(
    read: Snapshot, keys: Keys, asked: Asked
) -> tuple[Keys, Probed | None, tuple[Gap, ...]]:
    """
    Return the keys after the kernel settled what may be exhausted, and what it said.

    Where a key is full, or none was named, it is asked about a destination that
    nobody is connected to as well: whether a port on which the 4-tuple exists is out
    for the others, too, shows there alone. What the probe was refused is a Gap.
    """
    keys, probed, gaps = _probed(read, keys)
    if asked.remotes and not any(map(_is_full, keys.measured)):
        return keys, probed, gaps
    probed, refused = _probed_for_all(read, probed)
    return keys, probed, tuple(dict.fromkeys(gaps + refused))


def _is_full(one: Measured) -> bool:
    """Say whether a destination has no port to spare, as far as is known."""
    return one.id.operation is Operation.CONNECT and one.figures.free_ports < SPARE_PORTS


def _probed(read: Snapshot, keys: Keys) -> tuple[Keys, Probed | None, tuple[Gap, ...]]:
    """Return the keys after the kernel settled those that may be exhausted."""
    settings = read.settings
    if isinstance(settings, Gap):
        return keys, None, ()
    free: set[int] = set()
    held: set[int] = set()
    gaps: list[Gap] = []
    for doubt in doubts(read, keys.measured):
        if doubt.measured.figures.free_ports >= SPARE_PORTS:
            continue
        try:
            keys, said, unasked = settle_enough(read, keys, doubt, settings)
        except (NotSupportedError, InvalidRequestError) as error:
            # One key may have gone with its address: the others can still be asked about.
            gaps.append(Gap("probe", error.message, ("causes",)))
            continue
        gaps += unasked
        free |= said.free
        held |= said.held
    return keys, Probed(free=PortSet.of(free), held=PortSet.of(held)), tuple(dict.fromkeys(gaps))


def _probed_for_all(read: Snapshot, probed: Probed | None) -> tuple[Probed | None, tuple[Gap, ...]]:
    """
    Return what the kernel says of a destination that nobody is connected to.

    It is asked where no port is surely free for such a one, up to the second free port.
    """
    settings, groups = read.settings, read.groups
    if isinstance(settings, Gap) or isinstance(groups, Gap):
        return probed, ()
    shared = buckets(within(groups, settings.ephemeral), settings, read.features)
    surely_free = len(shared.open_ports) - len(shared.doubtful) - unseen_sockets(read)
    if surely_free >= SPARE_PORTS or not shared.doubtful:
        return probed, ()
    try:
        said = ask_for_nobody(read, shared.doubtful, settings)
    except (NotSupportedError, InvalidRequestError) as error:
        return probed, (Gap("probe", error.message, ("causes",)),)
    told = msgspec.structs.replace(
        probed or Probed(), blocked=PortSet.of(said.held), shared=PortSet.of(said.free)
    )
    return told, ()


def with_owners(read: Snapshot, keys: Keys, asked: Asked) -> Snapshot:
    """Return a Snapshot with the owners of some keys, and of what may be in everybody's way."""
    settings, counters = read.settings, read.counters
    if isinstance(settings, Gap) or isinstance(counters, Gap):
        return read
    measured = keys.measured
    if asked.about(NO_PORT | FOR_FILES):
        measured += find_keys(read, KeysWanted(Protocol.TCP, Operation.BIND0, (), ANY)).measured
    if not any(one.states for one in measured):
        return read
    if counters.tcp_inuse + counters.tcp6_inuse > KEY_OWNERS_UP_TO:
        reason = f"{NOT_LOOKED_AT}: more than {KEY_OWNERS_UP_TO:,} sockets, see portroom headroom --owners"
        return msgspec.structs.replace(read, owners=Gap("owners", reason, ("keys.owners",)))
    owners = read_key_owners(measured, settings.ephemeral, read.netns)
    return msgspec.structs.replace(read, owners=owners)


def as_keys(read: Snapshot, keys: Keys) -> tuple[Key, ...]:
    """Return keys as answers have them."""
    known = owners_by_key(read.owners)
    return tuple(
        as_key(one, known.get((one.id.protocol.value, one.id.group_key, one.id.family), ()))
        for one in keys.measured
    )
