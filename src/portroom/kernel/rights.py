"""The line that runs this very command again with all rights."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def sudo_line(words: Sequence[str] | None = None, uid: int | None = None) -> str:
    """
    Return the command line of this process, to be run by sudo.

    The program is named by its path, since sudo looks for programs in a path
    of its own and does not find those of a virtual environment.

    Args:
        words: What follows the program, None for the words of this process.
        uid: The user to run it as, None for root.
    """
    import shlex

    program = sys.argv[0] if sys.argv else ""
    if os.path.basename(program) == "__main__.py" or not program:
        command = [sys.executable, "-m", "portroom"]
    else:
        command = [os.path.abspath(program) if os.sep in program else program]
    user = [] if uid is None else ["-u", f"#{uid}"]
    return shlex.join(["sudo", *user, *command, *(sys.argv[1:] if words is None else words)])
