"""
Breaks of changes that were found by looking for them: each stays mended.

Rules of this file: signals, faults of system calls, lost files and full disks are
real; who waits, waits for a condition.
"""

import shutil

import pytest

from tests.e2e.change_host import RUN, STATE, on_a_host, reset
from tests.e2e.faults import ask, needs_root, refused
from tests.e2e.test_change_faults import points, traced
from tests.e2e.trial_host import (
    BEFORE,
    LONG,
    TRIED,
    entry_of,
    guardian,
    guardians,
    now,
    phase,
    tried,
    wait_for,
    wait_for_end,
)
from tests.kernel.harness import wait_until

pytestmark = needs_root

needs_strace = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")

ENTRY = STATE / "journal/0000000001.json"


# ------------------------------------------------------- numbers and guardians


def test_a_lost_number_is_not_given_again():
    """
    A change after a damaged entry that was moved away does not become the guardian's.
    """

    def job():
        """Damage the entry of a trial, do as one is told, and change something else."""
        tried("4s")
        ENTRY.write_bytes(ENTRY.read_bytes()[:300])
        told = ask("undo")
        shutil.move(ENTRY, "/run/moved")
        other = ask("set", "autobind_reuse=1")
        wait_for(BEFORE)
        wait_until(lambda: not guardians(), "the guardian is gone")
        phases = phase(1), phase(2)
        return told, other, phases, now("ip_autobind_reuse"), sorted(RUN.iterdir())

    told, other, phases, kept, left = on_a_host(job)

    refused(told, 4, "move it away")
    assert 0 == other.status, other
    assert (("put_back", "done"), "1\n") == (phases, kept)
    assert [RUN / "lock"] == left


def test_a_guardian_leaves_another_change_of_its_number_alone():
    """
    Where all state is lost its number is another's: it takes its own values back, and tells so.
    """

    def job():
        """Lose the journal and the file of the trial, and change something else."""
        tried("4s")
        shutil.rmtree(STATE)
        (RUN / "trial-1").unlink()
        other = ask("set", "autobind_reuse=1", "--try-for", "1h")
        wait_for(BEFORE)
        wait_until(lambda: phase(2) == "put_back", "the guardian told of it")
        return other, phase(1), entry_of(2)["request"]["words"], guardian(1) > 0, now()

    other, still, words, guarded, held = on_a_host(job)

    assert 0 == other.status, other
    assert ("trial", ["tw_reuse=1"], True, BEFORE) == (still, words, guarded, held)


@needs_strace
def test_a_confirmation_that_fails_at_its_end_leaves_a_guarded_trial():
    """
    That it is done is seen before it is certain: the guardian does not leave for that.
    """

    def job():
        """Confirm; then again where the disk takes the end of the entry late, and badly."""
        tried(LONG)
        traced("confirm")
        last = [one for one in points() if one.call == "fsync"][-1]
        reset()
        tried(LONG)
        fault = f"inject=fsync:error=EIO:delay_enter=1500000:when={last.nth}"
        ended = traced("confirm", inject=[fault])
        return ended, phase(), guardian() > 0, now(), ask("undo"), wait_for_end(), now()

    ended, still, guarded, held, undone, entry, after = on_a_host(job)

    refused(ended, 4, "the device reports an error")
    assert ("trial", True, TRIED) == (still, guarded, held)
    assert 0 == undone.status, undone
    assert ("put_back", BEFORE) == (entry["phase"], after)
