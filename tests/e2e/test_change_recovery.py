"""What is left of a change: told by everybody, taken back by who may, hidden from nobody."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from portroom.model.facts.trial import PATIENCE_S
from tests.e2e.change_host import RUN, STATE, SYSCTL_D, end_guardians, hold, on_a_host
from tests.e2e.faults import (
    COMMAND,
    MS_BIND,
    MS_RDONLY,
    MS_REMOUNT,
    answered,
    as_nobody,
    ask,
    mount,
    needs_root,
    open_ways,
    refused,
)
from tests.e2e.trial_host import (
    BEFORE,
    LONG,
    TRIED,
    WORD,
    begun,
    entry_of,
    now,
    tried,
    wait_for,
    wait_for_end,
)
from tests.kernel.harness import wait_until

pytestmark = needs_root

ENTRY = STATE / "journal/0000000001.json"
TRIAL_FILE = RUN / "trial-1"

DAMAGES = {"torn": lambda: ENTRY.write_bytes(b"{"), "writable": lambda: ENTRY.chmod(0o666)}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_trial_whose_entry_is_lost_is_hidden_from_nobody(damage):
    """
    Whatever changes something names the file and writes nothing; status goes on warning.
    """

    def job():
        """Lose the guardian and the entry of a trial."""
        tried(LONG)
        end_guardians()
        damage()
        return [
            [ask(*words) for words in (["recover"], ["set", "range=15000-64001"], ["undo"])],
            TRIAL_FILE.exists(),
            ask("status"),
            now(),
        ]

    commands, kept, status, held = on_a_host(job)

    for ended in commands:
        refused(ended, 4, str(ENTRY), "by hand")
    assert kept
    answered(status, "Trial 1")
    assert held == TRIED


def test_an_entry_that_was_moved_away_is_in_nobodys_way():
    """
    Once the administrator did what the message says, all goes on.
    """

    def job():
        """Damage an entry, and move it away."""
        ask("set", WORD)
        ENTRY.write_bytes(b"{")
        before = ask("set", "tw_reuse=0")
        ENTRY.rename(STATE / "damaged")
        return before, ask("recover"), ask("set", "tw_reuse=0")

    before, recovered, after = on_a_host(job)

    refused(before, 4, str(ENTRY))
    answered(recovered, "Nothing to recover.")
    assert 0 == after.status, after


def test_confirm_names_the_trials_that_wait():
    """
    A number of none of them is told, with those that there are.
    """

    def job():
        """Confirm another number."""
        tried(LONG)
        return ask("confirm", "9")

    refused(on_a_host(job), 4, "9 is no pending trial; pending: 1.")


UID = 1000
RUNTIME = "/run/user/1000"
CAPABLE = [
    "setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups",
    "--inh-caps=-all,+net_admin", "--ambient-caps=+net_admin",
]  # fmt: skip


def as_user(*words, runtime=RUNTIME):
    """Run the command as a user who is logged in and has CAP_NET_ADMIN alone."""
    environment = {"HOME": "/run/home", "XDG_RUNTIME_DIR": runtime}
    return ask(*words, command=[*CAPABLE, *COMMAND], environment=environment)


def logged_in():
    """Have a user with a home and a folder of what ends with the boot."""
    open_ways()
    for folder, mode in (("/run/home", 0o755), (RUNTIME, 0o700)):
        Path(folder).mkdir(parents=True, mode=mode)
        os.chown(folder, UID, UID)


@pytest.mark.parametrize("runtime", [RUNTIME, ""], ids=["logged in", "a guardian alone"])
def test_a_trial_of_a_user_is_seen_by_root(runtime):
    """
    status shows it; in its namespace root changes nothing, and is told who ends it, and how.
    """

    def job():
        """Try as a user, and be root."""
        logged_in()
        begun = as_user("set", WORD, "--try-for", LONG, runtime=runtime)
        asked = [ask(*words) for words in (["set", "tw_reuse=0"], ["confirm", "1"], ["undo"])]
        return begun, ask("status"), asked, now(), as_user("undo", runtime=runtime), now()

    begun, status, asked, held, undone, back = on_a_host(job)

    assert 0 == begun.status, begun
    answered(status, "Trial 1")
    for ended in asked:
        assert 4 == ended.status, ended
        assert [] == [
            part
            for part in ("Trial 1", "uid 1000", "sudo -u '#1000' ", "confirm 1", "undo 1")
            if part not in ended.told
        ], ended
    assert held == TRIED
    assert 0 == undone.status, undone
    assert back == BEFORE


def test_a_user_is_told_of_the_trial_of_the_system():
    """
    A change in its namespace is refused; who would end it lacks a right, and has the line to run.
    """

    def job():
        """Try as root, and be a user, with the capability or without."""
        logged_in()
        tried(LONG)
        refusals = as_user("set", "tw_reuse=0"), as_nobody("set", "tw_reuse=0")
        lacking = [as_user(*words) for words in (["confirm"], ["confirm", "1"], ["undo"])]
        return refusals, [*lacking, as_user("recover"), as_user("undo", "1")], now()

    refusals, lacking, held = on_a_host(job)

    assert [4, 4] == [one.status for one in refusals], refusals
    assert "Trial 1 ('tw_reuse=1') of 'root' (uid 0) is pending in this" in refusals[0].told
    for ended in lacking:
        refused(ended, 4, "Trial 1 ('tw_reuse=1') of 'root'", "Run: sudo /")
    assert held == TRIED


def test_a_user_is_told_that_a_change_is_the_systems():
    """
    With nothing of one's own to undo, the right that is missing for the system's is told.
    """

    def job():
        """Change as root, and undo as a user."""
        logged_in()
        ask("set", WORD)
        return as_user("undo"), as_user("recover")

    undone, recovered = on_a_host(job)

    refused(undone, 4, "Change 1 is the system's", "Run: sudo /")
    answered(recovered, "Nothing to recover.")


def namespace(*names):
    """Make network namespaces."""
    for name in names:
        subprocess.run(["ip", "netns", "add", name], check=True)


def phases():
    """Return how each entry of the journal stands, the first one first."""
    return [one["phase"] for one in reversed(ask("journal", "-o", "json").json["entries"])]


def test_undo_takes_the_last_change_back_be_it_a_trial_or_not():
    """
    A change made after a trial, in another namespace, goes first; then the trial.
    """

    def job():
        """Try in one namespace, and change another."""
        namespace("red")
        tried(LONG, "--netns", "red")
        ask("set", WORD)
        dry = ask("undo", "--steps", "2", "--dry-run", "-o", "json")
        first = ask("undo"), phases(), now()
        return dry, first, ask("undo"), phases()

    dry, first, second, after = on_a_host(job)

    assert [2, None] == [one["undoes"] for one in dry.json["entries"]]
    assert ["trial", "done", "done"] == first[1], first
    assert first[2] == BEFORE
    assert 0 == second.status, second
    assert ["put_back", "done", "done"] == after


def test_one_change_alone_is_taken_back_by_its_number():
    """
    What somebody else changed is a conflict that names the change, and the way to an earlier one.
    """

    def job():
        """Change twice, lose the second, and undo."""
        ask("set", WORD)
        ask("set", "reserved=9000")
        hold("ip_local_reserved_ports", "9001")
        stuck = ask("undo"), ask("undo", "--dry-run")
        done = ask("undo", "1"), now()
        wrong = [ask("undo", *words) for words in (["1"], ["3"], ["9"], ["1", "--steps", "2"])]
        return stuck, done, wrong

    stuck, done, wrong = on_a_host(job)

    for ended in stuck:
        refused(ended, 4, "Change 2 cannot be taken back: ", "`portroom undo NUMBER`")
    assert (0, BEFORE) == (done[0].status, done[1]), done
    refused(wrong[0], 4, "Change 1 was taken back already: entry 3.")
    refused(wrong[1], 4, "Entry 3 is an undo itself")
    refused(wrong[2], 4, "The journal has no change 9.")
    refused(wrong[3], 2, "--steps")


def test_fewer_undos_than_asked_for_are_told():
    """
    What there was is taken back, and stderr says that there was no more.
    """

    def job():
        """Undo more than was done."""
        ask("set", WORD)
        return ask("undo", "--steps", "5")

    ended = on_a_host(job)

    assert 0 == ended.status, ended
    assert "no more to undo" in ended.told


def test_a_change_that_ended_with_its_namespace_is_told():
    """
    undo says of which change nothing is left, and the journal from then on, too.
    """

    def job():
        """Change a namespace, and delete it."""
        namespace("green")
        ask("set", WORD, "--netns", "green")
        subprocess.run(["ip", "netns", "del", "green"], check=True)
        return ask("undo", "--dry-run"), ask("undo"), phases(), ask("undo")

    dry, ended, after, again = on_a_host(job)

    for one in (dry, ended):
        refused(one, 4, "Nothing is left of change 1: its network namespace is gone.")
    assert ["namespace_gone"] == after
    refused(again, 4, "There is nothing to undo.")


def test_a_live_change_that_ended_with_its_boot_is_told():
    """
    Neither undo nor the journal says of it that it stands.
    """

    def job():
        """Change a value, and boot."""
        ask("set", WORD)
        Path("/run/boot_id").write_text("00000000-0000-0000-0000-000000000001\n")
        target = "/proc/sys/kernel/random/boot_id"
        subprocess.run(["mount", "--bind", "/run/boot_id", target], check=True)
        return ask("undo"), ask("journal", "-o", "json")

    ended, journal = on_a_host(job)

    refused(ended, 4, "Nothing is left of change 1: the system has booted since.")
    (entry,) = journal.json["entries"]
    assert ("put_back", True) == (entry["phase"], "booted since" in entry["outcome"])


def read_only_etc():
    """Let /etc/sysctl.d be read-only from now on."""
    mount("/etc/sysctl.d", "/etc/sysctl.d", "", MS_BIND)
    mount("none", "/etc/sysctl.d", "", MS_BIND | MS_REMOUNT | MS_RDONLY)


def test_a_confirmation_that_failed_tells_until_when_the_trial_goes_on():
    """
    Whether the file cannot be written, or would not decide: the deadline stands.
    """

    def job():
        """Let first the file decide nothing, then the folder be read-only."""
        tried(LONG, "--persist")
        later = SYSCTL_D / "~~~.conf"
        later.write_text("net.ipv4.tcp_tw_reuse = 2\n")
        beaten = ask("confirm")
        later.unlink()
        read_only_etc()
        deadline = entry_of(1)["trial"]["deadline_at"]
        return deadline, beaten, ask("confirm"), now()

    deadline, *ended, held = on_a_host(job)

    for one in ended:
        refused(one, 4, f"Trial 1 goes on, and is taken back at {deadline[11:19]} UTC")
    assert held == TRIED


def test_an_undo_that_failed_says_that_the_change_stands():
    """
    In the journal it is an undo that failed, and not a change that was taken back.
    """

    def job():
        """Undo what was kept while /etc is read-only."""
        ask("set", WORD, "--persist")
        read_only_etc()
        return ask("undo"), ask("journal", "-o", "json").json["entries"][0]

    ended, entry = on_a_host(job)

    assert 4 == ended.status, ended
    assert ("undo", "put_back") == (entry["action"], entry["phase"])
    assert entry["outcome"].startswith("Failed, change 1 stands: ")


INTERRUPTED_AT_WORK = """
import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from portroom.change import steps
really = steps.write
def write(*words):
    os.kill(os.getpid(), signal.SIGINT)
    return really(*words)
steps.write = write
from portroom.cli import main
main()
"""


def test_ctrl_c_during_the_writes_says_that_all_was_put_back():
    """
    One sentence on stderr, exit status 130, and the value is as before.
    """

    def job():
        """Interrupt a change."""
        return (
            ask("set", WORD, command=[sys.executable, "-c", INTERRUPTED_AT_WORK]),
            now(),
            phases(),
        )

    ended, held, after = on_a_host(job)

    assert (130, "portroom: Interrupted; put back.") == (ended.status, ended.told.strip())
    assert held == BEFORE
    assert ["put_back"] == after


def test_values_that_a_guardian_put_back_are_not_said_to_stand():
    """
    While a stopped writer keeps the lock, status does not say that a trial was not taken back.
    """

    def job():
        """Stop the writer at the worst moment, and wait for the guardian."""
        writer = begun("1s", signal=signal.SIGSTOP)
        wait_for(TRIED)
        wait_for(BEFORE)
        wait_until(lambda: trial()["put_back"], "it is told")
        wait_until(lambda: trial()["left_s"] < -PATIENCE_S, "it is overdue", deadline_s=20)
        seen = trial(), ask("status")
        writer.kill()
        writer.wait()
        return seen, wait_for_end()["phase"]

    def trial():
        """Return the trial that status shows."""
        (one,) = ask("status", "-o", "json").json["trials"]
        return one

    (one, status), after = on_a_host(job)

    assert (True, True) == (one["guarded"], one["put_back"])
    assert "was not taken back" not in status.answer + status.told
    assert "put_back" == after
