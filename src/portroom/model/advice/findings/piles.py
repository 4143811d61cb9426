"""Rules about sockets that pile up: UDP with a port for each peer, and CLOSE_WAIT."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from portroom.model.advice import commands
from portroom.model.advice.findings.owned import Identity, identity, programs, tables_of
from portroom.model.advice.findings.words import found, program_words
from portroom.model.advice.wording import count
from portroom.model.facts.answers import INFO, WARNING, Finding
from portroom.model.facts.ports import PortRange
from portroom.model.facts.scene import Scene
from portroom.model.facts.snapshot import Groups, Owners, Rows, Settings
from portroom.model.facts.sockets import Family, Owner, Protocol, TcpState
from portroom.model.laws.ownership import owners_of, unread

# UDP sockets that each take a port from everybody.

MANY_PORTS = 256
"""
Connected UDP sockets of one program that are worth a word.

That is one in a hundred of the default range, for as long as they stay; a program
with a few dozen peers stays below it.
"""

SHARE_OF_POOL = 0.1
"""The share of a small pool that is worth the same word."""

LEAST_UDP_PORTS = 16
"""Below it a share of even a tiny pool means nothing."""

HALF_OF_POOL = 0.5
"""From here on one program may leave the others without a port."""

NEARLY_ALL = 0.9
"""The share of all UDP sockets that makes a program the one with the connected ones."""


def udp_port_each(scene: Scene) -> Iterator[Finding]:
    """Find programs that have a connected UDP socket, and so a port, for each peer."""
    settings, groups = scene.read.settings, scene.read.groups
    if not (isinstance(settings, Settings) and isinstance(groups, Groups)):
        return
    pool = settings.ephemeral.ports - len(settings.reserved.within(settings.ephemeral))
    least = min(MANY_PORTS, max(LEAST_UDP_PORTS, int(SHARE_OF_POOL * pool)))
    peers = list(_peers(groups, settings.ephemeral))
    if sum(len(ports) for _, _, ports in peers) < least:
        return
    for owners, ports, remotes in _udp_programs(scene, peers):
        if ports >= least:
            yield found(
                WARNING if ports > HALF_OF_POOL * pool else INFO,
                "udp_port_each",
                f"{program_words(owners)} has {count(ports, 'connected UDP socket')} to "
                f"{count(remotes, 'destination')}, each with a port of its own: {ports:,} of "
                f"{pool:,} that all UDP sockets share, whatever their destination.",
                "Let one socket talk to many peers (sendto, or many QUIC connections on one "
                "socket), or bind it to several local addresses.",
                command=commands.portroom("sessions --proto udp --limit 20", scene.read.netns),
                owners=owners,
                numbers={"ports": ports, "destinations": remotes, "eligible_ports": pool},
            )


def _peers(groups: Groups, ephemeral: PortRange) -> Iterator[tuple[Family, bytes, list[int]]]:
    """Yield the groups of connected UDP sockets, with their ports inside the range."""
    first, last = ephemeral
    for table in tables_of(groups, Protocol.UDP):
        for key, ports in table.ports.items():
            if any(key[:2]):
                yield table.family, key, [port for port in ports if first <= port <= last]


def _udp_programs(
    scene: Scene, peers: list[tuple[Family, bytes, list[int]]]
) -> Iterator[tuple[tuple[Owner, ...], int, int]]:
    """
    Yield processes, ports and destinations of each program with connected UDP sockets.

    The owners of a UDP key are those of all its sockets; where there are no rows,
    one that has nearly all of them is the program.
    """
    found_programs = programs(scene.read, Protocol.UDP, peers)
    for one in found_programs:
        yield one.owners, len(one.every_port), len({key[18:34] + key[:2] for _, key in one.ports})
    if found_programs or unread(scene.read.owners):
        return
    every = {port for _, _, ports in peers for port in ports}
    remotes = {key[18:34] + key[:2] for _, key, _ in peers}
    by_program: Counter[Identity] = Counter()
    of_udp = (key for key in scene.keys if key.protocol == "udp")
    owners = {owner.pid: owner for key in of_udp for owner in key.owners}
    for owner in owners.values():
        by_program[identity(owner)] += owner.sockets
    if by_program:
        most, sockets = by_program.most_common(1)[0]
        if sockets >= NEARLY_ALL * sum(by_program.values()):
            people = tuple(owner for owner in owners.values() if identity(owner) == most)
            yield people, len(every), len(remotes)


# Connections that the other side closed long ago.

MANY_CLOSE_WAIT = 100
"""More than a program leaves for a moment: each is a close() that it forgot."""

SHARE_OF_RANGE = 0.05
"""The share of a small range that matters as much."""

LEAST_CLOSE_WAIT = 8
"""Below it they may be of this very moment."""


def close_wait_pile(scene: Scene) -> Iterator[Finding]:
    """Find programs that do not close what the other side closed."""
    settings, groups = scene.read.settings, scene.read.groups
    if not (isinstance(settings, Settings) and isinstance(groups, Groups)):
        return
    share = int(SHARE_OF_RANGE * settings.ephemeral.ports)
    least = min(MANY_CLOSE_WAIT, max(LEAST_CLOSE_WAIT, share))
    total = _close_waits(groups)
    if total < least:
        return
    piles = [pile for pile in _piles(scene) if pile[1] >= least]
    for owners, sockets in piles or [((), total)]:
        who = program_words(owners) if owners else "Programs here"
        yield found(
            WARNING,
            "close_wait_pile",
            f"{who} left {count(sockets, 'connection')} in CLOSE_WAIT: the other side closed "
            f"them, the program did not. None ends by itself. {total:,} in all here.",
            "Close connections at their end, on errors too; restarting the program frees them.",
            command=commands.portroom("sessions --state CLOSE_WAIT", scene.read.netns),
            owners=owners,
            numbers={"sockets": sockets, "sockets_total": total},
        )


def _close_waits(groups: Groups) -> int:
    """Return how many connections are in CLOSE_WAIT, accepted ones too."""
    outgoing = sum(
        sum(map(len, table.ports.values()))
        for table in tables_of(groups, Protocol.TCP, TcpState.CLOSE_WAIT)
    )
    accepted = sum(
        one.sockets
        for one in groups.inbound
        if one.protocol is Protocol.TCP and one.state is TcpState.CLOSE_WAIT
    )
    return outgoing + accepted


def _piles(scene: Scene) -> Iterator[tuple[tuple[Owner, ...], int]]:
    """Yield the processes of each program with connections in CLOSE_WAIT, and how many."""
    rows, owners = scene.read.rows, scene.read.owners
    if not isinstance(rows, Rows) or not isinstance(owners, Owners):
        return
    waiting = [
        rows.inode[i]
        for i, state in enumerate(rows.state)
        if state is TcpState.CLOSE_WAIT and rows.protocol[i] is Protocol.TCP
    ]
    by_program: dict[Identity, list[Owner]] = {}
    for owner in owners_of(owners.by_inode, ((inode, 1) for inode in waiting)):
        by_program.setdefault(identity(owner), []).append(owner)
    # A socket that a master and its workers share is one socket of their program.
    sockets = Counter(
        program
        for inode in waiting
        for program in {identity(owner) for owner in owners.by_inode.get(inode, ())}
    )
    for program, people in by_program.items():
        yield tuple(people), sockets[program]
