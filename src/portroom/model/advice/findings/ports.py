"""Rules about ports that something counts on and that the kernel may give away."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from portroom.model.advice import commands
from portroom.model.advice.collisions import SERVICE, Occupied
from portroom.model.advice.findings.beliefs import OLD_DEFAULT_RANGE
from portroom.model.advice.findings.words import are, found
from portroom.model.advice.occupied import of_surroundings
from portroom.model.advice.wording import count, listed, place_words, ports_words
from portroom.model.facts.answers import INFO, WARNING, Finding
from portroom.model.facts.ports import LAST_PORT, PortRange, PortSet
from portroom.model.facts.scene import Scene
from portroom.model.facts.snapshot import Groups, Owners, Rows, Settings
from portroom.model.facts.sockets import Endpoint, Kind, Owner, Protocol, TcpState, address_text

LISTENER = "listener"
NODE_PORTS = "nodeport"

PROTECTED = "Reserve them, so that no outgoing connection takes the port while a service is down."

PERHAPS = "Reserve what was asked for by its number; what the kernel chose needs nothing."


def listener_in_range(scene: Scene) -> Iterator[Finding]:
    """Find listeners and published ports inside the range that are not reserved."""
    settings = scene.read.settings
    if not isinstance(settings, Settings):
        return
    choosable = PortSet([settings.ephemeral]) - settings.reserved
    inside = [
        one
        for one in (*_listeners(scene), *of_surroundings(scene.around))
        if one.kind != NODE_PORTS and one.first in choosable
    ]
    if not inside:
        return
    by_number = {one.first for one in inside if _is_by_number(one, settings.ephemeral)}
    surely = [one for one in inside if one.first in by_number]
    maybe = [one for one in inside if one.first not in by_number]
    if surely:
        yield _inside(scene, surely, WARNING)
    if maybe:
        yield _inside(scene, maybe, INFO)


def _listeners(scene: Scene) -> Iterator[Occupied]:
    """Yield the listening TCP sockets, with owners where rows tell them."""
    groups = scene.read.groups
    if not isinstance(groups, Groups):
        return
    owners = _owners(scene)
    for table in groups.tables:
        if table.protocol is Protocol.TCP and table.kind is Kind.LISTENER:
            for key, ports in table.ports.items():
                address = address_text(table.family, key[2:18])
                for port in ports:
                    label = str(Endpoint(address, port))
                    yield Occupied(LISTENER, "tcp", port, port, label, owners.get(port, ()))


def _owners(scene: Scene) -> dict[int, tuple[Owner, ...]]:
    """Return the owners of listening sockets, by port."""
    rows, owners = scene.read.rows, scene.read.owners
    if not isinstance(rows, Rows) or not isinstance(owners, Owners):
        return {}
    return {
        rows.local_port[i]: owners.by_inode[rows.inode[i]]
        for i, state in enumerate(rows.state)
        if state is TcpState.LISTEN
        and rows.protocol[i] is Protocol.TCP
        and rows.inode[i] in owners.by_inode
    }


def _is_by_number(one: Occupied, ephemeral: PortRange) -> bool:
    """
    Say whether a port was surely asked for by its number.

    For port 0 the kernel takes the parity that the first port does not have, as
    long as any such port is left.

    Source: Linux net/ipv4/inet_connection_sock.c, inet_csk_find_open_port.
    """
    return one.kind != LISTENER or (one.first ^ ephemeral.first) & 1 == 0


def _inside(scene: Scene, inside: list[Occupied], severity: str) -> Finding:
    """Return the finding of some ports: a warning, or information where they may be chance."""
    ports = PortSet.of(one.first for one in inside)
    settings = scene.read.settings
    assert isinstance(settings, Settings)
    verb = "lies" if len(ports) == 1 else "lie"
    one_each = {(one.protocol, one.first): one for one in reversed(inside)}
    places = [place_words(one) for one in sorted(one_each.values(), key=lambda one: one.first)]
    down = (
        " Not all of these services need to run now."
        if any(one.kind == SERVICE for one in inside)
        else ""
    )
    return found(
        severity,
        "listener_in_range",
        f"{count(len(ports), 'port')} that a service counts on {verb} inside the range "
        f"{settings.ephemeral} and not among the reserved ones: {listed(places)}."
        f"{_doubt(settings.ephemeral) if severity == INFO else ''}{down}",
        PERHAPS if severity == INFO else PROTECTED,
        command=_reserve(ports, scene),
        owners=_distinct(owner for one in inside for owner in one.owners),
        numbers={"ports": len(ports), "list": str(ports)},
    )


def _doubt(ephemeral: PortRange) -> str:
    """Return why ports may have been chosen by the kernel."""
    odd = "even" if ephemeral.first & 1 else "odd"
    return f" The kernel's own choice for port 0 would be {odd}, too."


def _distinct(owners: Iterable[Owner]) -> tuple[Owner, ...]:
    """Return processes, each once."""
    return tuple({(one.pid, one.start_time): one for one in owners}.values())


def _reserve(ports: PortSet, scene: Scene) -> str:
    """Return the command that reserves ports."""
    return commands.portroom(f"set reserved+={ports}", scene.read.netns)


def node_ports_in_range(scene: Scene) -> Iterator[Finding]:
    """Find NodePorts that the kernel may choose for outgoing connections."""
    settings, nodes = scene.read.settings, scene.around.node_ports
    if nodes is None or not isinstance(settings, Settings):
        return
    ports = PortRange(nodes.ports.first, nodes.ports.last)
    choosable = (PortSet([settings.ephemeral]) - settings.reserved).within(ports)
    if choosable:
        yield found(
            WARNING,
            "node_ports_in_range",
            f"{are(len(choosable), 'NodePort')} inside the range {settings.ephemeral} and not "
            f"reserved: {ports_words(choosable)} of {ports} ({nodes.evidence}). Nothing listens "
            "on a NodePort, so the kernel gives it to a connection, and the service is gone.",
            "Reserve the NodePorts, or move the range away from them.",
            command=_reserve(choosable, scene),
            numbers={"ports": len(choosable), "first": ports.first, "last": ports.last},
        )


def of_parity(settings: Settings, parity: int) -> int:
    """
    Return how many of the eligible ports are even (0) or odd (1).
    """
    eligible = PortSet([settings.ephemeral]) - settings.reserved
    return sum((one.last - parity) // 2 - (one.first - 1 - parity) // 2 for one in eligible.runs)


def same_parity(scene: Scene) -> Iterator[Finding]:
    """Find a range whose ends are both even or both odd; of the old default myth_count tells."""
    settings = scene.read.settings
    if not isinstance(settings, Settings) or not settings.ephemeral.same_parity:
        return
    if settings.ephemeral == OLD_DEFAULT_RANGE:
        return
    first, last = settings.ephemeral
    better = PortRange(first, last + 1) if last < LAST_PORT else PortRange(first + 1, last)
    even = "odd" if first & 1 else "even"
    yield found(
        INFO,
        "same_parity",
        f"{first} and {last} are both {even}, so the range has "
        f"{count(settings.ephemeral.ports, 'port')}, an odd number, and the search for a port may "
        "leave out one end: up to 1 port is lost.",
        "Choose ends of different parity.",
        command=commands.portroom(f"set range={better} --try", scene.read.netns),
        numbers={"first": first, "last": last, "ports": settings.ephemeral.ports, "lost": 1},
    )
