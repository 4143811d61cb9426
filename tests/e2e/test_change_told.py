"""What commands that change tell, on a real host: what was left, what really happened, and where."""

import signal
from pathlib import Path

from tests.e2e.change_host import end_guardians, on_a_host
from tests.e2e.faults import answered, ask, needs_root
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
