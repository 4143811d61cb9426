"""State is whole or as it was before, and nobody else's business."""

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from portroom.errors import HistoryError
from portroom.history.state_folder import find, make, read_state, token, write_state
from tests.e2e.faults import mount, needs_root, private_mounts
from tests.e2e.seccomp import refuse
from tests.kernel.harness import in_child


def names_in(folder):
    """Return the names of what a folder holds, sorted."""
    return sorted(one.name for one in folder.iterdir())


def test_what_was_written_is_read(tmp_path):
    """Again and again, with any bytes, and nothing else is left."""
    folder = str(tmp_path / "state")
    for content in (b"", b"one", bytes(range(256)) * 100):
        write_state(folder, "owners", content)

        assert content == read_state(folder, "owners")

    assert ["owners"] == names_in(Path(folder))
    assert 0o600 == stat.S_IMODE((tmp_path / "state/owners").stat().st_mode)
    assert 0o700 == stat.S_IMODE((tmp_path / "state").stat().st_mode)


def test_what_is_not_there_is_none(tmp_path):
    """No folder, no file, or no file that is one."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("/etc/passwd")
    names = ("missing", "fifo", "folder", "link", "missing/inside")

    assert [None] * 5 == [read_state(str(tmp_path), name) for name in names]


@pytest.mark.parametrize("call", ["fsync", "openat"])
def test_a_write_that_fails_changes_nothing(tmp_path, call):
    """A disk that refuses: the error is told, and what was there before still is."""
    if os.uname().machine not in {"x86_64", "aarch64"}:
        pytest.skip("the numbers of system calls are known for x86_64 and aarch64")
    write_state(str(tmp_path), "alerts", b"before")

    def fail():
        """Write where the kernel refuses."""
        refuse(call, error=errno.EIO)()
        try:
            write_state(str(tmp_path), "alerts", b"after")
        except OSError as error:
            return error.errno
        return 0

    assert errno.EIO == in_child(fail)
    assert b"before" == read_state(str(tmp_path), "alerts")
    assert ["alerts"] == names_in(tmp_path)


@needs_root
def test_a_full_disk_changes_nothing(tmp_path):
    """What was there before still is, and the draft is gone."""

    def fill_up():
        """Write more than the file system has."""
        private_mounts()
        mount("tmpfs", str(tmp_path), "tmpfs", options="size=64k")
        write_state(str(tmp_path), "alerts", b"before")
        try:
            write_state(str(tmp_path), "alerts", bytes(1 << 20))
        except OSError as error:
            return error.errno, read_state(str(tmp_path), "alerts"), names_in(tmp_path)
        return None

    assert (errno.ENOSPC, b"before", ["alerts"]) == in_child(fill_up)


def test_the_folder_of_a_user_whom_nobody_knows_is_somewhere():
    """In a container a user may have no home."""
    assert find({"HOME": "relative", "XDG_STATE_HOME": "relative"}).endswith("/portroom")


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path):
    """Its mode is the service manager's or the administrator's choice."""
    tmp_path.chmod(0o750)
    make(str(tmp_path))

    assert 0o750 == stat.S_IMODE(tmp_path.stat().st_mode)


def test_a_token_is_made_once(tmp_path):
    """It is long, the same for ever, and its owner's alone."""
    file = tmp_path / "state/token"
    made = token(str(file))

    assert made == token(str(file))
    assert len(made) >= 40
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    assert ["token"] == names_in(tmp_path / "state")


def test_of_two_who_make_a_token_both_have_the_same(tmp_path):
    """Two daemons that start at once."""
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(token(f"{tmp_path}/token"))) for _ in range(8)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert 8 == len(found)
    assert 1 == len(set(found))


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (b"", 0o600, "holds no token"),
        (b"short\n", 0o600, "holds no token"),
        (b"two\nlines of a token that is long enough", 0o600, "holds no token"),
        (b"\xff" * 40, 0o600, "holds no token"),
        (b"x" * 10_000, 0o600, "holds no token"),
        (b"x" * 40, 0o644, "others than its owner"),
    ],
)
def test_what_is_no_token_is_refused(tmp_path, content, mode, words):
    """Nobody answers to a token that is none, or that others know."""
    if content == b"\xff" * 40:
        content = "é".encode() * 40
    file = tmp_path / "token"
    file.write_bytes(content)
    file.chmod(mode)

    with pytest.raises(HistoryError, match=words):
        token(str(file))


def test_a_token_that_cannot_be_made_is_an_error(tmp_path):
    """It names the file."""
    (tmp_path / "state").write_text("in the way")

    with pytest.raises(HistoryError, match=r"state/token' can neither be read nor made"):
        token(f"{tmp_path}/state/token")
