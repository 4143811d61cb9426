"""What is left of a change: told by everybody, taken back by who may, hidden from nobody."""

import pytest

from tests.e2e.change_host import RUN, STATE, end_guardians, on_a_host
from tests.e2e.faults import answered, ask, needs_root, refused
from tests.e2e.trial_host import LONG, TRIED, WORD, now, tried

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
