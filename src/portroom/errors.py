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
    """A right is missing; the message names the capability."""

    exit_status = 3


class NotSupportedError(PortroomError):
    """This kernel does not have the feature, for certain."""

    exit_status = 3


class KernelDataError(PortroomError):
    """The kernel, or a saved Snapshot, told something that cannot be read."""

    exit_status = 3


class ChangeError(PortroomError):
    """The system was not changed as asked; it is as it was before."""

    exit_status = 4


class WriteError(ChangeError):
    """A write failed: a file, a setting, or standard output took nothing."""
