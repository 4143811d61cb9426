"""
Confirm: a trial becomes a change like all others.

Rules of this file:

- whoever calls holds the lock;
- the deadline is judged under the lock, and once more after everybody can see
  that the trial is being confirmed: a guardian that does without the lock may
  have begun in between;
- a file is written after that alone; if it fails it is a trial again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import msgspec

from portroom.change import apply, journal, trials
from portroom.change.held import Held, held_or_new
from portroom.change.places import Places
from portroom.change.recover import EXPIRED, take_back, told_gone, unconfirm
from portroom.change.signals import held_back, stop_if_asked
from portroom.errors import ChangeError, PortroomError
from portroom.model.facts.change import FileStep, SettingStep, inverse, setting_steps
from portroom.model.facts.journal import DONE, PERSISTING, TRIAL, Entry

CONFIRMED = "Confirmed."


def confirm_trial(
    places: Places,
    entry: Entry,
    files: Sequence[FileStep] = (),
    verify: Callable[[], None] = lambda: None,
    held: Held | None = None,
) -> Entry:
    """
    Keep what a trial wrote, and write its file if it shall hold at the next boot.

    Args:
        places: Where the journal lies.
        entry: A pending trial, as ``trials.choose`` gives it.
        files: What is to be written besides, planned with the lock held.
        verify: Raises where the files do not do what they were made for.
        held: Namespaces that are held already; None looks for them.

    Returns:
        The closed entry.

    Raises:
        ChangeError: Too late: it was taken back.
        ConflictError: Somebody else changed a value meanwhile; it stays a trial.
        PortroomError: The files cannot be written; it stays a trial.
        KeyboardInterrupt: Ctrl-C came; it is told whether it was confirmed before.
    """
    done = None
    try:
        # Half confirmed would be a trial of which the file stands already.
        with held_back(), held_or_new(held) as spaces:
            gone = _check(places, entry, spaces)
            begun = msgspec.structs.replace(entry, phase=PERSISTING, steps=(*entry.steps, *files))
            journal.update(places, begun)
            try:
                _check_in_time(begun)
                apply.write(files)
                verify()
                stop_if_asked()
                done = _done(places, begun, gone)
            except BaseException:
                _refuse_late(places, unconfirm(places, begun), spaces)
                raise
    except KeyboardInterrupt:
        what = "Interrupted when it was" if done else "Interrupted; it was not"
        raise KeyboardInterrupt(f"{what} confirmed: trial {entry.number}.") from None
    return done


def _check(places: Places, entry: Entry, held: Held) -> list[SettingStep]:
    """
    Check that a trial can be confirmed, and return the steps of which the namespace is gone.

    Raises:
        ChangeError: Too late, or no namespace of it is left.
        ConflictError: Somebody else changed a value.
    """
    _refuse_late(places, entry, held)
    values = setting_steps(entry.steps)
    gone = [step for step in values if not held.exists(step.netns)]
    if values and len(gone) == len(values):
        raise trials.too_late(take_back(places, entry, EXPIRED, held))
    apply.check(inverse(tuple(step for step in values if step not in gone)), held)
    return gone


@contextlib.contextmanager
def goes_on(places: Places, entry: Entry) -> Iterator[None]:
    """
    Tell in what is raised inside, until when the trial goes on, if it does.

    Args:
        places: Where the journal lies.
        entry: A pending trial that is to be confirmed.

    Raises:
        PortroomError: As it was raised, and told so.
    """
    try:
        yield
    except PortroomError as error:
        with contextlib.suppress(PortroomError, OSError):
            again = journal.read_entry(places, entry.number)
            if again.phase == TRIAL and again.trial is not None and not trials.is_late(again):
                error.message = (
                    f"{error.message} Trial {again.number} goes on, and is taken back at "
                    f"{again.trial.deadline_at:%H:%M:%S} UTC unless it is confirmed before."
                )
        raise


def _refuse_late(places: Places, entry: Entry, held: Held | None) -> None:
    """
    Take a trial back that is past its deadline, and say so.

    Raises:
        ChangeError: It is.
    """
    if not trials.is_late(entry):
        return
    raise trials.too_late(take_back(places, entry, EXPIRED, held))


def _check_in_time(entry: Entry) -> None:
    """
    Check that the deadline is still to come.

    Raises:
        ChangeError: It has come.
    """
    if trials.left_s(entry) <= 0:
        raise ChangeError(f"Trial {entry.number} expired while it was being confirmed.")


def _done(places: Places, entry: Entry, gone: Sequence[SettingStep]) -> Entry:
    """Close an entry that holds, but for steps of which the namespace is gone."""
    told = f"{CONFIRMED} {told_gone(gone)}" if gone else CONFIRMED
    closed = journal.close(places, entry, DONE, told)
    trials.remove(places, entry.number)
    return closed
