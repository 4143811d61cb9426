"""Sessions: the sockets themselves, as ``netstat -anp`` lists them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from portroom.api.source import Live, Saved, Source
from portroom.errors import NotSupportedError
from portroom.kernel.owners import read_owners
from portroom.kernel.rows import EVERYTHING, RowsQuery, read_rows
from portroom.kernel.snapshot import Wanted, take
from portroom.kernel.users import read_user_names
from portroom.model.facts.answers import Sessions
from portroom.model.facts.snapshot import NOT_LOOKED_AT, Gap, Owners, Rows, Snapshot
from portroom.model.laws import sessions as law
from portroom.model.laws.ownership import UNREADABLE
from portroom.model.laws.sessions import SessionsQuestion
from portroom.model.laws.summary import states_gap, summary

__all__ = ["SessionsQuestion", "add_sessions", "sessions", "user_names"]

OwnersOf = Callable[[Iterable[int]], Owners | Gap]
"""Where the owners of sockets, given by inode, come from."""


def sessions(question: SessionsQuestion, source: Source) -> Sessions:
    """
    List the sockets that match, or count them all for a summary.

    Args:
        question: Which sessions, in which order.
        source: The kernel or a saved Snapshot.

    Raises:
        NotSupportedError: The Snapshot was saved without sessions.
        NotPermittedError: The namespace may not be entered.
    """
    answer = _summary if question.summary else _sessions
    if isinstance(source, Saved):
        return answer(source.snapshot, question, _saved_owners(source.snapshot))

    def job() -> Sessions:
        """Read and answer inside the namespace."""
        if question.summary:
            read = take(Wanted(groups=True, all_ports=True), source.known)
        else:
            read = _with_rows(take(Wanted(), source.known), _query(question))
        return answer(read, question, _live_owners(read))

    return source.run(job)


def add_sessions(read: Snapshot) -> Snapshot:
    """
    Return a Snapshot with the sessions, and their owners, of this thread's namespace.

    Args:
        read: A Snapshot that was just taken in it.
    """
    read = _with_rows(read, EVERYTHING)
    if isinstance(read.rows, Gap):
        return read
    found = _live_owners(read)(read.rows.inode)
    if isinstance(found, Owners) and isinstance(read.owners, Owners):
        found = Owners(
            read.owners.by_key,
            found.by_inode,
            found.complete and read.owners.complete,
        )
    return msgspec.structs.replace(read, owners=found)


def user_names(answers: Iterable[Sessions], source: Source) -> Mapping[int, str]:
    """
    Return the names of the users in some answers.

    Of a saved Snapshot those that were saved with it: a uid of another host may
    be somebody else here.
    """
    if not isinstance(source, Live):
        return source.snapshot.users
    uids = {session.uid for answer in answers for session in answer.sessions}
    return read_user_names(uid for uid in uids if uid is not None)


def _query(question: SessionsQuestion) -> RowsQuery:
    """Return the part of a question that the kernel can answer."""
    return RowsQuery(question.protocols, question.states, question.local, question.remote)


def _with_rows(read: Snapshot, query: RowsQuery) -> Snapshot:
    """Return a Snapshot with rows, which hold at least what is asked for."""
    found = read_rows(query)
    return msgspec.structs.replace(read, rows=found.rows, gaps=read.gaps + found.gaps)


def _live_owners(read: Snapshot) -> OwnersOf:
    """Return the search through the processes of this host."""

    def owners_of(inodes: Iterable[int]) -> Owners:
        """Look for the owners of these sockets."""
        found, complete = read_owners(set(inodes), netns_inode=read.netns.inode)
        return Owners(by_inode=found, complete=complete)

    return owners_of


def _saved_owners(read: Snapshot) -> OwnersOf:
    """Return the look-up in what a Snapshot saved."""
    return lambda _: read.owners


def _sessions(read: Snapshot, question: SessionsQuestion, owners_of: OwnersOf) -> Sessions:
    """Return the sessions of a Snapshot that match."""
    rows = _rows(read)
    places = law.select(rows, question)
    found: Owners | Gap | None = None
    if question.chooses_by_owner:
        found = owners_of(rows.inode[i] for i in places)
        if question.process is not None:
            places = law.owned_by(rows, places, question.process, _by_inode(found))
    places = law.arrange(rows, places, question.sort, _by_inode(found))
    shown = places[: question.limit or None]
    if found is None:
        found = owners_of(rows.inode[i] for i in shown)
    return Sessions(
        host=read.host,
        taken_at=read.taken_at,
        netns=read.netns,
        gaps=_gaps(read) + _owners_gaps(found, rows, shown),
        sessions=law.make(rows, shown, _by_inode(found)),
        sessions_total=len(places),
    )


def _rows(read: Snapshot) -> Rows:
    """Return the rows of a Snapshot, which must have some."""
    if not isinstance(read.rows, Gap):
        return read.rows
    if read.rows.reason == NOT_LOOKED_AT:
        raise NotSupportedError(
            "This Snapshot holds no single sessions: they were not saved.",
            "Save one with `portroom snapshot --sessions`.",
        )
    raise NotSupportedError(
        f"This Snapshot holds no single sessions: {read.rows.reason!r}.",
        "`--summary` may still answer.",
    )


def _gaps(read: Snapshot) -> tuple[Gap, ...]:
    """Return the gaps of a Snapshot that make sessions uncertain, not only keys."""
    return tuple(
        gap
        for gap in read.gaps
        if not gap.affects or any(name.startswith("sessions") for name in gap.affects)
    )


def _by_inode(owners: Owners | Gap | None) -> law.OwnersByInode:
    """Return what is known of owners, by inode."""
    return owners.by_inode if isinstance(owners, Owners) else {}


def _owners_gaps(owners: Owners | Gap, rows: Rows, shown: Iterable[int]) -> tuple[Gap, ...]:
    """Return why owners that the kernel has are not among the answer."""
    if isinstance(owners, Gap):
        return (Gap("owners", owners.reason, ("sessions.owners",)),)
    if owners.complete:
        return ()
    unseen = sum(bool(rows.inode[i]) and rows.inode[i] not in owners.by_inode for i in shown)
    sockets = "1 socket has" if unseen == 1 else f"{unseen} sockets have"
    reason = f"{sockets} an owner that was not seen; {UNREADABLE}"
    return (Gap("owners", reason, ("sessions.owners",)),) if unseen else ()


def _summary(read: Snapshot, _: SessionsQuestion, __: OwnersOf) -> Sessions:
    """Return the sessions of a Snapshot in numbers, and no single one."""
    counted = summary(read.counters, read.groups)
    missing = [gap for gap in (counted, states_gap(read.groups)) if isinstance(gap, Gap)]
    return Sessions(
        host=read.host,
        taken_at=read.taken_at,
        netns=read.netns,
        gaps=(*_gaps(read), *missing),
        sessions=(),
        sessions_total=0,
        summary=None if isinstance(counted, Gap) else counted,
    )
