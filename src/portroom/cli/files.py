"""Files that the user named: the only place of this room that writes one.

Rules of this file: a file is whole or not there; nothing is replaced unasked;
nobody but the user can read it, unless it is made for others.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import IO, TYPE_CHECKING

from portroom.errors import InvalidRequestError, WriteError

if TYPE_CHECKING:
    from pathlib import Path

MODE = 0o600

NO_HARD_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""What file systems without hard links answer: FAT, some network mounts."""


REPLACE_HINT = "Give --force to replace it."


def write_file(
    path: str,
    content: bytes,
    *,
    replace: bool = False,
    hint: str = REPLACE_HINT,
    mode: int = MODE,
) -> None:
    """
    Write a file, all of it or nothing.

    Args:
        path: Where; its folder must exist.
        content: All its bytes.
        replace: Take the place of a regular file that is there already.
        hint: What to do where one is there already.
        mode: Who may read it.

    Raises:
        InvalidRequestError: Something is there that may not be replaced.
        WriteError: The file system refused; nothing was changed.
    """
    from pathlib import Path

    check_target(path, replace=replace, hint=hint)
    target = Path(path)
    draft = target.with_name(f".portroom-{os.urandom(8).hex()}.tmp")
    try:
        _write_draft(draft, content, mode)
        _put_in_place(draft, target, replace=replace)
    except FileExistsError:
        raise _exists(target, hint) from None
    except OSError as error:
        raise WriteError(f"Could not write {path!r}: {error.strerror!r}.") from None
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()


def check_target(
    path: str, *, replace: bool, hint: str = REPLACE_HINT, option: str = "--out"
) -> None:
    """
    Refuse a name that may not be written to, before any work is done.

    Args:
        path: Where.
        replace: Whether a regular file may be there.
        hint: What to do where one is there already.
        option: What the name was given by.

    Raises:
        InvalidRequestError: Something is there that may not be replaced.
    """
    from pathlib import Path

    target = Path(path)
    try:
        kind = target.lstat().st_mode
    except (OSError, ValueError):
        return
    if not _gives_way(target, kind):
        raise InvalidRequestError(
            f"{str(target)!r} is not a regular file.",
            hint=f"Leave {option} away to write to standard output.",
        )
    if not replace:
        raise _exists(target, hint)


def _gives_way(target: Path, kind: int) -> bool:
    """Say whether what is there may be replaced: a file, or a link that leads to one or nowhere."""
    if not stat.S_ISLNK(kind):
        return stat.S_ISREG(kind)
    try:
        # /dev/stdout leads to whatever is open; what every program needs is the link itself.
        is_ours = not target.readlink().is_relative_to("/proc")
        return is_ours and stat.S_ISREG(target.stat().st_mode)
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _exists(target: Path, hint: str) -> InvalidRequestError:
    """Return the error for a file that is there already."""
    return InvalidRequestError(f"{str(target)!r} exists already.", hint)


def _write_draft(draft: Path, content: bytes, mode: int) -> None:
    """Write a new file, down to the disk."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(draft, flags, MODE), "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _put_in_place(draft: Path, target: Path, *, replace: bool) -> None:
    """Give the draft its name in one step; without *replace* only if it is free."""
    if not replace:
        try:
            target.hardlink_to(draft)
        except OSError as error:
            if error.errno not in NO_HARD_LINKS or os.path.lexists(target):
                raise
        else:
            return
    draft.rename(target)


def write_report(text: str) -> str:
    """Write a crash report to a new file of mode 0600; return its name or ""."""
    import tempfile

    try:
        number, path = tempfile.mkstemp(prefix="portroom-crash-", suffix=".txt")
        with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError:
        return ""
    return path


def discard_output(stream: IO[str] | None) -> None:
    """
    Send what a stream still holds nowhere.

    Python writes it out at the very end, and would complain about a closed pipe
    or a full disk when nobody can act on it any more.
    """
    if stream is None:
        return
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
