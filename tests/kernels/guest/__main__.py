"""
Run one job in a guest, as its process 1 does.

    python -m tests.kernels.guest tests FOLDER ""    all of tests/kernel
    python -m tests.kernels.guest tests FOLDER A,B   these files or cases alone
    python -m tests.kernels.guest laws FOLDER ""     how ports are chosen and read alone
    python -m tests.kernels.guest record FOLDER ""   the replies that tests/replay reads

What was found goes to FOLDER.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.kernels.guest.stages import Stage, stages

MODULES = Path("/modules")
"""The modules of this kernel, named in the order in which they can be loaded."""

LIBC = ctypes.CDLL(None, use_errno=True)


def main() -> int:
    """Run the job that is named, and return its exit status."""
    job, folder, only = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    about = os.uname()
    if job == "record":
        load(None)
        ended = {"record": python("tests.kernels.guest.record", str(folder / "recording"))}
    else:
        chosen = tuple(only.split(",")) if only else ()
        ended = {stage.name: run(stage, folder) for stage in stages(job, chosen)}
    (folder / "features.json").write_bytes(features())
    found = {"release": about.release, "version": about.version, "ended": ended}
    (folder / "guest.json").write_text(json.dumps(found))
    return max(ended.values())


def run(stage: Stage, folder: Path) -> int:
    """Load the modules of a stage, run its tests, and return pytest's exit status."""
    load(stage.modules)
    sys.stdout.write(f"portroom: {stage.name}\n")
    sys.stdout.flush()
    options = ("-q", "--tb=short", "--color=no", "-p", "no:cacheprovider")
    report = ("-p", "tests.kernels.guest.report", f"--cases={folder / stage.name}.jsonl")
    # Importing pytest takes seconds in an emulated machine: it is done once, before the fork.
    child = os.fork()
    if child == 0:
        os._exit(pytest.main([*options, *report, *stage.tests]))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def python(module: str, *arguments: str) -> int:
    """Run a module of Python, and return its exit status."""
    return subprocess.run([sys.executable, "-m", module, *arguments], check=False).returncode


def features() -> bytes:
    """Return what portroom says of this kernel, as an ordinary user is told it."""
    command = ("setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", sys.executable)
    asked = (*command, "-m", "portroom", "features", "-o", "json")
    return subprocess.run(asked, check=False, stdout=subprocess.PIPE).stdout


def load(names: Iterable[str] | None) -> None:
    """Load modules in their order: those named, or all; what is loaded already stays."""
    wanted = None if names is None else set(names)
    for path in sorted(MODULES.iterdir()):
        if wanted is None or path.stem.partition("-")[2] in wanted:
            with path.open("rb") as module:
                LIBC.syscall(FINIT_MODULE, module.fileno(), b"", 0)


FINIT_MODULE = 313
"""The number of finit_module(2) on x86-64, the only machine that is booted."""

if __name__ == "__main__":
    sys.exit(main())
