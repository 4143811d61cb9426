"""The printed sudo line can be pasted."""

import sys

import pytest

from portroom.kernel.rights import sudo_line


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["/opt/bin/portroom", "status"], "sudo /opt/bin/portroom status"),
        (["portroom", "status", "--netns", "a b"], "sudo portroom status --netns 'a b'"),
        (["/x/portroom/__main__.py", "status"], f"sudo {sys.executable} -m portroom status"),
        ([], f"sudo {sys.executable} -m portroom"),
    ],
)
def test_the_line_repeats_this_command(monkeypatch, arguments, line):
    """
    The program by its path, the arguments quoted for a shell.
    """
    monkeypatch.setattr(sys, "argv", arguments)

    assert line == sudo_line()
