"""Rules about programs: who binds before it connects, and who lets sockets pile up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from portroom.model.advice import commands
from portroom.model.advice.findings.owned import Identity, Program, identity, programs, tables_of
from portroom.model.advice.findings.words import found, program_words
from portroom.model.advice.wording import count
from portroom.model.facts.answers import INFO, WARNING, Finding
from portroom.model.facts.ports import PortRange
from portroom.model.facts.scene import Probed, Scene
from portroom.model.facts.snapshot import Groups, Owners, Rows, Settings
from portroom.model.facts.sockets import Family, Kind, Owner, Protocol, TcpState
from portroom.model.laws.buckets import Buckets, buckets
from portroom.model.laws.ownership import owners_of
from portroom.model.laws.scope import within

LIVE = (
    TcpState.ESTABLISHED,
    TcpState.SYN_SENT,
    TcpState.FIN_WAIT1,
    TcpState.CLOSE_WAIT,
    TcpState.LAST_ACK,
)
"""States of a connection that a process may still have."""

LEAST_PORTS = 8
"""
Ports of the other parity from which chance is no explanation.

connect() alone never takes one while a port of the first parity is left. Were each
as likely as the other, as with IP_LOCAL_PORT_RANGE, 8 of 8 would be a chance of
2**-8, one in 256. More ports only make it smaller.
"""

SHARE = 15 / 16
"""
The share of the other parity among a program's ports from which it is suspicious.

Up to 15 ports that is all of them; with 16 a single stray one is allowed, at a
chance of 17 in 65,536. So LEAST_PORTS is the weakest case.
"""

FAR_FROM_FULL = 0.5
"""
The most that may be held of the ports of the first parity.

Above it that half may have been full a moment ago, and then connect() itself takes
ports of the other parity.
"""

ASKED_PORTS = 4
"""
Ports of a program that the kernel is asked about.

One that is refused proves it; a few, because a connection may end meanwhile.
"""


class Suspect(msgspec.Struct, frozen=True):
    """A program that may bind before it connects, and ports by which the kernel can tell."""

    owners: tuple[Owner, ...]
    ports: tuple[int, ...]


class _Parity(NamedTuple):
    """The ports of a program by parity, where the first parity is far from full."""

    program: Program
    other: frozenset[int]
    first: frozenset[int]
    odd: str

    @property
    def is_biased(self) -> bool:
        """Say whether nearly all are of the other parity."""
        return len(self.other) >= SHARE * (len(self.other) + len(self.first))


def bind_first(scene: Scene) -> Iterator[Finding]:
    """Find programs that ask for any port with bind() before they connect."""
    settings = scene.read.settings
    if not isinstance(settings, Settings):
        return
    for one in _by_parity(scene):
        settled = _settled(one, scene.probed)
        if settled is False or not (settled or one.is_biased):
            continue
        yield _bind_first(one, scene, len(settings.reserved.within(settings.ephemeral)), settled)


def _bind_first(one: _Parity, scene: Scene, reserved: int, settled: bool | None) -> Finding:
    """Return the finding of one program."""
    settings = scene.read.settings
    assert isinstance(settings, Settings)
    sockets = len(one.other) + len(one.first)
    eligible_ports = settings.ephemeral.ports - reserved
    sure = (
        "The kernel refuses them to everybody else: surely"
        if settled
        else "connect() would have taken others first: most likely"
    )
    netns = scene.read.netns
    return found(
        WARNING,
        "bind_first",
        f"{program_words(one.program.owners)}: {len(one.other):,} of "
        f"{count(sockets, 'local port')} of its connections {_are(len(one.other))} {one.odd}. "
        f"{sure} it calls bind() to port 0 before connect(), and each such port is lost to every "
        f"destination: {len(one.other):,} of {eligible_ports:,}.",
        "Set IP_BIND_ADDRESS_NO_PORT on the socket before bind(), or do not bind at all.",
        command="" if settled else commands.portroom("doctor --probe", netns),
        owners=one.program.owners,
        numbers={
            "ports": len(one.other),
            "sockets": sockets,
            "eligible_ports": eligible_ports,
            "settled": "yes" if settled else "no",
        },
    )


def _are(number: int) -> str:
    """Return the verb of a number."""
    return "is" if number == 1 else "are"


def _settled(one: _Parity, probed: Probed | None) -> bool | None:
    """Say whether the kernel proved it: True, False for the contrary, None if it was not asked."""
    if probed is None:
        return None
    if any(port in probed.blocked for port in one.other):
        return True
    return False if any(port in probed.free for port in one.other) else None


def suspects(scene: Scene) -> tuple[Suspect, ...]:
    """
    Return the programs of which the kernel itself may tell whether they bind first.

    These are more than those that are found without asking: a program that does
    it towards some of its destinations alone has ports of both parities.
    """
    return tuple(
        Suspect(one.program.owners, tuple(sorted(one.other)[:ASKED_PORTS]))
        for one in _by_parity(scene)
    )


def _by_parity(scene: Scene) -> Iterator[_Parity]:
    """Yield the programs with enough ports of the parity that connect() takes last."""
    read = scene.read
    settings, groups = read.settings, read.groups
    if not (isinstance(settings, Settings) and isinstance(groups, Groups)):
        return
    if settings.ephemeral.ports < 2 * LEAST_PORTS:
        return
    parity = settings.ephemeral.first & 1
    found_programs = [
        one
        for one in programs(read, Protocol.TCP, connected_out(groups, settings.ephemeral))
        if sum(port & 1 != parity for port in one.every_port) >= LEAST_PORTS
    ]
    if not found_programs:
        return
    inside = within(groups, settings.ephemeral)
    shared = buckets(inside, settings, read.features)
    for program in found_programs:
        one = _parity(program, inside, shared, settings)
        if len(one.other) >= LEAST_PORTS:
            yield one


def connected_out(
    groups: Groups, ephemeral: PortRange
) -> Iterator[tuple[Family, bytes, Iterable[int]]]:
    """
    Yield the groups of connections that went out from an automatic port, with these ports.

    Where nobody asked the kernel who connected, an accepted connection may be
    among them, if its listener is gone: all such share one port, which counts once.
    """
    first, last = ephemeral
    for table in tables_of(groups, Protocol.TCP, *LIVE):
        if table.kind is not Kind.UNKNOWN:
            continue
        for key, ports in table.ports.items():
            surely: Iterable[int] = ports
            if groups.active is not None and table.state is not TcpState.SYN_SENT:
                known = groups.active.get((int(table.family), key), frozenset())
                surely = known.intersection(ports)
            yield table.family, key, [port for port in surely if first <= port <= last]


def _parity(program: Program, groups: Groups, shared: Buckets, settings: Settings) -> _Parity:
    """Return the ports of a program by parity, of keys whose first half is far from full."""
    parity = settings.ephemeral.first & 1
    half = (settings.ephemeral.ports + 1) // 2
    open_half = {port for port in shared.open_ports if port & 1 == parity}
    ports: set[int] = set()
    for (family, key), held in program.ports.items():
        own = _of_key(groups, family, key) & open_half
        if half - len(open_half) + len(own) < FAR_FROM_FULL * half:
            ports |= held
    other = frozenset(port for port in ports if port & 1 != parity)
    # What surely has another holder would be refused whoever connected from it.
    return _Parity(
        program, other & shared.open_ports, frozenset(ports - other), "even" if parity else "odd"
    )


def _of_key(groups: Groups, family: Family, key: bytes) -> set[int]:
    """Return the ports of all TCP sockets of one key, in any state."""
    return {
        port
        for table in tables_of(groups, Protocol.TCP)
        if table.family is family
        for port in table.ports.get(key, ())
    }


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
    a program that has nearly all of them is the one.
    """
    found_programs = programs(scene.read, Protocol.UDP, peers)
    for one in found_programs:
        yield one.owners, len(one.every_port), len({key[18:34] + key[:2] for _, key in one.ports})
    if found_programs:
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
        if sockets >= SHARE * sum(by_program.values()):
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
