"""
The guardian: a process of its own that takes a trial back if nobody confirms it.

Rules of this file:

- it stands by before the first write, and what started it may end in any way;
- all that it needs is in memory by then: removing or upgrading portroom during
  a trial does not reach it;
- a timer only wakes it, CLOCK_BOOTTIME decides;
- it acts under the lock, and only there believes that the trial has ended: what
  is seen without may be taken back by who writes it. Where somebody who does not
  go on has the lock, values go back without it, and the entry is closed later;
- the journal decides, as far as it tells of this very trial: where an entry is
  lost another change may have its number, and is left alone.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import threading
from functools import partial
from pathlib import Path

import msgspec

from portroom.change import journal, recover, trials
from portroom.change.entry_file import encode
from portroom.change.held import Held
from portroom.change.launch import start
from portroom.change.lock import locked
from portroom.change.places import Places, find_places
from portroom.change.settings import read_canonical
from portroom.errors import PortroomError, RefusedError
from portroom.model.facts.change import SettingStep
from portroom.model.facts.journal import TRIAL, WRITING, Entry

__all__ = ["guard", "start"]

TICK_S = 1.0
"""How long it sleeps at most: after a suspend, a timer of the kernel would be late."""

PATIENCE_S = 2.0
"""How long after the deadline it waits for the lock, before it does without."""

GIVES_UP_AFTER_S = 600.0
"""How long it tries to put back what cannot be put back, or to close the entry."""

SPARED = "-900"
"""Source: proc_pid_oom_score_adj(5): -1000 would be never, 0 is like all others."""

FAULTS = frozenset(
    {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGTRAP}
)
NOT_OURS = FAULTS | {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGCONT}


def guard(number: int, places: Places | None = None) -> None:
    """
    Stand by until a trial ended, and take it back at its deadline.

    Returns as well where it had to give up: the file of the trial stays, so
    that every command tells of it.

    Args:
        number: The entry of the trial.
        places: Where the journal lies, None to find them.
    """
    _be_tough()
    places = places or find_places()
    entry = journal.read_entry(places, number)
    if entry.trial is None or not entry.is_open:
        return
    with Held() as held:
        _rehearse(entry, held)
        file = trials.hold(places, entry)
        try:
            if _Watch(places, entry, held, file).run():
                trials.remove(places, number, file)
        finally:
            os.close(file)


def _be_tough() -> None:
    """Depend on nothing, and be ended by nothing that can be helped."""
    os.chdir("/")
    os.umask(0o022)
    for one in signal.valid_signals() - NOT_OURS:
        # Some of the real-time signals belong to the C library.
        with contextlib.suppress(OSError, ValueError):
            signal.signal(one, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        # To be spared needs CAP_SYS_RESOURCE.
        Path("/proc/self/oom_score_adj").write_text(SPARED, encoding="ascii")
    # The command line does without: this command goes on for long.
    gc.enable()


def _rehearse(entry: Entry, held: Held) -> None:
    """
    Do all that will be done later, but for writing: what that imports is then in memory.

    Raises:
        PortroomError: It cannot be done, so the trial must not begin.
    """
    encode(entry)
    for step in entry.steps:
        if isinstance(step, SettingStep) and held.exists(step.netns):
            held.run(step.netns, partial(read_canonical, step.key))


class _Watch:
    """
    The loop of the guardian.

    The entry in memory serves where the journal can no longer be read.
    """

    def __init__(self, places: Places, entry: Entry, held: Held, file: int) -> None:
        self._places = places
        self._entry = msgspec.structs.replace(entry, phase=TRIAL)
        self._held = held
        self._file = file
        self._pause = threading.Event()

    def run(self) -> bool:
        """Say whether the trial has ended, once it has or nothing more can be done about it."""
        while not self._look():
            left_s = trials.left_s(self._entry)
            if left_s < -GIVES_UP_AFTER_S:
                return False
            self._pause.wait(min(TICK_S, left_s) if left_s > 0 else TICK_S)
        return True

    def _look(self) -> bool:
        """Do what is to be done now, and say whether the trial has ended."""
        seen = self._in_journal() or self._entry
        if seen.is_open:
            # What is lost right after it was written counts as a trial until its end.
            self._entry = msgspec.structs.replace(seen, phase=TRIAL)
        left_s = trials.left_s(seen)
        if seen.phase == TRIAL and left_s > 0:
            return False
        # The trial is over, or who wrote it may be dead.
        if self._settles():
            return True
        if left_s < -PATIENCE_S and seen.phase in {TRIAL, WRITING}:
            with contextlib.suppress(PortroomError, OSError):
                recover.put_values_back(self._entry, self._held)
                trials.tell_put_back(self._file, self._entry)
        return False

    def _in_journal(self) -> Entry | None:
        """Return what the journal has under the number of the trial, if that can be read."""
        try:
            found = journal.read_entry(self._places, self._entry.number)
        except (PortroomError, OSError):
            return None
        return found if _is_same(found, self._entry) else None

    def _settles(self) -> bool:
        """Put back under the lock, if that is free, and say whether the trial has ended."""
        try:
            with locked(self._places, wait_s=0.0):
                self._entry = self._in_journal() or self._anew()
                self._entry = recover.settle(self._places, self._entry, self._held)
        except (PortroomError, OSError):
            # The next look tries again.
            return False
        return not self._entry.is_open

    def _anew(self) -> Entry:
        """
        Return the entry as it last stood in the journal, which does not tell of it now.

        It gets a new number where another change has its own.
        """
        try:
            journal.read_entry(self._places, self._entry.number)
        except RefusedError:
            return self._entry
        return journal.begin(self._places, self._entry)


def _is_same(one: Entry, other: Entry) -> bool:
    """Say whether two entries of a number are of one change, however far it came."""
    first, second = (
        (entry.boot_id, entry.started_at, entry.who, entry.request, entry.trial)
        for entry in (one, other)
    )
    return first == second
