"""
Prove that ``./run`` starts what it should and says plainly when it cannot.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VENV = ROOT / ".venv"


def run(*arguments, cwd=ROOT, **environment):
    """
    Return what ``./run`` with *arguments* printed, and its exit status.
    """
    return subprocess.run(
        [ROOT / "run", *arguments],
        cwd=cwd,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("python", ["false", "/nowhere/python3"])
def test_a_python_that_does_not_do_is_refused(python):
    """
    Without a Python of at least 3.11, ``./run`` exits 3 with one sentence on stderr.
    """
    result = run(PYTHON=python)

    assert (3, "") == (result.returncode, result.stdout)
    assert [
        f"portroom: '{python}' is not Python 3.11 or newer; name one with PYTHON=/path/to/python3."
    ] == result.stderr.splitlines()


@pytest.mark.skipif(Path(sys.prefix) != VENV, reason="this is not the Python of ./run")
def test_a_second_start_runs_portroom_and_sets_nothing_up(tmp_path):
    """
    In a venv that is ready, ``./run`` from any folder is ``portroom``, byte for byte.
    """
    before = (VENV / ".ready-run").stat().st_mtime_ns
    expected = subprocess.run(
        [VENV / "bin" / "portroom", "--version"], capture_output=True, text=True, check=True
    )
    actual = run("--version", cwd=tmp_path)

    assert (expected.stdout, "", 0) == (actual.stdout, actual.stderr, actual.returncode)
    assert before == (VENV / ".ready-run").stat().st_mtime_ns
