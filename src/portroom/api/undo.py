"""Undo: take changes back, the last one first, or one alone."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence

import msgspec

from portroom.api.journal import as_journal, now
from portroom.api.keep import origins, recover_all
from portroom.change import apply as steps_of
from portroom.change import journal as books
from portroom.change import others, trials
from portroom.change.journal import JournalRead
from portroom.change.lock import locked
from portroom.change.places import Places, find_places
from portroom.change.recover import end_trial
from portroom.change.transaction import changing
from portroom.change.trials import LISTED
from portroom.change.undo import Undo, find_undo, find_undo_of, met_already
from portroom.change.who import read_who
from portroom.errors import ChangeError, ConflictError
from portroom.kernel.trials import read_boot_id
from portroom.model.facts.change import Step
from portroom.model.facts.journal import DONE, NETNS_GONE, Entry, Journal

UNDONE = "taken back by `portroom undo`"

GONE = "Gone with its network namespace."


def undo(steps: int = 1, dry_run: bool = False, number: int | None = None) -> Journal:
    """
    Take the last changes back, trials that wait among them, or one change alone.

    Args:
        steps: How many.
        dry_run: Only tell what would be taken back, and write nothing.
        number: The entry of the one that is meant, None for the last ones.

    Returns:
        The entries of the undos, and of trials that were taken back: fewer than
        *steps* where there were no more.

    Raises:
        ChangeError: There is nothing to undo.
        ConflictError: Somebody else changed something since; it was left, and
            all else too.
        PortroomError: It could not be written; what was undone before stays so.
    """
    places = find_places()
    if dry_run:
        return as_journal(_planned(places, steps, number))
    done: list[Entry] = []
    found = Undo()
    with locked(places):
        recover_all(places)
        while len(done) < steps:
            found = _find(places, books.read(places), number)
            for entry in found.gone:
                books.close(places, entry, NETNS_GONE, GONE)
            if found.undoes == 0:
                break
            done.append(_carry_out(places, found))
    if not done:
        raise _nothing(places, number, found)
    return as_journal(done)


def _planned(places: Places, steps: int, number: int | None) -> list[Entry]:
    """Return the entries that undos would have, and check that they could be made."""
    read = books.read(places)
    taken: set[int] = set()
    entries: list[Entry] = []
    found = Undo()
    while len(entries) < steps:
        found = _find(places, read, number, taken)
        entry = found.trial or found.entry
        if entry is None:
            break
        taken.add(found.undoes)
        entries.append(_told(found, entry))
    if not entries:
        raise _nothing(places, number, found)
    undos = [one for one in entries if one.undoes]
    with _named(*(f"{one.undoes}" for one in undos)):
        steps_of.check(steps_of.as_found(step for one in undos for step in one.steps))
    return entries


def _find(
    places: Places, read: JournalRead, number: int | None, taken: Collection[int] = frozenset()
) -> Undo:
    """
    Return what is to be taken back next, which may be nothing.

    Raises:
        ChangeError: The change that is meant does not stand.
        RefusedError: A later entry cannot be read, and may be the one.
    """
    boot_id = read_boot_id()
    if number in taken:
        return Undo()
    if number is None:
        found = find_undo(read.entries, boot_id, taken)
        read.refuse_after(found.undoes)
        return found
    try:
        return find_undo_of(read.entries, boot_id, number)
    except ChangeError:
        # One of others may have that number.
        others.refuse_for_others(places, number)
        raise


def _nothing(places: Places, number: int | None, found: Undo) -> ChangeError:
    """
    Return the error for whoever has nothing to undo.

    Raises:
        NotPermittedError: The system has something.
        ChangeError: Another user has a trial.
    """
    others.refuse_for_others(places, number)
    others.refuse_for_system(places, undo=True)
    return ChangeError(f"There is nothing to undo. {found.passed_over}".rstrip(), LISTED)


def _carry_out(places: Places, found: Undo) -> Entry:
    """Take one change back, and return the entry that tells so."""
    if found.trial is not None:
        return end_trial(places, found.trial, UNDONE)
    assert found.entry is not None
    others.refuse_while_tried(places, trials.namespaces_of(found.entry.steps))
    entry = msgspec.structs.replace(
        found.entry,
        started_at=now(),
        boot_id=read_boot_id(),
        who=read_who(),
        steps=steps_of.as_found(found.entry.steps),
    )
    outcome = _outcome(found, entry.steps)
    with _named(f"{entry.undoes}"), changing(places, entry, DONE, outcome) as change:
        change.write()
    return change.entry


def _told(found: Undo, entry: Entry) -> Entry:
    """Return the entry of an undo that is only told: with what was passed over."""
    return msgspec.structs.replace(entry, outcome=found.passed_over)


def _outcome(found: Undo, steps: Sequence[Step]) -> str:
    """Return the sentence about how an undo ends that has these steps."""
    writes = any(one.before != one.after for one in steps)
    told = [found.outcome if writes else "", met_already(steps), found.passed_over]
    if found.entry is not None and found.entry.boot_id != read_boot_id():
        told.insert(1, origins(found.entry.changes))
    return " ".join(filter(None, told))


@contextlib.contextmanager
def _named(*numbers: str) -> Iterator[None]:
    """
    Tell in a conflict which changes could not be taken back, and a way around it.

    Raises:
        ConflictError: As it was raised, and told so.
    """
    try:
        yield
    except ConflictError as error:
        what = "Change" if len(numbers) == 1 else "Changes"
        error.message = f"{what} {', '.join(numbers)} cannot be taken back: {error.message}"
        error.hint = (
            f"{error.hint} Another one can be taken back alone: "
            "`portroom undo NUMBER`, see `portroom journal`."
        )
        raise
