"""
Recover: a change that did not complete never happened.

Rules of this file:

- whoever calls holds the lock, but for ``put_values_back``;
- what is open and should not be is put back, value by value; what somebody else
  changed meanwhile is left alone, and the entry tells so;
- an entry of another boot has nothing left but its file;
- an entry is closed on the disk before the file of its trial goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from portroom.change import apply, journal, trials
from portroom.change.apply import PutBack
from portroom.change.held import Held
from portroom.change.places import Places
from portroom.change.signals import held_back
from portroom.errors import PortroomError, RollbackError
from portroom.kernel.trials import read_boot_id
from portroom.model.facts.change import SettingChange, SettingStep, file_steps, setting_steps
from portroom.model.facts.journal import (
    CONFLICT,
    IN_FILE,
    NETNS_GONE,
    PERSISTING,
    PUT_BACK,
    REBOOTED,
    TRIAL,
    WRITING,
    Entry,
)

BROKEN_OFF = "put back: it did not complete"
EXPIRED = "taken back: nobody confirmed it in time"
SINCE_BOOTED = f"{IN_FILE}, as the system has booted since."

Origins = Callable[[Sequence[SettingChange]], str]
"""Sentences about where the values of settings came from at the last boot."""


def no_origins(_: Sequence[SettingChange]) -> str:
    """Tell nothing of where values came from."""
    return ""


def recover(
    places: Places, held: Held | None = None, origins: Origins = no_origins
) -> tuple[Entry, ...]:
    """
    Put back all that did not complete, and every trial past its deadline.

    Args:
        places: Where the journal lies.
        held: Namespaces that are held already; None looks for them.
        origins: What tells where values came from, of a file that goes only now.

    Returns:
        The entries that are not what they were, the oldest first.

    Raises:
        RollbackError: Something could not be put back; all else was.
        RefusedError: An entry cannot be read; all others were seen to, and the
            file of its trial stays.
        PortroomError: Likewise, for want of a right; or the journal cannot be written.
    """
    journal.remove_drafts(places)
    entries, unreadable = journal.read(places)
    settled: list[Entry] = []
    errors: list[PortroomError] = []
    # What came later stands on what came before.
    for entry in reversed(entries):
        try:
            settled.append(settle(places, entry, held, origins))
        except PortroomError as error:
            settled.append(entry)
            errors.append(error)
    settled.reverse()
    trials.heal(places, settled, [one.number for one in unreadable])
    errors += map(journal.unbelievable, unreadable)
    if errors:
        raise _together(errors)
    return tuple(new for new, old in zip(settled, entries, strict=True) if new != old)


def _together(errors: Sequence[PortroomError]) -> PortroomError:
    """Return one error for all, the gravest kind of them."""
    first = next((one for one in errors if isinstance(one, RollbackError)), errors[0])
    first.message = " ".join(dict.fromkeys(one.message for one in (first, *errors)))
    first.hint = " ".join(dict.fromkeys(one.hint for one in (first, *errors) if one.hint))
    return first


def settle(
    places: Places, entry: Entry, held: Held | None = None, origins: Origins = no_origins
) -> Entry:
    """
    Return what became of one entry; one that is closed, or a trial in time, stays.

    Raises:
        PortroomError: As ``recover``; the entry stays open.
    """
    if not entry.is_open:
        return entry
    if entry.boot_id != read_boot_id():
        return _after_a_reboot(places, entry, origins)
    if entry.trial is not None and entry.phase in {TRIAL, PERSISTING}:
        # Too late for a trial again: values go back, whatever becomes of its file.
        if trials.left_s(entry) <= 0:
            return take_back(places, entry, EXPIRED, held)
        return entry if entry.phase == TRIAL else unconfirm(places, entry)
    return take_back(places, entry, BROKEN_OFF, held)


def take_back(places: Places, entry: Entry, why: str, held: Held | None = None) -> Entry:
    """
    Put all steps of an entry back, and close it.

    Args:
        places: Where the journal lies.
        entry: One that is open.
        why: A clause for the outcome, such as EXPIRED.
        held: Namespaces that are held already; None looks for them.

    Raises:
        PortroomError: As ``recover``; the entry stays open.
    """
    return _close(places, entry, apply.put_back(entry.steps, held), why)


def end_trial(places: Places, entry: Entry, why: str) -> Entry:
    """
    Take a trial back before its time, and close it.

    It is told on the disk before the first write, so that whoever comes next finishes
    it, and all signals but one wait until it is whole.

    Args:
        places: Where the journal lies.
        entry: One that waits for its confirmation.
        why: A clause for the outcome.

    Raises:
        NotPermittedError: The settings may not be written; the trial goes on.
        PortroomError: As ``recover``; the entry stays open.
        KeyboardInterrupt: Ctrl-C came meanwhile; it is taken back.
    """
    try:
        with held_back(), Held() as held:
            apply.probe([one for one in setting_steps(entry.steps) if held.exists(one.netns)], held)
            begun = msgspec.structs.replace(entry, phase=WRITING)
            journal.update(places, begun)
            return take_back(places, begun, why, held)
    except KeyboardInterrupt:
        told = f"Interrupted when all was put back: entry {entry.number} of the journal."
        raise KeyboardInterrupt(told) from None


def unconfirm(places: Places, entry: Entry) -> Entry:
    """
    Make a trial again of one whose file was being written: the file is put back.

    One that somebody else wrote meanwhile is left, and no longer the entry's.

    Raises:
        PortroomError: It cannot be put back; the entry stays as it is.
    """
    apply.put_back(file_steps(entry.steps))
    again = msgspec.structs.replace(entry, phase=TRIAL, steps=setting_steps(entry.steps))
    journal.update(places, again)
    return again


def put_values_back(entry: Entry, held: Held) -> PutBack:
    """
    Put the values of a trial back without the lock, for a guardian that does not get it.

    In the namespace of a trial nobody changes anything but to end the trial,
    and whoever ends it writes the same values.

    Raises:
        PortroomError: Some cannot be put back.
    """
    return apply.put_back(setting_steps(entry.steps), held)


def _after_a_reboot(places: Places, entry: Entry, origins: Origins) -> Entry:
    """Close an entry of another boot: the values died with that, a file did not."""
    # Before the file goes, of which the boot may have taken them.
    told = origins(entry.changes) if file_steps(entry.steps) else ""
    back = apply.put_back(file_steps(entry.steps))
    why = f"{SINCE_BOOTED} {told}".rstrip(" .") if back.restored else REBOOTED
    return _close(places, entry, back, why)


def _close(places: Places, entry: Entry, back: PutBack, why: str) -> Entry:
    """Close an entry that was put back, as far as it could be."""
    phase, outcome = _ending(entry, back, why)
    outcome = " ".join([outcome, *(f"Left over: {one}." for one in back.left_over)])
    closed = journal.close(places, entry, phase, outcome)
    if entry.trial is not None:
        trials.remove(places, entry.number)
    return closed


def _ending(entry: Entry, back: PutBack, why: str) -> tuple[str, str]:
    """Return the phase in which an entry ends, and the sentence about it."""
    sentence = f"{why[:1].upper()}{why[1:]}."
    if entry.undoes is not None:
        sentence = f"{sentence} Change {entry.undoes} stands."
    if back.conflicts:
        return CONFLICT, f"{sentence} Left as it is: {'; '.join(back.conflicts)}."
    if not back.gone:
        return PUT_BACK, sentence
    gone = told_gone(back.gone)
    if len(back.gone) == len(setting_steps(entry.steps)) and not back.restored:
        return NETNS_GONE, gone
    return PUT_BACK, f"{sentence} {gone}"


def told_gone(steps: Iterable[SettingStep]) -> str:
    """Return a sentence about steps of which the network namespace is gone."""
    names = ", ".join(dict.fromkeys(step.netns.name for step in steps))
    return f"Gone with their network namespace: the values of {names}."
