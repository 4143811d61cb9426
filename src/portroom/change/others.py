"""
Trials of others: in journals that the caller does not write.

Rules of this file:

- whoever keeps a journal of their own still sees the system's trials, and root
  sees those of the users who are logged in: a namespace has one trial at a time,
  in whichever journal it stands;
- a trial of others is never ended here: it is told whose it is, and what that
  user, or the caller with more rights, is to say.
"""

from __future__ import annotations

from collections.abc import Iterable

from portroom.change import journal
from portroom.change.held import key_of
from portroom.change.places import SYSTEM, Places
from portroom.errors import ChangeError, NotPermittedError, PortroomError, RefusedError
from portroom.kernel.broken_off import read_broken_off
from portroom.kernel.rights import sudo_line
from portroom.kernel.trials import TrialFound, find_trials, users_folders
from portroom.kernel.users import read_user_names
from portroom.model.facts.journal import DONE, SET
from portroom.model.facts.snapshot import NetnsId

LOST = "Its entry is not in the journal any more; its guardian takes it back then."


def trials_of_others(places: Places, system: Places = SYSTEM) -> list[TrialFound]:
    """Return the trials that are seen in all places but the caller's, the system's first."""
    folders = dict.fromkeys([system.run, *users_folders()])
    folders.pop(places.run, None)
    return [one for folder in folders for one in find_trials(folder)[0]]


def refuse_while_tried(places: Places, netns: Iterable[NetnsId]) -> None:
    """
    Refuse a change in a namespace in which somebody else tries something.

    So does a guardian of the caller whose journal was lost: it takes its trial back
    all the same. What the caller's journal knows is not looked at here.

    Raises:
        RefusedError: Somebody does; it is told who, and how to end it.
    """
    namespaces = tuple(netns)
    known = {entry.number for entry in journal.read(places).entries}
    lost = [one for one in find_trials(places.run)[0] if one.trial.number not in known]
    for found in (*trials_of_others(places), *lost):
        if any(is_in(found, one) for one in namespaces):
            raise RefusedError(
                f"{_told(found)} is pending in this network namespace for another "
                f"{max(0.0, found.trial.left_s):.0f} s.",
                LOST if found in lost else _way_out(found),
            )


def refuse_for_others(places: Places, number: int | None = None, *, overdue: bool = False) -> None:
    """
    Tell of a trial of others, where the caller has none that could be meant.

    Args:
        places: Where the caller's journal lies.
        number: The entry that was asked for, None for any.
        overdue: Of users other than the system's, count those alone that expired.

    Raises:
        NotPermittedError: The system has one, and the caller may not write its journal.
        ChangeError: Another user has one.
    """
    for found in trials_of_others(places):
        if number not in {None, found.trial.number}:
            continue
        if _is_the_systems(found):
            raise _not_permitted(f"{_told(found)} is pending, in the journal of the system.")
        if found.trial.is_overdue or not overdue:
            state = "expired" if found.trial.is_overdue else "is pending"
            raise ChangeError(f"{_told(found)} {state}.", _way_out(found))


def refuse_for_system(places: Places, *, undo: bool = False) -> None:
    """
    Tell of a change of the system that the caller may not take back.

    Args:
        places: Where the caller's journal lies.
        undo: It may be one that was made, and not only one that broke off.

    Raises:
        NotPermittedError: There is one.
    """
    if places == SYSTEM:
        return
    broken = read_broken_off(SYSTEM.journal, [SYSTEM.run])
    if broken is not None:
        raise _not_permitted(f"Change {broken.number} of the system was broken off.")
    made = journal.read(SYSTEM).entries if undo else ()
    for entry in reversed(made):
        if (entry.action, entry.phase, entry.undone_by) == (SET, DONE, None):
            raise _not_permitted(
                f"There is nothing of yours to undo. Change {entry.number} is the system's."
            )


def _not_permitted(what: str) -> PortroomError:
    """Return the error for whoever may not write the journal of the system."""
    return NotPermittedError.changing(
        f"{what} It needs the right to write {SYSTEM.journal}.", f"Run: {sudo_line()}"
    )


def is_in(found: TrialFound, netns: NetnsId) -> bool:
    """Say whether a trial is tried in a namespace; a file of an earlier version names it alone."""
    if found.file.namespaces:
        return key_of(netns) in found.file.namespaces
    return netns.name in found.file.netns


def _is_the_systems(found: TrialFound) -> bool:
    """Say whether a trial stands in the journal of the system."""
    return found.path.startswith(f"{SYSTEM.run}/")


def _told(found: TrialFound) -> str:
    """Return a trial and whose it is."""
    trial = found.trial
    return f"Trial {trial.number} ({' '.join(trial.words)!r}) of {_user(trial.uid)}"


def _user(uid: int) -> str:
    """Return a user by name and number."""
    name = read_user_names({uid}).get(uid)
    return f"{name!r} (uid {uid})" if name else f"uid {uid}"


def _way_out(found: TrialFound) -> str:
    """Return who can end a trial of others, and how."""
    number, uid = found.trial.number, found.trial.uid
    keep, end = ["confirm", str(number)], ["undo", str(number)]
    if _is_the_systems(found):
        return (
            f"Keep it with `{sudo_line(keep)}`, or take it back with `{sudo_line(end)}`; "
            "then try again."
        )
    return (
        f"It stands in the journal of that user, who alone can keep it, `{sudo_line(keep, uid)}`, "
        f"or take it back, `{sudo_line(end, uid)}`. If nothing is tried there, remove {found.path}."
    )
