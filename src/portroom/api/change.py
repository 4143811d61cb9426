"""Change: write what was planned, and keep it or take it back."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence

from portroom.api.journal import as_journal, journal, now
from portroom.api.keep import check_kept, recover_all, steps_to_keep
from portroom.api.undo import undo
from portroom.change import apply as steps_of
from portroom.change import guardian, launch, others, trials
from portroom.change import journal as books
from portroom.change.confirm import confirm_trial, goes_on
from portroom.change.held import Held
from portroom.change.lock import locked
from portroom.change.places import Places, find_places
from portroom.change.transaction import changing
from portroom.change.who import read_who
from portroom.errors import ChangeError, RefusedError
from portroom.kernel.trials import boottime_s, read_boot_id
from portroom.model.facts.change import ChangePlan, Step
from portroom.model.facts.journal import SET, TRIAL, Changed, Entry, Journal, Trial

__all__ = ["apply", "confirm", "guard", "journal", "recover", "recover_first", "undo"]


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
            recover_all(places)
            earlier = books.read(places).entries
            trials.refuse_while_pending(earlier, [one.netns for one in plans])
            others.refuse_while_tried(places, [one.netns for one in plans])
            entry = _carry_out(places, _entry(plans, steps), plans)
    return Changed.of(plans, entry)


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
        recover_all(places)
        try:
            entry = trials.choose(books.read(places).entries, number)
        except ChangeError:
            others.refuse_for_others(places, number)
            raise
        with goes_on(places, entry):
            done = _confirm(places, entry)
    return as_journal([done])


def _confirm(places: Places, entry: Entry) -> Entry:
    """Keep one trial, and return its entry."""
    assert entry.trial is not None
    values = entry.trial.values if entry.trial.persist else {}
    files = steps_to_keep(values, entry.request, now()) if values else ()
    return confirm_trial(places, entry, files, lambda: check_kept(values) if files else None)


def recover() -> Journal:
    """
    Take back what did not complete, and every trial that nobody confirmed in time.

    Returns:
        The entries that were touched.

    Raises:
        RollbackError: Something could not be put back.
        NotPermittedError: A right is missing.
        RefusedError: An entry of the journal cannot be read.
        ChangeError: There is none but a trial of others, which expired.
    """
    places = find_places()
    with locked(places):
        touched = recover_all(places)
    if not touched:
        others.refuse_for_others(places, overdue=True)
        others.refuse_for_system(places)
    return as_journal(touched)


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
        return recover_all(places)


def _open(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield the entries that are not closed."""
    return (one for one in entries if one.is_open)


def guard(number: int) -> int:
    """Be the guardian of a trial, and return the exit status once it ended."""
    guardian.guard(number)
    return 0


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
        started_at=now(),
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
        deadline_at=now() + datetime.timedelta(seconds=length_s),
        persist=bool(kept),
        values=kept[0].values if kept else {},
    )
