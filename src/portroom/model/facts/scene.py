"""The scene of a failure: what was read beside the Snapshot to explain and to advise.

Rules of this file:

- each part is there, or a Gap says why not; None is a part that does not apply;
- counters are sums since the namespace was made: a single reading tells that
  something happened once, two readings that it happens now;
- names and paths come from others: hostile text.
"""

from __future__ import annotations

import msgspec

from portroom.model.facts.answers import Key
from portroom.model.facts.gaps import Gap, not_looked_at
from portroom.model.facts.ports import PortRange, PortSet
from portroom.model.facts.snapshot import NetnsId, Snapshot
from portroom.model.facts.sockets import Endpoint, Owner, Protocol
from portroom.model.facts.surroundings import OpenFiles, Surroundings


class NetCounts(msgspec.Struct, frozen=True, kw_only=True):
    """
    Events of one namespace that the kernel counts, since the namespace was made.

    ``active_opens`` are connects that sent a SYN; ``time_wait_overflow`` are
    connections that ended without TIME_WAIT because of tcp_max_tw_buckets;
    ``time_wait_reused`` are TIME_WAITs that a connect took; ``listen_overflows``
    and ``listen_drops`` are handshakes that a full accept queue refused.
    """

    active_opens: int
    time_wait_overflow: int
    time_wait_reused: int
    listen_overflows: int
    listen_drops: int


class ConntrackStats(msgspec.Struct, frozen=True, kw_only=True):
    """
    What connection tracking of one namespace refused, summed over processors.

    ``insert_failed`` are entries that could not be entered, as when SNAT finds no
    port or two packets race; ``dropped`` are packets that this or a full table
    cost; ``early_dropped`` are entries given up for new ones.
    """

    insert_failed: int
    dropped: int
    early_dropped: int


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    """
    Counters at one moment; ``at_s`` is the monotonic time, in seconds.

    ``conntrack`` is None where connections are not tracked here.
    """

    at_s: float
    counts: NetCounts | Gap
    conntrack: ConntrackStats | Gap | None


class Translation(msgspec.Struct, frozen=True, kw_only=True):
    """
    Tracked connections whose source this host translates, towards one remote endpoint.

    Ports run out per protocol, translated address and remote endpoint.
    ``ports`` is the range that the rule chooses from, both ends included, None
    where no rule tells; ``held_ports`` are distinct translated ports in use.
    """

    protocol: str
    local_address: str
    remote_address: str
    remote_port: int
    held_ports: int
    ports: PortRange | None


class UnixBacklog(msgspec.Struct, frozen=True, kw_only=True):
    """
    A listening unix socket: connections that wait, and how many may.

    ``path`` is its name, ``@…`` for an abstract one. connect() of a non-blocking
    socket gets EAGAIN while more than ``limit`` wait.
    """

    path: str
    waiting: int
    limit: int
    owners: tuple[Owner, ...] = ()


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """
    Whether a socket may be bound to an address, as the kernel itself says.

    ``error`` is the name of the errno of bind(), "" where it is accepted.
    """

    address: str
    error: str


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """
    What becomes of a connect to an address before any port is looked for.

    ``error`` is the name of the errno that routing or the choice of a source
    address gives, "" where there are both; ``ipv6_off`` says that IPv6 is
    switched off in this namespace or on the device, None for an IPv4 address.
    """

    remote: Endpoint
    local_address: str | None
    error: str
    ipv6_off: bool | None = None


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """
    Sockets of a process with IP_LOCAL_PORT_RANGE set: the option as set, 0 for no end.
    """

    first: int
    last: int
    sockets: int


class ProcessSeen(msgspec.Struct, frozen=True, kw_only=True):
    """
    A process that is asked about: its namespace, its files, and its sockets' options.

    ``windows`` is a Gap where its sockets may not be asked.
    """

    owner: Owner
    netns: NetnsId
    open_files: OpenFiles | Gap
    windows: tuple[Window, ...] | Gap


class SystemFiles(msgspec.Struct, frozen=True):
    """Open files of the whole system, and the most there may be (``fs.file-nr``)."""

    used: int
    limit: int


class Elsewhere(msgspec.Struct, frozen=True, kw_only=True):
    """A key that is or may be exhausted, or nearly is, in another network namespace."""

    netns: NetnsId
    key: Key


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """
    One socket on a local port that somebody wants to bind.

    ``state`` is the kernel's word; ``outgoing`` says that connect() of a process
    placed it there, or that it is what such a connection left: None where that
    cannot be told. ``remote`` is None for a socket without one. ``v6only`` says
    that an IPv6 socket is not in the way of IPv4, None where that is not told.
    ``device`` is the index of the device that the socket is bound to, 0 for none.
    """

    protocol: Protocol
    state: str
    local: Endpoint
    remote: Endpoint | None
    outgoing: bool | None
    v6only: bool | None = None
    device: int = 0
    owners: tuple[Owner, ...] = ()


class NamespaceRange(msgspec.Struct, frozen=True, kw_only=True):
    """The ephemeral range of one network namespace, and how many ports it reserves."""

    netns: NetnsId
    range: PortRange
    reserved_ports: int


class Probed(msgspec.Struct, frozen=True, kw_only=True):
    """
    What the kernel itself said of ports: would it give them to a connect?

    ``free`` and ``held`` are for the key that was asked about; ``blocked`` were
    refused for a remote that nobody is connected to: out for every destination;
    ``shared`` were given for it, whoever else is connected from them.
    """

    free: PortSet = PortSet()
    held: PortSet = PortSet()
    blocked: PortSet = PortSet()
    shared: PortSet = PortSet()


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """
    All that was read to say why something fails or will fail, in one namespace.

    ``before`` and ``after`` are two readings of the counters; ``after`` is a Gap
    where nobody waited for a second one. ``translations`` has the fullest
    remote endpoints first. ``elsewhere`` tells of keys in other namespaces, and
    ``ranges`` of the settings of all that could be entered, this one included.

    ``here`` is the namespace that the user stands in, None where that does not matter.

    The rest is about one question: ``keys`` are those to judge, after the probe
    where one was made; ``reached`` what becomes of the remote before a port is
    looked for; ``address`` the local address asked about; ``holdings`` the sockets
    on the local port asked about; ``process`` the one asked about.
    """

    read: Snapshot
    around: Surroundings = Surroundings(gaps=(not_looked_at("surroundings"),))
    before: Pulse | Gap = not_looked_at("counters")
    after: Pulse | Gap = not_looked_at("counters")
    translations: tuple[Translation, ...] | Gap = not_looked_at("translations")
    backlogs: tuple[UnixBacklog, ...] | Gap = not_looked_at("unix sockets")
    files: SystemFiles | Gap = not_looked_at("file-nr")
    elsewhere: tuple[Elsewhere, ...] | Gap = not_looked_at("namespaces")
    ranges: tuple[NamespaceRange, ...] | Gap = not_looked_at("namespaces")
    here: NetnsId | None = None
    keys: tuple[Key, ...] = ()
    probed: Probed | None = None
    reached: tuple[Reached, ...] | Gap = ()
    address: Address | None = None
    holdings: tuple[Holding, ...] | Gap = not_looked_at("holdings")
    process: ProcessSeen | Gap | None = None
