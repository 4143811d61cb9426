"""Namespaces are told apart and named from a folder that looks like procfs."""

import os
from pathlib import Path

import pytest

from portroom.kernel.netns_names import describe, host_inode, known_name, nsfs_device, survey

OWN = Path("/proc/self/ns/net").stat().st_ino
HOST, POD, WEB, SHELL, OTHER = 101, 102, 103, 104, 105
IDENTITY = "3f2a9c" + "0" * 58
POD_UID = "0a1b2c3d-1111-2222-3333-444455556666"


class Proc:
    """A folder as procfs would look like."""

    def __init__(self, root):
        self.root = root
        (root / "self").mkdir()
        (root / "self/ns").mkdir()

    def add(self, pid, inode, *, command="web", cgroup="/"):
        """Add a process and return the folder of all."""
        folder = self.root / str(pid)
        (folder / "ns").mkdir(parents=True)
        (folder / "ns/net").symlink_to(f"net:[{inode}]")
        (folder / "comm").write_bytes(os.fsencode(command) + b"\n")
        (folder / "cgroup").write_text(f"0::{cgroup}\n")
        return self


@pytest.fixture
def proc(tmp_path):
    """Return a procfs with pid 1 in the host's namespace."""
    root = tmp_path / "proc"
    root.mkdir()
    return Proc(root).add(1, HOST, command="init")


def names(proc, run="/nowhere"):
    """Return name and kind of each namespace, in order."""
    return [(ref.id.name, ref.id.kind) for ref in survey(str(proc.root), str(run)).namespaces]


def test_each_namespace_is_named_by_what_is_inside(proc):
    """
    The host, then container, pod, unit and command, each namespace once.
    """
    proc.add(20, POD, cgroup=f"/kubepods/pod{POD_UID}/{IDENTITY}")
    proc.add(21, POD, cgroup=f"/kubepods/pod{POD_UID}/{'b' * 64}")
    proc.add(30, WEB, cgroup=f"/docker/{IDENTITY}")
    proc.add(40, OTHER, cgroup="/system.slice/nginx.service")
    proc.add(50, SHELL, cgroup="/user.slice/user-1.slice/session-3.scope", command="sh")

    assert [
        ("host", "host"),
        ("docker:3f2a9c000000", "container"),
        ("pid:50 (sh)", "process"),
        (f"pod:{POD_UID}/3f2a9c000000", "container"),
        ("unit:nginx.service", "process"),
    ] == names(proc)


def test_two_namespaces_never_have_one_name(proc):
    """
    Two namespaces of one service are told apart by the first process.
    """
    proc.add(20, WEB, cgroup="/system.slice/web.service")
    proc.add(30, OTHER, cgroup="/system.slice/web.service")

    assert [
        ("host", "host"),
        ("unit:web.service pid:20", "process"),
        ("unit:web.service pid:30", "process"),
    ] == names(proc)


def test_a_hostile_command_stays_text(proc):
    """
    Bytes that are no UTF-8 are written as numbers; the sinks escape the rest.
    """
    proc.add(20, SHELL, command=os.fsdecode(b"\x1b[2J\n\xff) S"))

    assert ("pid:20 (\x1b[2J\n\\xff) S)", "process") in names(proc)


def test_a_mounted_namespace_has_the_name_of_its_file(proc, tmp_path):
    """
    The name goes before the cgroup, and the file is what opens it.
    """
    (tmp_path / "blue").symlink_to("/proc/self/ns/net")
    proc.add(20, OWN, cgroup=f"/docker/{IDENTITY}")
    (found,) = [
        ref for ref in survey(str(proc.root), str(tmp_path)).namespaces if ref.id.inode == OWN
    ]

    assert ("blue", "named", 20) == (found.id.name, found.id.kind, found.id.pid)
    assert str(tmp_path / "blue") == found.path


def test_a_name_that_a_runtime_made_up_says_less_than_the_pod(proc, tmp_path):
    """
    ``cni-…`` is random, so a container inside names the namespace.
    """
    (tmp_path / "cni-1234").symlink_to("/proc/self/ns/net")
    proc.add(20, OWN, cgroup=f"/kubepods/pod{POD_UID}/{IDENTITY}")

    assert (f"pod:{POD_UID}/3f2a9c000000", "container") in names(proc, tmp_path)


def test_files_that_are_no_namespace_are_left_out(proc, tmp_path):
    """
    What a reboot or a deletion leaves behind in the folder is no namespace.
    """
    (tmp_path / "plain").touch()
    (tmp_path / "dangling").symlink_to("/nowhere")
    (tmp_path / "device").symlink_to("/dev/null")

    assert [("host", "host")] == names(proc, tmp_path)


def test_processes_that_ended_or_may_not_be_seen_are_no_error(proc):
    """
    A folder without its files is a process that ended.
    """
    (proc.root / "77").mkdir()

    assert [("host", "host")] == names(proc)


def test_what_is_hidden_is_a_gap(proc):
    """
    Without proof that all processes are seen, the list may lack some.
    """
    (gap,) = survey(str(proc.root), "/nowhere").gaps

    assert ("namespaces", ("namespaces",)) == (gap.source, gap.affects)


def test_the_host_is_that_of_kernel_threads_where_pid_1_is_not_seen(tmp_path):
    """
    Kernel threads live in the first namespace.
    """
    assert HOST == host_inode(str(Proc(tmp_path).add(2, HOST, command="kthreadd").root))


def test_the_host_is_the_callers_own_where_nothing_else_is_seen(tmp_path):
    """
    If it is the initial one, which alone limits the orphans of the whole system,
    and is not mounted: else it is another one, and nobody is called host.
    """
    proc = Proc(tmp_path)
    (tmp_path / "self/ns/net").symlink_to(f"net:[{OWN}]")
    run = tmp_path / "run"
    run.mkdir()

    assert 0 == host_inode(str(proc.root), str(run))

    orphans = tmp_path / "sys/net/ipv4/tcp_max_orphans"
    orphans.parent.mkdir(parents=True)
    orphans.write_text("65536")

    assert OWN == host_inode(str(proc.root), str(run))

    (run / "blue").symlink_to("/proc/self/ns/net")

    assert 0 == host_inode(str(proc.root), str(run))


def test_one_namespace_is_described_as_the_survey_does(proc):
    """
    The same names, whichever way it is found.
    """
    proc.add(30, WEB, cgroup=f"/docker/{IDENTITY}")
    found = describe(WEB, 30, str(proc.root), "/nowhere")

    assert ("docker:3f2a9c000000", "container", 30) == (found.name, found.kind, found.pid)
    assert known_name(WEB, str(proc.root), "/nowhere") is None
    assert "host" == known_name(HOST, str(proc.root), "/nowhere").name


def test_namespaces_live_on_one_device():
    """
    The device of nsfs is that of this process's own namespace.
    """
    assert Path("/proc/self/ns/net").stat().st_dev == nsfs_device()
