"""
Changes that the journal has, as whoever may read it sees them: when, by whom, which.

Rules of this file: it looks at the latest entries alone; what cannot be read or
believed is left out, since ``portroom journal`` tells it.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Iterator

import msgspec

from portroom.kernel.broken_off import ENTRY_NAME, LARGEST_ENTRY_BYTES
from portroom.kernel.files import SAFELY, not_ours, read_up_to
from portroom.model.facts.sysctl_files import FILE

MOST_ENTRIES = 500
"""Of each journal; more marks would say nothing in a chart."""


class ChangeSeen(msgspec.Struct, frozen=True):
    """
    A change of the journal: what was asked for, and how it stands. Hostile text.

    ``phase`` is one of ``model.facts.journal``.
    """

    number: int
    started_at: datetime.datetime
    boot_id: str
    action: str
    phase: str
    words: tuple[str, ...]
    undoes: int | None = None


class _Request(msgspec.Struct):
    """Of a request, what is told."""

    words: tuple[str, ...]


class _Entry(msgspec.Struct):
    """Of an entry, what is told."""

    number: int
    action: str
    started_at: datetime.datetime
    boot_id: str
    phase: str
    request: _Request
    undoes: int | None = None


def read_changes(
    journals: Iterable[str], since: datetime.datetime, until: datetime.datetime
) -> tuple[ChangeSeen, ...]:
    """
    Return the changes between two moments, both included, the earliest first.

    Args:
        journals: Folders of journals; those that are not there have none.
        since: Aware; compared with what the wall clock showed at each change.
        until: Likewise.
    """
    found = [one for journal in journals for one in _changes(journal, since) if _is_in(one, until)]
    return tuple(sorted(found, key=lambda one: (one.started_at, one.number)))


def _is_in(change: ChangeSeen, until: datetime.datetime) -> bool:
    """Say whether a change began early enough."""
    return change.started_at <= until


def _changes(journal: str, since: datetime.datetime) -> Iterator[ChangeSeen]:
    """Yield the changes of a journal since a moment, the latest first."""
    try:
        names = sorted(filter(ENTRY_NAME.fullmatch, os.listdir(journal)), reverse=True)
    except OSError:
        return
    for name in names[:MOST_ENTRIES]:
        entry = _read(f"{journal}/{name}")
        if entry is None or entry.started_at.tzinfo is None:
            continue
        # A clock that was set back makes later entries look earlier: none ends the search.
        if entry.started_at >= since:
            yield ChangeSeen(
                entry.number,
                entry.started_at,
                entry.boot_id,
                entry.action,
                entry.phase,
                entry.request.words,
                entry.undoes,
            )


def _read(path: str) -> _Entry | None:
    """Return what an entry says, None where it cannot be read or is none that is believed."""
    try:
        descriptor = os.open(path, SAFELY)
    except OSError:
        return None
    try:
        if any(not_ours(os.fstat(descriptor), FILE, LARGEST_ENTRY_BYTES)):
            return None
        return msgspec.json.decode(read_up_to(descriptor, LARGEST_ENTRY_BYTES), type=_Entry)
    except (OSError, ValueError, RecursionError, msgspec.MsgspecError):
        return None
    finally:
        os.close(descriptor)
