"""Completion scripts are click's own, for three shells."""

import shutil
import subprocess

import pytest

from portroom.cli.completion import SHELLS, script


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_completes_portroom(shell):
    """It calls the command by its name and variable."""
    actual = script(shell)

    assert "_PORTROOM_COMPLETE" in actual
    assert "portroom" in actual


def test_bash_takes_the_script():
    """The shell finds no fault in it."""
    bash = shutil.which("bash")
    assert bash, "bash is part of every machine these tests run on"

    result = subprocess.run(
        [bash, "-n"], input=script("bash"), text=True, capture_output=True, check=False
    )

    assert (0, "") == (result.returncode, result.stderr)
