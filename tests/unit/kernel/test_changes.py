"""Changes of the journal are seen by whoever may read it, and nothing false is believed."""

import datetime
import os

import msgspec
import pytest

from portroom.kernel.changes import read_changes
from tests.unit.change.made_entries import entry

AT = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)


def write(folder, number, at=AT, mode=0o644, **fields):
    """Write an entry of the journal."""
    made = msgspec.structs.replace(entry(), number=number, started_at=at, **fields)
    path = folder / f"{number:010d}.json"
    path.write_bytes(msgspec.json.encode(made))
    path.chmod(mode)
    return path


def numbers(folder, since=AT - HOUR, until=AT + HOUR):
    """Return the numbers of the changes that are seen."""
    return [one.number for one in read_changes([str(folder)], since, until)]


def test_the_changes_of_a_time(tmp_path):
    """Both ends included, the earliest first, whatever their numbers."""
    for number, at in ((1, AT - 2 * HOUR), (2, AT + HOUR), (3, AT - HOUR), (4, AT + 2 * HOUR)):
        write(tmp_path, number, at)

    assert [3, 2] == numbers(tmp_path)


def test_what_was_asked_for_is_told(tmp_path):
    """With how it stands, and what an undo undoes."""
    write(tmp_path, 1, phase="done", undoes=7)
    (seen,) = read_changes([str(tmp_path)], AT, AT)

    assert (entry().request.words, "done", 7) == (seen.words, seen.phase, seen.undoes)


def test_no_journal_is_no_change(tmp_path):
    """Most hosts have none."""
    assert [] == numbers(tmp_path / "missing")


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b'{"number": 1}', b"\xff"])
def test_what_is_no_entry_is_left_out(tmp_path, content):
    """`portroom journal` tells of it."""
    (tmp_path / "0000000001.json").write_bytes(content)
    write(tmp_path, 2)

    assert [2] == numbers(tmp_path)


def test_what_others_could_have_written_is_left_out(tmp_path):
    """A file that others may write, another name of one, a link, a FIFO."""
    write(tmp_path, 1, mode=0o666)
    (tmp_path / "0000000003.json").hardlink_to(write(tmp_path, 2))
    (tmp_path / "0000000004.json").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "0000000005.json")
    write(tmp_path, 6)

    assert [6] == numbers(tmp_path)
