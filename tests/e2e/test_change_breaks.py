"""
Breaks of changes that were found by looking for them: each stays mended.

Rules of this file: signals, faults of system calls, lost files and full disks are
real; who waits, waits for a condition.
"""

import shutil

import pytest

from tests.e2e.change_host import RUN, STATE, SYSCTL_D, on_a_host, reset, state
from tests.e2e.faults import MS_BIND, MS_RDONLY, MS_REMOUNT, ask, mount, needs_root, refused
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


# ------------------------------------------------- values go back before files


def read_only_etc():
    """Let nobody write in /etc any more."""
    mount("/etc", "/etc", "", MS_BIND)
    mount("none", "/etc", "", MS_REMOUNT | MS_BIND | MS_RDONLY)


def a_folder_for_a_draft():
    """Put a folder where the own file is written before it gets its name."""
    draft = SYSCTL_D / ".portroom.new"
    draft.unlink()
    draft.mkdir()


@needs_strace
@pytest.mark.parametrize("obstacle", [read_only_etc, a_folder_for_a_draft])
def test_values_go_back_whatever_becomes_of_the_file(obstacle):
    """
    A confirmation that died leaves a file that is right, and a draft that nobody can remove.
    """

    def job():
        """Find where the own file gets its name; die there, and let nothing be healed."""
        tried(LONG, "--persist")
        traced("confirm")
        aim = next(one for one in points() if "rename" in one.call and "90-portroom" in one.line)
        reset()
        before = state()
        tried("3s", "--persist")
        died = traced("confirm", inject=[f"inject={aim.call}:signal=KILL:when={aim.nth}"])
        left = phase(), sorted(path.name for path in SYSCTL_D.iterdir())
        obstacle()
        entry = wait_for_end()
        after = state()
        others = ask("recover"), ask("set", "autobind_reuse=1")
        return before, died, left, entry, after, others

    before, died, left, entry, after, others = on_a_host(job)

    assert (-9, "persisting", [".portroom.new"]) == (died.status, *left), died
    assert ("put_back", before.settings) == (entry["phase"], after.settings)
    assert before.readable == after.readable
    assert [0, 0] == [one.status for one in others], others


@needs_strace
def test_a_change_that_died_is_closed_though_its_draft_stays():
    """
    What lies beside a file that is as before is told, and is in nobody's way.
    """

    def job():
        """Die before the own file gets its name, and recover where /etc is read-only."""
        traced("set", "tw_reuse=1", "--persist")
        aim = next(one for one in points() if "rename" in one.call and "90-portroom" in one.line)
        reset()
        fault = f"inject={aim.call}:signal=KILL:when={aim.nth}"
        traced("set", "tw_reuse=1", "--persist", inject=[fault])
        read_only_etc()
        return ask("recover"), entry_of(1), now()

    ended, entry, held = on_a_host(job)

    assert (0, "put_back", BEFORE) == (ended.status, entry["phase"], held), ended
    assert "90-portroom.conf, which is as before" in entry["outcome"]
    assert "Read-only file system" in entry["outcome"]
