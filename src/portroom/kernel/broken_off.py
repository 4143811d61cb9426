"""
A change that broke off, as everybody may see it: at the price of one folder and one file.

Rules of this file:

- only the latest entry of a journal is looked at: whoever begins another puts
  back first what did not complete;
- whoever writes an entry holds the lock until it is closed, so an entry that is
  being written and a lock that nobody holds are what a crash left;
- the journal decides; what cannot be understood here is told by who acts on it.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence

import msgspec

from portroom.kernel.files import PROC, SAFELY, read_up_to
from portroom.kernel.locks import read_holder
from portroom.model.facts.trial import BrokenOff

JOURNAL = "/var/lib/portroom/journal"

LOCK = "lock"
"""The file in the folder of trials whose lock is held by whoever writes."""

ENTRY_NAME = re.compile(r"([0-9]{10})\.json")

LARGEST_ENTRY_BYTES = 64 << 20
"""A list of all ports is 0.4 MB in an entry; 64 MiB are 160 namespaces with such."""

BEING_WRITTEN = frozenset({"writing", "persisting"})
"""Phases that end before the lock is free, as ``model.facts.journal`` names them."""


class _Request(msgspec.Struct):
    """Of a request, what is told."""

    words: tuple[str, ...]


class _Entry(msgspec.Struct):
    """Of an entry, what has to be known here."""

    number: int
    phase: str
    request: _Request


def read_broken_off(journal: str, runs: Sequence[str], proc: str = PROC) -> BrokenOff | None:
    """
    Return the change of a journal that nobody goes on with, None for none.

    Args:
        journal: The folder of the journal.
        runs: Where its lock may lie.
        proc: Where procfs is mounted.
    """
    try:
        path = _latest(journal)
        if path is None or not _is_being_written(path) or _is_held(runs, proc):
            return None
        # Between both looks it may have been closed, and the lock let go.
        entry = _read(path)
    except (OSError, ValueError, RecursionError, msgspec.MsgspecError):
        return None
    if entry.phase not in BEING_WRITTEN:
        return None
    return BrokenOff(entry.number, entry.request.words)


def _latest(journal: str) -> str | None:
    """Return the path of the latest entry, None for none."""
    names = filter(ENTRY_NAME.fullmatch, os.listdir(journal))
    name = max(names, default=None)
    return None if name is None else f"{journal}/{name}"


def _is_being_written(path: str) -> bool:
    """Say whether an entry says so of itself."""
    return _read(path).phase in BEING_WRITTEN


def _read(path: str) -> _Entry:
    """
    Return what an entry says.

    Raises:
        OSError: It may not be read.
        ValueError: It is none that is believed.
    """
    descriptor = os.open(path, SAFELY)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid not in {0, os.geteuid()}:
            raise ValueError("it is none of ours")
        return msgspec.json.decode(read_up_to(descriptor, LARGEST_ENTRY_BYTES), type=_Entry)
    finally:
        os.close(descriptor)


def _is_held(runs: Sequence[str], proc: str) -> bool:
    """
    Say whether somebody holds the lock.

    Raises:
        OSError: It cannot be seen.
    """
    for run in runs:
        try:
            status = os.stat(f"{run}/{LOCK}", follow_symlinks=False)
        except FileNotFoundError:
            continue
        if read_holder(status, proc) is not None:
            return True
    return False
