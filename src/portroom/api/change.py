"""Change: write what was planned, keep it or take it back. The only use cases that write."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from portroom.api.keep import check_kept, origins, steps_to_keep
from portroom.api.trials import trials as seen_trials
from portroom.change import apply as steps_of
from portroom.change import guardian, launch, trials
from portroom.change import journal as books
from portroom.change import recover as recovery
from portroom.change.confirm import confirm_trial
from portroom.change.held import Held
from portroom.change.journal import JournalRead
from portroom.change.lock import locked
from portroom.change.places import Places, all_places, find_places
from portroom.change.signals import held_back
from portroom.change.transaction import changing
from portroom.change.undo import SINCE_BOOTED, Undo, last_undo
from portroom.change.who import read_who
from portroom.errors import ChangeError, RefusedError
from portroom.kernel.namespaces import identify
from portroom.kernel.trials import boottime_s, read_boot_id
from portroom.model.facts.change import ChangePlan, Step
from portroom.model.facts.gaps import Gap
from portroom.model.facts.journal import DONE, SET, TRIAL, Changed, Entry, Journal, Trial

UNDONE = "taken back by `portroom undo`"


def apply(plans: Sequence[ChangePlan]) -> Changed:
    """
    Write plans, one a namespace, as one change.

    Args:
        plans: At least one; all were made from one request.

    Returns:
        The plans and the entry of the journal, which is None where there was
        nothing to write.

    Raises:
        RefusedError: A plan is refused, or a trial is pending in a namespace.
        ConflictError: Something is no longer what a plan was made from.
        NotPermittedError: A right is missing.
        WriteError: A write failed; what was written was put back.
        RollbackError: It could not be put back.
    """
    refusals = [one.sentence for plan in plans for one in plan.refusals]
    if refusals:
        raise RefusedError(" ".join(dict.fromkeys(refusals)), "Nothing was written.")
    steps = tuple(step for plan in plans for step in plan.steps)
    entry = None
    if steps:
        # Whoever lacks the right to write is told that first, and nothing of the journal.
        with Held() as held:
            steps_of.probe(steps, held)
        places = find_places()
        with locked(places):
            recovery.recover(places)
            earlier = books.read(places).entries
            trials.refuse_while_pending(earlier, [one.netns for one in plans])
            entry = _carry_out(places, _entry(plans, steps), plans)
    first = plans[0]
    return Changed(
        host=first.host,
        taken_at=first.taken_at,
        netns=first.netns,
        gaps=first.gaps,
        plans=tuple(plans),
        entry=entry,
    )


def confirm(number: int | None = None) -> Journal:
    """
    Keep a change that is on trial, at the next boot too if that was asked for.

    Args:
        number: Its entry, None for the only one that waits.

    Raises:
        InvalidRequestError: Several wait.
        ChangeError: None does, or it is too late: it was taken back.
        PortroomError: The file could not be written; it is a trial still.
    """
    places = find_places()
    with locked(places):
        recovery.recover(places)
        entry = trials.choose(books.read(places).entries, number)
        assert entry.trial is not None
        values = entry.trial.values if entry.trial.persist else {}
        files = steps_to_keep(values, entry.request, _now()) if values else ()
        # Half confirmed would be a trial of which the file stands already.
        with held_back():
            done = confirm_trial(
                places, entry, files, lambda: check_kept(values) if files else None
            )
    return _journal([done])


def undo(steps: int = 1, dry_run: bool = False) -> Journal:
    """
    Take the last changes back; a trial that waits is the last one of all.

    Args:
        steps: How many.
        dry_run: Only tell what would be taken back, and write nothing.

    Returns:
        The entries of the undos, or of the trial that was taken back.

    Raises:
        ChangeError: There is nothing to undo.
        ConflictError: Somebody else changed something since; it was left, and
            all else too.
        PortroomError: It could not be written; what was undone before stays so.
    """
    places = find_places()
    if dry_run:
        return _journal(_undos(places, steps))
    done: list[Entry] = []
    with locked(places):
        recovery.recover(places)
        for _ in range(steps):
            entry = _undo_one(places, first=not done)
            if entry is None:
                break
            done.append(entry)
    return _journal(done)


def recover() -> Journal:
    """
    Take back what did not complete, and every trial that nobody confirmed in time.

    Returns:
        The entries that were touched.

    Raises:
        RollbackError: Something could not be put back.
        NotPermittedError: A right is missing.
    """
    places = find_places()
    with locked(places):
        return _journal(recovery.recover(places))


def recover_first() -> tuple[Entry, ...]:
    """
    Take back what did not complete before a change is planned, and return what was touched.

    Nothing is locked, and no right is needed, where nothing is left over.

    Raises:
        PortroomError: As ``recover``.
    """
    places = find_places()
    boot_id = read_boot_id()
    read = books.read(places)
    left_over = (
        one
        for one in _open(read.entries)
        if trials.is_late(one) or not trials.is_pending(one, boot_id)
    )
    if not read.unreadable and not any(left_over):
        return ()
    with locked(places):
        return recovery.recover(places)


def _open(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield the entries that are not closed."""
    return (one for one in entries if one.is_open)


def guard(number: int) -> int:
    """Be the guardian of a trial, and return the exit status once it ended."""
    guardian.guard(number)
    return 0


def journal(limit: int = 0) -> Journal:
    """
    List the changes, the latest first. Changes nothing.

    Args:
        limit: The most entries of each journal, 0 for all.
    """
    read = [books.read(places) for places in all_places()]
    found = [entry for one in read for entry in one.entries[-limit:]]
    found.sort(key=lambda entry: entry.started_at, reverse=True)
    return _journal(found[: limit or None], [gap for one in read for gap in one.gaps])


# How a change is carried out.


def _carry_out(places: Places, entry: Entry, plans: Sequence[ChangePlan]) -> Entry:
    """Write an entry that is complete but for its number, and return it as it stands then."""
    if entry.trial is None:
        with changing(places, entry) as change:
            change.write()
            for plan in plans:
                if plan.persistence is not None:
                    check_kept(plan.persistence.values)
        return change.entry
    with changing(places, entry, ends=TRIAL) as change:
        launch.start(places, change.entry)
        change.write()
    return change.entry


def _entry(plans: Sequence[ChangePlan], steps: tuple[Step, ...]) -> Entry:
    """Return the entry of a change that begins now."""
    request = plans[0].request
    return Entry(
        number=0,
        action=SET,
        started_at=_now(),
        boot_id=read_boot_id(),
        who=read_who(),
        request=request,
        changes=tuple(change for plan in plans for change in plan.changes),
        steps=steps,
        trial=_trial(plans) if request.trial_s else None,
    )


def _trial(plans: Sequence[ChangePlan]) -> Trial:
    """Return until when a change is tried, and what is to be kept then."""
    length_s = plans[0].request.trial_s
    kept = [one.persistence for one in plans if one.persistence is not None]
    return Trial(
        deadline_boottime_s=boottime_s() + length_s,
        deadline_at=_now() + datetime.timedelta(seconds=length_s),
        persist=bool(kept),
        values=kept[0].values if kept else {},
    )


# How one is taken back.


def _undo_one(places: Places, *, first: bool) -> Entry | None:
    """
    Take back a trial that waits, else the last change; None where there is none.

    Args:
        places: Where the journal lies.
        first: Nothing was undone before, so that it is an error if there is none.
    """
    read = books.read(places)
    waiting = _waiting(read.entries)
    if waiting is not None:
        return recovery.take_back(places, waiting, UNDONE)
    last = _last(read, frozenset())
    if last is None:
        if first:
            raise ChangeError("There is nothing to undo.", "`portroom journal` lists the changes.")
        return None
    entry = msgspec.structs.replace(
        last.entry, started_at=_now(), boot_id=read_boot_id(), who=read_who()
    )
    outcome = last.outcome
    if outcome == SINCE_BOOTED:
        outcome = f"{outcome} {origins(entry.changes)}"
    with changing(places, entry, DONE, outcome) as change:
        change.write()
    return change.entry


def _undos(places: Places, steps: int) -> list[Entry]:
    """Return the entries that undos would have, and check that they could be made."""
    read = books.read(places)
    waiting = _waiting(read.entries)
    found = [] if waiting is None else [waiting]
    taken: set[int] = set()
    while len(found) < steps and (last := _last(read, frozenset(taken))) is not None:
        taken.add(last.entry.undoes or 0)
        found.append(last.entry)
    if not found:
        raise ChangeError("There is nothing to undo.", "`portroom journal` lists the changes.")
    steps_of.check([step for one in found if one is not waiting for step in one.steps])
    return found


def _waiting(entries: Iterable[Entry]) -> Entry | None:
    """Return the last trial that waits for its confirmation."""
    boot_id = read_boot_id()
    waiting = [one for one in entries if trials.is_pending(one, boot_id)]
    return waiting[-1] if waiting else None


def _last(read: JournalRead, taken: frozenset[int]) -> Undo | None:
    """Return the undo of the last change, refused where a later entry cannot be read."""
    last = last_undo(read.entries, read_boot_id(), taken)
    read.refuse_after(last.entry.undoes or 0 if last else 0)
    return last


# What is told.


def _journal(entries: Iterable[Entry], gaps: Sequence[Gap] = ()) -> Journal:
    """Return entries as an answer, with the trials that wait."""
    seen = seen_trials()
    return Journal(
        host=os.uname().nodename,
        taken_at=_now(),
        netns=identify(),
        gaps=(*gaps, *seen.gaps),
        entries=tuple(entries),
        pending=seen.trials,
    )


def _now() -> datetime.datetime:
    """Return the time on the wall clock, to be shown."""
    return datetime.datetime.now(datetime.UTC)
