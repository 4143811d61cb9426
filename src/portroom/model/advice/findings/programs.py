"""The rule about programs that bind before they connect, and by what they show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from portroom.model.advice import commands
from portroom.model.advice.findings.owned import Program, identity, programs, tables_of
from portroom.model.advice.findings.words import found, program_words
from portroom.model.advice.wording import be, count
from portroom.model.facts.answers import WARNING, Finding
from portroom.model.facts.ports import PortRange
from portroom.model.facts.scene import Probed, Scene
from portroom.model.facts.snapshot import Groups, Settings
from portroom.model.facts.sockets import Family, Kind, Owner, Protocol, TcpState
from portroom.model.laws.buckets import Buckets, buckets
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
    """
    A program that may bind before it connects, and ports by which the kernel can tell.

    ``sockets`` are its connections with an automatic port.
    """

    owners: tuple[Owner, ...]
    ports: tuple[int, ...]
    sockets: int


class _Parity(msgspec.Struct, frozen=True):
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
    told = set()
    for one in _by_parity(scene):
        settled = _settled(one, scene.probed)
        if settled is False or not (settled or one.is_biased):
            continue
        told.add(identity(one.program.owners[0]))
        yield _bind_first(one, scene, len(settings.reserved.within(settings.ephemeral)), settled)
    for suspect in _unproven(scene) if scene.probed else ():
        if identity(suspect.owners[0]) not in told:
            yield from _refused(suspect, scene.probed)


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
        f"{count(sockets, 'local port')} of its connections {be(len(one.other))} {one.odd}. "
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


def _refused(suspect: Suspect, probed: Probed | None) -> Iterator[Finding]:
    """Yield the finding of a program whose ports have both parities, as those of a full range."""
    if probed is None:
        return
    blocked = [port for port in suspect.ports if port in probed.blocked]
    free = [port for port in suspect.ports if port in probed.free]
    if len(blocked) <= len(free):
        return
    yield found(
        WARNING,
        "bind_first",
        f"{program_words(suspect.owners)}: asked about {count(len(suspect.ports), 'local port')} "
        f"of its {suspect.sockets:,} connections, the kernel refuses {len(blocked)} to everybody "
        "else: surely it calls bind() to port 0 before connect(), and each such port is lost to "
        "every destination.",
        "Set IP_BIND_ADDRESS_NO_PORT on the socket before bind(), or do not bind at all.",
        owners=suspect.owners,
        numbers={
            "ports": len(blocked),
            "asked_ports": len(suspect.ports),
            "sockets": suspect.sockets,
            "settled": "yes",
        },
    )


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
    it towards some of its destinations alone, or in a range that is nearly full,
    has ports of both parities.
    """
    by_parity = {
        identity(one.program.owners[0]): Suspect(
            one.program.owners,
            tuple(sorted(one.other)[:ASKED_PORTS]),
            len(one.other) + len(one.first),
        )
        for one in _by_parity(scene)
    }
    others = {identity(one.owners[0]): one for one in _unproven(scene)}
    return tuple((others | by_parity).values())


def _unproven(scene: Scene) -> Iterator[Suspect]:
    """Yield the programs with enough ports of which sock_diag does not tell how they were got."""
    read = scene.read
    settings, groups = read.settings, read.groups
    if not (isinstance(settings, Settings) and isinstance(groups, Groups)):
        return
    doubtful = buckets(within(groups, settings.ephemeral), settings, read.features).doubtful
    for program in programs(read, Protocol.TCP, connected_out(groups, settings.ephemeral)):
        ports = program.every_port & doubtful
        if len(ports) >= LEAST_PORTS:
            yield Suspect(program.owners, tuple(sorted(ports)[:ASKED_PORTS]), len(ports))


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
