"""Verdicts: what failures had as their cause, without falling behind them. Changes nothing.

Rules of this file:

- the sockets of a namespace are read at most once a second, and less often where
  that is dear: of a long time a quarter at most goes into it (ALLOWANCE);
- what was found out holds for all failures alike until it is found out again;
  where nothing more is to be seen it holds on for KEPT_S;
- a namespace is told by its inode and its cookie: the inode of one that ended is given
  to the next one, at once;
- everything that is kept has a bound: this runs for days.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import NamedTuple, TypeVar

from portroom.errors import InvalidRequestError, PortroomError
from portroom.kernel.namespaces import NetnsRef, find_again, inside, read_cookie
from portroom.kernel.snapshot import Wanted, take
from portroom.model.advice.attribution import (
    Attempt,
    Evidence,
    is_exhaustion,
    is_judged,
    needs_all_ports,
    told,
)
from portroom.model.facts.failure import FailedProcess
from portroom.model.facts.gaps import part_or_none
from portroom.model.facts.scene import Window
from portroom.model.facts.snapshot import Features, NetnsId, Snapshot

READ_AGAIN_S = 1.0
COSTS_BETWEEN = 10
"""Between two readings of a namespace pass this, and ten times what one takes."""

KEPT_S = 60.0
"""How long a cause holds on where later readings do not show it: TIME_WAIT lasts as long."""

ALLOWANCE_RATIO, ALLOWANCE_S = 0.25, 2.0
"""Part of the time that judging may take, and how much of it may be saved up: so a
burst of failures in many namespaces is judged at once."""

NAMESPACES_KEPT = 8
"""Readings kept at a time: one of a host with a million sockets takes 100 MB."""

VERDICTS_KEPT = 10_000

LOOK_S = 0.05
"""Between two looks at what happens meanwhile."""

Name = TypeVar("Name", bound=Hashable)
Kept = TypeVar("Kept")


class Place(NamedTuple):
    """A network namespace; the inode is None where it is not known, or the cookie."""

    inode: int | None
    cookie: int | None


class Reading(NamedTuple):
    """
    The sockets of a namespace: when they were read, what that took, None if it failed.

    ``all_ports`` says that they are those of all local ports, not of the range alone.
    """

    at_s: float
    cost_s: float
    evidence: Evidence | None
    all_ports: bool

    def does(self, attempt: Attempt, now_s: float) -> bool:
        """Say whether there is no need yet to read again for an attempt."""
        again_s = max(READ_AGAIN_S, COSTS_BETWEEN * self.cost_s)
        return (self.all_ports or not needs_all_ports(attempt)) and now_s - self.at_s < again_s


class Verdict(NamedTuple):
    """A cause, when it was seen, and by which reading it was looked for last."""

    cause: str | None
    seen_at_s: float
    looked_at_s: float


class Allowance:
    """Time that may be spent: it grows by a part of what passes, up to a bound."""

    def __init__(self, now_s: float) -> None:
        self._left_s = ALLOWANCE_S
        self._at_s = now_s

    def has_any(self, now_s: float) -> bool:
        """Say whether something is left."""
        grown = self._left_s + (now_s - self._at_s) * ALLOWANCE_RATIO
        self._left_s, self._at_s = min(ALLOWANCE_S, grown), now_s
        return self._left_s > 0

    def spend(self, cost_s: float) -> None:
        """Take something off; what is dear may take more than there is."""
        self._left_s -= cost_s


class Verdicts:
    """
    The causes of failures, as they come; ``unreadable`` counts readings in vain.

    Args:
        meanwhile: Called again and again while sockets are read, which may take
            seconds: failures go on, and have to be taken in.
        features: What this kernel can do; None to ask it each time, which takes
            a connect that fails.
    """

    def __init__(self, meanwhile: Callable[[], None], features: Features | None = None) -> None:
        self._meanwhile = meanwhile
        self._features = features
        self.unreadable = 0
        self._readings: OrderedDict[Place, Reading] = OrderedDict()
        self._verdicts: OrderedDict[Hashable, Verdict] = OrderedDict()
        self._allowance = Allowance(time.monotonic())

    def cause(self, attempt: Attempt, process: FailedProcess) -> str | None:
        """
        Return the cause of a failure, None where it is not known.

        Of a process that ended before it was looked at, the namespace is not
        known: then the sockets of the own one may show it.
        """
        cause = told(attempt)
        if cause is not None or not is_judged(attempt):
            return cause
        alike = (_place(process), attempt)
        now_s = time.monotonic()
        verdict = self._verdicts.get(alike)
        if not self._allowance.has_any(now_s):
            return _lasting(verdict, now_s)
        reading = self._reading(attempt, process, now_s)
        is_asked = verdict is not None and verdict.looked_at_s >= reading.at_s
        if reading.evidence is not None and not is_asked:
            cause = _judged(attempt, process, reading.evidence)
            verdict = _renewed(verdict, cause, reading.at_s)
            _keep(self._verdicts, alike, verdict, VERDICTS_KEPT)
        after_s = time.monotonic()
        self._allowance.spend(after_s - now_s)
        return _lasting(verdict, after_s)

    def names_port(self, attempt: Attempt, process: FailedProcess) -> bool:
        """
        Say whether a bind of which nothing is known must have asked for one port.

        By the sockets as they were read for its cause.
        """
        known = self._readings.get(_place(process))
        if known is None or known.evidence is None or process.netns_inode is None:
            return False
        return known.does(attempt, time.monotonic()) and known.evidence.names_port(attempt)

    def _reading(self, attempt: Attempt, process: FailedProcess, now_s: float) -> Reading:
        """Return the sockets of a process's namespace, read again if it is time."""
        place = _place(process)
        known = self._readings.get(place)
        if known is not None and known.does(attempt, now_s):
            return known
        # What was needed once is needed again: both kinds in turn would cost twice.
        all_ports = needs_all_ports(attempt) or (known is not None and known.all_ports)
        wanted = Wanted(groups=True, all_ports=all_ports, features=self._features)
        evidence = _aside(lambda: _read(process, wanted), self._meanwhile)
        self.unreadable += evidence is None
        after_s = time.monotonic()
        reading = Reading(after_s, after_s - now_s, evidence, all_ports)
        _keep(self._readings, place, reading, NAMESPACES_KEPT)
        return reading


def _place(process: FailedProcess) -> Place:
    """Return the namespace of a process."""
    return Place(process.netns_inode, process.netns_cookie)


def _judged(attempt: Attempt, process: FailedProcess, evidence: Evidence) -> str | None:
    """Return the cause that sockets show; where they show none, by the options of the process."""
    cause = evidence.cause(attempt)
    if cause is not None or process.pid is None or not is_exhaustion(attempt, cause):
        return cause
    windows = _windows(process.pid)
    return evidence.cause(attempt, windows) if windows else None


def _windows(pid: int) -> tuple[Window, ...]:
    """Return IP_LOCAL_PORT_RANGE as sockets of a process have it; none where that is hidden."""
    from portroom.kernel.process_seen import read_windows

    try:
        return part_or_none(read_windows(pid)) or ()
    except OSError:
        return ()


def _renewed(known: Verdict | None, cause: str | None, at_s: float) -> Verdict:
    """Return what a reading told; where it does not show the cause, the one before."""
    if cause is None and known is not None:
        return known._replace(looked_at_s=at_s)
    return Verdict(cause, at_s, at_s)


def _lasting(known: Verdict | None, now_s: float) -> str | None:
    """Return a cause that was found out before, unless that is too long ago."""
    return known.cause if known and now_s - known.seen_at_s <= KEPT_S else None


def _keep(within: OrderedDict[Name, Kept], name: Name, value: Kept, most: int) -> None:
    """Keep a value as the latest, and no more than *most*."""
    within[name] = value
    within.move_to_end(name)
    if len(within) > most:
        within.popitem(last=False)


def _aside(job: Callable[[], Evidence | None], meanwhile: Callable[[], None]) -> Evidence | None:
    """Return what *job* returns on a thread of its own, and let others go on until then."""
    results: list[Evidence | None] = []
    thread = threading.Thread(target=lambda: results.append(job()), name="sockets", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(LOOK_S)
        meanwhile()
    return results[0] if results else None


def _read(process: FailedProcess, wanted: Wanted) -> Evidence | None:
    """Return the sockets of a process's namespace, None where they cannot be read."""
    inode = process.netns_inode
    if inode is None:
        return _or_none(lambda: take(wanted))
    name = process.netns or f"net:[{inode}]"
    known = NetnsId(name, process.netns_cookie, inode, "process", process.pid)
    own = None if process.pid is None else NetnsRef(known, f"/proc/{process.pid}/ns/net")
    return (own and _read_by(own, wanted)) or _read_held(known, wanted)


def _read_held(known: NetnsId, wanted: Wanted) -> Evidence | None:
    """Return the sockets of a namespace whose process ended, by what else holds it."""
    try:
        ref = find_again(known)
    except PortroomError:
        return None
    return None if ref is None else _read_by(ref, wanted)


def _read_by(ref: NetnsRef, wanted: Wanted) -> Evidence | None:
    """Return the sockets of a namespace that a file opens, None where it is another one now."""
    return _or_none(lambda: inside(ref, lambda: _take(ref.id, wanted)))


def _take(known: NetnsId, wanted: Wanted) -> Snapshot:
    """
    Return the sockets of the namespace that this thread is in.

    Raises:
        InvalidRequestError: It is another one, that was given the same inode.
    """
    if known.cookie is not None and read_cookie() != known.cookie:
        raise InvalidRequestError(f"The network namespace {known.name!r} is gone.")
    return take(wanted, known)


def _or_none(read: Callable[[], Snapshot]) -> Evidence | None:
    """Return what *read* reads, None where it cannot be."""
    try:
        return Evidence(read())
    except (PortroomError, OSError):
        return None
