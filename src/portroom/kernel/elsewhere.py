"""Other network namespaces: their ranges, and keys that are or may be exhausted there, or nearly.

Rules of this file:

- it enters namespaces one after the other, each on a thread that ends, and stops
  after MOST_NAMESPACES or DEADLINE_S: a node with thousands of pods is not kept busy;
- a namespace with fewer sockets than a nearly full key needs is not dumped;
- what was found is told even where not everything could be looked at; nothing found
  is only told where everything was.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from portroom.errors import InvalidRequestError, NotPermittedError, PortroomError
from portroom.kernel import namespaces
from portroom.kernel.counters import read_counters
from portroom.kernel.files import PROC
from portroom.kernel.namespaces import NetnsRef, Survey
from portroom.kernel.settings import read_settings
from portroom.kernel.snapshot import Wanted, take
from portroom.model.facts.gaps import Gap
from portroom.model.facts.scene import Elsewhere, NamespaceRange
from portroom.model.facts.snapshot import Settings
from portroom.model.facts.sockets import Endpoint, Operation, Protocol
from portroom.model.laws.headroom import KeysWanted, as_key, find_keys

MOST_NAMESPACES = 200

DEADLINE_S = 2.0

NEARLY_FULL_RATIO = 0.95
"""The occupancy that is critical everywhere; below it programs still connect."""

MOST_KEYS = 5
"""Keys of one namespace and one search that are told."""

POOLS = (
    (Protocol.UDP, Operation.CONNECT),
    (Protocol.TCP, Operation.BIND0),
    (Protocol.UDP, Operation.BIND0),
)
"""Searches for a port that heed no remote."""

AFFECTS = ("causes", "findings")

Read = TypeVar("Read")


def read_ranges(survey: Survey, proc: str = PROC) -> tuple[tuple[NamespaceRange, ...], Gap | None]:
    """
    Return the ephemeral range of every namespace that can be entered.

    Args:
        survey: The namespaces, the host first.
        proc: Where procfs is mounted.

    Returns:
        Those that were entered, at most MOST_NAMESPACES, and why others were not.
    """
    visit = _Visit(survey.namespaces)
    found = tuple(visit.each(lambda ref: _range(ref, proc)))
    return found, visit.gap(survey.gaps)


def _range(ref: NetnsRef, proc: str) -> NamespaceRange:
    """Return the range of the namespace that the calling thread is in."""
    settings = read_settings(proc)
    return NamespaceRange(
        netns=namespaces.identify(ref.id, proc),
        range=settings.ephemeral,
        reserved_ports=len(settings.reserved.within(settings.ephemeral)),
    )


def read_elsewhere(
    remotes: Sequence[Endpoint] = (), proc: str = PROC
) -> tuple[Elsewhere, ...] | Gap:
    """
    Return keys that are, or may be, exhausted or nearly so, in other namespaces than the thread's.

    Args:
        remotes: Only connections towards these; none for all. Keys that have no
            remote, of UDP and of bind() to port 0, are told in any case.
        proc: Where procfs is mounted.

    Returns:
        The keys, the fullest first; a Gap where there is none in those that
        could be looked at, and others could not.
    """
    here = os.stat(f"{proc}/thread-self/ns/net").st_ino
    survey = namespaces.survey(proc)
    visit = _Visit([ref for ref in survey.namespaces if ref.id.inode != here])
    wanted = [
        KeysWanted(Protocol.TCP, Operation.CONNECT, tuple(remotes), limit=MOST_KEYS),
        *(KeysWanted(protocol, operation, limit=MOST_KEYS) for protocol, operation in POOLS),
    ]
    keys = [
        one for found in visit.each(lambda ref: _tight_keys(ref, wanted, proc)) for one in found
    ]
    keys.sort(key=lambda one: -one.key.occupancy_ratio)
    return tuple(keys) or visit.gap(survey.gaps) or ()


def _tight_keys(ref: NetnsRef, wanted: Sequence[KeysWanted], proc: str) -> list[Elsewhere]:
    """Return the nearly full keys of the namespace that the calling thread is in."""
    if not _may_be_tight(read_settings(proc), proc):
        return []
    read = take(Wanted(groups=True), ref.id, proc)
    keys = [as_key(one) for search in wanted for one in find_keys(read, search).measured]
    return [
        Elsewhere(netns=read.netns, key=key)
        for key in keys
        if not key.free_ports or key.occupancy_ratio >= NEARLY_FULL_RATIO
    ]


def _may_be_tight(settings: Settings, proc: str) -> bool:
    """
    Say whether there are sockets enough to hold that share of the range.

    Every port that is held has a socket or a TIME_WAIT; ``used`` counts all sockets
    of the namespace, those that are only bound as well.
    """
    counters = read_counters(proc)
    ephemeral = settings.ephemeral
    eligible = ephemeral.ports - len(settings.reserved.within(ephemeral))
    return counters.sockets_used + counters.tcp_tw >= NEARLY_FULL_RATIO * eligible


class _Visit:
    """Namespaces entered one after the other, and what kept it from some."""

    def __init__(self, refs: Sequence[NetnsRef]) -> None:
        self._refs = refs
        self._unseen = 0
        self._barred = 0

    def each(self, job: Callable[[NetnsRef], Read]) -> Iterator[Read]:
        """Yield what *job* returns inside each namespace; one that ended is left out."""
        end = time.monotonic() + DEADLINE_S
        for place, ref in enumerate(self._refs):
            if place == MOST_NAMESPACES or time.monotonic() > end:
                self._unseen += len(self._refs) - place
                return
            try:
                yield namespaces.inside(ref, partial(job, ref))
            except NotPermittedError:
                self._barred += 1
            except InvalidRequestError:
                continue  # it ended since it was found
            except (PortroomError, OSError):
                self._unseen += 1

    def gap(self, before: Sequence[Gap]) -> Gap | None:
        """Return why some namespaces were not looked at, None if all were."""
        reasons = [gap.reason for gap in before]
        if self._barred:
            reasons.append(f"{self._barred} may not be entered (needs CAP_SYS_ADMIN)")
        if self._unseen:
            reasons.append(f"{self._unseen} of {len(self._refs)} were not looked at")
        return Gap("namespaces", "; ".join(reasons), AFFECTS) if reasons else None
