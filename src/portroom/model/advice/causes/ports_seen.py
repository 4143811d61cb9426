"""What was seen of the ports of a destination, in sentences: who holds how many, and how."""

from __future__ import annotations

from collections import Counter

from portroom.model.advice.causes.pools import Pool, everybody
from portroom.model.advice.causes.words import (
    are,
    count,
    every,
    owners_words,
    percent,
    remote_of,
    states_words,
)
from portroom.model.facts.answers import Key
from portroom.model.facts.gaps import Gap
from portroom.model.facts.scene import Scene
from portroom.model.facts.snapshot import Groups, Settings
from portroom.model.facts.sockets import Endpoint, Family, Kind, Protocol, address_text
from portroom.model.laws.unseen import unseen_sockets

KIND_WORDS = {
    Kind.LISTENER: "listeners",
    Kind.CHILD: "connections that were accepted there",
    Kind.BOUND: "sockets that are bound and not connected",
    Kind.EXPLICIT: "connections from a port that the program named",
}
"""What surely keeps a port from everybody; a port that several keep counts once, the first."""

ONLY_BOUND = "sockets that are only bound, which this kernel does not list"

NONE_ELIGIBLE = "Every port of the range is reserved: there is none that could be held."


def held_by_own(pool: Pool, key: Key) -> str:
    """Return how many ports the destination's own connections hold, in which states."""
    text = (
        f"{_share(pool.own, pool.eligible)} held by connections from {key.local_address} to "
        f"{remote_of(key)}: {states_words(key.states)}."
    )
    if pool.both:
        text += f" {_of_them(pool)} blocked for every other destination as well."
    others = pool.blocked - pool.both
    if others:
        text += f" The other {others:,} {are(others)} blocked for every destination."
    return text + owners_words(key.owners)


def from_another(pool: Pool, key: Key, other: Pool, full: Key) -> str:
    """Return that a key from another local address is full, and the one of the route is not."""
    return (
        f"Only for a program that binds {full.local_address}: {_lowered(held_by_own(other, full))} "
        f"From {key.local_address}, which the route gives, {_lowered(_free(pool))}."
    )


def _of_them(pool: Pool) -> str:
    """Return how many of the destination's own ports are blocked, with the verb."""
    if pool.both == pool.own:
        return "That one is" if pool.own == 1 else f"All {pool.own:,} are"
    least = "At least " if pool.both_doubtful else ""
    return f"{least}{pool.both:,} of them {are(pool.both)}"


def _lowered(sentence: str) -> str:
    """Return a sentence to stand within another."""
    return sentence[:1].lower() + sentence[1:]


def nearly(pool: Pool, key: Key) -> str:
    """Return that few are left: a failure of a moment ago may have met none."""
    return (
        f"Now {count(pool.free, 'port')} of {pool.eligible:,} {are(pool.free)} free towards {remote_of(key)}, and "
        f"connections to it hold {pool.own:,} ({states_words(key.states)}): a burst takes the "
        f"rest.{owners_words(key.owners)}"
    )


def not_by_own(pool: Pool, key: Key) -> str:
    """Return why a destination is not full of its own connections."""
    if not pool.eligible:
        return NONE_ELIGIBLE
    if pool.free:
        return f"{_free(pool)} towards {remote_of(key)} from {key.local_address}."
    if pool.both:
        return (
            f"Connections to {remote_of(key)} hold {pool.own:,} of {count(pool.eligible, 'port')}. "
            f"{_of_them(pool)} out for every destination."
        )
    held = f"only {pool.own:,}" if pool.own else "none"
    return f"Connections to {remote_of(key)} itself hold {held} of {count(pool.eligible, 'port')}."


def blocked(pool: Pool, scene: Scene) -> str:
    """Return how many ports are out for every destination, and what keeps them."""
    if not pool.blocked:
        return f"None of {count(pool.eligible, 'port')} is surely free."
    text = f"{_share(pool.blocked, pool.eligible)} out for every destination{_by(pool, scene)}."
    if pool.both and pool.key:
        text += f" Connections to {remote_of(pool.key)} itself hold {pool.both:,} of them."
    if pool.own_alone:
        text += f" Connections to the destination itself hold {pool.own_alone:,} others."
    return text + owners_words(everybody(scene))


def not_blocked(pool: Pool) -> str:
    """Return why ports are not blocked for all."""
    if not pool.eligible:
        return NONE_ELIGIBLE
    kept = f"{pool.blocked:,} {are(pool.blocked)}" if pool.blocked else "none is"
    known = "known to be " if pool.both_doubtful or pool.blocked_doubtful else ""
    if pool.free:
        return f"{_free(pool)}; {kept} {known}blocked for every destination."
    only = "only " if pool.blocked else ""
    text = f"Of {count(pool.eligible, 'port')} {only}{kept} {known}blocked for every destination"
    return f"{text}{_for_nobody(pool)}."


def _for_nobody(pool: Pool) -> str:
    """Return how many ports another destination would get, to end a sentence; "" if none is sure."""
    if not pool.shared:
        return ""
    least = count(pool.shared, "port")
    return f"; a remote that nobody is connected to would get at least {least}"


def both_doubt(pool: Pool) -> str:
    """Return that ports of the destination may be out for all others, too."""
    doubtful = count(pool.both_doubtful, "port")
    were = "was" if pool.both_doubtful == 1 else "were"
    text = (
        f"The kernel does not tell whether {doubtful} of connections to the destination itself "
        f"{were} bound before connect(), and so out for every other one as well"
    )
    return f"{text}{_for_nobody(pool)}."


def doubt(pool: Pool, scene: Scene) -> str:
    """Return what the kernel does not tell of the ports that are left."""
    settings = scene.read.settings
    same_parity = isinstance(settings, Settings) and settings.ephemeral.same_parity
    parts = []
    if pool.own_doubtful:
        waits = count(pool.own_doubtful, "TIME_WAIT")
        parts.append(f"whether {waits} of the destination may be reused")
    if pool.blocked_doubtful == 1 and same_parity:
        parts.append(
            "whether the search meets the last port, since both ends of the range are even or "
            "both odd"
        )
    elif pool.blocked_doubtful:
        parts.append(_may_be_blocked(pool, scene))
    return f"The kernel does not tell {', nor '.join(parts)}."


def _may_be_blocked(pool: Pool, scene: Scene) -> str:
    """Return of which ports it is not known whether they are out for all, and why."""
    ports = count(pool.blocked_doubtful, "port")
    where = "to other destinations" if pool.key else "to any destination"
    if unseen_sockets(scene.read):
        return (
            f"whether {ports} {are(pool.blocked_doubtful)} out for all: by connections {where} that "
            f"were bound before connect(), or by {ONLY_BOUND}"
        )
    were = "was" if pool.blocked_doubtful == 1 else "were"
    return (
        f"whether {ports} of connections {where} {were} bound before connect(), and so "
        f"{are(pool.blocked_doubtful)} out for all"
    )


def _share(part: int, eligible: int) -> str:
    """Return so many of all ports, to stand before what they are."""
    if part == eligible:
        return f"{every(eligible)} {are(eligible)}"
    return (
        f"{part:,} of the {count(eligible, 'port')} that the kernel may choose "
        f"({percent(part, eligible)}) {are(part)}"
    )


def _free(pool: Pool) -> str:
    """Return how many ports are surely free."""
    least = "At least " if pool.in_doubt else ""
    return f"{least}{count(pool.free, 'port')} of {pool.eligible:,} {are(pool.free)} free"


def _by(pool: Pool, scene: Scene) -> str:
    """Return by what ports are kept from everybody, after a colon."""
    kinds = _kinds(scene)
    words = [f"{len(ports):,} by {KIND_WORDS[kind]}" for kind, ports in kinds.items() if ports]
    asked_for = pool.blocked - sum(map(len, kinds.values()))
    if asked_for > 0:
        hidden = f"{ONLY_BOUND}, or by " if unseen_sockets(scene.read) else ""
        words.append(
            f"{asked_for:,} by {hidden}connections that bound before they connected, as the kernel "
            f"says when asked{_mostly_to(scene)}"
        )
    return ": " + ", ".join(words) if words else ""


def _kinds(scene: Scene) -> dict[Kind, set[int]]:
    """Return the eligible ports that are surely out, each under the first kind that has it."""
    settings, groups = scene.read.settings, scene.read.groups
    ports: dict[Kind, set[int]] = {kind: set() for kind in KIND_WORDS}
    if isinstance(settings, Gap) or isinstance(groups, Gap):
        return ports
    for table in groups.tables:
        if table.protocol is Protocol.TCP and table.kind in ports:
            ports[table.kind].update(*table.ports.values())
    accepted = (one.local_port for one in groups.inbound if one.protocol is Protocol.TCP)
    ports[Kind.CHILD].update(accepted)
    seen: set[int] = set()
    for kind, some in ports.items():
        inside = {port for port in some - seen if port in settings.ephemeral}
        ports[kind] = {port for port in inside if port not in settings.reserved}
        seen |= ports[kind]
    return ports


def _mostly_to(scene: Scene) -> str:
    """Return where most of the connections go whose ports the probe was refused."""
    groups, said = scene.read.groups, scene.probed
    if not isinstance(groups, Groups) or said is None:
        return ""
    refused = {*said.held, *said.blocked}
    remotes: Counter[tuple[Family, bytes]] = Counter()
    for table in groups.tables:
        if table.protocol is Protocol.TCP and table.kind is Kind.UNKNOWN:
            for key, ports in table.ports.items():
                remotes[table.family, key[18:34] + key[:2]] += len(refused.intersection(ports))
    for (family, packed), sockets in remotes.most_common(1):
        if sockets:
            port = int.from_bytes(packed[16:], "big")
            return f", most of them to {Endpoint(address_text(family, packed[:16]), port)}"
    return ""
