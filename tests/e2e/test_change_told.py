"""What commands that change tell, on a real host: what was left, what really happened, and where."""

import signal

from tests.e2e.change_host import end_guardians, on_a_host
from tests.e2e.faults import answered, ask, needs_root
from tests.e2e.trial_host import command, tried
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
