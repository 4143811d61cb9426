"""Read who holds which local ports: the dumps behind ``Groups``.

One dump a question that only the kernel can answer, each as narrow as it can
be, because the walk of the table is the cost:

1. listeners (a table of their own, small), so that accepted sockets fold;
2. sockets that are only bound, unless the counters prove that there are none;
3. connected sockets with an automatic port, both families in one walk;
4. those with an explicit port, unless the counters prove that 3 was all;
5. what has ended, if anything has, with the remaining times where they matter.

The order follows the life of a socket, bound before connected before ended, so
that one which moves on meanwhile is seen twice rather than never.

Source: Linux net/ipv4/inet_diag.c.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial

from portroom.kernel import bytecode, sock_diag
from portroom.kernel.active import INFO_EXTENSION, Active, Witnesses
from portroom.kernel.collect import Collector, Covers, SplitCollector, inbound, tables
from portroom.kernel.counters import read_counters
from portroom.kernel.netlink import NETLINK_SOCK_DIAG, Netlink
from portroom.model.facts.ports import LAST_PORT, PortRange
from portroom.model.facts.snapshot import Counters, Groups, GroupTable, Vrf
from portroom.model.facts.sockets import MAPPED, Family, Kind, Protocol, TcpState
from portroom.model.laws.buckets import Listeners

TWO_THREADS_FROM = 50_000
"""Sockets from which a second thread gains more than its walk costs."""

LISTEN = 1 << TcpState.LISTEN
BOUND = 1 << TcpState.BOUND_INACTIVE
HALF_CLOSED = 1 << TcpState.FIN_WAIT2
SHORT = 1 << TcpState.TIME_WAIT | 1 << TcpState.SYN_RECV
"""Short rows: dumped apart, so that each dump has rows of one length."""

ENDED = SHORT | HALF_CLOSED
"""FIN_WAIT2 may be an orphan, kept as a short row that forgot its origin."""

CONNECTED = 0xFFF & ~(LISTEN | ENDED)

Job = Callable[[], None]


def read_groups(
    scope: PortRange | None,
    counters: Counters | None,
    *,
    threads: int = 1,
    times: bool = True,
    witnesses: bool = False,
    udp: bool = True,
    vrfs: tuple[Vrf, ...] | None = None,
    apart: bool = False,
) -> Groups:
    """
    Read the TCP and UDP sockets of the calling thread's namespace, grouped.

    Args:
        scope: Local ports asked for, ends included; None for all. Listeners
            are read whatever their port.
        counters: Socket counts read just before, to spare needless walks;
            None where they could not be read.
        threads: Threads that dump the connected sockets, split by local port.
        times: Whether TIME_WAIT can be reused, so that its age matters.
        witnesses: Whether to ask who connected out, by one thread.
        udp: Whether to read UDP sockets, too.
        vrfs: The VRFs of the namespace, None where they are not known.
        apart: Whether a VRF has ports of its own, so that the device of accepted
            sockets matters.

    Raises:
        OSError: sock_diag is missing or refused, or has no handler for one of both.
        KernelDataError: A reply cannot be read.
    """
    reader = _Reader(scope, Witnesses() if witnesses else None, unbound=apart and vrfs != ())
    found = list(reader.listeners())
    listeners = Listeners(Groups(tuple(found), ()))
    ports = frozenset(port for table in found for ports in table.ports.values() for port in ports)
    bound: list[GroupTable] = []

    def read_bound() -> None:
        """Read the sockets that are only bound: a walk of its own."""
        bound.extend(reader.tcp(BOUND, kind=Kind.BOUND))

    before = [] if all_hashed(counters) else [read_bound]
    collectors = reader.connected(ports, _covers(listeners), threads, before)
    found += bound
    all_automatic = _all_automatic(_steady(counters), collectors, found)
    if not all_automatic:
        explicit = bytecode.unless(bytecode.automatic())
        found += reader.tcp(CONNECTED | HALF_CLOSED, explicit)
    if scope is None or counters is None or counters.tcp_tw or not all_automatic:
        collectors.append(reader.ended(ports, _covers(listeners), times))
    for collector in collectors:
        found += tables(collector, Protocol.TCP, Kind.UNKNOWN)
    if udp:
        found += reader.udp()
    folded = [part for one in collectors for part in inbound(one, Protocol.TCP)]
    return Groups(tuple(found), tuple(folded), scope, reader.interrupted, reader.active(), vrfs)


def _covers(listeners: Listeners) -> Covers:
    """Return the question of a Collector, v4-mapped addresses as IPv4."""

    def covers(family: Family, address: bytes, port: int) -> bool:
        """Say whether a listener covers this local address and port."""
        if family is Family.IPV6 and address[:12] == MAPPED:
            return listeners.cover(Family.IPV4, address[12:] + bytes(12), port)
        return listeners.cover(family, address, port)

    return covers


def _steady(before: Counters | None) -> Counters | None:
    """
    Return the counters if those of TCP are the same now; moving ones prove nothing.

    Only what this namespace has in its tables is compared: our own netlink sockets
    change ``used``, and anybody's sockets anywhere change ``alloc``.
    """
    try:
        now = read_counters()
    except OSError:
        return None
    same = before and (before.tcp_inuse, before.tcp6_inuse) == (now.tcp_inuse, now.tcp6_inuse)
    return before if same else None


def all_hashed(counters: Counters | None) -> bool:
    """
    Say whether the counters prove that no socket is merely bound.

    ``alloc`` counts every TCP socket of the system, ``inuse`` those of this
    namespace that connect or listen; a bound one is in the first only.
    """
    if counters is None:
        return False
    return counters.tcp_alloc == counters.tcp_inuse + counters.tcp6_inuse


def _all_automatic(
    counters: Counters | None, collectors: list[Collector], listeners: list[GroupTable]
) -> bool:
    """Say whether the counters prove that all sockets were seen already."""
    if counters is None:
        return False
    automatic = sum(collector.rows for collector in collectors)
    listening = sum(
        len(ports)
        for table in listeners
        if table.kind is Kind.LISTENER
        for ports in table.ports.values()
    )
    return automatic + listening == counters.tcp_inuse + counters.tcp6_inuse


def read_listeners() -> Listeners:
    """
    Return the TCP listeners of the calling thread's namespace, to ask what they cover.

    Raises:
        OSError: sock_diag is missing or refused.
        KernelDataError: A reply cannot be read.
    """
    return Listeners(Groups(_Reader(None, None).listeners(), ()))


def count_bound(scope: PortRange) -> int:
    """
    Return how many TCP sockets on some ports are only bound: no counter tells them.

    Args:
        scope: Local ports asked for, both ends included.

    Raises:
        OSError: sock_diag is missing or refused.
        KernelDataError: A reply cannot be read.
    """
    found = _Reader(scope, None).tcp(BOUND, kind=Kind.BOUND)
    return sum(len(ports) for table in found for ports in table.ports.values())


class _Reader:
    """The dumps of one reading, all restricted to one range of local ports."""

    def __init__(
        self, scope: PortRange | None, witnesses: Witnesses | None, *, unbound: bool = False
    ) -> None:
        self._unbound = unbound
        self._scope = scope or PortRange(0, LAST_PORT)
        self._witnesses = witnesses
        self.interrupted = False

    def active(self) -> Active | None:
        """Return who connected out, None where nobody asked."""
        return None if self._witnesses is None else self._witnesses.active()

    def listeners(self) -> tuple[GroupTable, ...]:
        """Read the TCP listeners, on any port; v6only ones apart."""
        return self._by_v6only(LISTEN, PortRange(0, LAST_PORT), Kind.LISTENER)

    def tcp(
        self,
        states: int,
        *conditions: bytecode.Condition,
        kind: Kind = Kind.EXPLICIT,
    ) -> tuple[GroupTable, ...]:
        """Read TCP sockets of some states that are few."""
        if states == BOUND:
            return self._by_v6only(states, self._scope, kind)
        collector = Collector()
        self._dump(collector.feed, states, self._scope, conditions)
        return tables(collector, Protocol.TCP, kind)

    def connected(
        self, listening: frozenset[int], covers: Covers, threads: int, before: list[Job]
    ) -> list[Collector]:
        """
        Read the connected TCP sockets whose port was not asked for by number.

        Args:
            listening: Ports whose rows may fold.
            covers: Tells which of them do.
            threads: Threads that read, each its part of the ports.
            before: What to read first, or at the same time with several threads.
        """
        only = (bytecode.automatic(),)
        if self._witnesses is not None:
            for job in before:
                job()
            collector = Collector(listening, covers, unbound=self._unbound)
            return [self._witnessed(self._witnesses, collector, only)]
        parts = _split(self._scope, threads)
        collectors = [Collector(listening, covers, unbound=self._unbound) for _ in parts]
        every: list[Job] = [
            *before,
            *(
                partial(self._dump, collector.feed, CONNECTED, ports, only)
                for collector, ports in zip(collectors, parts, strict=True)
            ),
        ]
        if threads == 1:
            for job in every:
                job()
        else:
            _in_parallel(every)
        return collectors

    def _witnessed(
        self, witnesses: Witnesses, collector: Collector, only: tuple[bytecode.Condition, ...]
    ) -> Collector:
        """Read the connected TCP sockets with INFO, for both at once."""

        def feed(datagram: memoryview) -> None:
            """Sort the rows, and look who connected out."""
            collector.feed(datagram)
            witnesses.feed(datagram)

        self._dump(feed, CONNECTED, self._scope, only, INFO_EXTENSION)
        return collector

    def ended(self, listening: frozenset[int], covers: Covers, times: bool) -> Collector:
        """Read TIME_WAIT, SYN_RECV and FIN_WAIT2 that have no explicit port."""
        collector = Collector(listening, covers, timed=times, unbound=self._unbound)
        self._dump(collector.feed, ENDED, self._scope, (bytecode.automatic(),))
        return collector

    def udp(self) -> tuple[GroupTable, ...]:
        """Read the UDP sockets of both families."""
        four, six = Collector(), SplitCollector()
        filter = bytecode.program(bytecode.local_ports(self._scope))
        for family, feed in ((socket.AF_INET, four.feed), (socket.AF_INET6, six.feed)):
            self._ask(
                feed,
                sock_diag.SOCK_DIAG_BY_FAMILY,
                sock_diag.request(family, socket.IPPROTO_UDP, sock_diag.ALL_STATES, filter=filter),
            )
        return (*tables(four, Protocol.UDP, Kind.UNKNOWN), *six.tables(Protocol.UDP, Kind.UNKNOWN))

    def _by_v6only(self, states: int, ports: PortRange, kind: Kind) -> tuple[GroupTable, ...]:
        """Read listeners or bound sockets, which tell whether they are v6only."""
        collector = SplitCollector()
        self._dump(collector.feed, states, ports, ())
        found = collector.tables(Protocol.TCP, kind)
        if states == BOUND:
            # The rows of bound sockets say CLOSE (kernel.md 9.2).
            for table in found:
                table.state = TcpState.BOUND_INACTIVE
        return found

    def _dump(
        self,
        feed: Callable[[memoryview], None],
        states: int,
        ports: PortRange,
        conditions: tuple[bytecode.Condition, ...],
        extensions: int = 0,
    ) -> None:
        """Dump TCP of both families in one walk."""
        filter = bytecode.program((*bytecode.local_ports(ports), *conditions))
        request = sock_diag.legacy_request(states, extensions=extensions, filter=filter)
        self._ask(feed, sock_diag.TCPDIAG_GETSOCK, request)

    def _ask(self, feed: Callable[[memoryview], None], message_type: int, request: bytes) -> None:
        """Dump once and feed each datagram."""
        with Netlink(NETLINK_SOCK_DIAG) as netlink:
            for datagram in netlink.dump(message_type, request):
                feed(datagram)
            self.interrupted = self.interrupted or netlink.interrupted


def _split(ports: PortRange, threads: int) -> list[PortRange]:
    """Return *ports* in as many parts as there are threads, about equal."""
    if threads == 1:
        return [ports]
    first, last = ports
    if last == LAST_PORT and first == 0:
        # Most automatic ports lie in the upper half; cut in its middle.
        first = LAST_PORT // 2
    step = (last - first + 1) // threads
    cuts = [first + step * part for part in range(1, threads)]
    starts, ends = [ports.first, *cuts], [*(cut - 1 for cut in cuts), ports.last]
    return [PortRange(*ends) for ends in zip(starts, ends, strict=True)]


def _in_parallel(jobs: list[Job]) -> None:
    """Run each job on a thread of its own; the kernel works without the GIL."""
    from threading import Thread

    errors: list[BaseException] = []

    def run(job: Job) -> None:
        """Do one job and keep its error for the caller."""
        try:
            job()
        except BaseException as error:  # noqa: BLE001 - raised again by the caller
            errors.append(error)

    threads = [Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
