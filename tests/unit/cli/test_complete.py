"""What a shell is offered: files, namespaces, and the numbers of trials and changes."""

import os

import pytest

from portroom.cli import complete
from portroom.cli.commands import COMMANDS, portroom
from portroom.kernel.namespaces import mounted_names
from tests.unit.render import change_examples as made

KINDS = {"FILE": "file", "DIR": "dir"}


def offered(complete_it, begun=""):
    """Return the kinds and words that are offered."""
    return [(one.type, one.value) for one in complete_it(None, None, begun)]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_file_and_namespace_is_completed(command):
    """Nothing that takes a file, a folder or a namespace is forgotten."""
    for one in portroom.get_command(None, command).params:
        if one.metavar in KINDS:
            (item,) = one.shell_complete(None, "/tm")

            assert (KINDS[one.metavar], "/tm") == (item.type, item.value), one.name
        if one.metavar == "NAME|PID|PATH":
            assert [("file", "./n")] == [
                (item.type, item.value) for item in one.shell_complete(None, "./n")
            ]


@pytest.mark.parametrize(
    ("command", "offers"),
    [("confirm", complete.complete_trial), ("undo", complete.complete_change)],
)
def test_a_number_is_completed_where_one_is_asked_for(command, offers):
    """Of a trial to confirm, of a change to undo."""
    found = portroom.get_command(None, command).params

    assert [offers] == [one._custom_shell_complete for one in found if one.name == "number"]


def test_names_are_offered_that_are_accepted(tmp_path):
    """What would act in a shell, or is no name, is left out; so is a folder that is not there."""
    for name in ("red", "blue", "a b", "$(x)", "x;y", "*"):
        (tmp_path / name).touch()

    assert ["blue", "red"] == mounted_names(str(tmp_path))
    assert [] == mounted_names(str(tmp_path / "none"))


def test_numbers_of_trials_and_changes(monkeypatch):
    """Trials that the caller may confirm; changes that are not undone, the latest first."""
    trials = [made.pending(uid=0), made.pending(number=7, uid=os.geteuid() + 1)]
    entries = [made.UNDONE, made.trial_entry(), made.entry(9), made.entry(8, undone_by=13)]
    monkeypatch.setattr("portroom.api.trials.pending", lambda: trials)
    monkeypatch.setattr("portroom.api.change.journal", lambda _: made.journal(*entries))

    assert [("plain", "12")] == offered(complete.complete_trial)
    assert [("plain", "12"), ("plain", "9")] == offered(complete.complete_change)
    assert [("plain", "9")] == offered(complete.complete_change, "9")
