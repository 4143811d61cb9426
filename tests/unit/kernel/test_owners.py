"""The walk for owners, over a folder that looks like procfs."""

import pytest

from portroom.kernel.owners import read_owners
from portroom.model.facts.sockets import Owner

HERE, THERE = 101, 102


class Proc:
    """A folder as procfs would look like, in which nothing is hidden."""

    def __init__(self, root):
        self.root = root
        for name in ("self/ns", "thread-self"):
            (root / name).mkdir(parents=True)
        (root / "self/ns/pid").symlink_to("pid:[4026531836]")
        (root / "self/mounts").write_text("")
        (root / "thread-self/status").write_text("")
        self.add(1)

    def add(self, pid, *links, netns=HERE, children="", name="web"):
        """Add a process whose descriptors point to *links*."""
        folder = self.root / str(pid)
        (folder / "ns").mkdir(parents=True)
        (folder / "ns/net").symlink_to(f"net:[{netns}]")
        (folder / "fd").mkdir()
        for number, link in enumerate(links):
            (folder / "fd" / str(number)).symlink_to(link)
        rest = "S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0"
        (folder / "stat").write_text(f"{pid} ({name}) {rest} {pid * 10} 0 0")
        (folder / "status").write_text(f"Name:\t{name}\nUid:\t0\t33\t0\t0\n")
        (folder / "cgroup").write_text("0::/system.slice/web.service\n")
        (folder / "task" / str(pid)).mkdir(parents=True)
        (folder / "task" / str(pid) / "children").write_text(children)


@pytest.fixture
def proc(tmp_path):
    """Return a procfs with one process that owns nothing."""
    return Proc(tmp_path)


def pids(proc, wanted, **options):
    """Return the pids of the owners by inode, and whether that is all."""
    found, complete = read_owners(wanted, proc=str(proc.root), **options)
    return {inode: [owner.pid for owner in owners] for inode, owners in found.items()}, complete


def test_an_owner_is_all_that_the_process_tells(proc):
    """
    Start time, command, uid and unit come from its own files.
    """
    proc.add(7, "socket:[5]", "/dev/null", "pipe:[6]")
    found, complete = read_owners([5], proc=str(proc.root))

    assert {5: (Owner(7, 70, "web", 33, "web.service", None),)} == found
    assert complete


def test_only_wanted_sockets_are_found(proc):
    """
    Other sockets, pipes, and a socket opened twice add nothing.
    """
    proc.add(7, "socket:[5]", "socket:[5]", "socket:[6]", "pipe:[8]", "socket:[9]")

    assert ({5: [7], 9: [7]}, True) == pids(proc, {5, 8, 9})


def test_a_socket_without_an_owner_is_left_out(proc):
    """
    Where all could be looked at, that is the whole answer.
    """
    proc.add(7, "socket:[5]")

    assert ({5: [7]}, True) == pids(proc, {5, 1234})


def test_inode_0_is_no_socket(proc):
    """
    TIME_WAIT has no inode: nothing is walked for it.
    """
    proc.add(7, "socket:[0]")

    assert ({}, True) == pids(proc, {0})
    assert ({}, True) == pids(proc, ())


def test_children_share_what_they_inherited(proc):
    """
    After all is found, the children of owners are looked at, and theirs.
    """
    proc.add(7, "socket:[5]", children="20 21")
    proc.add(20, "socket:[5]", children="30 31")
    proc.add(21, "pipe:[1]")
    proc.add(30, "socket:[5]", "socket:[6]")
    proc.add(40, "socket:[6]")

    assert ({5: [7, 20, 30]}, True) == pids(proc, {5})


def test_the_walk_stops_when_all_is_found(proc):
    """
    A later process that is no child of an owner is not looked at.
    """
    proc.add(7, "socket:[5]")
    proc.add(8, "socket:[5]")

    assert ({5: [7]}, True) == pids(proc, {5})


def test_processes_of_the_same_namespace_go_first(proc):
    """
    One of another namespace is looked at only for what is missing then.
    """
    proc.add(7, "socket:[5]", netns=THERE)
    proc.add(8, "socket:[5]")
    proc.add(9, "socket:[6]", netns=THERE)

    assert ({5: [8]}, True) == pids(proc, {5}, netns_inode=HERE)
    assert ({5: [8, 7], 6: [9]}, True) == pids(proc, {5, 6}, netns_inode=HERE)
    assert ({5: [8]}, True) == pids(proc, {5, 6}, netns_inode=HERE, elsewhere=False)


def test_a_process_that_ended_meanwhile_owns_nothing(proc):
    """
    Its files are gone one by one; the others are found all the same.
    """
    for pid, missing in ((7, "stat"), (8, "status")):
        proc.add(pid, "socket:[5]")
        (proc.root / str(pid) / missing).unlink()
    (proc.root / "9").mkdir()
    proc.add(10, "socket:[5]")

    assert ({5: [10]}, True) == pids(proc, {5})


def test_what_is_hidden_leaves_the_answer_incomplete(proc):
    """
    Without pid 1 processes are hidden: a missing owner may be one of them.
    """
    proc.add(7, "socket:[5]")
    (proc.root / "1").rename(proc.root / "gone")

    assert ({5: [7]}, False) == pids(proc, {5, 6})
    assert ({5: [7]}, True) == pids(proc, {5})
