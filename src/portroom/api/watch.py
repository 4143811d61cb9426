"""Watch: failures as they happen. Changes nothing but a trace instance of its own."""

from __future__ import annotations

import datetime
import errno
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from portroom.api.verdicts import Verdicts
from portroom.errors import InvalidRequestError
from portroom.kernel import namespaces
from portroom.kernel.features import read_features
from portroom.kernel.files import PROC
from portroom.kernel.processes import open_folder, parse_thread_group, read_file
from portroom.model.advice.attribution import Attempt, is_exhaustion
from portroom.model.facts.failure import FailedProcess, Failure, FailureCounts
from portroom.model.facts.questions import WatchQuestion
from portroom.model.facts.snapshot import Features, Gap, NetnsId
from portroom.model.facts.sockets import Endpoint
from portroom.model.laws.failure_counts import Tally
from portroom.model.laws.process_filter import process_filter
from portroom.trace.live import Raw, Watch, watching
from portroom.trace.publish import Published

UNSEEN = Gap(
    "trace",
    "a send of an unbound UDP socket that finds no port is not seen: "
    "the kernel tells no event of it that can be filtered; nor is a listen() without bind(), "
    "nor what io_uring does but for connects of TCP",
    ("failures_total", "exhausted_total", "counts"),
)
"""Said always: what is not seen must not be taken for what does not happen."""

OWN_NAME = "portroom"
"""
What it calls itself: its probe and its trials fail on purpose, which is nobody's failure.

Anybody may take that name: it is left out only if it is this program, run by this user.
"""

PENDING = 100_000
"""Failures that wait for their cause: what comes on top waits with the kernel."""


def watch(question: WatchQuestion) -> Failures:
    """
    Start to watch failed connects and binds of the whole system.

    Leave the ``with`` block of what is returned to end it.

    Raises:
        InvalidRequestError: There is no such namespace or process, a name is
            empty, or the path of the socket is taken.
        NotPermittedError: A right is missing.
        NotSupportedError: This kernel tells no such events.
    """
    _check_name(question.process)
    pid = None if question.pid is None else _process_of(question.pid)
    netns = _netns(question.netns)
    # Asked once, and before: it takes a connect that fails.
    features = read_features()
    with ExitStack() as opened:
        seen = opened.enter_context(watching(pid))
        served = None
        if question.socket is not None:
            # Once it is there, what fails is counted.
            served = opened.enter_context(Published(question.socket))
        return Failures(question, netns, seen, features, served, opened.pop_all())


class Failures:
    """
    Failures as they come, with their causes, and counted.

    Args:
        question: Which are wanted.
        netns: The namespace asked for, else the caller's own.
        seen: What tells of them.
        features: What this kernel can do.
        served: Where counts are given to others, None for nowhere.
        opened: What to close at the end.
    """

    def __init__(
        self,
        question: WatchQuestion,
        netns: NetnsId,
        seen: Watch,
        features: Features,
        served: Published | None,
        opened: ExitStack,
    ) -> None:
        self._netns = netns
        self._only = netns if question.netns is not None else None
        self._matches = None if question.process is None else process_filter(question.process)
        self._seen, self._served, self._opened = seen, served, opened
        self._since = datetime.datetime.now(datetime.UTC)
        self._tally = Tally()
        self._verdicts = Verdicts(self._take_in, features)
        self._pending: list[Raw] = []
        self._unmatched = self._unread = self._named = 0

    def __enter__(self) -> Self:
        """Return these failures."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the watch: nothing of it stays."""
        self._opened.close()

    @property
    def lost_events(self) -> int:
        """Return how many events were lost so far."""
        return self._seen.lost_events

    @property
    def is_behind(self) -> bool:
        """Say whether failures were taken in that are not told yet."""
        return bool(self._pending)

    def stop(self) -> None:
        """Let a ``read`` that waits return: for the handler of a signal."""
        self._seen.stop()

    def read(self, timeout_s: float) -> list[Failure]:
        """
        Return what failed since the last call, in order of time, and count it.

        Args:
            timeout_s: How long to wait if nothing did.
        """
        # The wall clock may be set while this runs: an event has the time of its batch.
        pending, self._pending = self._pending, []
        found = list(self._wanted([*pending, *self._seen.read(0 if pending else timeout_s)]))
        offset_ns = time.time_ns() - time.monotonic_ns()
        failures = [self._judged(raw, offset_ns) for raw in found]
        if self._served is not None and self._served.is_asked():
            self._served.answer(msgspec.json.encode(self.counts()) + b"\n")
        return failures

    def counts(self) -> FailureCounts:
        """Return all failures so far, counted."""
        return FailureCounts(
            host=os.uname().nodename,
            taken_at=datetime.datetime.now(datetime.UTC),
            netns=self._netns,
            gaps=(UNSEEN, *self._seen.gaps, *self._gaps()),
            since=self._since,
            failures_total=self._tally.failures_total,
            exhausted_total=self._tally.exhausted_total,
            lost_events=self._seen.lost_events,
            counts=self._tally.counts(),
            counts_omitted=self._tally.counts_omitted,
        )

    def _take_in(self) -> None:
        """Take in what fails while a cause is looked for, so that the kernel has room."""
        if len(self._pending) < PENDING:
            self._pending += self._seen.read(0)

    def _wanted(self, found: Iterable[Raw]) -> Iterator[Raw]:
        """Yield the failures asked for; note those that have ended too early to tell."""
        for raw in found:
            process = raw.process
            if _is_own(process):
                continue
            if self._only is not None and not _is_in(process, self._only):
                self._unmatched += process.netns_inode is None
            elif self._matches is None or self._matches(process.pid, process.command):
                yield raw
            else:
                self._unmatched += process.command is None

    def _judged(self, raw: Raw, offset_ns: int) -> Failure:
        """Return a failure with its cause, counted."""
        attempt = Attempt(
            operation=raw.operation,
            errno=raw.errno,
            family=raw.family,
            protocol=raw.protocol,
            searched=raw.searched,
            local=None if raw.local is None else Endpoint(*raw.local),
            remote=None if raw.remote is None else Endpoint(*raw.remote),
        )
        process = raw.process
        cause = self._verdicts.cause(attempt, process)
        if attempt.is_unread_bind:
            self._unread += 1
            self._named += self._verdicts.names_port(attempt, process)
        failure = _failure(raw, cause, offset_ns)
        self._tally.add(failure, exhausted=is_exhaustion(attempt, cause))
        return failure

    def _gaps(self) -> Iterator[Gap]:
        """Yield what was missed so far."""
        if lost := self._seen.lost_events:
            reason = f"{lost} events were lost, as the kernel had no room: counts are lower bounds"
            yield Gap("trace", reason, ("failures_total", "exhausted_total", "counts"))
        if self._unmatched:
            reason = (
                f"{self._unmatched} failures are left out: their processes had ended before "
                "anybody could see whether they are meant"
            )
            yield Gap("trace", reason, ("failures_total", "exhausted_total", "counts"))
        if self._unread:
            yield Gap("causes", _unread(self._unread, self._named), ("counts.cause",))
        if self._verdicts.unreadable:
            reason = "sockets of a network namespace could not be read when something failed there"
            yield Gap("causes", reason, ("counts.cause",))


def _check_name(name: str | None) -> None:
    """
    Check that a name of processes can be one.

    Raises:
        InvalidRequestError: It is empty, which no process is called on purpose.
    """
    if name is not None and not name.strip():
        raise InvalidRequestError(
            f"--process {name!r}: that is no name.", "Name a process, or leave the option out."
        )


def _process_of(pid: int) -> int:
    """
    Return the process that a number is, or is a thread of.

    Raises:
        InvalidRequestError: There is no such process any more.
    """
    try:
        folder = open_folder(f"{PROC}/{pid}")
        try:
            return parse_thread_group(read_file("status", folder))
        finally:
            os.close(folder)
    except (OSError, ValueError):
        raise InvalidRequestError(
            f"No process {pid}: it has ended, or cannot be seen from here.",
            "`--process NAME` takes a name, also of processes that start later.",
        ) from None


def _netns(name: str | None) -> NetnsId:
    """Return a namespace by its name, with its cookie; the own one where none is asked for."""
    if name is None:
        return namespaces.identify()
    ref = namespaces.find(name)
    return namespaces.inside(ref, lambda: namespaces.identify(ref.id))


def _is_in(process: FailedProcess, netns: NetnsId) -> bool:
    """Say whether a process is in a namespace, and not in a later one with its inode."""
    cookies = {process.netns_cookie, netns.cookie} - {None}
    return process.netns_inode == netns.inode and len(cookies) <= 1


def _is_own(process: FailedProcess) -> bool:
    """Say whether a process is portroom, run by the same user."""
    if process.command != OWN_NAME or process.pid is None or process.uid != os.geteuid():
        return False
    try:
        one, own = (Path(PROC, str(pid), "exe").stat() for pid in (process.pid, "self"))
    except OSError:
        return False
    return (one.st_dev, one.st_ino) == (own.st_dev, own.st_ino)


def _unread(binds: int, named: int) -> str:
    """Return what is not known of binds whose address was read too late, as a sentence."""
    text = (
        f"what {binds} of the binds with EADDRINUSE asked for was read too late: which port it "
        "was, and who held it, is not known"
    )
    if not named:
        return text
    return (
        f"{text}; {named} of them asked for one port and not for any, as bind() to port 0 had "
        "half of the range left, unless their sockets had a range of their own"
    )


def _failure(raw: Raw, cause: str | None, offset_ns: int) -> Failure:
    """Return a failure as an Event."""
    local, local_port = raw.local or (None, 0)
    remote, remote_port = raw.remote or (None, None)
    at = datetime.datetime.fromtimestamp((raw.at_ns + offset_ns) / 1e9, datetime.UTC)
    return Failure(
        at=at,
        operation=raw.operation,
        error=errno.errorcode.get(raw.errno, str(raw.errno)),
        errno=raw.errno,
        protocol=raw.protocol,
        local_address=local,
        local_port=local_port or None,
        remote_address=remote,
        remote_port=remote_port,
        address_source=raw.address_source,
        cause=cause,
        process=raw.process,
    )
