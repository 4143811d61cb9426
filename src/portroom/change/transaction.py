"""
The transaction: an entry on the disk, the steps, and how it ended.

Rules of this file:

- the entry is on the disk before the first step, and closed after the last;
- whatever goes wrong in between, the steps are put back and the entry says so;
- what cannot be put back leaves the entry open: ``recover`` tries again.

Call everything here with the lock held.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from portroom.change import apply, journal
from portroom.change.held import Held
from portroom.change.places import Places
from portroom.change.signals import held_back, stop_if_asked
from portroom.errors import ConflictError, PortroomError
from portroom.model.facts.change import Step
from portroom.model.facts.journal import CONFLICT, DONE, PUT_BACK, Entry

WRITTEN = "Written and read back."

INTERRUPTED = "Interrupted; put back."


class Change:
    """
    A change under way: its entry, as it stands on the disk, and its namespaces.
    """

    def __init__(self, entry: Entry, held: Held) -> None:
        self.entry = entry
        self.held = held
        self.begun: list[Step] = []

    def write(self, steps: Sequence[Step] | None = None) -> None:
        """
        Write the steps of the entry, or some of them.

        Nothing is put back here if it fails; that is done by ``changing``.

        Raises:
            PortroomError: As ``apply.write``, but for RollbackError.
            KeyboardInterrupt: A signal asked to stop.
        """
        apply.write_each(self.entry.steps if steps is None else steps, self.held, self.begun)


@contextlib.contextmanager
def changing(
    places: Places, entry: Entry, ends: str = DONE, outcome: str = WRITTEN
) -> Iterator[Change]:
    """
    Begin a change, and end it with the ``with`` block, in which it is written.

    What can be known before is: that all is still as the steps were made from, and
    that the settings may be written. Without that there is not even an entry.

        with changing(places, entry) as change:
            change.write()
            # whatever else must hold; what raises here takes the change back

    Signals wait inside; a program that is started there inherits that.

    Args:
        places: Where the journal lies.
        entry: What is to be done; it gets its number here.
        ends: The phase of the entry after the block: DONE, or TRIAL.
        outcome: The sentence about how it ended, for a phase that is closed.

    Raises:
        ConflictError: Something is not what the steps were made from.
        NotPermittedError: A right is missing.
        WriteError: The kernel, the file system or the journal refused.
        KeyboardInterrupt: A signal asked to stop.
        RollbackError: What was written cannot be put back; the entry stays open.
            After any other error everything is as before, and the entry closed.
    """
    change = None
    try:
        with held_back(), Held() as held:
            held.open(entry.steps)
            apply.check(entry.steps, held)
            apply.probe(entry.steps, held)
            change = Change(journal.begin(places, entry), held)
            try:
                yield change
                stop_if_asked()
                change.entry = journal.close(places, change.entry, ends, outcome)
            except BaseException as error:
                _abandon(places, change, error)
                raise
    except KeyboardInterrupt as asked:
        raise KeyboardInterrupt(_interrupted(change, ends)) from asked


def _abandon(places: Places, change: Change, error: BaseException) -> None:
    """
    Put back what was begun, and close the entry.

    Raises:
        RollbackError: It cannot be put back; the entry stays as it is.
    """
    back = apply.take_back(change.begun, change.held, error)
    conflict = isinstance(error, ConflictError) or back.conflicts
    outcome = " ".join(
        [*_reasons(change, error), *(f"Left alone: {one}." for one in back.conflicts)]
    )
    try:
        change.entry = journal.close(
            places, change.entry, CONFLICT if conflict else PUT_BACK, outcome
        )
    except PortroomError as again:
        told = f"Entry {change.entry.number} of the journal stays open: {again.message}"
        if not isinstance(error, PortroomError):
            raise type(again)(told, again.hint) from error
        error.message = f"{error.message} {told}"


def _reasons(change: Change, error: BaseException) -> list[str]:
    """Return why a change was taken back, and of an undo, what stands again."""
    if isinstance(error, PortroomError):
        told = [error.message]
    else:
        told = [INTERRUPTED if isinstance(error, KeyboardInterrupt) else f"{error!r}."]
    undoes = change.entry.undoes
    return told if undoes is None else [f"Failed, change {undoes} stands:", *told]


def _interrupted(change: Change | None, ends: str) -> str:
    """Return a sentence about what became of a change during which Ctrl-C came."""
    if change is None or not change.begun:
        return "Interrupted; nothing was written."
    if change.entry.phase == ends:
        return f"Interrupted when all was written: entry {change.entry.number} of the journal."
    return INTERRUPTED
