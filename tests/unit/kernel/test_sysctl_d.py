"""All sysctl files of a system, below a root, whatever stands there."""

import os
import socket
import time

import pytest

from portroom.kernel import sysctl_d
from portroom.kernel.sysctl_d import CREDENTIAL_STORES, LARGEST_FILE_BYTES, MOST_FILES, read_tree
from portroom.model.facts.sysctl_files import (
    DANGLING,
    DEVICE,
    DIRECTORIES,
    DIRECTORY,
    FIFO,
    FILE,
    LARGE,
    LOOP,
    NULL,
    SOCKET,
    SYSCTL_CONF,
    SysctlFile,
)
from tests.unit.kernel.trees import Fifo, Link, make_tree

ETC = "etc/sysctl.d"

LINE = b"net.ipv4.ip_local_port_range = 15000 64000\n"


def kinds(root):
    """
    Return the kind of each path that was found.
    """
    return {file.path: file.kind for file in read_tree(root).files}


def test_an_empty_system_has_no_files(tmp_path):
    """
    Directories that do not exist are nothing to tell of.
    """
    tree = read_tree(str(tmp_path))

    assert ((), ()) == (tree.files, tree.unseen)


def test_a_root_that_is_no_folder_is_an_error(tmp_path):
    """
    A mistyped root is not a system without files.
    """
    (tmp_path / "file").write_text("")
    for name in ("file", "nowhere"):
        with pytest.raises(OSError, match=name):
            read_tree(str(tmp_path / name))


def test_files_come_in_the_order_of_the_directories(tmp_path):
    """
    Within each they are sorted by name; /etc/sysctl.conf and the credential come last.
    """
    paths = [f"{directory.decode()}/{name}" for directory in DIRECTORIES for name in ("a", "b")]
    last = ["/etc/sysctl.conf", f"{CREDENTIAL_STORES[0].decode()}/sysctl.extra"]
    root = make_tree(tmp_path, dict.fromkeys([*reversed(paths), *last], LINE))
    files = read_tree(root).files

    assert [path.encode() for path in (*paths, *last)] == [file.path for file in files]
    assert {(FILE, LINE, b"")} == {file[1:] for file in files}


def test_lib_of_a_merged_usr_is_read_once(tmp_path):
    """
    A directory that is the same as an earlier one is left out.
    """
    root = make_tree(tmp_path, {"usr/lib/sysctl.d/a.conf": LINE, "lib": Link("usr/lib")})

    assert {b"/usr/lib/sysctl.d/a.conf": FILE} == kinds(root)


def test_only_the_first_credential_counts(tmp_path):
    """
    A store that systemd looks into first hides those after it.
    """
    stores = [store.decode() for store in CREDENTIAL_STORES[2:4]]
    root = make_tree(tmp_path, {f"{store}/sysctl.extra": store for store in stores})

    assert {f"{stores[0]}/sysctl.extra".encode(): FILE} == kinds(root)


def test_what_is_no_file_is_named_and_not_opened(tmp_path):
    """
    A FIFO, a socket, a folder and links to nowhere, to themselves and to devices.
    """
    root = make_tree(
        tmp_path,
        {
            f"{ETC}/fifo": Fifo(),
            f"{ETC}/folder/x": "",
            f"{ETC}/link-fifo": Link("fifo"),
            f"{ETC}/loop": Link("loop"),
            f"{ETC}/nowhere": Link("/nowhere"),
            f"{ETC}/through-a-file": Link("/etc/sysctl.conf/x"),
            "etc/sysctl.conf": Link("sysctl.d"),
        },
    )
    with socket.socket(socket.AF_UNIX) as server:
        home = os.open(tmp_path / ETC, os.O_RDONLY)
        server.bind(f"/proc/self/fd/{home}/socket")
        os.close(home)
    expected = {
        b"/etc/sysctl.d/fifo": FIFO,
        b"/etc/sysctl.d/folder": DIRECTORY,
        b"/etc/sysctl.d/link-fifo": FIFO,
        b"/etc/sysctl.d/loop": LOOP,
        b"/etc/sysctl.d/nowhere": DANGLING,
        b"/etc/sysctl.d/socket": SOCKET,
        b"/etc/sysctl.d/through-a-file": DANGLING,
        SYSCTL_CONF: DIRECTORY,
    }

    assert expected == kinds(root)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_devices_are_named(tmp_path):
    """
    The null device is told from all others: it masks, they are endless.
    """
    (tmp_path / ETC).mkdir(parents=True)
    for name, minor in (("null", 3), ("zero", 5)):
        os.mknod(tmp_path / ETC / name, 0o020666, os.makedev(1, minor))

    assert {b"/etc/sysctl.d/null": NULL, b"/etc/sysctl.d/zero": DEVICE} == kinds(str(tmp_path))


def test_a_link_keeps_its_target_as_written(tmp_path):
    """
    Content and kind are those of what it leads to.
    """
    root = make_tree(tmp_path, {f"{ETC}/a": Link("../sysctl.conf"), "etc/sysctl.conf": LINE})
    expected = SysctlFile(b"/etc/sysctl.d/a", FILE, LINE, b"../sysctl.conf")

    assert expected == read_tree(root).files[0]


def test_a_large_file_is_not_read(tmp_path):
    """
    One of 5 GB takes no time: it is told, and the rest is read.
    """
    root = make_tree(tmp_path, {f"{ETC}/a": LINE, f"{ETC}/b": b"", f"{ETC}/c": b""})
    os.truncate(tmp_path / ETC / "b", 5 << 30)
    os.truncate(tmp_path / ETC / "c", LARGEST_FILE_BYTES - len(LINE))
    begin = time.monotonic()
    expected = {b"/etc/sysctl.d/a": FILE, b"/etc/sysctl.d/b": LARGE, b"/etc/sysctl.d/c": FILE}

    assert expected == kinds(root)
    assert time.monotonic() - begin < 2.0


def test_files_together_may_be_too_large(tmp_path, monkeypatch):
    """
    What is read of all files has a bound too; beyond it files count as too large.
    """
    root = make_tree(tmp_path, {f"{ETC}/{name}": LINE for name in "abc"})
    monkeypatch.setattr(sysctl_d, "LARGEST_TREE_BYTES", 2 * len(LINE))

    assert [FILE, FILE, LARGE] == list(kinds(root).values())


def test_ten_thousand_files_are_looked_at_and_no_more(tmp_path):
    """
    The first names are read, the number of the others is told, within two seconds.
    """
    folder = tmp_path / ETC
    folder.mkdir(parents=True)
    for number in range(MOST_FILES + 5):
        (folder / f"{number:05}").touch()
    begin = time.monotonic()
    tree = read_tree(str(tmp_path))

    assert time.monotonic() - begin < 2.0
    assert MOST_FILES == len(tree.files)
    assert [b"/etc/sysctl.d"] == [one.path for one in tree.unseen]
    assert "5 names more" in tree.unseen[0].reason


def test_names_are_bytes(tmp_path):
    """
    A name that is no text, or has a line end, is a name like any other.
    """
    (tmp_path / ETC).mkdir(parents=True)
    folder = os.fsencode(tmp_path / ETC)
    for name in (b"\xff.conf", b"a\nb.conf"):
        os.close(os.open(b"%s/%s" % (folder, name), os.O_CREAT | os.O_WRONLY))

    assert {b"/etc/sysctl.d/a\nb.conf", b"/etc/sysctl.d/\xff.conf"} == set(kinds(str(tmp_path)))


def test_a_directory_of_files_may_be_a_link(tmp_path):
    """
    An absolute one stays below the root; one that is a loop or no folder has no files.
    """
    root = make_tree(
        tmp_path,
        {
            "etc/sysctl.d": Link("/opt/settings"),
            "opt/settings/a.conf": LINE,
            "run/sysctl.d": Link("sysctl.d"),
            "usr/lib/sysctl.d": "no folder",
        },
    )

    assert {b"/etc/sysctl.d/a.conf": FILE} == kinds(root)
