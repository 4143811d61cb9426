"""Charging: to whom the TIME_WAITs of each key are charged, within a budget of work.

Rules of this file:

- charging is cheap, and done with each sample; looking is dear: the sockets of the
  keys one by one, and the descriptors of processes, for those not known yet;
- looking rests for so long after that it takes no more than its part of one core,
  shared by all namespaces that are asked about;
- what is remembered has a limit, and is worth nothing after the next boot.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Sequence

import msgspec

from portroom.errors import KernelDataError
from portroom.kernel.owners import read_owners
from portroom.kernel.port_owners import read_sockets
from portroom.model.facts.config import OwnersKept
from portroom.model.facts.gaps import Gap
from portroom.model.facts.sample import UNKNOWN, Charge, Instant
from portroom.model.facts.snapshot import Counters, Groups, GroupTable, NetnsId, Settings, Snapshot
from portroom.model.facts.sockets import Family, Operation, Owner, Protocol, TcpState
from portroom.model.laws.charges import charges, sort_ended
from portroom.model.laws.flow import time_wait_tables, time_waits
from portroom.model.laws.occupancy import KeyId
from portroom.model.laws.owner_memory import (
    NOBODY,
    Lookup,
    People,
    Remembered,
    Sockets,
    lookup,
    nobody,
    nothing,
    owner_of,
    remember,
    unowned_inodes,
)
from portroom.model.laws.ownership import UNREADABLE
from portroom.model.laws.tightest import Measured

MOST_SOCKETS = 150_000
"""Sockets that are looked at once, of the tightest keys."""

MOST_WANTED = 50_000
"""Sockets whose owner is looked for at once; the others have their turn later."""

LATELY_S = 600.0
"""How long somebody who was seen on a key is thought of for what nobody was seen with."""

AFFECTS = ("charges",)

Place = tuple[int, bytes]
"""A key: family and group key."""


class _Seen(msgspec.Struct):
    """
    What is remembered of one key.

    ``code_of`` tells it by port. ``here`` has, for each who was seen on it, when that was.
    """

    known: Remembered = msgspec.field(default_factory=nothing)
    here: dict[int, float] = {}
    code_of: Lookup = nobody


class _Memory(msgspec.Struct):
    """What is remembered of one namespace, and when it may be looked at again."""

    boot_id: str
    people: People = msgspec.field(default_factory=People)
    keys: dict[Place, _Seen] = {}
    looked_s: float = 0.0
    asked_s: float = 0.0
    due_s: float = 0.0


class Charging:
    """
    Remembers who had which connection, of as many namespaces as are asked about.

    ``gap`` says why some owners cannot be found, None where all can.

    Args:
        config: How much work may be spent.
    """

    def __init__(self, config: OwnersKept) -> None:
        self.config = config
        self.gap: Gap | None = None
        self._memories: dict[int, _Memory] = {}

    def charge(
        self, read: Snapshot, keys: Sequence[Measured], now: Instant
    ) -> tuple[tuple[Charge, ...], ...]:
        """
        Return to whom the TIME_WAITs of each key are charged, in their order.

        Args:
            read: With settings and groups; of the namespace of the calling thread.
            keys: Keys of this Snapshot.
            now: When it was read.
        """
        settings, groups = read.settings, read.groups
        if isinstance(settings, Gap) or isinstance(groups, Gap):
            return ()
        memory = self._memory(read.netns, now)
        if now.uptime_s >= memory.due_s:
            self._look(memory, read, settings, keys, now)
        ended = time_wait_tables(groups)
        return tuple(_charged(one, memory, read, ended, now) for one in keys)

    def saved(self) -> bytes:
        """Return what is remembered, for ``load`` after a restart."""
        return msgspec.msgpack.encode(
            [_packed(netns, memory) for netns, memory in self._memories.items()]
        )

    def load(self, saved: bytes) -> None:
        """
        Remember what was saved; bytes that are no memory are nothing to remember.

        Args:
            saved: From ``saved``, of whatever boot.
        """
        try:
            kept = msgspec.msgpack.decode(saved, type=list[_Saved])
            self._memories = {one.netns: _unpacked(one) for one in kept}
        except (msgspec.DecodeError, ValueError):
            self._memories = {}

    def _memory(self, netns: NetnsId, now: Instant) -> _Memory:
        """Return the memory of a namespace, a new one where it is of another boot."""
        place = -netns.inode if netns.cookie is None else netns.cookie
        for other in [
            other
            for other, memory in self._memories.items()
            if memory.boot_id != now.boot_id or not 0 <= now.uptime_s - memory.asked_s <= LATELY_S
        ]:
            del self._memories[other]
        memory = self._memories.setdefault(place, _Memory(now.boot_id))
        memory.asked_s = now.uptime_s
        return memory

    def _look(
        self,
        memory: _Memory,
        read: Snapshot,
        settings: Settings,
        keys: Sequence[Measured],
        now: Instant,
    ) -> None:
        """Look at the sockets of the tightest keys, and for owners not known yet."""
        began_s = time.thread_time()
        wanted = _wanted(keys, read.counters)
        try:
            sockets = read_sockets(wanted, settings.ephemeral) if wanted else []
            self._learn(memory, dict(zip(wanted, sockets, strict=True)), read.netns, now)
        except (OSError, KernelDataError) as error:
            self.gap = Gap("owners", f"sockets could not be read one by one ({error})", AFFECTS)
        spent_s = time.thread_time() - began_s
        rest = len(self._memories) / self.config.most_work_ratio
        memory.due_s = now.uptime_s + spent_s * rest

    def _learn(
        self, memory: _Memory, sockets: dict[KeyId, Sockets], netns: NetnsId, now: Instant
    ) -> None:
        """Find the owners of sockets that are not known, and forget what is gone."""
        before = {key: memory.keys.get(_place(key), _Seen()) for key in sockets}
        unowned: set[int] = set()
        for key, some in sockets.items():
            if len(unowned) < MOST_WANTED:
                unowned |= unowned_inodes(before[key].known, some)
        by_inode, complete = read_owners(unowned, netns_inode=netns.inode)
        if unowned:
            # What has ended meanwhile stays unknown for what could not be read before.
            self.gap = None if complete else Gap("owners", UNREADABLE, AFFECTS)
        found = {
            inode: memory.people.number(owner_of(owners)) for inode, owners in by_inode.items()
        }
        memory.keys = {
            _place(key): _seen(before[key], some, found, now) for key, some in sockets.items()
        }
        memory.people = memory.people.only(
            number for one in memory.keys.values() for number in one.here
        )
        memory.looked_s = now.uptime_s


def _place(key: KeyId) -> Place:
    """Return by what a key is remembered."""
    return int(key.family), key.group_key


def _is_charged(key: KeyId) -> bool:
    """Say whether a key has connections of its own, that end in TIME_WAIT."""
    return key.protocol is Protocol.TCP and key.operation is Operation.CONNECT


def _wanted(keys: Sequence[Measured], counters: Counters | Gap) -> list[KeyId]:
    """
    Return the keys to look at: the tightest, up to MOST_SOCKETS sockets.

    Where there are more sockets than that in all, only those of one destination: then
    the kernel sorts the others out.
    """
    found: list[KeyId] = []
    most = MOST_SOCKETS
    charged = [one for one in keys if _is_charged(one.id)]
    many = isinstance(counters, Counters) and _sockets(counters) > MOST_SOCKETS
    for one in charged:
        sockets = sum(one.states.values())
        if (found and sockets > most) or (many and _remote(one.id) != _remote(charged[0].id)):
            continue
        most -= sockets
        found.append(one.id)
    return found


def _sockets(counters: Counters) -> int:
    """Return how many TCP sockets a dump may list."""
    return counters.tcp_inuse + counters.tcp6_inuse + counters.tcp_tw


def _remote(key: KeyId) -> tuple[Family, bytes, int]:
    """Return the destination of a key."""
    return key.family, key.remote_address, key.remote_port


def _seen(before: _Seen, sockets: Sockets, found: dict[int, int], now: Instant) -> _Seen:
    """Return what is remembered of a key, by the sockets that it has now."""
    known = remember(before.known, sockets, found)
    here = {number: at_s for number, at_s in before.here.items() if now.uptime_s - at_s <= LATELY_S}
    here.update(dict.fromkeys(known.owners, now.uptime_s))
    here.pop(NOBODY, None)
    return _Seen(known, here, lookup(known))


def _charged(
    one: Measured, memory: _Memory, read: Snapshot, ended: Sequence[GroupTable], now: Instant
) -> tuple[Charge, ...]:
    """Return to whom the TIME_WAITs of one key are charged."""
    waiting = one.states.get(TcpState.TIME_WAIT.name, 0)
    if not waiting:
        return ()
    if not _is_charged(one.id):
        return (Charge(None, waiting, UNKNOWN),)
    assert isinstance(read.settings, Settings)
    assert isinstance(read.groups, Groups)
    seen = memory.keys.get(_place(one.id), _Seen())
    parts = time_waits(one.id, ended, read.groups, read.settings)
    sorted_out = sort_ended(parts, seen.code_of, (now.uptime_s - memory.looked_s) * 1000)
    return charges(sorted_out, memory.people.all(), seen.here)


class _SavedKey(msgspec.Struct, array_like=True):
    """One key as it is saved; columns as bytes."""

    family: int
    key: bytes
    ports: bytes
    cookies: bytes
    owners: bytes
    ended: bytes
    here: dict[int, float]


class _Saved(msgspec.Struct, array_like=True):
    """One namespace as it is saved."""

    netns: int
    boot_id: str
    looked_s: float
    asked_s: float
    people: dict[int, Owner]
    keys: list[_SavedKey]


def _packed(netns: int, memory: _Memory) -> _Saved:
    """Return the memory of one namespace as it is saved."""
    keys = [
        _SavedKey(
            *place,
            ports=one.known.ports.tobytes(),
            cookies=one.known.cookies.tobytes(),
            owners=one.known.owners.tobytes(),
            ended=bytes(one.known.ended),
            here=one.here,
        )
        for place, one in memory.keys.items()
    ]
    return _Saved(
        netns, memory.boot_id, memory.looked_s, memory.asked_s, dict(memory.people.all()), keys
    )


def _unpacked(saved: _Saved) -> _Memory:
    """
    Return the memory of one namespace from what was saved.

    Raises:
        ValueError: Columns do not fit together.
    """
    return _Memory(
        saved.boot_id,
        People(saved.people),
        {
            (one.family, one.key): _Seen(known, one.here, lookup(known))
            for one in saved.keys
            for known in (_known(one),)
        },
        saved.looked_s,
        saved.asked_s,
    )


def _known(saved: _SavedKey) -> Remembered:
    """
    Return the connections of one key from what was saved.

    Raises:
        ValueError: Columns do not fit together.
    """
    known = Remembered(
        array("H", saved.ports),
        array("Q", saved.cookies),
        array("H", saved.owners),
        bytearray(saved.ended),
    )
    if len({len(column) for column in known}) > 1:
        raise ValueError("columns of one key have different lengths")
    return known
