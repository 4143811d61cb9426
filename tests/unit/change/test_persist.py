"""Our own file is read whole, and replaced only where it is what it was thought to be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from portroom.change.persist import (
    FILE_MODE,
    TEMPORARY,
    OwnFile,
    has_folder,
    heal,
    read_own,
    replace_own,
)
from portroom.errors import ConflictError, RefusedError

PATH = "/etc/sysctl.d/90-portroom.conf"

OLD, NEW = OwnFile(b"old\n"), OwnFile(b"new\n")


@pytest.fixture
def root(tmp_path: Path) -> str:
    """Return a root with an empty folder for the file."""
    (tmp_path / "etc/sysctl.d").mkdir(parents=True, mode=0o755)
    return str(tmp_path)


def names(root: str) -> list[str]:
    """Return the names in the folder of the file."""
    return inside(Path(root, "etc/sysctl.d"))


def inside(folder: Path) -> list[str]:
    """Return the names in a folder."""
    return sorted(one.name for one in folder.iterdir())


def test_a_file_is_made_changed_and_removed(root):
    """
    Each time the file is what it should be, and nothing else lies beside it.
    """
    replace_own(PATH, None, OLD, root=root)

    assert read_own(PATH, root) == OLD
    assert names(root) == ["90-portroom.conf"]

    replace_own(PATH, OLD, NEW, root=root)

    assert read_own(PATH, root) == NEW

    replace_own(PATH, NEW, None, root=root)

    assert read_own(PATH, root) is None
    assert [] == names(root)


def test_what_makes_a_file_run_as_another_user_is_not_kept(root):
    """
    The mode that is put back later is one that a sysctl file needs.
    """
    replace_own(PATH, None, OwnFile(b""), root=root)
    Path(f"{root}{PATH}").chmod(0o6755)

    assert OwnFile(b"", 0o755) == read_own(PATH, root)


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755, 0o711])
def test_the_mode_is_as_told_whatever_the_umask(root, mode):
    """
    A file that is put back has the very mode that it had.
    """
    before = os.umask(0o077)
    try:
        replace_own(PATH, None, OwnFile(b"", mode), root=root)
    finally:
        os.umask(before)

    assert read_own(PATH, root) == OwnFile(b"", mode)


def test_nothing_happens_where_nothing_is_to_change(root):
    """
    The file stays the very same one.
    """
    replace_own(PATH, None, OLD, root=root)
    before = Path(root + PATH).stat()
    replace_own(PATH, OLD, OLD, root=root)

    assert before == Path(root + PATH).stat()


@pytest.mark.parametrize(
    "before", [None, NEW, OwnFile(OLD.content, 0o600)], ids=["missing", "content", "mode"]
)
@pytest.mark.parametrize("after", [NEW, None], ids=["replaced", "removed"])
def test_what_somebody_else_changed_is_left(root, before, after):
    """
    Content and mode must be those that the change was planned from.
    """
    replace_own(PATH, None, OLD, root=root)
    if before == after:
        after = OwnFile(b"newer\n")
    with pytest.raises(ConflictError, match="no longer what the change was made from"):
        replace_own(PATH, before, after, root=root)

    assert read_own(PATH, root) == OLD
    assert names(root) == ["90-portroom.conf"]


def test_a_file_that_is_gone_is_a_conflict(root):
    """
    What was removed by somebody else does not come back.
    """
    with pytest.raises(ConflictError):
        replace_own(PATH, OLD, NEW, root=root)

    assert [] == names(root)


def test_the_folder_is_made_with_the_file_and_removed_with_it(tmp_path):
    """
    It has the usual mode whatever the umask, and the tree is as before in the end.
    """
    root = str(tmp_path)
    (tmp_path / "etc").mkdir(mode=0o755)

    assert not has_folder(PATH, root)

    before = os.umask(0o077)
    try:
        replace_own(PATH, None, OLD, makes_folder=True, root=root)
    finally:
        os.umask(before)

    assert (tmp_path / "etc/sysctl.d").stat().st_mode & 0o7777 == 0o755
    assert (tmp_path / PATH[1:]).stat().st_mode & 0o7777 == FILE_MODE
    assert has_folder(PATH, root)

    replace_own(PATH, OLD, None, makes_folder=True, root=root)

    assert [] == inside(tmp_path / "etc")


def test_a_folder_in_which_others_have_files_stays(tmp_path):
    """
    Only an empty folder goes with our file.
    """
    root = str(tmp_path)
    (tmp_path / "etc").mkdir(mode=0o755)
    replace_own(PATH, None, OLD, makes_folder=True, root=root)
    (tmp_path / "etc/sysctl.d/50-a.conf").touch()
    replace_own(PATH, OLD, None, makes_folder=True, root=root)

    assert names(root) == ["50-a.conf"]


def test_a_folder_that_is_gone_is_not_made(tmp_path):
    """
    Only a plan that says so makes a folder.
    """
    (tmp_path / "etc").mkdir(mode=0o755)
    with pytest.raises(ConflictError, match="is gone since the change was planned"):
        replace_own(PATH, None, OLD, root=str(tmp_path))

    assert [] == inside(tmp_path / "etc")


@pytest.mark.parametrize(
    "path",
    [
        "/etc/shadow",
        "/etc/sysctl.d/50-a.conf",
        "/etc/sysctl.d/../sysctl.d/90-portroom.conf",
        "/etc/sysctl.d//90-portroom.conf",
        "etc/sysctl.d/90-portroom.conf",
        "/etc/sysctl.d/90-portroom.conf\0",
        "",
    ],
)
def test_no_other_file_is_ever_touched(root, path):
    """
    Whatever a plan or a journal says.
    """
    for job in (
        lambda: read_own(path, root),
        lambda: replace_own(path, None, NEW, makes_folder=True, root=root),
        lambda: heal(path, makes_folder=True, root=root),
    ):
        with pytest.raises(RefusedError, match="no file of portroom's"):
            job()

    assert [] == names(root)


def test_what_a_dead_writer_left_goes(root):
    """
    The next write heals it, and so does heal() by itself.
    """
    left = Path(root, "etc/sysctl.d", TEMPORARY)
    left.write_text("half a fi")
    replace_own(PATH, None, OLD, root=root)

    assert names(root) == ["90-portroom.conf"]

    left.symlink_to("90-portroom.conf")
    heal(PATH, root=root)

    assert names(root) == ["90-portroom.conf"]
    assert read_own(PATH, root) == OLD


def test_what_a_dead_writer_left_of_a_folder_goes(tmp_path):
    """
    A folder that was made for a file that never came is removed, if it is empty.
    """
    (tmp_path / "etc").mkdir(mode=0o755)
    folder = tmp_path / "etc/sysctl.d"
    folder.mkdir(mode=0o700)
    (folder / TEMPORARY).touch()
    heal(PATH, makes_folder=True, root=str(tmp_path))

    assert not folder.exists()

    heal(PATH, makes_folder=True, root=str(tmp_path))
    folder.mkdir(mode=0o755)
    (folder / "50-a.conf").touch()
    heal(PATH, makes_folder=True, root=str(tmp_path))

    assert (folder / "50-a.conf").exists()


def test_a_folder_under_the_name_of_what_is_not_whole_is_refused(root):
    """
    It is none of ours, so nobody removes it.
    """
    Path(root, "etc/sysctl.d", TEMPORARY).mkdir()
    with pytest.raises(RefusedError, match=r"\.portroom\.new is a folder"):
        replace_own(PATH, None, OLD, root=root)

    assert [TEMPORARY] == names(root)


def test_no_folder_stays_open(root):
    """
    Neither after an answer nor after a refusal.
    """
    before = inside(Path("/proc/self/fd"))
    replace_own(PATH, None, OLD, root=root)
    with pytest.raises(ConflictError):
        replace_own(PATH, None, NEW, root=root)
    Path(root, "etc").chmod(0o777)
    with pytest.raises(RefusedError):
        read_own(PATH, root)

    assert before == inside(Path("/proc/self/fd"))
