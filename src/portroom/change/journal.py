"""The journal on disk: one file an entry, whole or not there.

Rules of this file:

- who writes holds the lock of ``lock.py``; who reads needs none;
- an entry is replaced as a whole: a draft beside it, to the disk, renamed;
- a damaged, foreign or hostile file is never an exception for who lists, and
  always a clear refusal for who would act on it;
- that an entry was undone is told by the entry that undid it, and stands
  nowhere else.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import stat
from collections.abc import Collection, Sequence
from typing import NamedTuple

import msgspec

from portroom.change.entry_file import decode, encode
from portroom.change.places import Places, check_owner, open_folder
from portroom.change.refusals import state_error, strerror
from portroom.errors import RefusedError
from portroom.kernel.broken_off import ENTRY_NAME, LARGEST_ENTRY_BYTES
from portroom.kernel.trials import numbers_of
from portroom.model.facts.gaps import Gap
from portroom.model.facts.journal import DONE, OPEN, UNDO, Entry

KEPT = 1000
"""Closed entries that stay; the oldest beyond that go."""

DRAFT = re.compile(r"\.[0-9]{10}\.json\.new")
LAST_NUMBER = 10**10 - 1

MODE = 0o644
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
SAFELY = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC


class Unreadable(NamedTuple):
    """An entry that cannot be believed, and why; ``number`` is 0 for the whole folder."""

    number: int
    path: str
    reason: str


class JournalRead(NamedTuple):
    """The entries, the oldest first, and those that cannot be read."""

    entries: tuple[Entry, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Return what cannot be read, for an answer."""
        return tuple(Gap(one.path, one.reason, ("entries",)) for one in self.unreadable)

    def refuse_after(self, number: int) -> None:
        """
        Refuse to act where an entry after *number* cannot be read: it may be what is looked for.

        Args:
            number: That of the last entry that is surely not it, 0 for none.

        Raises:
            RefusedError: There is such an entry; the message names the file.
        """
        for one in self.unreadable:
            if one.number == 0 or one.number > number:
                raise unbelievable(one)


def read(places: Places) -> JournalRead:
    """Return all entries, the oldest first; a missing folder holds none."""
    try:
        folder = open_folder(places.journal)
    except FileNotFoundError:
        return JournalRead()
    except OSError as error:
        return JournalRead((), (Unreadable(0, places.journal, strerror(error)),))
    except RefusedError as error:
        return JournalRead((), (Unreadable(0, places.journal, error.message.removesuffix(".")),))
    try:
        found = [_read(folder, places, number) for number in _numbers(folder)]
    finally:
        os.close(folder)
    entries = [one for one in found if isinstance(one, Entry)]
    return JournalRead(
        _with_undoes(entries), tuple(one for one in found if isinstance(one, Unreadable))
    )


def read_entry(places: Places, number: int) -> Entry:
    """
    Return one entry as it stands on the disk.

    Raises:
        RefusedError: There is none of that number, or it cannot be read.
    """
    try:
        folder = open_folder(places.journal)
    except OSError as error:
        raise RefusedError(f"The journal {places.journal!r}: {strerror(error)!r}.") from None
    try:
        found = _read(folder, places, number)
    finally:
        os.close(folder)
    if found is None:
        raise RefusedError(f"The journal has no change {number}.", "`portroom journal` lists them.")
    if isinstance(found, Entry):
        return found
    raise unbelievable(found)


def begin(places: Places, entry: Entry) -> Entry:
    """
    Give an entry the next number and bring it to the disk; return it with the number.

    What a writer that died left half written is removed, and so are closed
    entries beyond KEPT. A number that a trial in the folder of this boot has is not
    given again, even where its entry was lost: a guardian would take one for the other.

    Raises:
        NotPermittedError: The journal may not be written.
        WriteError: It could not be written; no entry is left.
        RefusedError: Others could write in it.
    """
    folder = open_folder(places.journal, make=True)
    try:
        numbers = _numbers(folder)
        begun = msgspec.structs.replace(entry, number=_next(numbers, numbers_of(places.run)))
        if begun.number > LAST_NUMBER:
            raise RefusedError(
                f"{places.journal}/{_name(numbers[-1])} has the last number there is.",
                "Move it away if portroom did not write it.",
            )
        _remove_drafts(folder, places)
        _write(folder, places, begun, is_new=True)
        _prune(folder, places, numbers)
    finally:
        os.close(folder)
    return begun


def update(places: Places, entry: Entry) -> None:
    """
    Replace an entry by what became of it.

    Raises:
        NotPermittedError: The journal may not be written.
        WriteError: It could not be written; the entry is as it was, or as asked
            where the disk does not say whether it stays so.
        RefusedError: Others could write in it.
    """
    folder = open_folder(places.journal, make=True)
    try:
        _write(folder, places, entry, is_new=False)
    finally:
        os.close(folder)


def close(places: Places, entry: Entry, phase: str, outcome: str) -> Entry:
    """
    Give an entry another phase on the disk, and return it.

    Args:
        places: Where the journal lies.
        entry: As it stands on the disk.
        phase: Any; an open one leaves the end and its sentence out.
        outcome: The sentence about how it ended.

    Raises:
        PortroomError: The journal cannot be written.
    """
    ended = phase not in OPEN
    closed = msgspec.structs.replace(
        entry,
        phase=phase,
        outcome=outcome if ended else "",
        ended_at=datetime.datetime.now(datetime.UTC) if ended else None,
    )
    update(places, closed)
    return closed


def remove_drafts(places: Places) -> None:
    """
    Remove entries that a writer that died left half written.

    Raises:
        PortroomError: They cannot be removed.
    """
    try:
        folder = open_folder(places.journal)
    except FileNotFoundError:
        return
    except OSError as error:
        raise state_error(error, f"The journal {places.journal!r} could not be read") from None
    try:
        _remove_drafts(folder, places)
    finally:
        os.close(folder)


def unbelievable(entry: Unreadable) -> RefusedError:
    """Return the error for whoever would act on what cannot be read."""
    return RefusedError(
        f"The journal cannot be relied on: {entry.path}: {entry.reason}.",
        "Look what is in it: what it changed can only be taken back by hand. Then move it away.",
    )


def _name(number: int) -> str:
    """
    Return the file of an entry.

    >>> _name(12)
    '0000000012.json'
    """
    return f"{number:010d}.json"


def _numbers(folder: int) -> list[int]:
    """Return the numbers of all entries in a folder, ascending."""
    matches = map(ENTRY_NAME.fullmatch, os.listdir(folder))
    return sorted(int(match[1]) for match in matches if match)


def _next(numbers: Sequence[int], tried: Collection[int]) -> int:
    """
    Return the number after the last entry that no trial has.

    >>> _next([1, 2], {3, 7})
    4
    """
    number = max(numbers, default=0) + 1
    while number in tried:
        number += 1
    return number


def _with_undoes(entries: list[Entry]) -> tuple[Entry, ...]:
    """Return entries that tell by which one they were undone."""
    undoers = {
        one.undoes: one.number for one in entries if one.action == UNDO and one.phase == DONE
    }
    return tuple(msgspec.structs.replace(one, undone_by=undoers.get(one.number)) for one in entries)


def _read(folder: int, places: Places, number: int) -> Entry | Unreadable | None:
    """Return one entry, or why it is not to be believed; None if it is not there."""
    name = _name(number)
    path = f"{places.journal}/{name}"
    try:
        descriptor = os.open(name, SAFELY, dir_fd=folder)
    except FileNotFoundError:
        # Removed since the folder was listed: it was too old to be kept.
        return None
    except OSError as error:
        return Unreadable(number, path, strerror(error))
    try:
        return decode(_content(descriptor, path), number)
    except OSError as error:
        return Unreadable(number, path, strerror(error))
    except RefusedError as error:
        return Unreadable(number, path, error.message.removesuffix("."))
    except ValueError as error:
        return Unreadable(number, path, str(error))
    finally:
        os.close(descriptor)


def _content(descriptor: int, path: str) -> bytes:
    """
    Return all bytes of an open entry.

    Raises:
        ValueError: It is no file that an entry can be.
        RefusedError: Others could have written it.
    """
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is no regular file")
    check_owner(status, path)
    if status.st_size > LARGEST_ENTRY_BYTES:
        raise ValueError(f"it has {status.st_size} bytes, more than any entry")
    with open(descriptor, "rb", closefd=False) as file:
        return file.read(LARGEST_ENTRY_BYTES)


def _write(folder: int, places: Places, entry: Entry, *, is_new: bool) -> None:
    """Put an entry in its place, whole and on the disk."""
    name = _name(entry.number)
    content = encode(entry)
    try:
        _replace(folder, name, content)
        try:
            os.fsync(folder)
        except OSError:
            if is_new:
                # Nobody may find an entry of which the writer was told that it failed.
                _discard(folder, name)
            raise
    except OSError as error:
        what = f"The journal {places.journal}/{name} could not be written"
        raise state_error(error, what) from None


def _replace(folder: int, name: str, content: bytes) -> None:
    """Give a new content to a name in one step."""
    draft = f".{name}.new"
    _discard(folder, draft)
    try:
        _write_draft(folder, draft, content)
        os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        _discard(folder, draft)
        raise


def _write_draft(folder: int, draft: str, content: bytes) -> None:
    """Write a new file, down to the disk."""
    descriptor = os.open(draft, NEW, MODE, dir_fd=folder)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        # Whatever the umask is: everybody may read what was changed.
        os.fchmod(descriptor, MODE)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _discard(folder: int, name: str) -> None:
    """Remove a file if it is there and can be removed."""
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=folder)


def _remove_drafts(folder: int, places: Places) -> None:
    """Remove every draft: who holds the lock knows that nobody is writing one."""
    for name in filter(DRAFT.fullmatch, os.listdir(folder)):
        try:
            os.unlink(name, dir_fd=folder)
        except OSError as error:
            what = f"{places.journal}/{name}, left by a change that died, could not be removed"
            raise state_error(error, what) from None


def _prune(folder: int, places: Places, numbers: list[int]) -> None:
    """Remove the oldest closed entries beyond KEPT; one that cannot be read stays."""
    spare = len(numbers) - KEPT
    for number in numbers[: max(0, spare)]:
        found = _read(folder, places, number)
        if isinstance(found, Entry) and not found.is_open:
            _discard(folder, _name(number))
