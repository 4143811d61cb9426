"""State lies where it may be written, and in no folder that others could write."""

import os
import stat
from pathlib import Path

import pytest

from portroom.change.places import Places, all_places, find_places, open_folder
from portroom.errors import NotPermittedError, RefusedError, WriteError
from tests.e2e.faults import MS_RDONLY, mount, needs_root, private_mounts
from tests.kernel.harness import in_child

USER = 54321


def below(folder):
    """Return places of the system below a folder."""
    return Places(f"{folder}/lib/portroom/journal", f"{folder}/run/portroom")


def as_user(job, *, uid=USER):
    """Return what *job* returns as a user whom no database knows."""

    def become():
        """Give up all rights, then work."""
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        return job()

    return in_child(become)


@pytest.fixture
def shared(tmp_path):
    """
    Return a folder that every user may pass, with one that the user of the tests owns.
    """
    folder = tmp_path
    while folder != folder.parent and folder.stat().st_uid == os.geteuid():
        folder.chmod(folder.stat().st_mode | 0o055)
        folder = folder.parent
    for name in ("lib", "run", "home"):
        (tmp_path / name).mkdir(mode=0o755)
    os.chown(tmp_path / "home", USER, USER)
    return tmp_path


def test_the_system_s_places_are_taken_where_they_may_be_written(tmp_path):
    """
    Who may write there gets them, and looking makes nothing.
    """
    system = below(tmp_path)

    assert system == find_places({}, system)
    assert [] == list(tmp_path.iterdir())


def test_the_system_s_places_are_these():
    """
    /var/lib outlasts a boot, /run does not.
    """
    assert (Places("/var/lib/portroom/journal", "/run/portroom"),) == all_places({"HOME": "/none"})


@needs_root
@pytest.mark.parametrize("closed", ["lib", "run"])
def test_who_may_not_write_both_gets_places_of_their_own(shared, closed):
    """
    The lock and the journal belong together: one of the two is not enough.
    """
    for name in {"lib", "run"} - {closed}:
        os.chown(shared / name, USER, USER)
    environment = {"HOME": str(shared / "home"), "XDG_STATE_HOME": "relative"}

    found = as_user(lambda: find_places(environment, below(shared)))

    state = f"{shared}/home/.local/state/portroom"
    assert Places(f"{state}/journal", f"{state}/run") == found


@needs_root
def test_the_environment_names_the_places_of_a_user(shared):
    """
    XDG_STATE_HOME and XDG_RUNTIME_DIR count where they may be written.
    """
    environment = {
        "HOME": "/root",
        "XDG_STATE_HOME": f"{shared}/home/state",
        "XDG_RUNTIME_DIR": f"{shared}/home",
    }

    found = as_user(lambda: find_places(environment, below(shared)))
    barred = environment | {"XDG_RUNTIME_DIR": f"{shared}/run"}
    without = as_user(lambda: find_places(barred, below(shared)))

    state = f"{shared}/home/state/portroom"
    assert Places(f"{state}/journal", f"{shared}/home/portroom") == found
    assert Places(f"{state}/journal", f"{state}/run") == without


@needs_root
def test_a_home_of_somebody_else_is_not_taken(shared):
    """
    setpriv and su keep HOME: then the user database knows better.
    """
    import pwd

    system, nobody = below(shared), pwd.getpwnam("nobody")
    found = as_user(lambda: find_places({"HOME": "/root"}, system), uid=nobody.pw_uid)

    assert found.journal.startswith(("/root/", nobody.pw_dir))
    assert found != system


@needs_root
def test_readers_see_the_system_s_places_and_their_own(shared):
    """
    Both, once there are any of their own; a reader makes none.
    """
    environment, system = {"HOME": str(shared / "home")}, below(shared)
    before = as_user(lambda: all_places(environment, system))
    state = shared / "home/.local/state/portroom"
    (state / "journal").mkdir(parents=True)

    after = as_user(lambda: all_places(environment, system))

    assert (system,) == before
    assert [system.journal, str(state / "journal")] == [one.journal for one in after]


@needs_root
def test_a_read_only_file_system_is_no_lack_of_rights(tmp_path):
    """
    Its owner gets the system's places, and hears why they cannot be written.
    """

    def job():
        """Mount it read-only, and try."""
        private_mounts()
        mount("tmpfs", str(tmp_path), "tmpfs", MS_RDONLY)
        system = below(tmp_path)
        found = find_places({"HOME": "/none"}, system)
        try:
            open_folder(system.run, make=True)
        except WriteError as error:
            return found == system, error.message, error.exit_status
        return found

    same, message, status = in_child(job)

    assert (True, 4) == (same, status)
    assert "the file system is read-only" in message


def test_folders_are_made_as_everybody_may_read_them(tmp_path):
    """
    Whatever the umask is, a user without rights sees that a trial is pending.
    """

    def job():
        """Make both folders with an umask that forbids all to others."""
        os.umask(0o077)
        places = below(tmp_path)
        for path in places:
            os.close(open_folder(path, make=True))
        return [stat.S_IMODE(Path(path).stat().st_mode) for path in (*places, f"{tmp_path}/lib")]

    journal, run, above = in_child(job)

    assert (0o755, 0o755) == (journal, run)
    assert 0o700 == above


def test_no_umask_lets_others_write_in_what_is_made(tmp_path):
    """
    Not in the folders around ours either.
    """

    def job():
        """Make a folder deep below, with an umask that forbids nothing."""
        os.umask(0)
        os.close(open_folder(f"{tmp_path}/home/.local/state/portroom/journal", make=True))
        made = (path for path in tmp_path.rglob("*") if path.is_dir())
        return sorted((path.name, stat.S_IMODE(path.stat().st_mode)) for path in made)

    names = (".local", "home", "journal", "portroom", "state")
    assert [(name, 0o755) for name in names] == in_child(job)


def test_a_folder_that_is_there_stays_as_it_is(tmp_path):
    """
    An administrator may close it.
    """
    places = below(tmp_path)
    os.close(open_folder(places.run, make=True))
    Path(places.run).chmod(0o700)

    os.close(open_folder(places.run, make=True))

    assert 0o700 == stat.S_IMODE(Path(places.run).stat().st_mode)


def test_a_folder_that_is_missing_is_not_made_unasked(tmp_path):
    """
    Who only reads gets the error of the system.
    """
    with pytest.raises(FileNotFoundError):
        open_folder(below(tmp_path).journal)

    assert [] == list(tmp_path.iterdir())


def make_link(path):
    """Put a link to a good folder there."""
    (path.parent / "elsewhere").mkdir()
    path.symlink_to("elsewhere")


HOSTILE = {
    "link": (make_link, "leads through a link"),
    "file": (Path.touch, "is no folder"),
    "FIFO": (os.mkfifo, "is no folder"),
    "others write": (lambda path: (path.mkdir(), path.chmod(0o757)), "others may write it"),
    "a group writes": (lambda path: (path.mkdir(), path.chmod(0o775)), "others may write it"),
    "sticky": (lambda path: (path.mkdir(), path.chmod(0o1777)), "others may write it"),
}


OBSTACLES = {
    "file": Path.touch,
    "FIFO": os.mkfifo,
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
}


@pytest.mark.parametrize("place", ["lib/portroom", "lib/portroom/journal", "run/portroom"])
@pytest.mark.parametrize("how", OBSTACLES)
def test_an_obstacle_gives_nobody_a_second_journal(tmp_path, how, place):
    """
    Who may write around it gets the system's places, and is refused there by its name.
    """
    for name in ("lib", "run"):
        (tmp_path / name).mkdir()
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    OBSTACLES[how](path)
    system = below(tmp_path)

    assert system == find_places({"HOME": f"{tmp_path}/home"}, system)

    folder = system.run if place.startswith("run") else system.journal
    with pytest.raises(RefusedError, match="is no folder, or leads through a link") as caught:
        open_folder(folder, make=True)
    assert folder in caught.value.message


@pytest.mark.parametrize("depth", ["portroom", "portroom/journal"])
@pytest.mark.parametrize("how", HOSTILE)
@pytest.mark.parametrize("make", [False, True])
def test_a_folder_that_others_could_write_is_refused(tmp_path, depth, how, make):
    """
    So is anything else in its place, and in the place of the folder around it.
    """
    prepare, reason = HOSTILE[how]
    path = tmp_path / "lib" / depth
    path.parent.mkdir(parents=True)
    prepare(path)
    if depth == "portroom" and path.is_dir():
        (path / "journal").mkdir()

    with pytest.raises(RefusedError, match=reason) as caught:
        open_folder(below(tmp_path).journal, make=make)

    assert str(path.parent) in caught.value.message


@needs_root
def test_a_folder_of_another_user_is_refused(tmp_path):
    """
    Also by root, who would carry out what is in it.
    """
    path = tmp_path / "lib/portroom"
    (path / "journal").mkdir(parents=True)
    os.chown(path, USER, USER)

    with pytest.raises(RefusedError, match=f"belongs to user {USER}, neither to root nor to you"):
        open_folder(below(tmp_path).journal)


@needs_root
def test_who_may_not_make_the_folder_is_told_what_to_do(shared):
    """
    The right is named by the folder, and how to do without.
    """

    def job():
        """Try to make it where others may not."""
        try:
            open_folder(below(shared).run, make=True)
        except NotPermittedError as error:
            return error.exit_status, error.hint
        return None

    status, hint = as_user(job)

    assert 4 == status
    assert "XDG_STATE_HOME" in hint
