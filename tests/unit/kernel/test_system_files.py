"""Open files of the whole system are those in use, beside the most there may be."""

import pytest

from portroom.errors import KernelDataError
from portroom.kernel.system_files import parse_file_nr, read_system_files
from portroom.model.facts.scene import SystemFiles
from tests.unit.kernel.trees import make_tree


def test_what_is_allocated_and_unused_is_not_used(tmp_path):
    """
    The second number counts files that nobody has open; new kernels say 0.
    """
    proc = make_tree(tmp_path, {"sys/fs/file-nr": "1000\t40\t8192\n"})

    assert SystemFiles(used=960, limit=8192) == read_system_files(proc)


@pytest.mark.parametrize("text", ["", "1 2", "1 2 3 4", "1 2 x", "-1 0 5"])
def test_other_texts_are_refused_and_quoted(text):
    """
    Nothing is guessed from a text of another shape.
    """
    with pytest.raises(KernelDataError) as refused:
        parse_file_nr(text, "here")

    assert f"here: expected three numbers, got {text!r}." == refused.value.message
