"""What the file system refuses, or others do meanwhile, leaves our file as it was.

Rules of this file: each fault is the kernel's own, in a tmpfs and mounts of a
child that ends; what happens in the middle of a write is done by an audit hook,
which Python calls before the system call.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from portroom.change.persist import TEMPORARY, OwnFile, read_own, replace_own
from portroom.errors import (
    ConflictError,
    NotPermittedError,
    PortroomError,
    RefusedError,
    RollbackError,
    WriteError,
)
from tests.e2e.faults import MS_BIND, MS_RDONLY, MS_REMOUNT, NOBODY, mount, needs_root
from tests.e2e.faults import private_mounts as private
from tests.e2e.seccomp import refuse
from tests.kernel.harness import in_child

pytestmark = needs_root

ROOT = Path("/mnt")
ETC = ROOT / "etc"
FOLDER = ETC / "sysctl.d"
PATH = "/etc/sysctl.d/90-portroom.conf"
FILE = FOLDER / "90-portroom.conf"

OLD, NEW = OwnFile(b"old\n"), OwnFile(b"new\n" * 100)


class Ended(NamedTuple):
    """How a write ended: the error, and what lay in the tree before and after."""

    error: PortroomError | None
    before: dict[str, object]
    after: dict[str, object]


def written(
    fault: Callable[[], None],
    *,
    before: OwnFile | None = OLD,
    after: OwnFile | None = NEW,
    makes_folder: bool = False,
) -> Ended:
    """
    Replace our file in a tmpfs after a fault was made; return how that ended.

    Args:
        fault: What goes wrong, made in a child.
        before: What there is, None for no file.
        after: What shall be.
        makes_folder: That the folder is missing at first.
    """

    def job() -> Ended:
        """Do it in mounts of its own."""
        private()
        mount("tmpfs", str(ROOT), "tmpfs", options="mode=755,size=64k,nr_inodes=16")
        (ETC if makes_folder else FOLDER).mkdir(parents=True)
        if before is not None:
            replace_own(PATH, None, before, root=str(ROOT))
        fault()
        there = seen()
        try:
            replace_own(PATH, before, after, makes_folder=makes_folder, root=str(ROOT))
        except PortroomError as error:
            return Ended(error, there, seen())
        return Ended(None, there, seen())

    return in_child(job)


def seen() -> dict[str, object]:
    """Return what lies below the root: by path the kind, mode, owner and content."""
    found = {}
    for path in sorted(ROOT.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        found[str(path)] = status.st_mode, status.st_uid, content
    return found


def test_without_a_fault_it_is_written():
    """
    What the other tests refuse is possible.
    """
    ended = written(lambda: None)

    assert ended.error is None
    assert ended.after == ended.before | {str(FILE): (0o100644, 0, NEW.content)}


# What lies there instead of what we may write.


def link(path: Path, target: str) -> None:
    """Put a link in the place of something, which is kept under another name."""
    path.rename(f"{path}.was")
    path.symlink_to(target)


def special(kind: int) -> None:
    """Put a special file in the place of ours."""
    FILE.unlink()
    os.mknod(FILE, 0o644 | kind, os.makedev(1, 5))


def folder_in_place() -> None:
    """Put a folder in the place of our file."""
    FILE.unlink()
    FILE.mkdir()


def grow() -> None:
    """Let our file be longer than a boot file that is read."""
    mount("tmpfs", str(FOLDER), "tmpfs", options="mode=755")
    with FILE.open("wb") as file:
        file.truncate((4 << 20) + 1)


REFUSED = {
    "file is a link": (
        lambda: link(FILE, "90-portroom.conf.was"),
        f"{PATH} is a symbolic link and no file",
    ),
    "file is a dangling link": (lambda: link(FILE, "nowhere"), "symbolic link"),
    "folder is a link": (
        lambda: link(FOLDER, "sysctl.d.was"),
        "/etc/sysctl.d is a symbolic link and no directory",
    ),
    "folder is a link away": (lambda: link(FOLDER, "/tmp"), "/etc/sysctl.d is a symbolic link"),
    "etc is a link": (lambda: link(ETC, "etc.was"), "/etc is a symbolic link"),
    "hard link": (
        lambda: os.link(FILE, ROOT / "other"),
        f"{PATH} has 2 names (hard links)",
    ),
    "FIFO": (lambda: special(stat.S_IFIFO), f"{PATH} is a FIFO and no file"),
    "socket": (lambda: special(stat.S_IFSOCK), "is a socket and no file"),
    "endless device": (lambda: special(stat.S_IFCHR), "is a device and no file"),
    "directory": (folder_in_place, "is a directory and no file"),
    "somebody's": (lambda: os.chown(FILE, 1234, 0), f"{PATH} belongs to uid 1234"),
    "group may write": (lambda: FILE.chmod(0o664), "may be written by others than its owner"),
    "all may write": (lambda: FILE.chmod(0o646), "may be written by others than its owner"),
    "somebody's folder": (lambda: os.chown(FOLDER, 1234, 0), "/etc/sysctl.d belongs to uid 1234"),
    "group writes in folder": (lambda: FOLDER.chmod(0o775), "/etc/sysctl.d may be written by"),
    "all write in folder": (lambda: FOLDER.chmod(0o1777), "/etc/sysctl.d may be written by"),
    "somebody's etc": (lambda: os.chown(ETC, 1234, 0), "/etc belongs to uid 1234"),
    "too large": (grow, "has 4194305 bytes, too many"),
}


@pytest.mark.parametrize("fault", REFUSED)
@pytest.mark.parametrize("after", [NEW, None], ids=["replaced", "removed"])
def test_what_is_not_ours_to_write_is_refused(fault, after):
    """
    One sentence says what it is, and nothing is touched.
    """
    make, sentence = REFUSED[fault]
    ended = written(make, after=after)

    assert isinstance(ended.error, RefusedError)
    assert sentence in ended.error.message
    assert ended.error.hint
    assert ended.before == ended.after


def test_a_fifo_is_never_opened():
    """
    Reading does not wait for somebody who writes.
    """

    def job() -> str:
        """Look at a FIFO that nobody writes to."""
        private()
        mount("tmpfs", str(ROOT), "tmpfs", options="mode=755")
        FOLDER.mkdir(parents=True)
        os.mkfifo(FILE, 0o644)
        with pytest.raises(RefusedError) as refused:
            read_own(PATH, str(ROOT))
        return refused.value.message

    assert "is a FIFO" in in_child(job, deadline_s=10)


# What the file system, or the lack of a right, does not allow.


def read_only() -> None:
    """Let the folder be read-only."""
    mount(str(FOLDER), str(FOLDER), "", MS_BIND)
    mount("", str(FOLDER), "", MS_REMOUNT | MS_BIND | MS_RDONLY)


def full() -> None:
    """Fill the file system to the last byte."""
    with (ROOT / "fill").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def no_names() -> None:
    """Take all inodes of the file system."""
    with contextlib.suppress(OSError):
        for number in range(100):
            (ROOT / str(number)).touch()


def nobody() -> None:
    """Be a user without any right."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def short() -> None:
    """Let a write take a part, and the next one nothing."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))


def during(event: str, what: Callable[[], None], *, ends: str = "") -> None:
    """
    Do something once before a system call.

    Args:
        event: What Python calls it, as ``os.rename``.
        what: What is done.
        ends: How its first argument ends.
    """
    done = []

    def hook(name: str, arguments: tuple[object, ...]) -> None:
        """Look at each event."""
        if name == event and not done and str(arguments[0]).endswith(ends):
            done.append(name)
            what()

    sys.addaudithook(hook)


def after_rename(what: Callable[[], None]) -> Callable[[], None]:
    """Return a fault that comes once the new content has its name."""
    opens_folder = lambda: during("open", what, ends=".")  # noqa: E731 - a hook within a hook
    return lambda: during("os.rename", opens_folder)


BROKEN = {
    "read-only": (read_only, WriteError, "EROFS"),
    "full": (full, WriteError, "ENOSPC"),
    "no inode left": (no_names, WriteError, "ENOSPC"),
    "no right": (nobody, NotPermittedError, "EACCES"),
    "short write": (short, WriteError, "EFBIG"),
    "no new file": (
        refuse("openat", (2, 0x45, os.O_CREAT), error=errno.EDQUOT),
        WriteError,
        "EDQUOT",
    ),
    "no mode": (refuse("fchmod", error=errno.EPERM), NotPermittedError, "EPERM"),
    "no fsync": (refuse("fsync", error=errno.EIO), WriteError, "EIO"),
    "no rename": (refuse("renameat", error=errno.EIO), WriteError, "EIO"),
    "no fsync of the folder": (after_rename(refuse("fsync", error=errno.EIO)), WriteError, "EIO"),
}


@pytest.mark.parametrize("fault", BROKEN)
@pytest.mark.parametrize("before", [OLD, None], ids=["replaced", "made"])
def test_what_cannot_be_written_leaves_the_old_file(fault, before):
    """
    The error names the path and the errno, the old file is byte-equal, nothing lies beside it.
    """
    make, kind, name = BROKEN[fault]
    ended = written(make, before=before)

    assert kind is type(ended.error)
    assert 4 == ended.error.exit_status
    assert f"{PATH} could not be written: " in ended.error.message
    assert f"({name})" in ended.error.message
    assert ended.before == ended.after


REMOVAL = {
    "read-only": (read_only, WriteError, "EROFS"),
    "no right": (nobody, NotPermittedError, "EACCES"),
    "no fsync of the folder": (refuse("fsync", error=errno.EIO), WriteError, "EIO"),
}


@pytest.mark.parametrize("fault", REMOVAL)
def test_what_cannot_be_removed_is_there_again(fault):
    """
    The file is byte-equal and has the mode that it had, be it an unusual one.
    """
    make, kind, name = REMOVAL[fault]
    ended = written(make, before=OwnFile(b"old", 0o604), after=None)

    assert kind is type(ended.error)
    assert f"({name})" in ended.error.message
    assert ended.before == ended.after


def test_a_missing_right_is_named():
    """
    The hint names the capability; whoever knows the command line may say more.
    """
    error = written(nobody).error

    assert "uid 0, or CAP_DAC_OVERRIDE" in error.hint


FOLDERS = {
    "no folder": (refuse("mkdirat", error=errno.ENOSPC), "ENOSPC"),
    "no inode left for the file": (
        lambda: during("os.mkdir", no_names_but_one),
        "ENOSPC",
    ),
    "no fsync": (refuse("fsync", error=errno.EIO), "EIO"),
    "no fsync of the folder": (after_rename(refuse("fsync", error=errno.EIO)), "EIO"),
    "no rename": (refuse("renameat", error=errno.EIO), "EIO"),
}


def no_names_but_one() -> None:
    """Leave one inode, which the folder takes."""
    no_names()
    (ROOT / "0").unlink()


@pytest.mark.parametrize("fault", FOLDERS)
def test_a_folder_that_was_made_goes_with_a_write_that_fails(fault):
    """
    The tree is as it was, without an empty folder in it.
    """
    make, name = FOLDERS[fault]
    ended = written(make, before=None, makes_folder=True)

    assert WriteError is type(ended.error)
    assert f"({name})" in ended.error.message
    assert str(FOLDER) not in ended.after


def test_a_folder_comes_back_with_a_file_that_cannot_be_removed():
    """
    Where the disk does not confirm that the folder is gone, both are there again.
    """

    def job() -> tuple[object, object, str]:
        """Let the fsync of the folder around fail, once the folder is removed."""
        private()
        mount("tmpfs", str(ROOT), "tmpfs", options="mode=755")
        ETC.mkdir()
        replace_own(PATH, None, OLD, makes_folder=True, root=str(ROOT))
        before = seen()
        during("os.rmdir", refuse("fsync", error=errno.EIO))
        with pytest.raises(WriteError) as failed:
            replace_own(PATH, OLD, None, makes_folder=True, root=str(ROOT))
        return before, seen(), failed.value.message

    before, after, message = in_child(job)

    assert before == after
    assert "(EIO)" in message


def test_what_can_neither_be_kept_nor_put_back_is_told_exactly():
    """
    The disk takes nothing any more after the rename: a person is needed.
    """

    def break_all() -> None:
        """Let nothing be written any more."""
        refuse("fsync", error=errno.EIO)()
        refuse("renameat", error=errno.EROFS)()

    ended = written(after_rename(break_all))

    assert isinstance(ended.error, RollbackError)
    assert 5 == ended.error.exit_status
    assert f"{PATH} is as asked" in ended.error.message
    assert "(EIO)" in ended.error.message
    assert "(EROFS)" in ended.error.message
    assert "portroom recover" in ended.error.hint
    assert ended.after == ended.before | {str(FILE): (0o100644, 0, NEW.content)}


def test_an_interrupt_leaves_nothing():
    """
    Ctrl-C before the rename is as if nothing had been begun.
    """

    def interrupt() -> None:
        """Be interrupted."""
        raise KeyboardInterrupt

    def job() -> tuple[object, object]:
        """Be interrupted in the middle."""
        private()
        mount("tmpfs", str(ROOT), "tmpfs", options="mode=755")
        FOLDER.mkdir(parents=True)
        replace_own(PATH, None, OLD, root=str(ROOT))
        before = seen()
        during("os.rename", interrupt)
        with pytest.raises(KeyboardInterrupt):
            replace_own(PATH, OLD, NEW, root=str(ROOT))
        return before, seen()

    before, after = in_child(job)

    assert before == after


# What others do meanwhile.


def edit() -> None:
    """Edit our file by hand."""
    FILE.write_bytes(b"by hand\n")


def test_what_is_edited_during_the_write_is_kept():
    """
    Between the first look and the rename there is another look.
    """
    ended = written(lambda: during("open", edit, ends=TEMPORARY))

    assert isinstance(ended.error, ConflictError)
    assert ended.after == ended.before | {str(FILE): (0o100644, 0, b"by hand\n")}


def swap_folders() -> None:
    """Put another folder in the place of the one that is held."""
    FOLDER.rename(ETC / "was")
    FOLDER.mkdir()
    (FOLDER / "50-a.conf").touch()


@pytest.mark.parametrize(
    ("after", "event", "ends"),
    [(NEW, "os.rename", ""), (NEW, "open", "."), (None, "os.remove", ""), (None, "open", ".")],
)
def test_folders_that_are_exchanged_during_the_write_are_seen(after, event, ends):
    """
    The old file is in the folder that was looked at, and nothing of ours in the new one.
    """
    ended = written(lambda: during(event, swap_folders, ends=ends), after=after)
    moved = {path.replace("sysctl.d", "was"): one for path, one in ended.before.items()}
    fresh = {str(FOLDER): (0o40755, 0, b""), str(FOLDER / "50-a.conf"): (0o100644, 0, b"")}

    assert isinstance(ended.error, ConflictError)
    assert "exchanged by somebody else" in ended.error.message
    assert ended.after == moved | fresh


def replace_after() -> None:
    """Replace our file once it is written."""
    (FOLDER / "theirs").write_bytes(b"theirs\n")
    (FOLDER / "theirs").replace(FILE)


def test_what_somebody_puts_there_after_us_is_kept():
    """
    It is no longer ours, so that nothing is put back over it.
    """
    ended = written(after_rename(replace_after))

    assert isinstance(ended.error, ConflictError)
    assert ended.after == ended.before | {str(FILE): (0o100644, 0, b"theirs\n")}


# Who it belongs to.


def as_user(*capabilities: str) -> tuple[str, dict[str, object]]:
    """
    Replace our file as a user with some capabilities; return the error and what lies there.
    """
    rights = ",".join(f"+{one}" for one in capabilities)
    command = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"]
    command += [f"--inh-caps=-all,{rights}", f"--ambient-caps={rights}", sys.executable, "-c"]
    command.append(
        "from portroom.change.persist import OwnFile, replace_own\n"
        f"replace_own({PATH!r}, OwnFile({OLD.content!r}), OwnFile(b'mine'), root={str(ROOT)!r})"
    )

    def job() -> tuple[str, dict[str, object]]:
        """Do it in mounts of its own, since a capability is got by executing something."""
        private()
        mount("tmpfs", str(ROOT), "tmpfs", options="mode=755")
        FOLDER.mkdir(parents=True)
        replace_own(PATH, None, OLD, root=str(ROOT))
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stderr, seen()

    return in_child(job)


def test_a_user_with_the_capabilities_writes_a_file_of_root():
    """
    The new file belongs to whom the folder belongs: no user owns what decides at boot.
    """
    error, there = as_user("dac_override", "chown")

    assert error == ""
    assert there[str(FILE)] == (0o100644, 0, b"mine")


def test_without_the_right_to_give_it_away_nothing_is_written():
    """
    A file of that user would be worse than none.
    """
    error, there = as_user("dac_override")

    assert "NotPermittedError" in error
    assert "(EPERM)" in error
    assert "CAP_CHOWN" in error
    assert there[str(FILE)] == (0o100644, 0, OLD.content)
    assert str(FOLDER / TEMPORARY) not in there
