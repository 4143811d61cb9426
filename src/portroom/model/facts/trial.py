"""A trial that waits for its confirmation: a change that takes itself back.

Apart from the journal, so that a command that only reads pays for nothing else.
"""

from __future__ import annotations

import msgspec

PATIENCE_S = 5.0
"""A guardian wakes each second: one that did not act by then is stopped, or gone."""

NetnsKey = tuple[str, int]
"""What tells a network namespace from all others of a boot: ("cookie", 7) or ("inode", 12)."""


class PendingTrial(msgspec.Struct, frozen=True):
    """
    A trial that waits for its confirmation, as every command can see it.

    ``guarded`` says whether a guardian is awake for it; ``left_s`` is what is
    left of it, negative where it should have been taken back. ``put_back`` says
    that the values are as before and only the entry of the journal is open yet.
    ``uid`` is the user whose trial it is, in whose journal it stands.
    """

    number: int
    words: tuple[str, ...]
    netns: str
    left_s: float
    guarded: bool
    put_back: bool = False
    uid: int = 0

    @property
    def is_overdue(self) -> bool:
        """
        Say whether it expired and nobody takes it back.

        >>> PendingTrial(1, (), "host", -1.0, True).is_overdue
        False
        >>> PendingTrial(1, (), "host", -1.0, False).is_overdue
        True
        >>> PendingTrial(1, (), "host", -9.0, True, put_back=True).is_overdue
        False
        """
        patience_s = PATIENCE_S if self.guarded else 0.0
        return self.left_s < -patience_s and not (self.guarded and self.put_back)


class BrokenOff(msgspec.Struct, frozen=True):
    """
    A change that nobody goes on with: who wrote it is gone, and part of it may stand.

    ``number`` is its entry in the journal; ``words``, hostile text, what was asked for.
    """

    number: int
    words: tuple[str, ...]


class TrialFile(msgspec.Struct, frozen=True, kw_only=True):
    """
    What the file of a trial says: where to look, and until when.

    ``deadline_boottime_s`` is CLOCK_BOOTTIME of the boot named by ``boot_id``;
    ``netns`` names the namespaces, and with ``words`` is hostile text;
    ``namespaces`` tells them from all others of that boot, see ``key_of``.
    ``put_back`` as in PendingTrial.
    """

    schema_version: int = 1
    number: int
    boot_id: str
    deadline_boottime_s: float
    netns: tuple[str, ...]
    words: tuple[str, ...]
    namespaces: tuple[NetnsKey, ...] = ()
    put_back: bool = False
