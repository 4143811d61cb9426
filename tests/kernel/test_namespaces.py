"""Namespaces are found, entered by a thread that ends, and named; the rest is refused."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from portroom.errors import InvalidRequestError, NotPermittedError, PortroomError
from portroom.kernel import namespaces
from tests.kernel.bystanders import bystander, drop_rights, ended_pid, named, own_namespace
from tests.kernel.harness import read_setting, wait_until, write_settings
from tests.kernel.sockets import listener

SO_NETNS_COOKIE = 71


def own_inode():
    """Return the inode of the namespace of the calling thread."""
    return Path("/proc/thread-self/ns/net").stat().st_ino


def cookie():
    """Return the cookie of the calling thread's namespace, None on old kernels."""
    try:
        with socket.socket() as handle:
            return int.from_bytes(
                handle.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8), "little"
            )
    except OSError:
        return None


def thread_ends(thread):
    """Return once the kernel has no such thread of this process any more."""
    wait_until(lambda: not Path(f"/proc/self/task/{thread}").exists(), "the thread ends")


def refusal(job, *arguments):
    """Return class, message and hint of the error that *job* raises."""
    try:
        job(*arguments)
    except PortroomError as error:
        return type(error), error.message, error.hint
    return None


def test_a_job_runs_inside_and_the_caller_stays(netns):
    """
    Only the thread of the job is in the other namespace, and it ends.
    """

    def job():
        with bystander(own_namespace) as pid:
            here, there = own_inode(), Path(f"/proc/{pid}/ns/net").stat().st_ino
            inside, thread = namespaces.inside(
                namespaces.find(str(pid)), lambda: (own_inode(), threading.get_native_id())
            )
            thread_ends(thread)
            return (here, there), (own_inode(), inside), thread == os.getpid()

    expected, seen, on_main_thread = netns(job)

    assert expected == seen
    assert not on_main_thread


def test_sockets_settings_and_tables_are_those_of_the_namespace(netns):
    """
    /proc/sys/net follows the thread; /proc/net is read by way of the thread.
    """

    def prepare():
        own_namespace()
        write_settings(ip_local_port_range="20000 20999")
        listener("0.0.0.0", 4321)

    def look():
        table = Path("/proc/thread-self/net/tcp").read_text(encoding="ascii")
        return read_setting("ip_local_port_range").split(), f":{4321:04X}" in table

    def job():
        with bystander(prepare) as pid:
            return namespaces.inside(namespaces.find(str(pid)), look), look()

    assert ((["20000", "20999"], True), (["32768", "60999"], False)) == netns(job)


def test_threads_that_the_job_starts_are_inside_too(netns):
    """
    A thread is born in the namespace of the one that starts it.
    """

    def in_a_thread():
        seen = []
        thread = threading.Thread(target=lambda: seen.append(own_inode()))
        thread.start()
        thread.join()
        return seen[0]

    def job():
        with bystander(own_namespace) as pid:
            ref = namespaces.find(str(pid))
            return namespaces.inside(ref, in_a_thread), ref.id.inode

    inside, expected = netns(job)

    assert expected == inside


def test_an_error_of_the_job_travels(netns):
    """
    The caller gets the very error, stays where it is, and the thread ends.
    """

    def job():
        threads = []

        def fail():
            threads.append(threading.get_native_id())
            return 1 // 0

        with bystander(own_namespace) as pid:
            here, ref = own_inode(), namespaces.find(str(pid))
            with pytest.raises(ZeroDivisionError):
                namespaces.inside(ref, fail)
            thread_ends(threads[0])
            return here, own_inode(), ref.id.inode

    before, after, there = netns(job)

    assert before == after != there


def test_no_descriptor_is_left_open(netns):
    """
    A hundred visits, half of them refused, leave no descriptor behind.
    """

    def job():
        with bystander(own_namespace) as pid:
            ref = namespaces.find(str(pid))
            wrong = namespaces.NetnsRef(ref.id, "/proc/self/ns/mnt")
            before = len(list(Path("/proc/self/fd").iterdir()))
            for _ in range(50):
                namespaces.inside(ref, own_inode)
                refusal(namespaces.inside, wrong, own_inode)
            return len(list(Path("/proc/self/fd").iterdir())) - before

    assert 0 == netns(job)


def test_the_cookie_identifies_a_namespace(netns):
    """
    identify() tells what the kernel tells there, and two namespaces differ.
    """

    def job():
        with bystander(own_namespace) as pid:
            ref = namespaces.find(str(pid))
            here = namespaces.identify()
            there = namespaces.inside(ref, lambda: (namespaces.identify(ref.id), cookie()))
            return here, cookie(), ref, there

    here, own_cookie, ref, (there, far_cookie) = netns(job)

    assert (own_cookie, far_cookie) == (here.cookie, there.cookie)
    assert here.inode != there.inode
    assert here.cookie != there.cookie or here.cookie is None
    assert (ref.id.name, ref.id.kind, ref.id.pid) == (there.name, there.kind, there.pid)


@pytest.fixture
def run(tmp_path):
    """Return a folder with everything that is no network namespace."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "plain").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "null").symlink_to("/dev/null")
    (tmp_path / "mount").symlink_to("/proc/self/ns/mnt")
    (tmp_path / "dangling").symlink_to("/nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "good").symlink_to("/proc/self/ns/net")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "unix"))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fifo", "is no network namespace but a FIFO"),
        ("plain", "is no network namespace but a plain file"),
        ("folder", "is no network namespace but a folder"),
        ("null", "is no network namespace but a device"),
        ("unix", "is no network namespace but a socket file"),
        ("mount", "is no network namespace but a namespace of another kind"),
        ("dangling", "points to nothing"),
        ("loop", "Too many levels of symbolic links"),
        ("missing", "there is no such name in"),
        ("", "there is no such name in"),
        ("..", "there is no such name in"),
        ("a b", "there is no such name in"),
        ("\x1b[2J", "there is no such name in"),
        ("9" * 5000, "there is no such name in"),
        ("../plain", "does not exist"),
        ("/dev/null", "is no network namespace but a device"),
        ("/dev/null/x", "does not exist"),
        ("/a\0b", "embedded null byte"),
    ],
)
def test_what_is_no_network_namespace_is_refused_in_one_sentence(run, name, message):
    """
    Nothing of it is opened that could hang or act; the sentence says what it is.
    """

    def enter():
        namespaces.inside(namespaces.find(name, run=str(run)), own_inode)

    kind, text, _ = refusal(enter)

    assert InvalidRequestError is kind
    assert message in text
    assert "\n" not in text
    assert "\x1b" not in text
    assert len(text) < 1000


def test_a_name_a_path_and_a_pid_mean_the_same_namespace(netns, run):
    """
    Found in any of three ways, the same inode is entered.
    """

    def job():
        ways = ("good", str(run / "good"), str(os.getpid()), "/proc/self/ns/net")
        return own_inode(), [namespaces.find(way, run=str(run)).id.inode for way in ways]

    inode, found = netns(job)

    assert [inode] * 4 == found


def test_a_process_that_ended_is_said_to_have_ended(netns):
    """
    Whether it is asked for by its id or by its file.
    """
    pid = netns(ended_pid)

    assert f"No process {pid}: it has ended" in refusal(namespaces.find, str(pid))[1]
    assert "does not exist (any more)" in refusal(namespaces.find, f"/proc/{pid}/ns/net")[1]


def test_a_namespace_that_vanished_is_not_mistaken_for_another(netns):
    """
    After its process ended, or its id is another's, nothing is entered.
    """

    def job():
        with bystander(own_namespace) as pid:
            ref = namespaces.find(str(pid))
        replaced = namespaces.NetnsRef(ref.id, "/proc/self/ns/net")
        return refusal(namespaces.inside, ref, own_inode), refusal(
            namespaces.inside, replaced, own_inode
        )

    vanished, replaced = netns(job)

    assert InvalidRequestError is vanished[0]
    assert "does not exist (any more)" in vanished[1]
    assert InvalidRequestError is replaced[0]
    assert "is gone: /proc/self/ns/net is another one now" in replaced[1]


def test_without_rights_the_missing_capability_is_named(netns):
    """
    CAP_SYS_ADMIN to enter, CAP_SYS_PTRACE to look; with the line to run.
    """

    def job():
        with bystander(own_namespace) as pid:
            ref = namespaces.find(str(pid))
            kept = namespaces.NetnsRef(
                ref.id, f"/proc/{os.getpid()}/fd/{os.open(ref.path, os.O_RDONLY)}"
            )
            drop_rights()
            return refusal(namespaces.inside, kept, own_inode), refusal(namespaces.find, str(pid))

    entering, looking = netns(job)

    assert NotPermittedError is entering[0] is looking[0]
    assert "it needs CAP_SYS_ADMIN" in entering[1]
    assert "it needs CAP_SYS_PTRACE" in looking[1]
    assert entering[2].startswith("Run: sudo ")


def test_the_own_namespace_needs_no_right(netns):
    """
    Who is in it already may look around in it.
    """

    def job():
        drop_rights()
        ref = namespaces.find(str(os.getpid()))
        return own_inode(), namespaces.inside(ref, own_inode)

    expected, seen = netns(job)

    assert expected == seen


def test_every_namespace_is_found_once(netns, run):
    """
    Of two processes inside one, and of a file, one namespace comes out.
    """

    def job():
        with bystander(own_namespace) as first, bystander(own_namespace) as second:
            inodes = [Path(f"/proc/{pid}/ns/net").stat().st_ino for pid in (first, second)]
            found = namespaces.survey(run=str(run)).namespaces
            entered = [namespaces.inside(ref, own_inode) for ref in found if ref.id.inode in inodes]
            return own_inode(), inodes, found, entered

    own, inodes, found, entered = netns(job)
    seen = [ref.id.inode for ref in found]

    assert len(seen) == len(set(seen))
    assert {own, *inodes} <= set(seen)
    assert set(inodes) == set(entered)
    assert ["good"] == [ref.id.name for ref in found if ref.id.inode == own]
    assert len(found) == len({ref.id.name for ref in found})


def test_a_namespace_of_a_process_is_found_by_the_name_it_is_shown_with(netns):
    """
    What ``--all-netns`` prints, ``--netns`` takes, hostile or not.
    """

    def job():
        with bystander(own_namespace, named(b"\x1b[2J\n) S 1 \xff")) as pid:
            inode = Path(f"/proc/{pid}/ns/net").stat().st_ino
            (shown,) = [ref for ref in namespaces.find_all() if ref.id.inode == inode]
            return pid, shown, namespaces.find(shown.id.name)

    pid, shown, found = netns(job)

    assert shown == found
    assert pid == shown.id.pid
    assert shown.id.name.encode()


def test_what_may_not_be_looked_at_is_a_gap(netns):
    """
    Without rights other processes' namespaces are unknown, and it is said.
    """

    def job():
        with bystander(own_namespace):
            drop_rights()
            return namespaces.survey()

    survey = netns(job)

    assert "needs CAP_SYS_PTRACE" in survey.gaps[0].reason
