"""Snapshots made of recorded replies, as ``portroom.kernel`` makes them of live ones.

What the kernel's filters would have chosen is chosen here from whole dumps.
"""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from portroom.kernel import proc_net, sock_diag
from portroom.kernel.active import Witnesses
from portroom.kernel.collect import Collector, SplitCollector, inbound, tables
from portroom.kernel.counters import parse_counters
from portroom.kernel.groups import _covers
from portroom.model.facts.snapshot import (
    Counters,
    Features,
    Groups,
    GroupTable,
    NetnsId,
    Snapshot,
)
from portroom.model.facts.sockets import Kind, Protocol, TcpState
from portroom.model.laws.buckets import Listeners
from tests.replay.recordings import Recording

TAKEN_AT = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)

NETNS = NetnsId("recorded", None, 1, "named")

ENDED = (TcpState.TIME_WAIT, TcpState.SYN_RECV)
BOUND = (TcpState.CLOSE,)
LISTEN = (TcpState.LISTEN,)
CONNECTED = tuple(state for state in TcpState if state not in {*ENDED, *BOUND, *LISTEN})


def snapshot(recording: Recording, groups: Groups) -> Snapshot:
    """Return a Snapshot with some groups and all else as recorded."""
    return Snapshot(
        host="recorded",
        boot_id="0",
        taken_at=TAKEN_AT,
        netns=NETNS,
        features=recording.features,
        settings=recording.settings,
        groups=groups,
        counters=counters(recording),
    )


def counters(recording: Recording) -> Counters:
    """Return the recorded counters."""
    names = ("sockstat", "sockstat6", "snmp")
    return parse_counters(*(recording.text(f"proc-net-{name}.txt") for name in names))


def recorded_groups(recording: Recording) -> Groups:
    """Return the groups of all ports that the recorded dumps give."""
    listeners, bound = split(recording, LISTEN), split(recording, BOUND)
    found = list(listeners.tables(Protocol.TCP, Kind.LISTENER))
    known = Listeners(Groups(tuple(found), ()))
    collectors = [
        sorted_rows(choose(automatic(recording), CONNECTED), known),
        sorted_rows(choose(tcp(recording), ENDED), known, timed=True),
    ]
    for table in bound.tables(Protocol.TCP, Kind.BOUND):
        table.state = TcpState.BOUND_INACTIVE
        found.append(table)
    explicit = sorted_rows(explicitly_bound(recording), Listeners(Groups((), ())))
    found += tables(explicit, Protocol.TCP, Kind.EXPLICIT)
    for collector in collectors:
        found += tables(collector, Protocol.TCP, Kind.UNKNOWN)
    found += udp_tables(recording)
    folded = tuple(part for one in collectors for part in inbound(one, Protocol.TCP))
    active = connected_out(recording.dump("tcp4-ext")) if _forgets(recording.features) else {}
    return Groups(tuple(found), folded, active=active)


def text_groups(recording: Recording, folder: Path) -> Groups:
    """Return the groups that the recorded texts of /proc/net give."""
    return proc_net.read_groups(proc=str(proc_folder(recording, folder)))


def proc_folder(recording: Recording, folder: Path) -> Path:
    """Return a folder laid out as /proc, with the recorded texts."""
    net = folder / "thread-self" / "net"
    net.mkdir(parents=True)
    for name in ("tcp", "tcp6", "udp", "udp6", "sockstat", "sockstat6", "snmp"):
        shutil.copy(recording.folder / f"proc-net-{name}.txt", net / name)
    return folder


def split(recording: Recording, states: tuple[TcpState, ...]) -> SplitCollector:
    """Return the TCP rows of some states, sorted by what they say of v6only."""
    collector = SplitCollector()
    for datagram in choose(tcp(recording), states):
        collector.feed(datagram)
    return collector


def sorted_rows(
    datagrams: Iterable[memoryview], listeners: Listeners, *, timed: bool = False
) -> Collector:
    """Return rows sorted into groups, accepted ones folded."""
    ports = frozenset(int.from_bytes(port, "big") for port in listeners._ports)
    collector = Collector(ports, _covers(listeners), timed=timed)
    for datagram in datagrams:
        collector.feed(datagram)
    return collector


def udp_tables(recording: Recording) -> tuple[GroupTable, ...]:
    """Return the UDP groups of both families."""
    collector = SplitCollector()
    for datagram in (*recording.dump("udp4"), *recording.dump("udp6")):
        collector.feed(datagram)
    return collector.tables(Protocol.UDP, Kind.UNKNOWN)


def tcp(recording: Recording) -> list[memoryview]:
    """Return the TCP rows of both families."""
    return [*recording.dump("tcp4"), *recording.dump("tcp6")]


def automatic(recording: Recording) -> Iterator[memoryview]:
    """Yield the TCP rows without those that the kernel calls explicitly bound."""
    explicit = {ends(message) for message in explicitly_bound(recording)}
    for datagram in tcp(recording):
        for message in sock_diag.messages(datagram):
            if ends(message) not in explicit:
                yield message


def explicitly_bound(recording: Recording) -> list[memoryview]:
    """Return the ESTABLISHED IPv4 rows that the kernel's AUTO filter left out."""
    by_number = {
        ends(message)
        for datagram in recording.dump("tcp4-auto")
        for message in sock_diag.messages(datagram)
    }
    return [
        message
        for datagram in choose(recording.dump("tcp4"), (TcpState.ESTABLISHED,))
        for message in sock_diag.messages(datagram)
        if ends(message) not in by_number
    ]


def choose(datagrams: Iterable[memoryview], states: tuple[TcpState, ...]) -> Iterator[memoryview]:
    """Yield datagrams with the rows of some states only; none is empty."""
    for datagram in datagrams:
        chosen = [
            bytes(message)
            for message in sock_diag.messages(datagram)
            if message[sock_diag.STATE] in states
        ]
        if chosen:
            yield memoryview(b"".join(chosen))


def ends(message: memoryview) -> bytes:
    """Return the local and the remote end of a row."""
    return bytes(message[sock_diag.LOCAL_PORT : sock_diag.EXPIRES - 8])


def _forgets(features: Features) -> bool:
    """Say whether buckets surely forget, so that witnesses are of use."""
    return features.bucket_forgets is True


def connected_out(datagrams):
    """Return who surely connected out in a dump with INFO."""
    witnesses = Witnesses()
    for datagram in datagrams:
        witnesses.feed(datagram)
    return witnesses.active()
