"""The journal: what was changed, by whom, when, and how it ended.

Rules of this file:

- an entry stands on the disk before its first step is written;
- an entry whose phase is open and that nobody works on is what a crash left;
- all instants are UTC, to be shown; a deadline is judged on CLOCK_BOOTTIME.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import msgspec

from portroom.model.facts.answers import SCHEMA_VERSION, Answer
from portroom.model.facts.change import ChangePlan, Request, SettingChange, Step
from portroom.model.facts.trial import PendingTrial

__all__ = [
    "CONFLICT",
    "DONE",
    "IN_FILE",
    "NETNS_GONE",
    "OPEN",
    "PERSISTING",
    "PUT_BACK",
    "REBOOTED",
    "SET",
    "TRIAL",
    "UNDO",
    "WRITING",
    "Changed",
    "Entry",
    "Journal",
    "PendingTrial",
    "Trial",
    "Who",
]

# Phases that are open.
WRITING = "writing"  # its steps are being written, or were when the writer died
TRIAL = "trial"  # written, and taken back at the deadline unless confirmed
PERSISTING = "persisting"  # a confirmed trial whose file is being written

# Phases that are closed.
DONE = "done"
PUT_BACK = "put_back"
CONFLICT = "conflict"  # somebody else changed a value meanwhile: that one was left
NETNS_GONE = "namespace_gone"

# How the outcome of an entry begins, letters small, whose values died with their boot.
REBOOTED = "put back by the reboot"
IN_FILE = "put back in the file alone"

OPEN = frozenset({WRITING, TRIAL, PERSISTING})

# What a change was.
SET, UNDO = "set", "undo"


class Who(msgspec.Struct, frozen=True):
    """
    Who made a change: the user, the user who logged in before sudo, the terminal.

    ``login_uid`` is null where nobody logged in. Names and the command line
    are hostile text.
    """

    uid: int
    user: str
    login_uid: int | None
    login_user: str
    terminal: str
    pid: int
    command: tuple[str, ...]

    @property
    def name(self) -> str:
        """
        Return as whom a change was made, and who had logged in: hostile text.

        >>> Who(0, "root", 1000, "alice", "pts/1", 7, ("portroom",)).name
        'root (alice)'
        >>> Who(7, "", None, "", "", 7, ()).name
        'uid 7'
        """
        user = self.user or f"uid {self.uid}"
        if self.login_uid is None or self.login_uid == self.uid:
            return user
        return f"{user} ({self.login_user or f'uid {self.login_uid}'})"


class Trial(msgspec.Struct, frozen=True):
    """
    A change that takes itself back: when, and on which clock.

    ``deadline_boottime_s`` is CLOCK_BOOTTIME of the boot that the entry names;
    ``deadline_at`` is the same as it stood on the wall clock, to be shown.
    ``persist`` says that the confirmation also writes the file, and ``values``
    what is to hold then at the next boot: canonical text by sysctl.
    """

    deadline_boottime_s: float
    deadline_at: datetime.datetime
    persist: bool = False
    values: dict[str, str] = {}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """
    One change: its steps in the order of writing, and how far it came.

    ``outcome`` is a sentence about how it ended, "" while it is open.
    ``undoes`` is the number of the entry that this one takes back, null for
    none; ``undone_by`` the number of the one that took this back.
    """

    schema_version: int = SCHEMA_VERSION
    number: int
    action: str
    started_at: datetime.datetime
    boot_id: str
    who: Who
    request: Request
    changes: tuple[SettingChange, ...]
    steps: tuple[Step, ...]
    phase: str = WRITING
    trial: Trial | None = None
    ended_at: datetime.datetime | None = None
    outcome: str = ""
    undoes: int | None = None
    undone_by: int | None = None

    @property
    def is_open(self) -> bool:
        """Say whether the change is still under way."""
        return self.phase in OPEN


class Journal(Answer, frozen=True, kw_only=True):
    """Changes, the latest first; with a command that changed, those it touched."""

    entries: tuple[Entry, ...]
    pending: tuple[PendingTrial, ...] = ()


class Changed(Answer, frozen=True, kw_only=True):
    """
    What `set` and `apply` did: the plans, one a namespace, and the entry of the journal.

    ``entry`` is null where nothing was written: nothing to do, or a dry run.
    """

    plans: tuple[ChangePlan, ...]
    entry: Entry | None = None

    @classmethod
    def of(cls, plans: Sequence[ChangePlan], entry: Entry | None = None) -> Changed:
        """Return what became of some plans, at least one: where and when is the first's."""
        first = plans[0]
        return cls(
            host=first.host,
            taken_at=first.taken_at,
            netns=first.netns,
            gaps=first.gaps,
            plans=tuple(plans),
            entry=entry,
        )
