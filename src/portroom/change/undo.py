"""
Undo: which change is taken back, and what of it can still be.

Rules of this file:

- an undo is a change of its own, with the steps of the other turned round; it is
  all or nothing, so whatever somebody else changed since is a conflict;
- a trial that waits is a change like all others, and is taken back as a trial;
- values died with the boot or the namespace they were written in: of such a
  change the file alone is taken back, and what has none is passed over.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from portroom.change import trials
from portroom.change.trials import LISTED
from portroom.errors import ChangeError, NotPermittedError
from portroom.kernel.namespaces import find_again
from portroom.model.facts.change import (
    FileStep,
    SettingChange,
    SettingStep,
    Step,
    file_steps,
    inverse,
)
from portroom.model.facts.journal import DONE, SET, UNDO, WRITING, Entry

SINCE_BOOTED = "Taken back in the file alone, as the system has booted since."

FILE_ALONE = "Taken back in the file alone."

WITHOUT_NETNS = "Taken back but for values whose network namespace is gone."

TAKEN_BACK = "Taken back, and read back."

MOST_NUMBERS = 5
"""Changes that were passed over and are named; of more it is told that there are."""


class Undo(msgspec.Struct, frozen=True):
    """
    What an undo does.

    Args:
        trial: The trial that it takes back, None where it is a change that was made.
        entry: Else the entry of the undo, not begun yet.
        outcome: The sentence about how that ends.
        gone: Changes that were passed over, as their network namespace is gone.
        booted: Changes that were passed over, as the system has booted since.
    """

    trial: Entry | None = None
    entry: Entry | None = None
    outcome: str = ""
    gone: tuple[Entry, ...] = ()
    booted: tuple[Entry, ...] = ()

    @property
    def undoes(self) -> int:
        """Return the number of the entry that is taken back, 0 for none."""
        if self.trial is not None:
            return self.trial.number
        return (self.entry.undoes or 0) if self.entry is not None else 0

    @property
    def passed_over(self) -> str:
        """Return a sentence about the changes that were passed over, "" for none."""
        parts = [
            f"change {_numbers(entries)}: {why}"
            for entries, why in (
                (self.gone, "its network namespace is gone"),
                (self.booted, "the system has booted since"),
            )
            if entries
        ]
        return f"Nothing is left of {'; of '.join(parts)}." if parts else ""


def find_undo(entries: Sequence[Entry], boot_id: str, taken: Collection[int] = frozenset()) -> Undo:
    """
    Return the undo of the latest change or trial of which anything is left.

    It has neither trial nor entry where there is none.

    Args:
        entries: Of the journal, the oldest first.
        boot_id: That of this boot.
        taken: Numbers of entries that count as undone already.

    Raises:
        NotPermittedError: Whether a namespace still exists could not be seen.
    """
    gone: list[Entry] = []
    booted: list[Entry] = []
    for entry in reversed(entries):
        if entry.number in taken:
            continue
        if trials.is_pending(entry, boot_id):
            return Undo(entry, gone=tuple(gone), booted=tuple(booted))
        if not _is_undoable(entry):
            continue
        steps, outcome = _left(entry, boot_id)
        if steps:
            turned = _turned(entry, steps)
            return Undo(None, turned, outcome, tuple(gone), tuple(booted))
        (gone if entry.boot_id == boot_id else booted).append(entry)
    return Undo(gone=tuple(gone), booted=tuple(booted))


def find_undo_of(entries: Sequence[Entry], boot_id: str, number: int) -> Undo:
    """
    Return the undo of one change or trial.

    Raises:
        ChangeError: There is none of that number, or it does not stand.
        NotPermittedError: Whether its namespace still exists could not be seen.
    """
    entry = next((one for one in entries if one.number == number), None)
    if entry is None:
        raise ChangeError(f"The journal has no change {number}.", LISTED)
    if entry.action == UNDO:
        raise ChangeError(f"Entry {number} is an undo itself, which is never undone.", LISTED)
    if entry.undone_by is not None:
        raise ChangeError(f"Change {number} was taken back already: entry {entry.undone_by}.")
    if entry.phase != DONE and not trials.is_pending(entry, boot_id):
        raise ChangeError(f"Change {number} does not stand. {entry.outcome}".rstrip(), LISTED)
    return find_undo([entry], boot_id)


def met_already(steps: Sequence[Step]) -> str:
    """Return a sentence about steps whose aim somebody else had reached, "" for none."""
    met = [step for step in steps if step.before == step.after]
    if met and len(met) == len(steps):
        return "All was as before already: nothing was written."
    names = dict.fromkeys(one.path if isinstance(one, FileStep) else one.key for one in met)
    return f"As before already: {', '.join(names)}." if met else ""


def _numbers(entries: Sequence[Entry]) -> str:
    """Return the numbers of entries, the latest first and not too many."""
    told = [str(one.number) for one in entries[:MOST_NUMBERS]]
    return ", ".join(told) + (" and earlier ones" if len(entries) > MOST_NUMBERS else "")


def _is_undoable(entry: Entry) -> bool:
    """Say whether an entry is a change that was made and still stands."""
    return (entry.action, entry.phase, entry.undone_by) == (SET, DONE, None)


def _left(entry: Entry, boot_id: str) -> tuple[tuple[Step, ...], str]:
    """Return the steps of which anything is left, and how to tell what became of the others."""
    files = file_steps(entry.steps)
    if entry.boot_id != boot_id:
        return files, SINCE_BOOTED
    if len(files) == len(entry.steps):
        return files, FILE_ALONE
    left = tuple(step for step in entry.steps if isinstance(step, FileStep) or _exists(step))
    return left, TAKEN_BACK if len(left) == len(entry.steps) else WITHOUT_NETNS


def _exists(step: SettingStep) -> bool:
    """Say whether the namespace of a step still exists."""
    try:
        return find_again(step.netns) is not None
    except NotPermittedError as error:
        raise NotPermittedError.changing(error.message, error.hint) from None


def _turned(entry: Entry, steps: tuple[Step, ...]) -> Entry:
    """Return the entry of the undo; whoever begins it says who, when and in which boot."""
    return msgspec.structs.replace(
        entry,
        number=0,
        action=UNDO,
        changes=tuple(_back(one) for one in reversed(entry.changes)),
        steps=inverse(steps),
        phase=WRITING,
        trial=None,
        ended_at=None,
        outcome="",
        undoes=entry.number,
    )


def _back(change: SettingChange) -> SettingChange:
    """Return a change the other way round."""
    return msgspec.structs.replace(change, before=change.after, after=change.before)
