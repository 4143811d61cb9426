"""Who makes a change: what the kernel knows of this process."""

from __future__ import annotations

import contextlib
import os
import sys

from portroom.kernel.files import PROC, read_text
from portroom.kernel.users import read_user_names
from portroom.model.facts.journal import Who

NOBODY_LOGGED_IN = 2**32 - 1
"""Source: Linux include/linux/audit.h, AUDIT_UID_UNSET."""

MOST_WORDS = 64
LONGEST_WORD = 256
"""Characters; together with MOST_WORDS an entry stays short whatever was typed."""

CUT = "…"


def read_who(proc: str = PROC) -> Who:
    """
    Return who runs this process, and who logged in before becoming that user.

    The login uid is the kernel's own and survives sudo and su; it is unknown
    where no login was, as in containers and in services.
    """
    uid, login_uid = os.geteuid(), _login_uid(proc)
    names = read_user_names({uid, login_uid} - {None})  # type: ignore[arg-type]
    return Who(
        uid=uid,
        user=_cut(names.get(uid, "")),
        login_uid=login_uid,
        login_user=_cut(names.get(login_uid, "")) if login_uid is not None else "",
        terminal=_cut(_terminal()),
        pid=os.getpid(),
        command=_command(proc),
    )


def _login_uid(proc: str) -> int | None:
    """Return the user who logged in, None where there is none or nobody knows."""
    try:
        uid = int(read_text(f"{proc}/self/loginuid"))
    except (OSError, ValueError):
        # A kernel without audit does not keep it.
        return None
    return None if uid == NOBODY_LOGGED_IN else uid


def _terminal() -> str:
    """Return the terminal that this process talks to, "" for none."""
    for descriptor in range(3):
        with contextlib.suppress(OSError):
            return os.ttyname(descriptor)
    return ""


def _command(proc: str) -> tuple[str, ...]:
    """Return the words of the command line, as many and as much of each as is kept."""
    try:
        line = read_text(f"{proc}/self/cmdline")
    except OSError:
        line = "\0".join(map(_printed, sys.argv))
    words = line.removesuffix("\0").split("\0")
    kept = tuple(map(_cut, words[:MOST_WORDS]))
    return kept if len(words) <= MOST_WORDS else (*kept, CUT)


def _printed(word: str) -> str:
    r"""Return a word that can be kept: bytes that are no UTF-8 stand as ``\xNN``."""
    return os.fsencode(word).decode("utf-8", "backslashreplace")


def _cut(text: str) -> str:
    """
    Return text of bounded length.

    >>> len(_cut("a" * 1000))
    256
    """
    return text if len(text) <= LONGEST_WORD else text[: LONGEST_WORD - 1] + CUT
