"""Our own sysctl file: read whole, and replaced as a whole or not at all.

Rules of this file:

- one of OWN_PATHS below a root, and no other is ever touched;
- no link is followed below the root, and every folder on the way is held open:
  whatever is exchanged meanwhile, a write ends in the folder that was looked at;
- a content is written under a name that no boot program reads, and gets the right
  name once it is whole and on the disk; after an fsync(2) that failed nobody knows
  what is there, so that is never tried again and believed;
- whoever calls holds the lock: what lies under that other name then is left over;
- part of the portable core: standard library and Python 3.9 syntax only.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from typing import NamedTuple, Optional

from portroom.errors import (
    ConflictError,
    NotPermittedError,
    RefusedError,
    RollbackError,
    WriteError,
)
from portroom.kernel.files import SAFELY, not_ours, read_up_to
from portroom.model.facts.sysctl_files import DIRECTORY, FILE, OWN_PATHS

FILE_MODE, FOLDER_MODE, PERMISSIONS = 0o644, 0o755, 0o777
TEMPORARY = ".portroom.new"
"""
The name of a file that is not whole yet, beside ours.

Boot programs read names that end in ``.conf``, and a pattern in such a name finds
only such names.
"""

LARGEST_OWN_BYTES = 4 << 20
"""What is read of a boot file; one beyond it could not be judged."""

ROOT = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

RIGHT = "That takes uid 0, or CAP_DAC_OVERRIDE and CAP_CHOWN."
"""The hint of a missing right; whoever knows the command line may put it in its place."""

HINTS = {
    errno.EACCES: RIGHT,
    errno.EPERM: f"{RIGHT} lsattr tells whether it is immutable.",
    errno.EROFS: "The file system is read-only: make it writable.",
    errno.ENOSPC: "Make room on that file system.",
    errno.EDQUOT: "Make room within the quota.",
    errno.EIO: "The disk may be failing: look into the kernel's log.",
}

Identity = Optional[tuple[int, int]]
"""What tells a file from all others: device and inode; None for no file."""


class OwnFile(NamedTuple):
    """All bytes of our file, and its permission bits."""

    content: bytes
    mode: int = FILE_MODE


def read_own(path: str, root: str = "/") -> OwnFile | None:
    """
    Return our file as it is, None where there is none; arguments as of replace_own().

    Raises:
        RefusedError: It, or a folder on the way, is nothing that we may write.
        NotPermittedError: It may not be looked at.
        WriteError: It cannot be read.
    """
    with _told(path, "read"), _Way(path, root) as way:
        return way.read()


def has_folder(path: str, root: str = "/") -> bool:
    """Say whether the folder of our file exists; raises as read_own() does."""
    with _told(path, "looked at"), _Way(path, root) as way:
        return way.folder >= 0


def replace_own(
    path: str,
    before: OwnFile | None,
    after: OwnFile | None,
    *,
    makes_folder: bool = False,
    root: str = "/",
) -> None:
    """
    Make our file *after* if it is *before*; if that fails it stays as it was.

    Args:
        path: Absolute, as seen from inside *root*.
        before: What it is, None for no file.
        after: What it shall be, None for no file.
        makes_folder: That its folder belongs to it: made with the file, and
            removed with it where nothing else is inside.
        root: The folder that stands for ``/``.

    Raises:
        ConflictError: It is something else, or the folders were exchanged.
        RefusedError: It, or a folder on the way, is nothing that we may write.
        NotPermittedError: It may not be written.
        WriteError: It cannot be written.
        RollbackError: It was written, that failed, and it cannot be put back.
    """
    with _told(path, "written"), _Way(path, root) as way:
        way.clear()
        way.expect(before)
        if before == after:
            return
        made = way.folder < 0
        if made and not makes_folder:
            raise ConflictError(
                f"{way.folder_path} is gone since the change was planned; nothing was written.",
                "Plan the change again.",
            )
        if made:
            way.make_folder()
        try:
            _exchange(way, before, after, removes_folder=makes_folder and after is None)
        except BaseException:
            if made:
                with contextlib.suppress(OSError):
                    way.remove_folder()
            raise


def heal(path: str, *, makes_folder: bool = False, root: str = "/") -> None:
    """
    Remove what a writer that died left beside our file, and keep the file.

    The arguments and errors are those of replace_own(); *makes_folder* removes its
    folder too where nothing is inside.
    """
    with _told(path, "healed"), _Way(path, root) as way:
        way.clear()
        if makes_folder and way.folder >= 0:
            way.remove_folder()


class _Way:
    """
    The way to a file: each folder held open, the last one that of the file.

    ``folder`` is the descriptor of that one, -1 where it is missing.
    """

    def __init__(self, path: str, root: str) -> None:
        # A path may come from a plan or a journal that somebody edited.
        if path not in OWN_PATHS:
            raise RefusedError(f"{path!r} is no file of portroom's; nothing was written.")
        self.path, self.root = path, root
        self.folder_path, _, self.name = path.rpartition("/")
        self.folder = -1
        self.chain = [os.open(root, ROOT)]
        try:
            *parents, last = self.folder_path.strip("/").split("/")
            for name in parents:
                self._step(name)
            with contextlib.suppress(FileNotFoundError):
                self.folder = self._step(last)
        except BaseException:
            self.__exit__()
            raise

    def _step(self, name: str) -> int:
        """Go into one more folder, and return its descriptor."""
        self.chain.append(os.open(name, STEP, dir_fd=self.chain[-1]))
        path = "/".join(self.path.split("/")[: len(self.chain)])
        _check(path, os.fstat(self.chain[-1]), DIRECTORY)
        return self.chain[-1]

    def __enter__(self) -> _Way:  # noqa: PYI034 - Self is younger than Python 3.9
        return self

    def __exit__(self, *_: object) -> None:
        while self.chain:
            os.close(self.chain.pop())

    def status(self, name: str) -> os.stat_result | None:
        """Return what stands under a name in the folder, None for nothing."""
        if self.folder < 0:
            return None
        try:
            return os.stat(name, dir_fd=self.folder, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def read(self) -> OwnFile | None:
        """Return the file, None where there is none; refuse what we may not write."""
        status = self.status(self.name)
        if status is None:
            return None
        _check(self.path, status, FILE)
        descriptor = os.open(self.name, SAFELY, dir_fd=self.folder)
        try:
            # It may have been exchanged meanwhile.
            status = os.fstat(descriptor)
            _check(self.path, status, FILE)
            content = read_up_to(descriptor, LARGEST_OWN_BYTES)
        finally:
            os.close(descriptor)
        return OwnFile(content, status.st_mode & PERMISSIONS)

    def expect(self, before: OwnFile | None) -> None:
        """Refuse to go on if the file is not what the change was planned from."""
        if self.read() != before:
            raise ConflictError(
                f"{self.path} is no longer what the change was made from; it was left as it is.",
                "Look at it, and plan the change again.",
            )

    def clear(self) -> None:
        """Remove what a writer that died left under the other name."""
        status = self.status(TEMPORARY)
        if status and stat.S_ISDIR(status.st_mode):
            raise RefusedError(
                f"{self.folder_path}/{TEMPORARY} is a folder, and portroom writes under that name.",
                "Remove it.",
            )
        if status:
            os.unlink(TEMPORARY, dir_fd=self.folder)

    def make_folder(self, *, surely: bool = True) -> None:
        """Make the folder of the file, with the owner and mode that it usually has."""
        name, parent = self.folder_path.rpartition("/")[2], self.chain[-1]
        os.mkdir(name, 0o700, dir_fd=parent)
        try:
            self.folder = self._step(name)
            with _opened(self.folder) as descriptor:
                _make_usual(descriptor, parent, FOLDER_MODE)
            if surely:
                _sync(parent)
        except BaseException:
            with contextlib.suppress(OSError):
                os.rmdir(name, dir_fd=parent)
            raise

    def remove_folder(self) -> None:
        """Remove the folder if nothing is inside."""
        try:
            os.rmdir(self.folder_path.rpartition("/")[2], dir_fd=self.chain[-2])
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            return
        os.close(self.chain.pop())
        self.folder = -1
        _sync(self.chain[-1])


def _exchange(
    way: _Way, before: OwnFile | None, after: OwnFile | None, *, removes_folder: bool
) -> None:
    """Put one content in the place of another, and prove that the path leads to it."""
    try:
        ours = _prepare(way, after)
        way.expect(before)
        _take_place(way, after)
    except BaseException:
        with contextlib.suppress(OSError):
            way.clear()
        raise
    try:
        _sync(way.folder)
        _prove(way, ours)
        if removes_folder:
            way.remove_folder()
    except BaseException as error:
        _put_back(way, before, ours, error)
        raise


def _prepare(way: _Way, wanted: OwnFile | None, *, surely: bool = True) -> Identity:
    """Write a content whole under the other name, and have it on the disk."""
    if wanted is None:
        return None
    descriptor = os.open(TEMPORARY, NEW, 0o600, dir_fd=way.folder)
    try:
        view = memoryview(wanted.content)
        while view:
            view = view[os.write(descriptor, view) :]
        _make_usual(descriptor, way.folder, wanted.mode)
        if surely:
            os.fsync(descriptor)
        return _identity(os.fstat(descriptor))
    finally:
        os.close(descriptor)


def _take_place(way: _Way, wanted: OwnFile | None) -> None:
    """Give what was prepared the name of the file, or take that name away."""
    if wanted is None:
        os.unlink(way.name, dir_fd=way.folder)
    else:
        os.rename(TEMPORARY, way.name, src_dir_fd=way.folder, dst_dir_fd=way.folder)


def _prove(way: _Way, ours: Identity) -> None:
    """Check that the path, gone from the root again, leads to what was written."""
    with contextlib.suppress(OSError, RefusedError), _Way(way.path, way.root) as again:
        same_folder = os.path.samestat(os.fstat(way.folder), os.fstat(again.folder))
        if same_folder and _identity(again.status(way.name)) == ours:
            return
    raise ConflictError(
        f"{way.path}, or a folder on the way, was exchanged by somebody else while it was "
        "written; nothing of ours was left.",
        "See who changes it, and try again.",
    )


def _put_back(way: _Way, before: OwnFile | None, ours: Identity, error: BaseException) -> None:
    """Put back what was there before, in the folder that is held, if ours still stands there."""
    try:
        if _identity(way.status(way.name)) != ours:
            return
        # Whatever the disk says now, the error that brought us here is told.
        if way.folder < 0:
            way.make_folder(surely=False)
        _prepare(way, before, surely=False)
        _take_place(way, before)
        with contextlib.suppress(OSError):
            _sync(way.folder)
    except (OSError, RefusedError) as again:
        with contextlib.suppress(OSError, RefusedError):
            way.clear()
        now = "gone" if ours is None else "as asked"
        raise RollbackError(
            f"{way.path} is {now}, though that failed ({_words(error)}), and what was there before "
            f"cannot be put back: {_words(again)}.",
            "Run portroom recover once the disk takes writes again.",
        ) from error


def _check(path: str, status: os.stat_result, wanted: str) -> None:
    """Refuse what is not ours to write, or to write into; the sentence says what it is."""
    trouble, hint = not_ours(status, wanted, LARGEST_OWN_BYTES)
    if trouble:
        raise RefusedError(f"{path} {trouble}; nothing was written.", hint)


def _make_usual(descriptor: int, folder: int, mode: int) -> None:
    """Give something new the owner of the folder around it, whoever made it, and its mode."""
    around = os.fstat(folder)
    os.fchmod(descriptor, mode)
    # Last, since the mode of what belongs to another takes one more capability.
    if os.fstat(descriptor).st_uid != around.st_uid:
        os.fchown(descriptor, around.st_uid, around.st_gid)


@contextlib.contextmanager
def _opened(folder: int) -> Iterator[int]:
    """Open a folder that is held for more than to walk through."""
    descriptor = os.open(".", FOLDER, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _sync(folder: int) -> None:
    """Have the names in a folder on the disk."""
    with _opened(folder) as descriptor:
        os.fsync(descriptor)


def _identity(status: os.stat_result | None) -> Identity:
    """Return what tells a file from all others."""
    return None if status is None else (status.st_dev, status.st_ino)


@contextlib.contextmanager
def _told(path: str, done: str) -> Iterator[None]:
    """Tell an OSError as what it means for the change: it was not made."""
    try:
        yield
    except OSError as error:
        raised = NotPermittedError.changing if isinstance(error, PermissionError) else WriteError
        message = f"{path} could not be {done}: {_words(error)}."
        raise raised(message, HINTS.get(error.errno or 0, "")) from None


def _words(error: BaseException) -> str:
    """Return an error in words, with its name where it is one of the system."""
    if isinstance(error, OSError):
        return f"{error.strerror} ({errno.errorcode.get(error.errno or 0, error.errno)})"
    return str(error) or type(error).__name__
