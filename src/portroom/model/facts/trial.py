"""A trial that waits for its confirmation: a change that takes itself back.

Apart from the journal, so that a command that only reads pays for nothing else.
"""

from __future__ import annotations

import msgspec

PATIENCE_S = 5.0
"""A guardian wakes each second: one that did not act by then is stopped, or gone."""


class PendingTrial(msgspec.Struct, frozen=True):
    """
    A trial that waits for its confirmation, as every command can see it.

    ``guarded`` says whether a guardian is awake for it; ``left_s`` is what is
    left of it, negative where it should have been taken back.
    """

    number: int
    words: tuple[str, ...]
    netns: str
    left_s: float
    guarded: bool

    @property
    def is_overdue(self) -> bool:
        """
        Say whether it expired and nobody takes it back.

        >>> PendingTrial(1, (), "host", -1.0, True).is_overdue
        False
        >>> PendingTrial(1, (), "host", -1.0, False).is_overdue
        True
        """
        return self.left_s < (-PATIENCE_S if self.guarded else 0.0)


class TrialFile(msgspec.Struct, frozen=True, kw_only=True):
    """
    What the file of a trial says: where to look, and until when.

    ``deadline_boottime_s`` is CLOCK_BOOTTIME of the boot named by ``boot_id``;
    ``netns`` names the namespaces, and with ``words`` is hostile text.
    """

    schema_version: int = 1
    number: int
    boot_id: str
    deadline_boottime_s: float
    netns: tuple[str, ...]
    words: tuple[str, ...]
