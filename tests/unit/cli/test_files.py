"""A file that the user named is whole or not there, and nobody else's to read."""

import os

import pytest

from portroom.cli.files import write_file
from portroom.errors import InvalidRequestError, WriteError


def names(folder):
    """Return what lies in a folder: no draft may stay."""
    return sorted(path.name for path in folder.iterdir())


def test_a_new_file_is_the_users_alone(tmp_path):
    """Mode 0600 whatever the umask, with all its bytes and no draft beside it."""
    before = os.umask(0)
    try:
        write_file(str(tmp_path / "new"), b"content")
    finally:
        os.umask(before)

    assert (tmp_path / "new").read_bytes() == b"content"
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == ["new"]


def test_an_existing_file_is_not_replaced_unasked(tmp_path):
    """The refusal names it and the way, and it stays as it was."""
    target = tmp_path / "old"
    target.write_bytes(b"old")

    with pytest.raises(InvalidRequestError, match="--force"):
        write_file(str(target), b"new")

    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["old"]


def test_force_replaces_a_file_in_one_step(tmp_path):
    """Who has the old file open keeps it whole; the new one is 0600."""
    target = tmp_path / "old"
    target.write_bytes(b"old")
    with target.open("rb") as reader:
        write_file(str(target), b"new", replace=True)

        assert reader.read() == b"old"

    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o600


def test_a_link_is_not_followed(tmp_path):
    """What a link points to is not written; with force the link gives way."""
    (tmp_path / "victim").write_bytes(b"victim")
    (tmp_path / "link").symlink_to("victim")

    with pytest.raises(InvalidRequestError):
        write_file(str(tmp_path / "link"), b"new")
    write_file(str(tmp_path / "link"), b"new", replace=True)

    assert (tmp_path / "victim").read_bytes() == b"victim"
    assert not (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("leads_to", ["/proc/self/fd/1", "/dev/null", "."])
def test_a_link_to_what_is_no_file_stays(tmp_path, leads_to):
    """As /dev/stdout is one: with root's rights it would be gone for the whole machine."""
    link = tmp_path / "stdout"
    link.symlink_to(leads_to)

    with pytest.raises(InvalidRequestError, match="not a regular file"):
        write_file(str(link), b"new", replace=True)

    assert link.is_symlink()


@pytest.mark.parametrize("replace", [False, True])
def test_only_a_regular_file_gives_way(tmp_path, replace):
    """A folder or a FIFO is refused, with and without force, and never waited for."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()

    for name in ("fifo", "folder"):
        with pytest.raises(InvalidRequestError, match="not a regular file"):
            write_file(str(tmp_path / name), b"new", replace=replace)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nowhere/file", "No such file or directory"),
        ("file/below", "Not a directory"),
        ("n" * 300, "File name too long"),
    ],
)
def test_a_place_that_takes_no_file_is_told(tmp_path, name, reason):
    """The name and the kernel's reason are in the sentence; nothing is left behind."""
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(WriteError, match=reason):
        write_file(str(tmp_path / name), b"new")

    assert names(tmp_path) == ["file"]
