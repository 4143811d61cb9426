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


def test_bash_sets_no_blank_behind_an_equals_sign(tmp_path):
    """`range=` waits for its value; a name that is whole gets its blank."""
    program = tmp_path / "portroom"
    program.write_text('#!/bin/sh\nprintf "plain,%s\\n" "$ANSWER"\n')
    program.chmod(0o755)
    call = "compopt() { echo $*; }; COMP_WORDS=(portroom x) COMP_CWORD=1; _portroom_completion "

    def asked(answer):
        """Return what the function asks of bash where this is the completion."""
        lines = f"{script('bash')}\n{call}{program}\n"
        done = subprocess.run(
            ["bash", "-s"], input=lines, env={"ANSWER": answer, "PATH": "/usr/bin:/bin"},
            text=True, capture_output=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    assert (0, "-o nospace\n", "") == asked("range=")
    assert (0, "", "") == asked("status")


def test_bash_takes_the_script():
    """The shell finds no fault in it."""
    bash = shutil.which("bash")
    assert bash, "bash is part of every machine these tests run on"

    result = subprocess.run(
        [bash, "-n"], input=script("bash"), text=True, capture_output=True, check=False
    )

    assert (0, "") == (result.returncode, result.stderr)
