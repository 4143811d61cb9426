"""The state folder: where the daemon keeps what it has to know after a restart.

Rules of this file:

- the folder is the daemon's own, mode 0700, and never the one of the journal;
- a file is whole or as it was before;
- what cannot be read counts as not there: state is a help, never a condition.

Source: systemd.exec(5), StateDirectory=; XDG Base Directory Specification.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

from portroom.errors import HistoryError
from portroom.kernel.files import SAFELY, read_up_to

NAME = "portroom"
FOLDER_MODE = 0o700
FILE_MODE = 0o600

HISTORY = "history.sqlite"
"""The database of history, unless the configuration names another file."""

RECORDED = "recorded"
"""The folder of the flight recorder."""

LARGEST_BYTES = 16 << 20

TOKEN_BYTES = 32
LARGEST_TOKEN_BYTES = 4096

DRAFT = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def find(environment: Mapping[str, str] = os.environ) -> str:
    """
    Return the state folder; nothing is made yet.

    >>> find({"STATE_DIRECTORY": "/var/lib/portroom-agent:/other"})
    '/var/lib/portroom-agent'
    >>> find({"XDG_STATE_HOME": "/s", "HOME": "/h"}), find({"HOME": "/h"})
    ('/s/portroom', '/h/.local/state/portroom')
    """
    given = environment.get("STATE_DIRECTORY", "").split(":")[0]
    if given.startswith("/"):
        return given
    state = environment.get("XDG_STATE_HOME", "")
    if state.startswith("/"):
        return f"{state}/{NAME}"
    return f"{_home(environment)}/.local/state/{NAME}"


def _home(environment: Mapping[str, str]) -> str:
    """Return the home folder; "" where there is none, as for a user whom nobody knows."""
    home = environment.get("HOME", "")
    if home.startswith("/"):
        return home.rstrip("/")
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_dir.rstrip("/")
    except KeyError:
        return ""


def make(folder: str) -> None:
    """
    Make the state folder where it is missing; what lies above is made, too.

    Raises:
        OSError: It cannot be made.
    """
    path = Path(folder)
    path.parent.mkdir(0o755, parents=True, exist_ok=True)
    path.mkdir(FOLDER_MODE, exist_ok=True)


def read_state(folder: str, name: str) -> bytes | None:
    """Return what was written under a name, None where there is nothing to be read."""
    try:
        return _read(f"{folder}/{name}", LARGEST_BYTES)
    except OSError:
        return None


def _read(path: str, limit: int) -> bytes | None:
    """
    Return all bytes of a regular file, None for one that is none, or is too large.

    Raises:
        OSError: It cannot be read.
    """
    descriptor = os.open(path, SAFELY)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        content = read_up_to(descriptor, limit + 1)
        return content if len(content) <= limit else None
    finally:
        os.close(descriptor)


def write_state(folder: str, name: str, content: bytes) -> None:
    """
    Write a file of the state folder, mode 0600, all of it or nothing.

    Raises:
        OSError: It could not be written; what was there before still is.
    """
    make(folder)
    draft = _draft(folder, name, content)
    try:
        Path(draft).rename(f"{folder}/{name}")
    except OSError:
        _remove(draft)
        raise


def _draft(folder: str, name: str, content: bytes) -> str:
    """
    Write a new file beside the one that is meant, down to the disk, and return its path.

    Raises:
        OSError: It could not be written; nothing is left.
    """
    path = f"{folder}/.{name}-{secrets.token_hex(8)}.tmp"
    descriptor = os.open(path, DRAFT, FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        _remove(path)
        raise
    return path


def _remove(path: str) -> None:
    """Remove a file if it can be."""
    with contextlib.suppress(OSError):
        Path(path).unlink()


def token(file: str) -> str:
    """
    Return the token in a file, made of chance if there is none: of two who make it, one does.

    Raises:
        HistoryError: It can neither be read nor made, or others may read it.
    """
    try:
        found = _token(file)
        if found is None:
            found = _make_token(file)
    except OSError as error:
        raise HistoryError(
            f"The token file {file!r} can neither be read nor made: {error.strerror!r}."
        ) from None
    if not found.isascii() or not found.isprintable() or len(found) < TOKEN_BYTES // 2:
        raise HistoryError(
            f"The token file {file!r} holds no token: one line of at least "
            f"{TOKEN_BYTES // 2} plain characters.",
            "Remove it: another one is made.",
        )
    return found


def _token(file: str) -> str | None:
    """
    Return what stands in a token file, None for no file.

    Raises:
        OSError: It may not be read.
        HistoryError: It is no file, or others may read it.
    """
    with contextlib.suppress(FileNotFoundError):
        if Path(file).stat().st_mode & 0o077:
            raise HistoryError(
                f"The token file {file!r} may be read by others than its owner.",
                f"Use chmod 600 {file}, and another token.",
            )
        content = _read(os.path.realpath(file), LARGEST_TOKEN_BYTES)
        return "" if content is None else content.decode("utf-8", "backslashreplace").strip()
    return None


def _make_token(file: str) -> str:
    """
    Write a token of chance, or read the one that somebody wrote meanwhile.

    Raises:
        OSError: It cannot be made.
    """
    path = Path(file).absolute()
    make(str(path.parent))
    made = secrets.token_urlsafe(TOKEN_BYTES)
    draft = _draft(str(path.parent), path.name, f"{made}\n".encode())
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        made = _token(file) or ""
    finally:
        _remove(draft)
    return made
