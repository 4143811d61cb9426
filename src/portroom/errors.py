"""Every error that portroom raises on purpose, divided by who has to act.

A message says what was tried, on what, what was seen (quoted) and what to do.
Rooms raise, doors print: only the command line reads ``exit_status``.
"""

from __future__ import annotations


class PortroomError(Exception):
    """
    Say in one sentence why a question could not be answered.

    Args:
        message: What was tried, on what, and what was seen.
        hint: What to do about it, or "" where nothing helps.
    """

    exit_status = 70

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Return the message and, after a space, the hint."""
        return f"{self.message} {self.hint}".rstrip()


class InvalidRequestError(PortroomError):
    """You asked for something that cannot be."""

    exit_status = 2


class NotPermittedError(PortroomError):
    """
    A right is missing; the message names the capability.

    ``NotPermittedError.changing`` is the same where a change was asked for.
    """

    exit_status = 3

    @classmethod
    def changing(cls, message: str, hint: str = "") -> NotPermittedError:
        """Return the error of a change that was not made."""
        error = cls(message, hint)
        error.exit_status = ChangeError.exit_status
        return error


class NotSupportedError(PortroomError):
    """
    This kernel does not have the feature, for certain.

    ``NotSupportedError.changing`` is the same where a change was asked for.
    """

    exit_status = 3

    @classmethod
    def changing(cls, message: str, hint: str = "") -> NotSupportedError:
        """Return the error of a change that was not made."""
        error = cls(message, hint)
        error.exit_status = ChangeError.exit_status
        return error


class UnavailableError(PortroomError):
    """What it takes is in use, or not here yet; the same may be had later."""

    exit_status = 3


class KernelDataError(PortroomError):
    """The kernel, or a saved Snapshot, told something that cannot be read."""

    exit_status = 3


class ChangeError(PortroomError):
    """The system was not changed as asked; it is as it was before."""

    exit_status = 4


class RefusedError(ChangeError):
    """The plan is unsafe; the message tells all reasons at once."""


class ConflictError(ChangeError):
    """Somebody else changed what the plan was made from; it was left as it is."""


class WriteError(ChangeError):
    """A write failed: a file, a setting, or standard output took nothing."""


class RollbackError(ChangeError):
    """
    What was written could not be put back: neither as before nor as asked.

    The message tells the exact state, the hint the commands that mend it.
    """

    exit_status = 5


class HistoryError(PortroomError):
    """What the daemon keeps, its history or its state, cannot be read or written."""

    exit_status = 3
