"""
Breaks of changes that were found by looking for them: each stays mended.

Rules of this file: signals, faults of system calls, lost files and full disks are
real; who waits, waits for a condition.
"""

import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.change_host import RUN, STATE, SYSCTL_D, end_guardians, hold, on_a_host, reset, state
from tests.e2e.faults import MS_BIND, MS_RDONLY, MS_REMOUNT, ask, mount, needs_root, refused
from tests.e2e.test_change_cli import boot
from tests.e2e.test_change_faults import FULL, points, traced
from tests.e2e.trial_host import (
    BEFORE,
    LONG,
    TRIED,
    WORD,
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
        """Damage the entry of a trial, do as one is told, and change something elsewhere."""
        subprocess.run(["ip", "netns", "add", "red"], check=True)
        tried("2s")
        ENTRY.write_bytes(ENTRY.read_bytes()[:300])
        told = ask("undo")
        shutil.move(ENTRY, "/run/moved")
        other = ask("set", "autobind_reuse=1", "--netns", "red")
        wait_for(BEFORE)
        wait_until(lambda: not guardians(), "the guardian is gone")
        phases = phase(1), phase(2)
        return told, other, phases, sorted(RUN.iterdir())

    told, other, phases, left = on_a_host(job)

    refused(told, 4, "move it away")
    assert 0 == other.status, other
    assert ("put_back", "done") == phases
    assert [RUN / "lock"] == left


def test_a_guardian_leaves_another_change_of_its_number_alone():
    """
    Where all state is lost its number is another's: it takes its own values back, and tells so.
    """

    def job():
        """Lose the journal and the file of the trial, and change something else."""
        tried("2s")
        shutil.rmtree(STATE)
        (RUN / "trial-1").unlink()
        other = ask("set", "autobind_reuse=1", "--try-for", "1h")
        wait_for(BEFORE)
        wait_until(lambda: phase(2) == "put_back", "the guardian told of it")
        return other, phase(1), entry_of(2)["request"]["words"], guardian(1) > 0, now()

    other, still, words, guarded, held = on_a_host(job)

    assert 0 == other.status, other
    assert ("trial", ["tw_reuse=1"], True, BEFORE) == (still, words, guarded, held)


def test_a_trial_whose_journal_was_lost_refuses_another():
    """
    The value that is tried still goes back, and no second trial keeps it meanwhile.
    """

    def job():
        """Lose the journal, and try the same setting again."""
        tried("2s")
        shutil.rmtree(STATE)
        other = ask("set", "tw_reuse=0", "--try-for", "1h")
        wait_for(BEFORE)
        return other, now()

    other, held = on_a_host(job)

    assert 4 == other.status, other
    assert "its guardian takes it back then" in other.told
    assert BEFORE == held


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
        fault = f"inject=fsync:error=EIO:delay_enter=1200000:when={last.nth}"
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
@pytest.mark.parametrize("obstacle", [read_only_etc, a_folder_for_a_draft][: 2 if FULL else 1])
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
        tried("2s", "--persist")
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


# ------------------------------------------------------- taken back, or kept


WIDER = ("set", "range=15000-64001", "reserved+=9000-9100", "--try-for", LONG)


def undone_with(name, nth):
    """Undo a trial of two settings while a signal comes at a write, and look."""
    reset()
    before = state()
    begun = ask(*WIDER)
    end_guardians()
    traced("undo")
    aims = [one for one in points() if one.call == "write" and "/proc/sys" in one.line]
    reset()
    ask(*WIDER)
    end_guardians()
    fault = f"inject=write:signal={name}:when={aims[nth].nth}"
    ended = traced("undo", inject=[fault])
    return before == state(), begun, ended, phase()


@needs_strace
def test_an_undo_of_a_trial_that_dies_is_finished_by_whoever_comes_next():
    """
    Half taken back it is no trial any more: nobody can confirm it, and nothing stands in the way.
    """

    def job():
        """Be killed before the second write, then confirm."""
        before = state()
        seen = undone_with("KILL", 1)
        return before, seen, ask("confirm"), state(), phase(), ask("set", "autobind_reuse=1")

    before, (whole, begun, died, between), late, after, ended, other = on_a_host(job)

    assert (0, False, -9, "writing") == (begun.status, whole, died.status, between), died
    refused(late, 4, "trial 1 was taken back at ")
    assert (before, "put_back", 0) == (after, ended, other.status), other


@needs_strace
@pytest.mark.parametrize("name", ["INT", "HUP", "TERM"][: 3 if FULL else 1])
def test_a_signal_does_not_stop_the_undo_of_a_trial_half_way(name):
    """
    It waits until all is put back; after Ctrl-C that is told.
    """
    whole, begun, ended, after = on_a_host(lambda: undone_with(name, 0))

    assert (0, True, "put_back") == (begun.status, whole, after), ended
    assert ended.status != 0
    assert name != "INT" or "Interrupted when all was put back: entry 1" in ended.told


@needs_strace
def test_ctrl_c_after_a_confirmation_tells_that_it_is_done():
    """
    Before the end it is a trial yet, and that is told.
    """

    def job():
        """Press Ctrl-C at the end of the own file's way, and at that of the entry's."""
        tried(LONG, "--persist")
        traced("confirm")
        aims = [one for one in points() if "rename" in one.call]
        seen = []
        for aim in aims[1:]:
            reset()
            tried(LONG, "--persist")
            fault = f"inject={aim.call}:signal=INT:when={aim.nth}"
            ended = traced("confirm", inject=[fault])
            # click ends the line of a ^C first.
            seen.append((ended._replace(told=ended.told.removeprefix("\n")), phase()))
            end_guardians()
        return seen

    (early, still), (late, done) = on_a_host(job)

    refused(early, 130, "Interrupted; it was not confirmed: trial 1.")
    refused(late, 130, "Interrupted when it was confirmed: trial 1.")
    assert ("trial", "done") == (still, done)


def test_what_is_gone_stands_in_nobodys_way_when_the_rest_is_confirmed():
    """
    Of a trial in several namespaces the rest is kept; with none left nothing is.
    """

    def job():
        """Try in two namespaces, then in the one that ends."""
        subprocess.run(["ip", "netns", "add", "web"], check=True)
        everywhere = ask("set", WORD, "--all-netns", "--yes", "--try-for", LONG)
        subprocess.run(["ip", "netns", "del", "web"], check=True)
        confirmed = ask("confirm"), phase(), now(), entry_of(1)["outcome"]
        subprocess.run(["ip", "netns", "add", "web"], check=True)
        alone = ask("set", WORD, "--netns", "web", "--try-for", LONG)
        subprocess.run(["ip", "netns", "del", "web"], check=True)
        end_guardians()
        return (everywhere, alone), confirmed, (ask("confirm"), phase(2))

    tries, (confirmed, done, held, outcome), (none, gone) = on_a_host(job)

    assert [0, 0] == [one.status for one in tries], tries
    assert (0, "done", TRIED) == (confirmed.status, done, held), confirmed
    assert "Confirmed. Gone with their network namespace: the values of web." == outcome
    refused(none, 4, "Gone with their network namespace: the values of web.")
    assert "namespace_gone" == gone


def test_an_undo_passes_over_what_is_as_before_already():
    """
    It writes the rest, counts as an undo, and the change before it can be reached.
    """

    def job():
        """Set twice, put a part back by hand, then all of it, and undo."""
        before = state()
        ask("set", "autobind_reuse=1")
        ask("set", WORD, "range=15000-64001")
        hold("tcp_tw_reuse", "2")
        dry = ask("undo", "--dry-run")
        part = ask("undo"), entry_of(3)["outcome"]
        hold("ip_autobind_reuse", "0")
        whole = ask("undo"), entry_of(4)["outcome"]
        return before == state(), dry, part, whole, ask("undo")

    same, dry, (part, told), (whole, all_told), nothing = on_a_host(job)

    assert same
    assert [0, 0, 0] == [one.status for one in (dry, part, whole)], (dry, part, whole)
    assert "Taken back, and read back. As before already: net.ipv4.tcp_tw_reuse." == told
    assert "All was as before already: nothing was written." == all_told
    refused(nothing, 4, "nothing to undo")


@needs_strace
def test_after_a_boot_it_is_told_where_a_value_came_from():
    """
    A change that died with its file written, and a boot that read the file before recover.
    """

    def job():
        """Die at the end of the entry, boot, and recover."""
        traced("set", WORD, "--persist")
        last = [one for one in points() if "rename" in one.call][-1]
        reset()
        fault = f"inject={last.call}:signal=KILL:when={last.nth}"
        traced("set", WORD, "--persist", inject=[fault])
        hold("tcp_tw_reuse", "2")
        path = Path("/run/boot")
        path.write_text("00000000-0000-4000-8000-000000000009\n")
        mount(str(path), "/proc/sys/kernel/random/boot_id", "", MS_BIND)
        boot()
        return now(), ask("recover"), entry_of(1), now(), state().files

    booted, ended, entry, after, files = on_a_host(job)

    assert (TRIED, TRIED, {}) == (booted, after, files)
    assert (0, "put_back") == (ended.status, entry["phase"]), ended
    assert entry["outcome"].startswith("Put back in the file alone, as the system has booted since")
    assert (
        "net.ipv4.tcp_tw_reuse is '1' now, from /etc/sysctl.d/90-portroom.conf:"
        in (entry["outcome"])
    )


# ------------------------------------------------------------ told as it is


def test_a_guardian_that_finds_no_room_says_so():
    """
    The file of the trial is named, nothing was written, and nothing is reported as a bug.
    """

    def job():
        """Fill /run/portroom, and try."""
        RUN.mkdir()
        mount("tmpfs", str(RUN), "tmpfs", options="size=4k,mode=755")
        (RUN / "ballast").write_bytes(bytes(4096))
        return tried(LONG), now(), phase(), sorted(path.name for path in RUN.iterdir())

    ended, held, after, left = on_a_host(job)

    assert 4 == ended.status, ended
    assert "The file of the trial, /run/portroom/trial-1, could not be written" in ended.told
    assert "the file system is full" in ended.told
    assert "standard output" not in ended.told
    assert (BEFORE, "put_back", ["ballast", "lock"]) == (held, after, left)


def test_who_ignores_ended_children_gets_answers():
    """
    `set` and `status` of a caller that started them with SIGCHLD ignored.
    """

    def job():
        """Ignore it, and ask."""

        def ignore():
            """Let the kernel forget children."""
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)

        words = (("set", WORD), ("status",), ("set", WORD, "--try-for", LONG), ("undo",))
        return [ask(*one, before=ignore) for one in words]

    ended = on_a_host(job)

    assert [0, 0, 0, 0] == [one.status for one in ended], ended


@needs_strace
def test_a_folder_that_is_exchanged_while_it_is_written_is_a_conflict():
    """
    Nothing was written, so nothing of it is to be put back: no exit status 5.
    """

    def job():
        """Exchange it for a link while the draft goes to the disk."""
        reset()
        before = state()
        traced("set", WORD, "--persist")
        aim = next(one for one in points() if one.call == "fsync" and ".portroom.new" in one.line)
        reset()
        other = Path("/etc/elsewhere")
        fault = f"inject=fsync:delay_enter=500000:when={aim.nth}"
        with ThreadPoolExecutor(1) as pool:
            ended = pool.submit(traced, "set", WORD, "--persist", inject=[fault])
            wait_until((SYSCTL_D / ".portroom.new").exists, "the draft is there")
            SYSCTL_D.rename(other)
            SYSCTL_D.symlink_to(other)
            answer = ended.result()
        SYSCTL_D.unlink()
        other.rename(SYSCTL_D)
        return before == state(), answer, phase()

    same, ended, after = on_a_host(job)

    assert 4 == ended.status, ended
    assert "could not be put back" not in ended.told
    assert (True, True) == (same, after in {"put_back", "conflict"})
