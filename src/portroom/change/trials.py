"""
Trials: the file that points to one, and which namespaces have one.

The file is made by the guardian, which locks it before it gives it its name: so
nobody else can hold its lock before, and who sees the file sees it guarded. It
is a pointer for cheap looks; whether a trial is open, the journal decides.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Collection, Iterable

import msgspec

from portroom.change.held import key_of
from portroom.change.places import Places, open_folder
from portroom.change.refusals import state_error
from portroom.errors import ChangeError, InvalidRequestError, PortroomError, RefusedError
from portroom.kernel.trials import (
    PREFIX,
    boottime_s,
    is_guarded,
    number_of,
    numbers_of,
    read_boot_id,
)
from portroom.model.facts.change import Step, setting_steps
from portroom.model.facts.journal import PUT_BACK, TRIAL, Entry
from portroom.model.facts.snapshot import NetnsId
from portroom.model.facts.trial import TrialFile

READABLE, PRIVATE = 0o644, 0o600
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

LISTED = "`portroom journal` lists the changes."


def hold(places: Places, entry: Entry) -> int:
    """
    Make the file of a trial and return its locked descriptor.

    As long as that is open the trial is guarded.

    Raises:
        PortroomError: The file cannot be made, or others could write in its folder.
    """
    folder = open_folder(places.run, make=True)
    name = f"{PREFIX}{entry.number}"
    try:
        return _make(folder, name, msgspec.json.encode(_file_of(entry)))
    except OSError as error:
        _discard(folder, _draft(name))
        what = f"The file of the trial, {places.run}/{name}, could not be written"
        raise state_error(error, what) from None
    finally:
        os.close(folder)


def _make(folder: int, name: str, content: bytes) -> int:
    """Make a file that is locked before it has its name, and return its descriptor."""
    draft = _draft(name)
    _discard(folder, draft)
    descriptor = os.open(draft, NEW, PRIVATE, dir_fd=folder)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _write_whole(descriptor, content)
        os.fchmod(descriptor, READABLE)
        os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _draft(name: str) -> str:
    """Return the name of a file that is not whole yet."""
    return f".{name}.new"


def tell_put_back(descriptor: int, entry: Entry) -> None:
    """
    Let everybody see that the values of a trial are back, though its entry is open yet.

    Args:
        descriptor: What ``hold`` returned.
        entry: The trial.
    """
    content = msgspec.json.encode(_file_of(entry, put_back=True))
    # It differs in its last bytes alone, and the old end is a letter longer.
    os.pwrite(descriptor, content.ljust(os.fstat(descriptor).st_size), 0)


def _write_whole(descriptor: int, content: bytes) -> None:
    """Write all bytes, however many one write takes."""
    while content:
        content = content[os.write(descriptor, content) :]


def _file_of(entry: Entry, *, put_back: bool = False) -> TrialFile:
    """Return what the file of a trial says."""
    assert entry.trial is not None
    namespaces = namespaces_of(entry.steps)
    return TrialFile(
        number=entry.number,
        boot_id=entry.boot_id,
        deadline_boottime_s=entry.trial.deadline_boottime_s,
        netns=tuple(one.name for one in namespaces),
        words=entry.request.words,
        namespaces=tuple(map(key_of, namespaces)),
        put_back=put_back,
    )


def remove(places: Places, number: int, held: int | None = None) -> None:
    """
    Remove the file of a trial that ended.

    One that cannot be removed does no harm: ``heal`` tries again.

    Args:
        places: Where it lies.
        number: That of the trial.
        held: A descriptor; another file than this one is left.
    """
    name = f"{PREFIX}{number}"
    with contextlib.suppress(OSError, PortroomError):
        folder = open_folder(places.run)
        try:
            if held is None or os.path.samestat(os.stat(name, dir_fd=folder), os.fstat(held)):
                _discard(folder, name)
        finally:
            os.close(folder)


def heal(places: Places, entries: Iterable[Entry], unreadable: Collection[int] = ()) -> None:
    """
    Remove files of trials that are not open, and those that were never finished.

    Call it with the lock held. A guardian may be making its file just now, but
    only one whose entry is open. The file of one that is awake stays where the
    journal lost its entry: it alone knows what to take back.

    Args:
        places: Where they lie.
        entries: The journal, as far as it can be read.
        unreadable: Numbers of entries that cannot be, which may be open; 0 for all.
    """
    if 0 in unreadable:
        return
    phases = {entry.number: entry.is_open and bool(entry.trial) for entry in entries}
    phases |= dict.fromkeys(unreadable, True)
    lost = (one for one in numbers_of(places.run) if one not in phases)
    kept = {one for one, is_kept in phases.items() if is_kept}
    kept |= {one for one in lost if is_guarded(places.run, one)}
    with contextlib.suppress(OSError, PortroomError):
        folder = open_folder(places.run)
        try:
            _remove_others(folder, kept)
        finally:
            os.close(folder)


def _remove_others(folder: int, kept: set[int]) -> None:
    """Remove the files of all trials but some, finished or not."""
    for name in os.listdir(folder):
        number = number_of(name.removeprefix(".").removesuffix(".new"))
        if number is not None and number not in kept:
            _discard(folder, name)


def _discard(folder: int, name: str) -> None:
    """Remove a file if it is there and can be removed."""
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=folder)


def namespaces_of(steps: Iterable[Step]) -> tuple[NetnsId, ...]:
    """Return the namespaces that steps write in, each once."""
    found = {key_of(step.netns): step.netns for step in setting_steps(steps)}
    return tuple(found.values())


def is_pending(entry: Entry, boot_id: str) -> bool:
    """Say whether an entry is a trial of this boot that somebody may confirm."""
    return entry.trial is not None and entry.is_open and entry.boot_id == boot_id


def pending_in(entries: Iterable[Entry], netns: Iterable[NetnsId]) -> Entry | None:
    """Return a trial that is pending in one of these namespaces, None for none."""
    boot_id, wanted = read_boot_id(), {key_of(one) for one in netns}
    for entry in entries:
        mine = {key_of(one) for one in namespaces_of(entry.steps)}
        if is_pending(entry, boot_id) and mine & wanted:
            return entry
    return None


def refuse_while_pending(entries: Iterable[Entry], netns: Iterable[NetnsId]) -> None:
    """
    Refuse a change in a namespace in which a trial is pending.

    Call it with the lock held, after ``recover``.

    Raises:
        RefusedError: There is one; it is named.
    """
    entry = pending_in(entries, netns)
    if entry is None:
        return
    words = " ".join(entry.request.words)
    raise RefusedError(
        f"Trial {entry.number} ({words!r}) is pending in this network namespace "
        f"for another {left_s(entry):.0f} s.",
        f"Keep it with `portroom confirm {entry.number}`, or take it back with "
        f"`portroom undo {entry.number}`; then try again.",
    )


def choose(entries: Iterable[Entry], number: int | None = None) -> Entry:
    """
    Return the pending trial that is meant: by its number, or as the only one.

    Raises:
        InvalidRequestError: More than one is pending, and it is not told which.
        ChangeError: There is none, or it is another one; how the one that is
            meant ended is told.
    """
    tried, boot_id = [one for one in entries if one.trial is not None], read_boot_id()
    waiting = [one for one in tried if is_pending(one, boot_id)]
    meant = [one for one in tried if number in {None, one.number}]
    found = [one for one in meant if one in waiting]
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidRequestError(
            f"More than one trial is pending: {_numbers(found)}.",
            "Name one by its number: `portroom confirm NUMBER`.",
        )
    if meant:
        raise too_late(meant[-1], waiting)
    if number is None or not waiting:
        raise ChangeError("No trial is pending.", LISTED)
    raise ChangeError(f"{number} is no pending trial; pending: {_numbers(waiting)}.", LISTED)


def _numbers(entries: Iterable[Entry]) -> str:
    """Return the numbers of entries as a list in words."""
    return ", ".join(str(one.number) for one in entries)


def too_late(entry: Entry, waiting: Collection[Entry] = ()) -> ChangeError:
    """
    Return the error for a trial that has ended: when, and how.

    Args:
        entry: The trial.
        waiting: Others, which are pending.
    """
    at = f" at {entry.ended_at:%H:%M:%S} UTC" if entry.ended_at else ""
    how = "was taken back" if entry.phase == PUT_BACK else "ended"
    told = f"trial {entry.number} {how}{at}. {entry.outcome}"
    if waiting:
        return ChangeError(f"T{told[1:]} Pending: {_numbers(waiting)}.", LISTED)
    return ChangeError(f"No trial is pending: {told}", LISTED)


def left_s(entry: Entry, now_s: float | None = None) -> float:
    """Return how long a trial lasts yet, by CLOCK_BOOTTIME; negative after its end."""
    assert entry.trial is not None
    return entry.trial.deadline_boottime_s - (boottime_s() if now_s is None else now_s)


def is_late(entry: Entry, now_s: float | None = None) -> bool:
    """Say whether a trial that nobody confirmed is past its deadline."""
    return entry.phase == TRIAL and left_s(entry, now_s) <= 0
