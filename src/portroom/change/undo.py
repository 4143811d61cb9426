"""
Undo: which change is the last one, and what of it can still be taken back.

Rules of this file:

- an undo is a change of its own, with the steps of the other turned round; it is
  all or nothing, so whatever somebody else changed since is a conflict;
- values died with the boot or the namespace they were written in: of such a
  change the file alone is taken back, and what has none is passed over.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from portroom.kernel.namespaces import find_again
from portroom.model.facts.change import FileStep, SettingChange, SettingStep, Step, inverse
from portroom.model.facts.journal import DONE, SET, UNDO, WRITING, Entry

SINCE_BOOTED = "Taken back in the file alone, as the system has booted since."

FILE_ALONE = "Taken back in the file alone."

WITHOUT_NETNS = "Taken back but for values whose network namespace is gone."

TAKEN_BACK = "Taken back, and read back."


class Undo(msgspec.Struct, frozen=True):
    """The entry of an undo, not begun yet, and the sentence about how it ends."""

    entry: Entry
    outcome: str


def last_undo(
    entries: Sequence[Entry], boot_id: str, taken: frozenset[int] = frozenset()
) -> Undo | None:
    """
    Return the undo of the last change of which anything is left, None where there is none.

    Args:
        entries: Of the journal, the oldest first.
        boot_id: That of this boot.
        taken: Numbers of entries that count as undone already.

    Raises:
        NotPermittedError: Whether a namespace still exists could not be seen.
    """
    for entry in reversed(entries):
        if not _is_undoable(entry) or entry.number in taken:
            continue
        steps, outcome = _left(entry, boot_id)
        if steps:
            return Undo(_turned(entry, steps), outcome)
    return None


def _is_undoable(entry: Entry) -> bool:
    """Say whether an entry is a change that was made and still stands."""
    return (entry.action, entry.phase, entry.undone_by) == (SET, DONE, None)


def _left(entry: Entry, boot_id: str) -> tuple[tuple[Step, ...], str]:
    """Return the steps of which anything is left, and how to tell what became of the others."""
    files = tuple(step for step in entry.steps if isinstance(step, FileStep))
    if entry.boot_id != boot_id:
        return files, SINCE_BOOTED
    if len(files) == len(entry.steps):
        return files, FILE_ALONE
    left = tuple(step for step in entry.steps if isinstance(step, FileStep) or _exists(step))
    return left, TAKEN_BACK if len(left) == len(entry.steps) else WITHOUT_NETNS


def _exists(step: SettingStep) -> bool:
    """Say whether the namespace of a step still exists."""
    return find_again(step.netns) is not None


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
