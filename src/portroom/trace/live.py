"""
Failures as they happen: start to watch, read, stop.

Rules of this file:

- nothing of it outlives the ``with`` block, and a kill leaves an instance that the
  next run removes;
- a failure is told once, after its partner had time to come.
"""

from __future__ import annotations

from types import TracebackType

from portroom.trace.raw import Raw

__all__ = ["Raw", "Watch", "watching"]


class Watch:
    """
    A watch that runs; leave its ``with`` block to end it.

    ``lost_events`` are events that the kernel had no room for, so far.
    """

    lost_events: int = 0

    def __enter__(self) -> Watch:
        """Return the watch itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the watch: the instance is removed."""

    def read(self, timeout_s: float) -> list[Raw]:
        """
        Return what failed since the last call, in order of time; wait if nothing did.

        Returns early with what there is, after *timeout_s* at the latest, and at
        once when the watch was stopped.
        """
        raise NotImplementedError

    def stop(self) -> None:
        """Let a ``read`` that waits return; for a signal handler or another thread."""
        raise NotImplementedError


def watching(pid: int | None = None) -> Watch:
    """
    Start to watch failures of the whole host, or of one process.

    Args:
        pid: Tell of this process and all its threads only.

    Raises:
        NotPermittedError: CAP_SYS_ADMIN is missing.
        NotSupportedError: This kernel has no tracefs or no events of system calls.
    """
    raise NotImplementedError
