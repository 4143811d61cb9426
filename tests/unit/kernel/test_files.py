"""A pseudo-file is read whole, in one read."""

import pytest

from portroom.kernel.files import read_text


def test_a_file_is_read_whole(tmp_path):
    """
    The text comes back as it stands, also where it is longer than a page.
    """
    text = "1,3," * 50_000
    (tmp_path / "list").write_text(text)

    assert text == read_text(str(tmp_path / "list"))


def test_a_limit_cuts(tmp_path):
    """
    No more than the limit is read.
    """
    (tmp_path / "list").write_text("abcdef")

    assert "abc" == read_text(str(tmp_path / "list"), limit=3)


def test_bytes_that_are_no_text_are_shown(tmp_path):
    """
    A byte that is no UTF-8 stands as its number, and can be printed.
    """
    (tmp_path / "comm").write_bytes(b"evil\xff\n")

    assert "evil\\xff\n" == read_text(str(tmp_path / "comm"))


def test_a_missing_file_is_an_error(tmp_path):
    """
    A file that does not exist is never empty text.
    """
    with pytest.raises(FileNotFoundError):
        read_text(str(tmp_path / "none"))
