"""Counts are exact in sum and bounded in rows."""

import datetime

from portroom.model.laws.failure_counts import ROWS, ROWS_KEPT, Tally
from tests.unit.made_failures import AT, failure, process


def test_failures_alike_are_one_row():
    """But for time, process number and local end; the largest row comes first."""
    tally = Tally()
    for second in range(3):
        at = AT + datetime.timedelta(seconds=second)
        tally.add(failure(at=at, process=process(pid=second)), exhausted=True)
    tally.add(failure(cause="unix_backlog_full", remote_address=None), exhausted=False)

    first, second = tally.counts()

    assert (4, 3) == (tally.failures_total, tally.exhausted_total)
    assert (3, "key_full", AT + datetime.timedelta(seconds=2)) == (
        first.failures,
        first.cause,
        first.last_at,
    )
    assert (1, "unix_backlog_full") == (second.failures, second.cause)
    assert 0 == tally.counts_omitted


def test_rows_have_a_bound_and_totals_do_not():
    """However many remotes fail, the largest rows stay and every failure is in the total."""
    tally = Tally()
    remotes = [f"10.{number >> 8}.{number & 255}.1" for number in range(3 * ROWS_KEPT)]
    for remote in remotes:
        tally.add(failure(remote_address="10.99.0.1"), exhausted=True)
        tally.add(failure(remote_address=remote), exhausted=True)

    counts = tally.counts()

    assert 2 * len(remotes) == tally.failures_total
    assert ROWS == len(counts)
    assert ("10.99.0.1", len(remotes)) == (counts[0].remote_address, counts[0].failures)
    assert len(remotes) + 1 == ROWS + tally.counts_omitted
    assert len(tally._rows) <= ROWS_KEPT
