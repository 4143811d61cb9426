"""Places: where the journal lies, and what belongs to one boot.

Rules of this file:

- the system's folders where they may be written, else the user's own: whoever
  may write settings without being root keeps a journal, too;
- a folder that somebody else could write is refused: undo would carry out what
  others wrote;
- looking changes nothing; folders are made by whoever writes into them.

Source: XDG Base Directory Specification; file-hierarchy(7).
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from portroom.change.refusals import state_error
from portroom.errors import RefusedError
from portroom.kernel.broken_off import JOURNAL
from portroom.kernel.trials import RUN

NAME = "portroom"
"""The folder that is made in a folder of others, and checked."""

FOLDER_MODE = 0o755
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH

SAFELY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Places(NamedTuple):
    """
    The folder of the journal, and the one of what ends with the boot.

    Each ends with the folder ``portroom``, or with one folder inside of that.
    """

    journal: str
    run: str


SYSTEM = Places(JOURNAL, RUN)


def find_places(environment: Mapping[str, str] = os.environ, system: Places = SYSTEM) -> Places:
    """
    Return the places of a caller who changes something; nothing is made yet.

    Args:
        environment: Where XDG_STATE_HOME, XDG_RUNTIME_DIR and HOME are looked for.
        system: The places of those who may write there.
    """
    if all(map(_may_make, system)):
        return system
    return _own(environment)


def all_places(
    environment: Mapping[str, str] = os.environ, system: Places = SYSTEM
) -> tuple[Places, ...]:
    """
    Return every place with changes that may concern the caller, the system's first.

    Whoever only reads sees those of the system and, if there are any, their own.
    """
    own = _own(environment)
    return (system, own) if any(map(os.path.isdir, own)) and own != system else (system,)


def open_folder(path: str, *, make: bool = False) -> int:
    """
    Return a descriptor of a folder of ``Places``, checked; the caller closes it.

    Args:
        path: The folder.
        make: Make it where it is missing, and what it lies in.

    Raises:
        RefusedError: It is none, or somebody else could write in it.
        NotPermittedError: Making it, with *make*, is not allowed.
        WriteError: Making it failed otherwise.
        FileNotFoundError: It is missing, without *make*.
        PermissionError: It may not be looked into, without *make*.
    """
    ours = _ours(Path(path))
    try:
        if make:
            _make_above(ours[0].parent)
        return _walk(ours, make=make)
    except NotADirectoryError:
        raise RefusedError(f"{path!r} is no folder, or leads through a link.") from None
    except OSError as error:
        if make:
            raise state_error(error, f"The folder {path!r} could not be made") from None
        raise


def _make_above(folder: Path) -> None:
    """Make a folder, and those that it lies in, so that no umask lets others write there."""
    for one in (*reversed(folder.parents), folder):
        if not one.is_dir():
            one.mkdir(FOLDER_MODE, exist_ok=True)


def _ours(path: Path) -> list[Path]:
    """Return the folders of a path that belong to portroom, the outermost first."""
    return [path.parent, path] if path.parent.name == NAME else [path]


def _walk(folders: list[Path], *, make: bool) -> int:
    """Return a descriptor of the last of nested folders, each checked."""
    # What lies above is not portroom's: links in it are the administrator's.
    above = os.open(folders[0].parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for folder in folders:
        try:
            inner = _enter(above, folder, make=make)
        finally:
            os.close(above)
        above = inner
    return above


def _enter(above: int, folder: Path, *, make: bool) -> int:
    """Return a descriptor of a folder inside another one, made if need be, and checked."""
    made = make and _make(above, folder.name)
    descriptor = os.open(folder.name, SAFELY, dir_fd=above)
    try:
        if made:
            # Whatever the umask is: everybody may see that a trial is pending.
            os.fchmod(descriptor, FOLDER_MODE)
            os.fsync(above)
        check_owner(os.fstat(descriptor), str(folder))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _make(above: int, name: str) -> bool:
    """Make a folder inside another one, and say whether there was none."""
    try:
        os.mkdir(name, FOLDER_MODE, dir_fd=above)
    except FileExistsError:
        return False
    return True


def check_owner(status: os.stat_result, path: str) -> None:
    """
    Refuse a file or folder that somebody else than root and the caller could write.

    Raises:
        RefusedError: It is another one's, or others may write it.
    """
    if status.st_uid not in {0, os.geteuid()}:
        raise RefusedError(
            f"{path!r} belongs to user {status.st_uid}, neither to root nor to you.",
            "Nothing in it is believed. Look at what is in it, then remove it.",
        )
    if status.st_mode & WRITABLE_BY_OTHERS:
        raise RefusedError(
            f"{path!r} has mode {stat.S_IMODE(status.st_mode):04o}: others may write it.",
            f"Look at what is in it, then: chmod go-w {path}",
        )


def _may_make(path: str) -> bool:
    """
    Say whether a folder may be written, or made where it is missing.

    The kernel is asked. A read-only file system is no lack of rights, and neither is
    something in its place that is no folder: who could mend that is to hear of it, and
    not to get a second journal.
    """
    folder = Path(path)
    while not os.path.isdir(folder):  # noqa: PTH112 - is_dir() raises what may not be looked at
        folder = folder.parent
    if os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
        return True
    try:
        read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
        return bool(read_only) and folder.stat().st_uid == os.geteuid()
    except OSError:
        return False


def _own(environment: Mapping[str, str]) -> Places:
    """Return the places of a user, as the environment and the user database tell them."""
    homes = _state_homes(environment)
    state = next((home / NAME for home in homes if _may_make(str(home / NAME))), homes[0] / NAME)
    runtime = environment.get("XDG_RUNTIME_DIR", "")
    run = Path(runtime, NAME)
    if not Path(runtime).is_absolute() or not _may_make(str(run)):
        run = state / "run"
    return Places(str(state / "journal"), str(run))


def _state_homes(environment: Mapping[str, str]) -> list[Path]:
    """
    Return the folders in which a user's programs keep state, the best first.

    HOME may be another user's: who changes the user without a login keeps it.
    """
    import pwd

    homes = [environment.get("HOME", "")]
    # Containers have users whom no database knows.
    with contextlib.suppress(KeyError):
        homes.append(pwd.getpwuid(os.geteuid()).pw_dir)
    named = [environment.get("XDG_STATE_HOME", "")]
    folders = [Path(one) for one in named] + [Path(one, ".local/state") for one in homes]
    return [folder for folder in folders if folder.is_absolute()] or [Path("/.local/state")]
