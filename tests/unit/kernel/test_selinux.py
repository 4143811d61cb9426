"""SELinux says itself whether it enforces."""

import os

import pytest

from portroom.errors import KernelDataError
from portroom.kernel.selinux import read_selinux
from tests.unit.kernel.trees import Fifo, make_tree

ENFORCE = "/sys/fs/selinux/enforce"


@pytest.mark.parametrize(
    ("tree", "expected"),
    [({ENFORCE: "1"}, "enforcing"), ({ENFORCE: "0\n"}, "permissive"), ({}, "")],
)
def test_the_mode(tmp_path, tree, expected):
    """
    Without its file system there is no SELinux.
    """
    assert expected == read_selinux(os.fsencode(make_tree(tmp_path, tree)))


@pytest.mark.parametrize("content", ["", "2", "enforcing", Fifo(), None])
def test_what_tells_neither_is_an_error(tmp_path, content):
    """
    It is quoted, and a FIFO is not opened.
    """
    with pytest.raises(KernelDataError, match="enforce: expected 0 or 1"):
        read_selinux(os.fsencode(make_tree(tmp_path, {ENFORCE: content})))
