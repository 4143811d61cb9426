"""Which processes a user means: by id, or by what they call themselves."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable

COMMAND_BYTES = 15
"""What the kernel keeps of a process name. Source: TASK_COMM_LEN - 1."""


def process_filter(process: str) -> Callable[[int | None, str | None], bool]:
    """
    Return the test whether a process, by id and name, is the one asked for.

    Args:
        process: A process id, or a name, ``*`` and ``?`` being anything; longer
            than the kernel keeps, what it keeps of it is compared.

    >>> [process_filter("php*")(pid, command) for pid, command in ((7, "php-fpm"), (8, None))]
    [True, False]
    """
    if process.isascii() and process.isdecimal():
        return lambda pid, _: pid == int(process)
    cut = process.encode()[:COMMAND_BYTES].decode(errors="ignore")
    return lambda _, command: (
        command is not None and (fnmatch.fnmatchcase(command, process) or command == cut)
    )
