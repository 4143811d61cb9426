"""A change that broke off: seen by everybody, and never where somebody is at work."""

import fcntl
import json
import os

import pytest

from portroom.kernel.broken_off import read_broken_off
from portroom.kernel.locks import read_holder
from portroom.model.facts.trial import BrokenOff


def kept(folder, number, phase, **fields):
    """Write an entry of a journal, and return the folders of journal and lock."""
    journal, run = folder / "journal", folder / "run"
    journal.mkdir(exist_ok=True)
    run.mkdir(exist_ok=True)
    entry = {"number": number, "phase": phase, "request": {"words": ["tw_reuse=1"]}} | fields
    (journal / f"{number:010d}.json").write_text(json.dumps(entry))
    return str(journal), [str(run)]


@pytest.mark.parametrize("phase", ["writing", "persisting"])
def test_what_nobody_writes_any_more_broke_off(tmp_path, phase):
    """
    The latest entry is being written, and nobody holds the lock: a crash left it.
    """
    kept(tmp_path, 1, "done")
    where = kept(tmp_path, 2, phase)

    assert BrokenOff(2, ("tw_reuse=1",)) == read_broken_off(*where)


@pytest.mark.parametrize("phase", ["done", "trial", "put_back", "conflict", "namespace_gone"])
def test_what_ended_and_what_is_tried_did_not(tmp_path, phase):
    """
    Closed entries and trials are no change that broke off; an earlier entry is not asked.
    """
    kept(tmp_path, 1, "writing")

    assert read_broken_off(*kept(tmp_path, 2, phase)) is None


def test_somebody_at_work_is_left_in_peace(tmp_path):
    """
    While somebody holds the lock the entry is being written, and that is all.
    """
    where = kept(tmp_path, 1, "writing")
    with (tmp_path / "run" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        holder = read_holder(os.fstat(lock.fileno()))
        meanwhile = read_broken_off(*where)
        fcntl.flock(lock, fcntl.LOCK_UN)
        after = read_broken_off(*where)

    assert os.getpid() == holder
    assert meanwhile is None
    assert 1 == after.number


def test_locks_that_cannot_be_seen_prove_nothing(tmp_path):
    """
    Without /proc/locks nobody is said to be gone.
    """
    where = kept(tmp_path, 1, "writing")
    (tmp_path / "run" / "lock").touch()

    assert read_broken_off(*where, proc=str(tmp_path / "none")) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"[" * 100_000, b"\xff", b'{"number": 1}'])
def test_a_damaged_entry_says_nothing(tmp_path, content):
    """
    What cannot be understood is told by who acts on it, and not here.
    """
    where = kept(tmp_path, 1, "writing")
    (tmp_path / "journal" / "0000000001.json").write_bytes(content)

    assert read_broken_off(*where) is None


def test_no_journal_is_no_change(tmp_path):
    """
    Where nobody ever changed anything there is nothing to tell, and other names are no entries.
    """
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / ".0000000001.json.new").write_bytes(b"{}")

    assert read_broken_off(str(tmp_path / "none"), []) is None
    assert read_broken_off(str(tmp_path / "journal"), []) is None
