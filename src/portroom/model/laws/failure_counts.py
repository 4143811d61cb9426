"""Failures counted, in bounded memory: rows of those alike, the rest in the totals.

Rules of this file: a total is exact whatever becomes of rows; a row that is left
out and comes again is counted anew, so its count is a lower bound.
"""

from __future__ import annotations

import datetime
from heapq import nlargest

from portroom.model.facts.failure import Failure, FailureCount

ROWS = 1_000
"""Rows that an answer has, those with the most failures."""

ROWS_KEPT = 2 * ROWS
"""Rows that are counted at a time: about 1 MB."""

Alike = tuple[object, ...]


class _Row:
    """Failures alike: how many, and the last of them."""

    __slots__ = ("failures", "last")

    def __init__(self, last: Failure) -> None:
        self.failures = 0
        self.last = last


class Tally:
    """
    Failures since the watch began.

    ``failures_total`` and ``exhausted_total`` count all; ``rows_dropped`` are rows
    that were left out for others with more failures.
    """

    def __init__(self) -> None:
        self.failures_total = 0
        self.exhausted_total = 0
        self.rows_dropped = 0
        self._rows: dict[Alike, _Row] = {}

    def add(self, failure: Failure, *, exhausted: bool) -> None:
        """
        Count one failure.

        Args:
            failure: What failed, its cause told as far as it is known.
            exhausted: Whether it was for want of a free local port.
        """
        self.failures_total += 1
        self.exhausted_total += exhausted
        row = self._rows.get(alike := _alike(failure))
        if row is None:
            if len(self._rows) >= ROWS_KEPT:
                self._prune()
            row = self._rows[alike] = _Row(failure)
        row.failures += 1
        row.last = failure

    def counts(self) -> tuple[FailureCount, ...]:
        """Return the rows with the most failures, at most ROWS; of equal ones the latest first."""
        return tuple(_count(row) for row in self._largest())

    @property
    def counts_omitted(self) -> int:
        """Return how many rows are left out."""
        return self.rows_dropped + max(0, len(self._rows) - ROWS)

    def _largest(self) -> list[_Row]:
        """Return the rows that are shown, the largest first."""
        return nlargest(ROWS, self._rows.values(), key=_rank)

    def _prune(self) -> None:
        """Forget all rows but the largest; once for a thousand new ones, so it is cheap."""
        kept = {_alike(row.last): row for row in self._largest()}
        self.rows_dropped += len(self._rows) - len(kept)
        self._rows = kept


def _rank(row: _Row) -> tuple[int, datetime.datetime]:
    """Return what rows are sorted by."""
    return row.failures, row.last.at


def _alike(failure: Failure) -> Alike:
    """Return what failures of one row have in common."""
    process = failure.process
    return (
        process.command,
        process.unit,
        process.container,
        process.netns or process.netns_inode,
        failure.operation,
        failure.error,
        failure.cause,
        failure.protocol,
        failure.remote_address,
        failure.remote_port,
    )


def _count(row: _Row) -> FailureCount:
    """Return a row as the answer has it."""
    last = row.last
    return FailureCount(
        failures=row.failures,
        command=last.process.command,
        unit=last.process.unit,
        container=last.process.container,
        netns=last.process.netns,
        operation=last.operation,
        error=last.error,
        cause=last.cause,
        protocol=last.protocol,
        remote_address=last.remote_address,
        remote_port=last.remote_port,
        last_at=last.at,
    )
