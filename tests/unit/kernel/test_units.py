"""Units are read as systemd reads them: the first folder decides, drop-ins add."""

import os

import pytest

from portroom.kernel.units import is_installed, is_masked, parse_section, read_units, values_of
from tests.unit.kernel.trees import Fifo, Link, make_tree

ETC, RUN = "/etc/systemd/system", "/run/systemd/system"
USR, LIB = "/usr/lib/systemd/system", "/lib/systemd/system"


def values(tmp_path, tree, name="a.socket"):
    """
    Return the values of a unit's section Socket.
    """
    units = read_units(os.fsencode(make_tree(tmp_path, tree)))
    return [value.decode() for _, value in values_of(units, name.encode(), b"Socket")]


def socket(value):
    """
    Return a unit file with one value.
    """
    return f"[Unit]\nA=x\n\n[Socket]\nA={value}\n\n[Install]\nA=y\n"


@pytest.mark.parametrize(
    "folder",
    [
        "/etc/systemd/system.control",
        ETC,
        RUN,
        "/run/systemd/transient",
        "/run/systemd/generator",
        "/usr/local/lib/systemd/system",
        USR,
        LIB,
    ],
)
def test_each_folder_is_read(tmp_path, folder):
    """
    A unit may lie in any of them.
    """
    assert ["1"] == values(tmp_path, {f"{folder}/a.socket": socket(1)})


def test_the_first_folder_decides(tmp_path):
    """
    /etc goes before /run, and that before /usr.
    """
    tree = {f"{folder}/a.socket": socket(folder) for folder in (USR, RUN, ETC)}

    assert [ETC] == values(tmp_path, tree)


@pytest.mark.parametrize("mask", [Link("/dev/null"), ""])
def test_a_mask_switches_off(tmp_path, mask):
    """
    An empty file and a link to /dev/null do, and drop-ins do not switch on again.
    """
    tree = {
        f"{ETC}/a.socket": mask,
        f"{ETC}/a.socket.d/1.conf": socket(2),
        f"{USR}/a.socket": socket(1),
    }
    root = os.fsencode(make_tree(tmp_path, tree))

    assert [] == [value for _, value in values_of(read_units(root), b"a.socket", b"Socket")]
    assert is_masked(root, f"{ETC}/a.socket".encode())
    assert not is_masked(root, f"{USR}/a.socket".encode())
    assert not is_installed(read_units(root), b"a.socket")


def test_drop_ins_add_in_the_order_of_their_names(tmp_path):
    """
    Whichever folder they lie in; of one name only the first folder's counts, and what does not
    end with .conf does not count.
    """
    tree = {
        f"{USR}/a.socket": socket("unit"),
        f"{USR}/a.socket.d/20-b.conf": socket("usr-20"),
        f"{USR}/a.socket.d/30-c.conf": socket("usr-30"),
        f"{ETC}/a.socket.d/30-c.conf": socket("etc-30"),
        f"{ETC}/a.socket.d/10-a.conf": socket("etc-10"),
        f"{ETC}/a.socket.d/40.conf~": socket("no"),
        f"{ETC}/socket.d/25-all.conf": socket("all-25"),
    }

    assert ["unit", "etc-10", "usr-20", "all-25", "etc-30"] == values(tmp_path, tree)


def test_a_drop_in_without_content_takes_that_name_away(tmp_path):
    """
    A link to /dev/null in /etc switches the one in /usr off.
    """
    tree = {
        f"{USR}/a.socket": socket("unit"),
        f"{USR}/a.socket.d/1.conf": socket("no"),
        f"{ETC}/a.socket.d/1.conf": Link("/dev/null"),
    }

    assert ["unit"] == values(tmp_path, tree)


def test_an_instance_is_its_template(tmp_path):
    """
    With the drop-ins of both and those of its prefixes.
    """
    tree = {
        f"{USR}/a-b@.socket": socket("template"),
        f"{USR}/a-b@.socket.d/2.conf": socket("of-template"),
        f"{ETC}/a-b@7.socket.d/1.conf": socket("of-instance"),
        f"{ETC}/a-.socket.d/3.conf": socket("of-prefix"),
    }
    expected = ["template", "of-instance", "of-template", "of-prefix"]

    assert expected == values(tmp_path, tree, "a-b@7.socket")


def test_instances_that_start_at_boot_are_units(tmp_path):
    """
    Links in sockets.target.wants tell them.
    """
    tree = {
        f"{USR}/a@.socket": socket("x"),
        f"{ETC}/sockets.target.wants/a@7.socket": Link(f"{USR}/a@.socket"),
    }
    units = read_units(os.fsencode(make_tree(tmp_path, tree)))

    assert [b"a@.socket", b"a@7.socket"] == units.ending(b".socket")


def test_a_folder_under_two_names_is_one(tmp_path):
    """
    /lib is a link to /usr/lib on most systems.
    """
    tree = {f"{USR}/a.socket": socket(1), "/lib": Link("usr/lib")}
    units = read_units(os.fsencode(make_tree(tmp_path, tree)))

    assert [USR.encode()] == list(units.names)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"[Socket]\nA=1\nA = 2 \n A=3", [b"1", b"2", b"3"]),
        (b"A=1\n[Other]\nA=2\n[Socket]x\nA=3\n[Socket]\nA=4\n[Other]\nA=5", [b"4"]),
        (b"[Socket]\n# A=1\n;A=2\nA=3 # 4", [b"3 # 4"]),
        (b"[Socket]\nA=1 \\\n# comment\n 2\nA=3", [b"1  2", b"3"]),
        (b"[Socket]\nA=1\\", []),
        (b"[Socket]\r\nA=1\r\n", [b"1"]),
        (b"[Socket]\nA\nA=\n=1\n", [b"", b"1"]),
        (b"", []),
    ],
)
def test_lines_of_a_section(text, expected):
    """
    Comments and other sections are left out; a backslash at the end joins lines.
    """
    assert expected == [value for _, value in parse_section(text, b"Socket")]


def test_what_is_no_file_says_nothing(tmp_path):
    """
    A FIFO is not opened, and a link to nowhere is no unit.
    """
    tree = {
        f"{ETC}/a.socket": Fifo(),
        f"{ETC}/b.socket": Link("nowhere"),
        f"{ETC}/c.socket": socket(1),
        f"{ETC}/c.socket.d/1.conf": Fifo(),
    }

    assert [[], [], ["1"]] == [
        values(tmp_path / name, tree, f"{name}.socket") for name in ("a", "b", "c")
    ]
