"""Take a Snapshot: read the parts that a question needs, in one namespace.

What cannot be read becomes a Gap; only what no answer can do without is an
error. The thread that calls decides the namespace (``namespaces.inside``).
"""

from __future__ import annotations

import datetime
import errno
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import msgspec

from portroom.errors import KernelDataError, NotPermittedError, NotSupportedError
from portroom.kernel import namespaces
from portroom.kernel.counters import read_counters
from portroom.kernel.features import KnownFeatures, Trial
from portroom.kernel.files import PROC, read_text
from portroom.kernel.groups import TWO_THREADS_FROM, all_hashed, read_groups
from portroom.kernel.route import read_route
from portroom.kernel.settings import read_settings
from portroom.model.facts.ports import PortRange
from portroom.model.facts.snapshot import (
    Counters,
    Features,
    Gap,
    Groups,
    KeyOwners,
    NetnsId,
    Owners,
    Route,
    Settings,
    Snapshot,
    Vrf,
)
from portroom.model.facts.sockets import Kind, Protocol
from portroom.model.laws.ownership import owners_of, unowned
from portroom.model.laws.spaces import ACCEPT, are_apart
from portroom.model.laws.tightest import Measured

if TYPE_CHECKING:
    from portroom.model.facts.boot import BootFacts

Read = TypeVar("Read")

WITNESSES_UP_TO = 20_000
"""Sockets that are asked with INFO for who connected; more would cost too much."""

ENOUGH_PROCESSORS = 1.5
"""Processors without work, by the load of the last minute, for a second thread."""

ATTEMPTS = 3
"""Readings of tables that changed meanwhile, before that is said."""

KEY_OWNERS_UP_TO = 200_000
"""TCP sockets up to which the owners of keys are looked for unasked: about a second."""

DEGRADED = (
    "degraded: read from /proc/net, which shows no socket that is only bound; for each that "
    "there may be a port that looks free is in doubt"
)

WITHOUT_UDP_DIAG = (
    "sock_diag has no handler for them: read from /proc/net, "
    "which does not tell which of them take IPv4, too"
)

BOUND_UNSEEN = (
    "keys.held_ports",
    "sessions.states.BOUND_INACTIVE",
    "sessions.bound_local_ports",
)
"""What is uncertain where sockets that are only bound cannot be seen."""

REFUSED = frozenset({errno.EPERM, errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT})
"""What is answered where netlink is missing or filtered, and by no route."""


class Wanted(msgspec.Struct, frozen=True):
    """
    What a question needs.

    ``groups`` asks for sockets by group, of every local port with
    ``all_ports``, else of the ephemeral range. ``routes`` are pairs of remote
    address and local address, or None for any. ``threads`` is how many may
    dump; 0 leaves the choice to portroom. ``boot`` asks for what decides at the
    next boot of the system. ``times`` asks for the remaining time of every
    TIME_WAIT, also where none can be reused. ``features`` are what was found out
    before: then the kernel is not asked again.
    """

    groups: bool = False
    all_ports: bool = False
    routes: tuple[tuple[str, str | None], ...] = ()
    threads: int = 0
    boot: bool = False
    times: bool = False
    features: Features | None = None


def take(wanted: Wanted, netns: NetnsId | None = None, proc: str = PROC) -> Snapshot:
    """
    Read what is wanted in the namespace of the calling thread.

    Args:
        wanted: The parts.
        netns: What the namespace is known as; None to find out.
        proc: Where the proc file system is mounted.

    Raises:
        PortroomError: The settings cannot be read, so nothing can be said.
    """
    header = _header(netns, proc)
    settings = read_settings(proc)
    counters = _or_gap("sockstat", lambda: read_counters(proc), "sessions")
    snapshot = msgspec.structs.replace(header, settings=settings, counters=counters)
    if wanted.groups:
        snapshot = add_groups(snapshot, wanted, proc)
    if wanted.routes:
        routes = _read_routes(wanted.routes)
        snapshot = msgspec.structs.replace(snapshot, routes=routes)
    if wanted.boot:
        snapshot = msgspec.structs.replace(snapshot, boot=_read_boot(proc))
    return snapshot


def _read_boot(proc: str) -> BootFacts | Gap:
    """Return what decides at the next boot of this system, or why that is not known."""
    from portroom.kernel.boot import read_boot  # costs start-up

    try:
        return _or_gap("boot", lambda: read_boot(proc=proc), "boot")
    except NotPermittedError as error:
        return Gap("boot", error.message, ("boot",))


def _header(netns: NetnsId | None, proc: str) -> Snapshot:
    """
    Return a Snapshot that says where and when, and nothing else yet.

    Raises:
        NotSupportedError: There is no proc file system.
    """
    try:
        return Snapshot(
            host=os.uname().nodename,
            boot_id=read_text(f"{proc}/sys/kernel/random/boot_id").strip(),
            taken_at=datetime.datetime.now(datetime.UTC),
            netns=namespaces.identify(netns, proc),
        )
    except OSError as error:
        raise NotSupportedError(
            f"{error.filename} could not be read: {error.strerror!r}.",
            "Mount the proc file system.",
        ) from None


def add_groups(snapshot: Snapshot, wanted: Wanted, proc: str = PROC) -> Snapshot:
    """
    Return a Snapshot with its groups, and what they were read with.

    Args:
        snapshot: With settings, and with counters that were read just now: they
            spare needless walks.
        wanted: How the groups are to be read.
        proc: Where the proc file system is mounted.
    """
    settings = snapshot.settings
    assert not isinstance(settings, Gap)
    counters = None if isinstance(snapshot.counters, Gap) else snapshot.counters
    sockets = counters.tcp_alloc if counters else 0
    vrfs = _read_vrfs(settings)
    trial = KnownFeatures(wanted.features) if wanted.features else Trial(sockets)
    scope = None if wanted.all_ports else settings.ephemeral
    try:
        groups, missing = _read_listed(scope, counters, settings, wanted, vrfs)
    except OSError as error:
        return _degraded(snapshot, trial.features(proc), error, vrfs)
    except BaseException:
        trial.end()
        raise
    bound = any(table.kind is Kind.BOUND and table.ports for table in groups.tables)
    unseen = not bound and not all_hashed(counters)
    features = trial.features(proc, bound_rows=unseen)
    if bound:
        features = msgspec.structs.replace(features, bound_inactive_rows=True)
    gaps = (*_doubts(groups, unseen=unseen and not features.bound_inactive_rows), *missing)
    return msgspec.structs.replace(snapshot, features=features, groups=groups, gaps=gaps)


def _read_vrfs(settings: Settings) -> tuple[Vrf, ...] | None:
    """Return the VRFs of the namespace, None where they cannot be read; no setting, no VRF."""
    if ACCEPT not in settings.values:
        return ()
    from portroom.kernel.vrfs import read_vrfs  # costs start-up

    try:
        return read_vrfs()
    except (OSError, KernelDataError):
        return None


def _read_listed(
    scope: PortRange | None,
    counters: Counters | None,
    settings: Settings,
    wanted: Wanted,
    vrfs: tuple[Vrf, ...] | None,
) -> tuple[Groups, tuple[Gap, ...]]:
    """
    Return the groups that sock_diag lists, and what is told of those that it does not.

    Where it has a handler for TCP alone, those of UDP are read from /proc/net.

    Raises:
        OSError: It does not list TCP sockets.
    """
    try:
        return _read_steady(scope, counters, settings, wanted, vrfs), ()
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
    listed = _read_steady(scope, counters, settings, wanted, vrfs, udp=False)
    from portroom.kernel.proc_net import read_groups as read_texts  # costs start-up

    texts = read_texts(scope, protocols=(Protocol.UDP,))
    gap = Gap("udp sockets", WITHOUT_UDP_DIAG, ("keys.free_ports",))
    return msgspec.structs.replace(listed, tables=(*listed.tables, *texts.tables)), (gap,)


def _read_steady(
    scope: PortRange | None,
    counters: Counters | None,
    settings: Settings,
    wanted: Wanted,
    vrfs: tuple[Vrf, ...] | None,
    *,
    udp: bool = True,
) -> Groups:
    """Read the groups again while the kernel says that they were changing."""
    reuse = settings.number("net.ipv4.tcp_tw_reuse", 0)
    reused = bool(reuse and settings.number("net.ipv4.tcp_timestamps", 1))
    attempts = ATTEMPTS
    while True:
        attempts -= 1
        groups = read_groups(
            scope,
            counters,
            threads=_threads(counters, wanted.threads),
            times=wanted.times or reused,
            witnesses=_are_few(counters),
            udp=udp,
            vrfs=vrfs,
            apart=are_apart(settings),
        )
        if not (groups.interrupted and attempts):
            return groups


def _are_few(counters: Counters | None) -> bool:
    """Say whether there are so few sockets that each can be asked who connected."""
    return counters is not None and counters.tcp_inuse + counters.tcp6_inuse <= WITNESSES_UP_TO


def _threads(counters: Counters | None, asked: int) -> int:
    """
    Return how many threads dump: as asked, or two where two processors are free.

    Few sockets are read by one, whatever was asked.
    """
    sockets = counters.tcp_inuse + counters.tcp6_inuse if counters else 0
    if sockets < TWO_THREADS_FROM:
        return 1
    if asked:
        return asked
    free_processors = len(os.sched_getaffinity(0)) - os.getloadavg()[0]
    return 2 if free_processors >= ENOUGH_PROCESSORS else 1


def _doubts(groups: Groups, *, unseen: bool) -> tuple[Gap, ...]:
    """
    Return what the kernel did not tell of the groups.

    Args:
        groups: The groups.
        unseen: Whether sockets may exist that are only bound, and not listed.
    """
    gaps = []
    if groups.interrupted:
        gaps.append(Gap("sock_diag", "the tables kept changing during the dump", ("keys",)))
    if unseen:
        gaps.append(
            Gap(
                "sock_diag",
                "this kernel is not known to list sockets that are only bound: for each that "
                "there may be (alloc less inuse of sockstat) a port that looks free is in doubt",
                BOUND_UNSEEN,
            )
        )
    return tuple(gaps)


def _degraded(
    snapshot: Snapshot, features: Features, error: OSError, vrfs: tuple[Vrf, ...] | None
) -> Snapshot:
    """Return a Snapshot with groups from /proc/net, and a Gap that says so."""
    # Whatever the kernel could list: these tables show no socket that is only bound.
    features = msgspec.structs.replace(features, bound_inactive_rows=False)
    from portroom.kernel.proc_net import read_groups as read_texts

    name = errno.errorcode.get(error.errno or 0, "error")
    gap = Gap("sock_diag", f"{DEGRADED} ({name})", BOUND_UNSEEN)
    groups = _or_gap("/proc/net", read_texts, "keys", "sessions.states")
    if isinstance(groups, Groups):
        groups = msgspec.structs.replace(groups, vrfs=vrfs)
    return msgspec.structs.replace(
        snapshot,
        features=features,
        groups=groups,
        gaps=(*snapshot.gaps, gap),
    )


def _read_routes(
    wanted: tuple[tuple[str, str | None], ...],
) -> tuple[Route, ...] | Gap:
    """
    Return the routes that there are, or the Gap of the first if there is none.

    A host often has an IPv6 address where this one has no route for it.
    """
    routes, gaps = [], []
    for remote, local in wanted:
        try:
            routes.append(read_route(remote, local))
        except OSError as error:
            gaps.append(_no_route(remote, error))
    return gaps[0] if gaps and not routes else tuple(routes)


def _no_route(remote: str, error: OSError) -> Gap:
    """Return the Gap of a remote without a route, or of a kernel that was not asked."""
    name = errno.errorcode.get(error.errno or 0, "error")
    refused = error.errno in REFUSED
    what = f"the route to {remote} could not be read" if refused else f"no route to {remote}"
    return Gap("route", f"{what} ({name})", ("keys",))


def _or_gap(source: str, read: Callable[[], Read], *affects: str) -> Read | Gap:
    """Return what *read* reads, or a Gap that names the error."""
    try:
        return read()
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "error")
        return Gap(source, f"could not be read ({name})", affects)


def read_key_owners(keys: Sequence[Measured], scope: PortRange, netns: NetnsId) -> Owners | Gap:
    """
    Read who owns the sockets behind some keys.

    Args:
        keys: The keys.
        scope: Local ports asked for, both ends included.
        netns: The namespace of the calling thread.

    Returns:
        The owners, or a Gap where sock_diag is missing.
    """
    from portroom.kernel.holders import read_holders  # costs start-up
    from portroom.kernel.owners import read_owners

    try:
        inodes = read_holders([one.id for one in keys], scope)
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "error")
        return Gap("owners", f"sock_diag could not be read ({name})", ("keys.owners",))
    wanted = frozenset().union(*inodes) - {0}
    by_inode, complete = read_owners(wanted, netns_inode=netns.inode)
    return Owners(
        by_key=tuple(
            KeyOwners(
                one.id.protocol,
                one.id.family,
                one.id.group_key,
                owners_of(by_inode, sockets.items()),
                unowned(by_inode, sockets.items()),
            )
            for one, sockets in zip(keys, inodes, strict=True)
        ),
        complete=complete,
    )
