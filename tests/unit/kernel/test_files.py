"""A pseudo-file is read whole, in one read; below a root nothing else is ever touched."""

import ctypes
import itertools
import os
import struct
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, strategies

from portroom.kernel.files import (
    LONGEST_CHAIN,
    Found,
    link_below,
    list_below,
    read_below,
    read_text,
)
from portroom.model.facts.sysctl_files import (
    DANGLING,
    DIRECTORY,
    FIFO,
    FILE,
    LARGE,
    LOOP,
    UNREADABLE,
)
from tests.unit.kernel.trees import Fifo, Link, make_tree

LIMIT = 100

LIBC = ctypes.CDLL(None, use_errno=True)
SYS_OPENAT2 = 437  # the same number on all processors
RESOLVE_IN_ROOT = 0x10


def test_a_file_is_read_whole(tmp_path):
    """
    The text comes back as it stands, also where it is longer than a page.
    """
    text = "1,3," * 50_000
    (tmp_path / "list").write_text(text)

    assert text == read_text(str(tmp_path / "list"))


def test_a_limit_cuts(tmp_path):
    """
    No more than the limit is read.
    """
    (tmp_path / "list").write_text("abcdef")

    assert "abc" == read_text(str(tmp_path / "list"), limit=3)


def test_bytes_that_are_no_text_are_shown(tmp_path):
    """
    A byte that is no UTF-8 stands as its number, and can be printed.
    """
    (tmp_path / "comm").write_bytes(b"evil\xff\n")

    assert "evil\\xff\n" == read_text(str(tmp_path / "comm"))


def test_a_missing_file_is_an_error(tmp_path):
    """
    A file that does not exist is never empty text.
    """
    with pytest.raises(FileNotFoundError):
        read_text(str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (b"/a", FILE),
        (b"a", FILE),
        (b"//folder//./file", FILE),
        (b"/folder/../a", FILE),
        (b"/../../../../a", FILE),
        (b"/", DIRECTORY),
        (b"/folder", DIRECTORY),
        (b"/folder/..", DIRECTORY),
        (b"/none", DANGLING),
        (b"/none/../a", DANGLING),
        (b"/a/b", DANGLING),
        (b"/a/../a", DANGLING),
        (b"/a/", DANGLING),
        (b"/a/.", DANGLING),
        (b"/behind-a-file", DANGLING),
        (b"/folder/", DIRECTORY),
        (b"/folder/.", DIRECTORY),
        (b"/fifo", FIFO),
        (b"/large", LARGE),
        (b"/absolute", FILE),
        (b"/climbing", FILE),
        (b"/through/file", FILE),
        (b"/self", LOOP),
        (b"/ping", LOOP),
        (b"/to-none", DANGLING),
    ],
)
def test_a_path_leads_as_inside_the_root(tmp_path, path, kind):
    """
    Absolute links and ``..`` never lead out; what is no file is named.
    """
    root = make_tree(
        tmp_path / "root",
        {
            "a": "inside",
            "folder/file": "inside",
            "fifo": Fifo(),
            "large": "x" * (LIMIT + 1),
            "absolute": Link("/a"),
            "climbing": Link("../../../../../a"),
            "through": Link("folder"),
            "behind-a-file": Link("folder/file/"),
            "self": Link("self"),
            "ping": Link("pong"),
            "pong": Link("./ping"),
            "to-none": Link("none"),
        },
    )
    (tmp_path / "a").write_text("outside")
    expected = Found(kind, b"inside" if kind == FILE else b"")
    actual = read_below(os.fsencode(root), path, LIMIT)

    assert expected == actual


@pytest.mark.parametrize(("links", "kind"), [(LONGEST_CHAIN, FILE), (LONGEST_CHAIN + 1, LOOP)])
def test_a_chain_of_links_may_be_as_long_as_the_kernel_lets_it(tmp_path, links, kind):
    """
    A chain that the kernel follows is followed, one link more is a loop.
    """
    names = [*(f"link{number:02}" for number in range(links)), "end"]
    chain = {name: Link(target) for name, target in itertools.pairwise(names)}
    root = make_tree(tmp_path, {"end": "x", **chain})

    assert kind == read_below(os.fsencode(root), b"/link00", LIMIT).kind
    assert (kind == FILE) == _opens(tmp_path / "link00")


def _opens(path):
    """
    Say whether the kernel itself follows a path.
    """
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError:
        return False
    return True


def test_a_limit_is_a_length_that_is_still_read(tmp_path):
    """
    A file of exactly the limit is read.
    """
    (tmp_path / "a").write_bytes(b"x" * LIMIT)

    assert Found(FILE, b"x" * LIMIT) == read_below(os.fsencode(tmp_path), b"/a", LIMIT)


def test_a_file_that_grows_beyond_its_size_is_large():
    """
    What says that it has no bytes and has many is read up to the limit, not for ever.
    """
    assert LARGE == read_below(b"/proc", b"/kallsyms", LIMIT).kind


def test_a_file_that_may_not_be_read_is_named(tmp_path):
    """
    No right is no content, and no error either.
    """
    (tmp_path / "a").write_text("x")
    (tmp_path / "a").chmod(0)
    expected = UNREADABLE if not _opens(tmp_path / "a") else FILE

    assert expected == read_below(os.fsencode(tmp_path), b"/a", LIMIT).kind


def test_a_file_that_is_exchanged_all_the_time_never_blocks(tmp_path):
    """
    While a file becomes a FIFO, a link out and a file again, each look sees one of them,
    waits for nobody and never leaves the root.
    """
    root = tmp_path / "root"
    make_tree(root, {"file": "inside", "fifo": Fifo(), "link": Link("../outside")})
    (tmp_path / "outside").write_text("outside")
    done = threading.Event()

    def exchange():
        while not done.is_set():
            for name in ("file", "fifo", "link"):
                os.link(root / name, root / "next", follow_symlinks=False)
                (root / "next").rename(root / "now")
                (root / "next").unlink(missing_ok=True)

    thread = threading.Thread(target=exchange)
    thread.start()
    found = {read_below(os.fsencode(root), b"/now", LIMIT) for _ in range(3000)}
    done.set()
    thread.join()

    assert found <= {
        Found(FILE, b"inside"),
        Found(FIFO),
        Found(DANGLING),
        Found(UNREADABLE),
        Found(LOOP),
    }


def test_names_are_listed_sorted_as_bytes(tmp_path):
    """
    The same directory by two ways has the same identity.
    """
    root = os.fsencode(make_tree(tmp_path, {"d/b": "", "d/A": "", "d/\udcff": "", "l": Link("/d")}))
    names, identity = list_below(root, b"/d")

    assert [b"A", b"b", b"\xff"] == names
    assert (names, identity) == list_below(root, b"/l/../d/.")


@pytest.mark.parametrize("path", [b"/none", b"/file", b"/loop", b"/fifo"])
def test_what_is_no_folder_cannot_be_listed(tmp_path, path):
    """
    The error is that of the kernel.
    """
    root = make_tree(tmp_path, {"file": "", "loop": Link("loop"), "fifo": Fifo()})
    with pytest.raises(OSError, match=r"\[Errno"):
        list_below(os.fsencode(root), path)


def test_a_link_is_told_as_written(tmp_path):
    """
    What is no link, or is not there, has no target.
    """
    root = os.fsencode(make_tree(tmp_path, {"d/a": Link("/etc//passwd"), "l": Link("d"), "f": ""}))
    targets = [link_below(root, path) for path in (b"/d/a", b"/l/a", b"/l", b"/f", b"/none/a")]

    assert [b"/etc//passwd", b"/etc//passwd", b"d", b"", b""] == targets


NAMES = ["a", "b", "c"]
PARTS = strategies.lists(strategies.sampled_from([*NAMES, "text", "..", "..", ".", ""]), max_size=8)
TARGETS = strategies.tuples(strategies.sampled_from(["", "/", "/../"]), PARTS).map(
    lambda both: (both[0] + "/".join(both[1])) or "."
)


@given(
    strategies.dictionaries(strategies.sampled_from(NAMES), TARGETS),
    strategies.dictionaries(strategies.sampled_from(NAMES), TARGETS),
    PARTS.map("/".join),
)
def test_nothing_outside_the_root_is_ever_opened(links, deeper, path):
    """
    However links point, what is read stands inside, as chroot(2) would find it; with the
    same names outside, which hold another text.
    """
    with tempfile.TemporaryDirectory() as folder:
        for place, text in ((Path(folder), "outside"), (Path(folder) / "root", "inside")):
            make_tree(place, {f"{name}/{other}/text": text for name in NAMES for other in NAMES})
        root = Path(folder) / "root"
        for name, target in links.items():
            _replace(root / name, target)
        for name, target in deeper.items():
            if "b" not in links:
                _replace(root / "b" / name, target)
        found = read_below(os.fsencode(root), f"/{path}/text".encode(), LIMIT)

        assert found in {
            Found(FILE, b"inside"),
            Found(DANGLING),
            Found(LOOP),
        }
        assert found.content == _as_root(root, f"/{path}/text")


def _replace(path, target):
    """
    Put a link where a folder is.
    """
    path.rename(path.with_name(f"old-{path.name}"))
    path.symlink_to(target)


def _as_root(root, path):
    """
    Return the content that the kernel finds if *root* is the root, empty for none.
    """
    how = struct.pack("=QQQ", os.O_RDONLY | os.O_CLOEXEC, 0, RESOLVE_IN_ROOT)
    folder = os.open(root, os.O_PATH)
    opened = LIBC.syscall(SYS_OPENAT2, folder, path.encode(), how, len(how))
    os.close(folder)
    if opened < 0:
        return b""
    with os.fdopen(opened, "rb") as file:
        return file.read()
