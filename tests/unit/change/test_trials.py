"""Which trial is pending, which one is meant, and what its file is like."""

import datetime
import fcntl
import os
import stat
from pathlib import Path

import msgspec
import pytest

from portroom.change import trials
from portroom.errors import ChangeError, InvalidRequestError, RefusedError
from portroom.kernel.trials import is_guarded, read_boot_id, read_trials
from portroom.model.facts.change import Request, SettingStep
from portroom.model.facts.journal import DONE, PERSISTING, PUT_BACK, TRIAL, WRITING, Trial
from portroom.model.facts.snapshot import NetnsId
from tests.unit.change.made_entries import HERE, RANGE, entry, places_in

WEB = NetnsId("web", 8, 4026532000, "named")
NOON = datetime.datetime(2026, 1, 2, 12, 0, 0, tzinfo=datetime.UTC)
FAR_S = 1e9


def trial(number=1, *netns, deadline_s=FAR_S, **fields):
    """Return an entry that is on trial in some namespaces."""
    steps = [SettingStep(one, RANGE, "32768 60999", "15000 64001") for one in netns or (HERE,)]
    known = {
        "number": number,
        "boot_id": read_boot_id(),
        "phase": TRIAL,
        "trial": Trial(deadline_s, NOON),
    }
    return entry(*steps, **(known | fields))


@pytest.fixture
def places(tmp_path):
    """
    Return places below an empty folder.
    """
    (tmp_path / "run").mkdir()
    return places_in(tmp_path)


def test_its_file_is_locked_from_the_first_moment(places):
    """
    Everybody can read it, and see that it is guarded; it is so until the descriptor is closed.
    """
    held = trials.hold(places, trial(7, HERE, WEB))
    path = Path(places.run, "trial-7")
    guarded = read_trials(places.run).trials
    os.close(held)
    (one,) = read_trials(places.run).trials

    assert [True] == [seen.guarded for seen in guarded]
    assert (7, ("range=15000-64001",), "host, web", False) == (
        one.number,
        one.words,
        one.netns,
        one.guarded,
    )
    assert 0o644 == stat.S_IMODE(path.stat().st_mode)
    assert 0o755 == stat.S_IMODE(path.parent.stat().st_mode)


def test_a_lock_on_an_old_file_keeps_no_guardian_away(places):
    """
    Who may read the file may lock it; a guardian that comes back makes a new one.
    """
    os.close(trials.hold(places, trial(7)))
    with Path(places.run, "trial-7").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        os.close(trials.hold(places, trial(7)))

        assert not is_guarded(places.run, 7)


def test_a_draft_of_a_guardian_that_died_is_no_hindrance(places):
    """
    What lies under the name of the draft, be it a link, is replaced and not followed.
    """
    os.close(trials.hold(places, trial(6)))
    target = Path(places.run, "target")
    target.write_bytes(b"mine")
    Path(places.run, ".trial-7.new").symlink_to(target)
    os.close(trials.hold(places, trial(7)))

    assert b"mine" == target.read_bytes()
    assert [6, 7] == [one.number for one in read_trials(places.run).trials]


def test_heal_keeps_what_is_open_alone(places):
    """
    Files of trials that ended go, and drafts of them; the lock and the others stay.
    """
    for number in (1, 2, 3):
        os.close(trials.hold(places, trial(number)))
    for name in (".trial-2.new", ".trial-3.new", "lock", "notes"):
        Path(places.run, name).write_bytes(b"")
    trials.heal(places, [trial(1, phase=DONE), trial(2), trial(3, trial=None)])

    assert [".trial-2.new", "lock", "notes", "trial-2"] == sorted(
        path.name for path in Path(places.run).iterdir()
    )


def test_heal_keeps_what_may_be_open(places):
    """
    The file of a trial whose entry cannot be read stays; of a lost journal, all stay.
    """
    for number in (1, 2):
        os.close(trials.hold(places, trial(number)))
    trials.heal(places, [], [0])
    all_of_them = [one.number for one in read_trials(places.run).trials]
    trials.heal(places, [], [2])

    assert [1, 2] == all_of_them
    assert [2] == [one.number for one in read_trials(places.run).trials]


def test_heal_and_remove_need_nothing(places, tmp_path):
    """
    Where no folder is, and no file, there is nothing to do.
    """
    trials.heal(places, [])
    trials.remove(places, 7)

    assert [] == list((tmp_path / "run").iterdir())


def test_the_deadline_is_judged_on_the_clock_that_nobody_sets():
    """
    What is left is a difference on CLOCK_BOOTTIME, whatever date the entry shows.
    """
    one = trial(deadline_s=100.0)

    assert 60.0 == trials.left_s(one, 40.0)
    assert not trials.is_late(one, 99.9)
    assert trials.is_late(one, 100.0)
    assert [False, False] == [
        trials.is_late(msgspec.structs.replace(one, phase=phase), 200.0)
        for phase in (WRITING, PERSISTING)
    ]


def test_a_second_trial_in_a_namespace_is_refused():
    """
    The one that waits is named, with what to do; another namespace is free.
    """
    entries = [trial(3, HERE, WEB), trial(4, NetnsId("db", 9, 4026532001, "named"))]
    with pytest.raises(RefusedError) as refused:
        trials.refuse_while_pending(entries, [WEB])
    trials.refuse_while_pending(entries, [NetnsId("other", 10, WEB.inode, "named")])

    assert "Trial 3 ('range=15000-64001') is pending" in refused.value.message
    assert "portroom confirm" in refused.value.hint
    assert "portroom undo" in refused.value.hint


@pytest.mark.parametrize(
    "fields", [{"phase": DONE}, {"phase": PUT_BACK}, {"trial": None}, {"boot_id": "another"}]
)
def test_what_ended_is_in_nobodys_way(fields):
    """
    A change that is closed, no trial, or of another boot refuses nothing.
    """
    trials.refuse_while_pending([trial(3, **fields)], [HERE])

    assert trials.pending_in([trial(3, **fields)], [HERE]) is None


def test_a_namespace_without_a_cookie_is_known_by_its_inode():
    """
    On a kernel that has no cookies the inode has to do.
    """
    old = NetnsId("web", None, 77, "named")

    assert trials.pending_in([trial(3, old)], [NetnsId("again", None, 77, "named")]) is not None
    assert trials.pending_in([trial(3, old)], [NetnsId("web", None, 78, "named")]) is None


def test_the_only_one_that_waits_is_meant():
    """
    Without a number the only pending trial is taken, else the one of that number.
    """
    entries = [trial(1, phase=DONE), trial(2), trial(3, WEB)]

    assert 2 == trials.choose(entries[:2]).number
    assert 3 == trials.choose(entries, 3).number


def test_of_two_one_has_to_be_named():
    """
    Two pending trials and no number are a wrong request that names both.
    """
    with pytest.raises(InvalidRequestError, match=r"2, 3"):
        trials.choose([trial(2), trial(3, WEB)])


def test_none_that_waits_is_told_with_how_the_last_one_ended():
    """
    Too late: the message has the time at which it was taken back.
    """
    ended = trial(2, phase=PUT_BACK, ended_at=NOON, outcome="Nobody confirmed it.")
    with pytest.raises(ChangeError, match=r"trial 2 was taken back at 12:00:00 UTC\. Nobody"):
        trials.choose([trial(1, phase=DONE), ended])
    with pytest.raises(ChangeError, match=r"^No trial is pending\."):
        trials.choose([entry(number=1, phase=DONE)])
    with pytest.raises(ChangeError, match=r"^No trial is pending\."):
        trials.choose([ended], 9)


def test_a_number_of_none_that_waits_names_those_that_do():
    """
    The trials that are pending are told, and how the one that is meant ended, if it is one.
    """
    ended = trial(2, phase=PUT_BACK, ended_at=NOON, outcome="Nobody confirmed it.")
    with pytest.raises(ChangeError, match=r"^9 is no pending trial; pending: 1, 3\."):
        trials.choose([trial(1), ended, trial(3, WEB)], 9)
    with pytest.raises(ChangeError, match=r"^Trial 2 was taken back at 12:00:00 .* Pending: 1\."):
        trials.choose([trial(1), ended], 2)


def test_words_may_be_anything(places):
    """
    Escapes, newlines and long lists of words come back as they were given.
    """
    words = ("range=1-2\x1b[31m\n", "\u202e", *["x" * 200] * 500)
    os.close(trials.hold(places, trial(7, request=Request(words))))

    assert words == read_trials(places.run).trials[0].words
