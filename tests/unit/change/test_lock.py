"""One at a time: who comes second waits, in order, and not for ever."""

import contextlib
import fcntl
import os
import stat
import threading
import time
from pathlib import Path

import pytest

from portroom.change.lock import locked
from portroom.change.places import open_folder
from portroom.errors import ChangeError, NotPermittedError, RefusedError
from tests.e2e.faults import NOBODY, needs_root
from tests.kernel.bystanders import bystander, named
from tests.kernel.harness import in_child, wait_until
from tests.unit.change.made_entries import places_in

KEPT = contextlib.ExitStack()
"""Locks that a process keeps until it is killed."""


@pytest.fixture
def places(tmp_path):
    """
    Return places below an empty folder.
    """
    return places_in(tmp_path)


def lock_path(places):
    """Return the lock file."""
    return Path(places.run, "lock")


def hold_for_ever(places):
    """Return a preparation that takes the lock, and keeps it until the process ends."""
    return lambda: KEPT.enter_context(locked(places))


def is_free(places):
    """Say whether nobody holds the lock."""
    with lock_path(places).open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def waiters(places):
    """Return how many processes or threads wait for the lock, as the kernel tells."""
    inode = f":{lock_path(places).stat().st_ino} "
    return sum(
        "-> FLOCK" in line and inode in line
        for line in Path("/proc/locks").read_text().splitlines()
    )


def test_the_lock_is_held_inside_and_free_after(places):
    """
    Its folder and file are made; nobody else can open it.
    """
    with locked(places):
        inside = is_free(places)

    assert not inside
    assert is_free(places)
    assert 0o600 == stat.S_IMODE(lock_path(places).stat().st_mode)


def test_it_is_free_after_an_error(places):
    """
    Whatever ends the block ends the lock.
    """
    with pytest.raises(KeyboardInterrupt), locked(places):
        raise KeyboardInterrupt

    assert is_free(places)


def test_who_waits_in_vain_learns_who_has_it(places):
    """
    After the time that it was ready to wait, and not before.
    """
    with bystander(hold_for_ever(places), named(b"o\x1bther")) as pid:
        begin = time.monotonic()
        with pytest.raises(ChangeError) as caught, locked(places, 0.3):
            pytest.fail("the lock was given twice")
        waited_s = time.monotonic() - begin

    assert 0.3 <= waited_s < 3
    assert f"process {pid} ('o\\x1bther')" in caught.value.message
    assert 4 == caught.value.exit_status


def test_who_gave_up_does_not_get_it_later(places):
    """
    The place in the queue is left: the next one gets the lock.
    """
    with locked(places):
        with pytest.raises(ChangeError), locked(places, 0.05):
            pytest.fail("the lock was given twice")
        assert 1 == waiters(places)

    wait_until(lambda: is_free(places), "the lock is let go")
    with locked(places, 1.0):
        assert not is_free(places)


def test_all_who_wait_get_it_one_by_one(places):
    """
    Twenty wait at once; no two have it together, and none is passed over.
    """
    inside, seen = [], []

    def work():
        """Take the lock, and look who is there."""
        with locked(places):
            inside.append(1)
            seen.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(20)]
    with locked(places):
        for thread in threads:
            thread.start()
        wait_until(lambda: waiters(places) == len(threads), "all wait")
    for thread in threads:
        thread.join(10)

    assert [1] * 20 == seen


def test_a_killed_holder_lets_go(places):
    """
    The kernel frees it with the process.
    """
    with bystander(hold_for_ever(places)):
        assert not is_free(places)

    with locked(places, 1.0):
        pass


def test_a_child_does_not_keep_it(places):
    """
    One that was forked inside lives on, and the lock is free.
    """
    with locked(places):
        child = os.fork()
        if child == 0:
            threading.Event().wait(60)
            os._exit(0)
    try:
        assert is_free(places)
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def test_programs_do_not_inherit_it(places):
    """
    A program that is started inside has no descriptor of it.
    """
    import subprocess

    before = set(Path("/proc/self/fd").iterdir())
    with locked(places):
        more = set(Path("/proc/self/fd").iterdir()) - before
        listed = subprocess.run(
            ["ls", "-l", "/proc/self/fd"],
            capture_output=True,
            text=True,
            check=True,
            close_fds=False,
        )

    assert more
    assert str(lock_path(places)) not in listed.stdout


def test_a_lock_that_was_removed_meanwhile_is_none(places):
    """
    Who waited for a file that is gone takes the lock of the one that is there.
    """
    entered = threading.Event()

    def work():
        """Wait for the lock, then tell."""
        with locked(places):
            entered.set()
            assert not is_free(places)

    with locked(places):
        thread = threading.Thread(target=work)
        thread.start()
        wait_until(lambda: waiters(places) == 1, "somebody waits")
        lock_path(places).unlink()
    thread.join(10)

    assert entered.is_set()


def make_link(path):
    """Put a link to a file there."""
    path.with_name("victim").touch()
    path.symlink_to("victim")


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (make_link, "symbolic link"),
        (os.mkfifo, "no regular file"),
        (lambda path: (path.touch(), path.chmod(0o666)), "others may write it"),
    ],
    ids=["link", "FIFO", "others write"],
)
def test_what_portroom_did_not_make_is_refused(places, prepare, reason):
    """
    Nothing hangs, and nothing else is locked instead.
    """
    os.close(open_folder(places.run, make=True))
    prepare(lock_path(places))

    with pytest.raises(RefusedError, match=reason), locked(places):
        pytest.fail("it was locked")


def test_a_folder_in_its_place_is_told(places):
    """
    It cannot be opened for writing, and the error says what it is.
    """
    os.close(open_folder(places.run, make=True))
    lock_path(places).mkdir()

    with pytest.raises(ChangeError, match="Is a directory"), locked(places):
        pytest.fail("it was locked")


@needs_root
def test_others_cannot_hold_it(places):
    """
    A user without rights cannot open the file, so cannot block who has them.
    """
    with locked(places):
        pass
    for folder in (Path(places.run).parent, *Path(places.run).parent.parents[:2]):
        folder.chmod(folder.stat().st_mode | 0o055)

    def job():
        """Try as nobody."""
        os.setresuid(NOBODY, NOBODY, NOBODY)
        try:
            with locked(places):
                return "held"
        except NotPermittedError as error:
            return error.exit_status

    assert 4 == in_child(job)
