"""What commands that change tell, on a real host: what was left, what really happened, and where."""

import os
import signal
import subprocess
from pathlib import Path

from tests.e2e.change_host import end_guardians, on_a_host
from tests.e2e.faults import answered, ask, needs_root, refused
from tests.e2e.trial_host import command, now, tried
from tests.kernel.harness import wait_until

pytestmark = needs_root

READING = (
    ["status"],
    ["settings", "range"],
    ["plan", "tw_reuse=1"],
    ["set", "tw_reuse=1", "--dry-run"],
    ["undo", "--dry-run"],
)
"""Commands that change nothing."""


def test_what_a_crash_left_is_told_by_every_command_that_reads():
    """
    Also by a dry run that has nothing to do; and the commands that change take it back.
    """

    def job():
        """Die when all is written, then look around."""
        ask("set", "tw_reuse=0")
        ask("set", "tw_reuse=1", "--persist", command=command(signal.SIGKILL))
        read = [ask(*words) for words in READING]
        return read, ask("recover"), ask("status")

    read, back, after = on_a_host(job)

    assert [1] * len(READING) == [
        one.told.count("change 2 was broken off: run portroom recover") for one in read
    ]
    assert "Change 2 (tw_reuse=1) was broken off: portroom recover." in read[0].answer
    assert "1  →  0" in back.answer
    assert "/etc/sysctl.d/90-portroom.conf is removed" in back.answer
    answered(after, "")
    assert "broken off" not in after.told + after.answer


def test_an_expired_trial_is_told_by_every_command_that_reads():
    """
    Dry runs read only, so they tell it as well.
    """

    def job():
        """Let a trial expire of which nobody takes care."""
        tried()
        end_guardians()
        wait_until(lambda: "expired" in ask("settings", "range").told, "it expired")
        return [ask(*words) for words in READING]

    read = on_a_host(job)

    assert [1] * len(READING) == [one.told.count("a trial expired and was not") for one in read]


def test_words_and_files_are_judged_before_anything_is_recovered():
    """
    What cannot be meant changes nothing, not even what a crash left; a plan that can be does.
    """

    def job():
        """Leave a change half made, then call wrongly, and at last rightly."""
        ask("plan", "range=15000-64001", "--out", "/run/plan")
        Path("/run/edited").write_text(Path("/run/plan").read_text().replace("64001", "64003"))
        ask("set", "tw_reuse=1", command=command(signal.SIGKILL))
        wrong = [
            ask(*words)
            for words in (
                ["apply", "/run/none"],
                ["apply", "/run/edited"],
                ["set", "rnage=5"],
                ["set", "tw_reuse=0", "--netns", "none"],
            )
        ]
        left = now()
        return wrong, left, ask("apply", "/run/plan"), now()

    wrong, left, done, back = on_a_host(job)

    assert [2, 4, 2, 2] == [one.status for one in wrong]
    assert [1] * len(wrong) == [one.told.count("\n") for one in wrong]
    assert ("1\n", "2\n") == (left, back)
    assert 0 == done.status, done
    assert "entry 1 of the journal had not completed" in done.told


def test_a_plan_for_standard_output_stands_there_alone():
    """
    What `--out -` writes can be applied as the file can; a file of that name is not made.
    """

    def job():
        """Keep a plan by redirecting it."""
        made = ask("plan", "tw_reuse=1", "--out", "-", cwd="/run")
        Path("/run/plan").write_text(made.answer)
        done = ask("apply", "/run/plan")
        wrong = [
            ask("plan", "tw_reuse=0", "--out", "-", *others)
            for others in (["-o", "json"], ["--replace"])
        ]
        refused = ask("plan", "range=40000-40009", "--out", "-")
        return made, Path("/run/-").exists(), done, wrong, refused

    made, exists, done, wrong, unsafe = on_a_host(job)

    assert (0, "") == (made.status, made.told)
    assert not exists
    assert 0 == done.status, done
    assert [2, 2] == [one.status for one in wrong]
    assert (4, "") == (unsafe.status, unsafe.answer)


def test_csv_of_a_change_tells_its_entry_on_stderr():
    """
    A line about the outcome is no row: standard error has it, and a refusal as ever.
    """

    def job():
        """Try a setting, then keep it."""
        tried = ask("set", "tw_reuse=1", "--try", "-o", "csv")
        ask("confirm")
        nothing = ask("set", "tw_reuse=1", "-o", "csv")
        return tried, nothing, ask("set", "tw_reuse=0", "-o", "csv"), ask("undo", "-o", "csv")

    tried, nothing, done, undone = on_a_host(job)

    assert "On trial, read back: entry 1 of the journal." in tried.told
    assert "Keep it: portroom confirm 1." in tried.told
    assert "entry" not in nothing.told
    assert "Done and read back: entry 2 of the journal. Take it back: portroom undo." in done.told
    assert 2 == done.answer.count("\n")
    assert undone.answer.splitlines()[1].startswith("3,2")


def test_an_undo_of_more_than_there_is_says_so():
    """
    How many were taken back, and that there was no more; the number of steps may be any.
    """

    def job():
        """Change twice, look at five steps back, and go."""
        ask("set", "tw_reuse=1")
        ask("set", "range=15000-64001")
        return ask("undo", "--steps", "5", "--dry-run"), ask("undo", "--steps", "5"), ask("undo")

    dry, done, last = on_a_host(job)

    assert "portroom: 2 changes would be taken back; there is no more to undo.\n" == dry.told
    assert (0, "portroom: 2 changes were taken back; there is no more to undo.\n") == (
        done.status,
        done.told,
    )
    refused(last, 4, "nothing to undo")


def test_an_undo_tells_what_really_happened_and_where():
    """
    Each value below its namespace, none of one that is gone, and the file alone where it was.
    """

    def job():
        """Change three namespaces, of which one ends, and a file."""
        for name in ("red", "blue"):
            subprocess.run(["ip", "netns", "add", name], check=True)
        ask("set", "range=20000-60001", "--netns", "red")
        ask("set", "range=15000-64001", "--all-netns", "--yes")
        both = ask("undo", "--dry-run")
        subprocess.run(["ip", "netns", "del", "red"], check=True)
        gone = ask("undo")
        ask("set", "tw_reuse=1", "--persist-only")
        return both, gone, ask("undo", "--dry-run"), ask("undo"), now()

    both, gone, dry, alone, held = on_a_host(job)

    assert "  blue and host:\n    range  15000-64001  →  32768-60999\n" in both.answer
    assert "  red:\n    range  15000-64001  →  20000-60001\n" in both.answer
    assert "20000-60001" not in gone.answer
    assert "range  15000-64001  →  32768-60999" in gone.answer
    for ended in (dry, alone):
        assert "→" not in ended.answer
        assert (
            "90-portroom.conf is removed\n  The kernel's values stay as they are." in ended.answer
        )
    assert "read back" not in alone.answer
    assert "2\n" == held


def test_a_dry_run_tells_of_the_trial_that_would_refuse_it():
    """
    Below the plan, and on standard error for programs; in another namespace nothing is told.
    """

    def job():
        """Try a setting, then look at another change."""
        subprocess.run(["ip", "netns", "add", "red"], check=True)
        ask("set", "tw_reuse=1", "--try")
        return [
            ask("set", "range=15000-64001", *others)
            for others in (
                ["--dry-run"],
                ["--dry-run", "-o", "json"],
                ["--dry-run", "--netns", "red"],
                [],
            )
        ]

    dry, data, red, real = on_a_host(job)
    told = "Trial 1 (tw_reuse=1 in host) is pending: until it ends, nothing else is changed there"

    assert (0, 0, 0) == (dry.status, data.status, red.status)
    assert f"\n{told}" in dry.answer
    assert dry.answer.index("15000-64001") < dry.answer.index(told)
    assert told in data.told
    assert data.json["entry"] is None
    assert "Trial" not in red.answer + red.told
    assert 4 == real.status
    assert "Trial 1 (" in real.told


def test_a_plan_that_nobody_takes_is_not_carried_out():
    """
    With its reader gone, or the disk full, nothing is written; the sentence says so.
    """

    def job():
        """Set with nobody at the other end."""
        read_end, write_end = os.pipe()
        os.close(read_end)
        with os.fdopen(write_end, "wb") as nobody, Path("/dev/full").open("wb") as full:
            ended = [
                ask("set", "tw_reuse=1", stdout=taker, stderr=subprocess.PIPE)
                for taker in (nobody, full)
            ]
        return *ended, now()

    closed, full, held = on_a_host(job)

    assert (4, 4, "2\n") == (closed.status, full.status, held)
    assert "the plan was not told and nothing was written" in closed.told
    assert 1 == full.told.count("\n")
