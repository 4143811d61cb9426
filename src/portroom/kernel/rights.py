"""The line that runs this very command again with all rights."""

from __future__ import annotations

import os
import sys


def sudo_line() -> str:
    """
    Return the command line of this process, to be run by sudo.

    The program is named by its path, since sudo looks for programs in a path
    of its own and does not find those of a virtual environment.
    """
    import shlex

    program = sys.argv[0] if sys.argv else ""
    if os.path.basename(program) == "__main__.py" or not program:
        command = [sys.executable, "-m", "portroom"]
    else:
        command = [os.path.abspath(program) if os.sep in program else program]
    return shlex.join(["sudo", *command, *sys.argv[1:]])
