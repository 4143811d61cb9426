"""Steps: check them, write them all or none, and put them back value by value.

Rules of this file:

- each step is looked at before it is written, and read back after;
- while something is half done signals wait, and what is half done is put back;
- what cannot be put back is told with its exact state and how to mend it.

Call everything here with the lock held.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from portroom.change import steps as one_step
from portroom.change.held import Held, held_or_new
from portroom.change.signals import held_back, stop_if_asked
from portroom.errors import (
    ConflictError,
    NotPermittedError,
    PortroomError,
    RollbackError,
    WriteError,
)
from portroom.model.facts.change import SettingStep, Step


class PutBack(NamedTuple):
    """
    What became of steps that were put back.

    Args:
        restored: Steps that were taken back now.
        conflicts: A clause for each that somebody else changed and that was left.
        gone: Steps whose namespace does not exist any more.
        left_over: A clause for each file that is as before, with something beside it.
    """

    restored: tuple[Step, ...] = ()
    conflicts: tuple[str, ...] = ()
    gone: tuple[SettingStep, ...] = ()
    left_over: tuple[str, ...] = ()


class _Failure(NamedTuple):
    """A step that cannot be put back, why, what is there instead, and how to mend it."""

    error: PortroomError
    state: str
    mend: str


def check(steps: Sequence[Step], held: Held | None = None) -> None:
    """
    Check that everything is still what steps were made from; write nothing.

    Of several steps about the same the first one counts.

    Args:
        steps: What is to be written.
        held: Namespaces that are held already; None looks for them.

    Raises:
        ConflictError: Something is not; the message tells all of it.
        PortroomError: Something cannot be looked at.
    """
    first = {one_step.subject(step): step for step in reversed(steps)}
    with held_or_new(held) as spaces:
        found = [one_step.conflict(step, spaces) for step in reversed(first.values())]
    changed = "; ".join(filter(None, found))
    if changed:
        raise _changed(f"{changed}. Nothing was written")


def as_found(steps: Iterable[Step], held: Held | None = None) -> tuple[Step, ...]:
    """
    Return steps, of which those write nothing whose aim somebody reached already.

    Args:
        steps: What is to be written.
        held: Namespaces that are held already; None looks for them.

    Raises:
        PortroomError: Something cannot be looked at.
    """
    with held_or_new(held) as spaces:
        return tuple(one_step.as_found(step, spaces) for step in steps)


def probe(steps: Iterable[Step], held: Held) -> None:
    """
    Check that the settings of steps may be written, by trying; write nothing.

    Args:
        steps: What is to be written.
        held: Their namespaces.

    Raises:
        NotPermittedError: A right is missing.
        WriteError: They are read-only here.
    """
    for step in steps:
        one_step.probe(step, held)


def write(steps: Sequence[Step], held: Held | None = None) -> None:
    """
    Write all steps in their order, or put back those that were written.

    Args:
        steps: What to write.
        held: Namespaces that are held already; None looks for them.

    Raises:
        ConflictError: A step was not made from what is there now.
        NotPermittedError: A right is missing.
        WriteError: The kernel or the file system refused.
        KeyboardInterrupt: A signal asked to stop.
        RollbackError: Something that was written cannot be put back. After any
            other error everything is as before.
    """
    with held_back(), held_or_new(held) as spaces:
        begun: list[Step] = []
        try:
            write_each(steps, spaces, begun)
        except BaseException as error:
            take_back(begun, spaces, error)
            raise


def write_each(steps: Iterable[Step], held: Held, begun: list[Step]) -> None:
    """
    Write steps in their order, and put nothing back: for whoever does that later.

    Args:
        steps: What to write.
        held: Their namespaces.
        begun: Gets each step before it is written, and loses one that left nothing.

    Raises:
        PortroomError: As ``write``; of *begun* the last one may not be written.
        KeyboardInterrupt: A signal asked to stop.
    """
    for step in steps:
        stop_if_asked()
        changed = one_step.conflict(step, held)
        if changed:
            raise _changed(changed)
        begun.append(step)
        try:
            one_step.write(step, held)
        except PortroomError as error:
            if one_step.leaves_nothing(step, error):
                begun.pop()
                # What lies beside it can still go, unless that fails for the same cause.
                with contextlib.suppress(PortroomError):
                    one_step.restore(step, held)
            raise
    stop_if_asked()


def take_back(begun: Sequence[Step], held: Held, error: BaseException) -> PutBack:
    """
    Put back steps that were begun before *error* came, and tell so in it.

    Raises:
        RollbackError: They cannot be put back.
        WriteError: *error* said that something could not be, and now it was.
    """
    try:
        back = put_back(begun, held)
    except (NotPermittedError, RollbackError) as again:
        raise RollbackError(f"{_told(error)} {again.message}", again.hint) from error
    told = " ".join(["What had been written was put back.", *map(_as_left_over, back.left_over)])
    if isinstance(error, RollbackError):
        raise WriteError(f"{error.message} {told}") from error
    if isinstance(error, PortroomError) and back.restored:
        error.message = f"{error.message} {told}"
    return back


def put_back(steps: Sequence[Step], held: Held | None = None) -> PutBack:
    """
    Put back what steps wrote, the last first, value by value.

    Each value that is as its step left it, or as a writer left it that died half
    way, gets what was there before; what is that already stays as it is, and so
    does what somebody else set.

    Args:
        steps: In the order in which they were, or should have been, written.
        held: Namespaces that are held already; None looks for them.

    Raises:
        NotPermittedError: Not one could be put back, for want of a right.
        RollbackError: Some could not be put back; all others were.
    """
    restored: list[Step] = []
    conflicts: list[str] = []
    gone: list[SettingStep] = []
    left_over: list[str] = []
    failures: list[_Failure] = []
    with held_back(), held_or_new(held) as spaces:
        for step in reversed(steps):
            try:
                if isinstance(step, SettingStep) and not spaces.exists(step.netns):
                    gone.append(step)
                    continue
                done = one_step.restore(step, spaces)
            except PortroomError as error:
                failures.append(_Failure(error, one_step.state(step, spaces), one_step.mend(step)))
                continue
            restored += [step] if done.written else []
            conflicts += [done.conflict] if done.conflict else []
            left_over += [done.left_over] if done.left_over else []
    if failures:
        raise _stuck(failures, restored)
    return PutBack(tuple(restored), tuple(conflicts), tuple(gone), tuple(left_over))


def _as_left_over(what: str) -> str:
    """Return a clause of ``PutBack.left_over`` as a sentence."""
    return f"Left over: {what}."


def _changed(what: str) -> ConflictError:
    """Return the error for what is not as a step was made from."""
    return ConflictError(
        f"Somebody else changed what this was made from: {what}.", "Look again, then decide anew."
    )


def _stuck(failures: Sequence[_Failure], restored: Sequence[Step]) -> PortroomError:
    """Return the error for what could not be put back."""
    first = failures[0].error
    if not restored and all(isinstance(one.error, NotPermittedError) for one in failures):
        return NotPermittedError.changing(first.message, first.hint)
    states = "; ".join(f"{one.state} ({one.error.message.rstrip('.')})" for one in failures)
    by_hand = "; ".join(filter(None, (one.mend for one in failures)))
    return RollbackError(
        f"It could not be put back: {states}.",
        "Once the cause is mended, run: portroom recover" + (f"; or: {by_hand}" if by_hand else ""),
    )


def _told(error: BaseException) -> str:
    """Return an error as a sentence."""
    if isinstance(error, PortroomError):
        return error.message
    return "It was interrupted." if isinstance(error, KeyboardInterrupt) else f"{error!r}."
