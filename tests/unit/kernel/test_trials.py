"""Files of trials: understood, left out, or told, and never more than that."""

import fcntl
import json
import os
import socket

import pytest

from portroom.kernel.trials import MOST_FILES, is_guarded, number_of, read_trials
from portroom.model.facts.trial import PendingTrial

BOOT = "b7a1"
GOOD = {
    "schema_version": 1,
    "number": 7,
    "boot_id": BOOT,
    "deadline_boottime_s": 100.0,
    "netns": ["web"],
    "words": ["range=15000-64001"],
}


def looked(folder, *, now_s=40.0):
    """Return what is seen in a folder at a time."""
    return read_trials(str(folder), now_s, BOOT)


def kept(folder, content, number=7):
    """Write the file of a trial."""
    path = folder / f"trial-{number}"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def test_a_trial_is_seen_with_what_is_left(tmp_path):
    """
    A file gives a trial that nobody guards, with the seconds until its deadline.
    """
    kept(tmp_path, GOOD)
    seen = looked(tmp_path)

    assert (PendingTrial(7, ("range=15000-64001",), "web", 60.0, False),) == seen.trials
    assert () == seen.gaps


def test_only_the_clock_of_the_boot_decides(tmp_path):
    """
    Past its deadline a trial is seen with a negative rest, whatever the wall clock says.
    """
    kept(tmp_path, GOOD)
    (trial,) = looked(tmp_path, now_s=103.5).trials

    assert -3.5 == trial.left_s
    assert trial.is_overdue


def test_fields_of_a_later_version_are_left_aside(tmp_path):
    """
    A file may gain fields.
    """
    kept(tmp_path, GOOD | {"colour": "red"})

    assert [7] == [one.number for one in looked(tmp_path).trials]


def test_a_lock_is_a_guardian(tmp_path):
    """
    Who holds the lock of the file guards the trial, and a look does not take it away.
    """
    path = kept(tmp_path, GOOD)
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        guarded = [looked(tmp_path).trials[0].guarded for _ in range(2)]
        fcntl.flock(file, fcntl.LOCK_UN)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        again = is_guarded(str(tmp_path), 7)

    assert [True, True] == guarded
    assert again
    assert not is_guarded(str(tmp_path), 7)
    assert not is_guarded(str(tmp_path), 8)


def test_a_trial_of_another_boot_is_none(tmp_path):
    """
    After a reboot a file that stayed means nothing.
    """
    kept(tmp_path, GOOD | {"boot_id": "another"})
    seen = looked(tmp_path)

    assert ((), ()) == (seen.trials, seen.gaps)


def test_no_folder_is_no_trial(tmp_path):
    """
    Where nobody ever tried anything there is nothing to tell.
    """
    seen = looked(tmp_path / "none")

    assert ((), ()) == (seen.trials, seen.gaps)


DAMAGED = {
    "nothing": b"",
    "torn": b'{"schema_version": 1, "numb',
    "no object": b"[]",
    "binary": b"\x00\xff\xfe",
    "no UTF-8": json.dumps(GOOD).encode().replace(b"web", b"\xff"),
    "deep": b"[" * 100_000,
    "another number": GOOD | {"number": 8},
    "no deadline": {name: value for name, value in GOOD.items() if name != "deadline_boottime_s"},
    "a text": GOOD | {"deadline_boottime_s": "soon"},
    "a huge number": json.dumps(GOOD).encode().replace(b"100.0", b"1e999"),
    "words": GOOD | {"words": "range"},
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_told(tmp_path, content):
    """
    What cannot be understood is a Gap that names the file, beside the trials that can.
    """
    kept(tmp_path, content)
    kept(tmp_path, GOOD | {"number": 9}, number=9)
    seen = looked(tmp_path)

    assert [9] == [one.number for one in seen.trials]
    assert [str(tmp_path / "trial-7")] == [gap.source for gap in seen.gaps]
    assert ("trials",) == seen.gaps[0].affects


def hostile(path, kind):
    """Put something else in the place of the file of a trial."""
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to("/dev/zero")
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "folder":
        path.mkdir()
    else:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(str(path))


@pytest.mark.parametrize("kind", ["FIFO", "link", "loop", "folder", "socket"])
def test_nothing_hostile_is_opened_for_long(tmp_path, kind, monkeypatch):
    """
    A FIFO, a link to an endless device, a folder: each is told at once, and none is followed.
    """
    monkeypatch.chdir(tmp_path)
    hostile(tmp_path / "trial-7", kind)
    seen = looked(tmp_path)

    assert () == seen.trials
    assert [str(tmp_path / "trial-7")] == [gap.source for gap in seen.gaps]


def test_other_names_are_no_trials(tmp_path):
    """
    The lock, drafts and names that portroom does not give are passed over.
    """
    for name in (
        "lock",
        ".trial-7.new",
        "trial-",
        "trial-x",
        "trial-07",
        "trial-²",
        "trial-" + "9" * 30,
    ):
        (tmp_path / name).write_bytes(b"?")
    seen = looked(tmp_path)

    assert ((), ()) == (seen.trials, seen.gaps)
    assert 7 == number_of("trial-7")


def test_a_flood_of_files_is_cut(tmp_path):
    """
    However many files somebody puts there, a command looks at a bounded number and says so.
    """
    for number in range(1, MOST_FILES + 3):
        (tmp_path / f"trial-{number}").write_bytes(b"")
    seen = looked(tmp_path)

    assert 1 + MOST_FILES == len(seen.gaps)
    assert str(tmp_path) == seen.gaps[0].source


def test_a_folder_that_may_not_be_listed_is_told(tmp_path):
    """
    A file in the place of the folder is a Gap, and no end of the command.
    """
    (tmp_path / "run").write_bytes(b"")
    seen = looked(tmp_path / "run")

    assert [str(tmp_path / "run")] == [gap.source for gap in seen.gaps]
