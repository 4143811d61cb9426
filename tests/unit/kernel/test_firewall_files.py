"""Lines of firewalls' files that name the default range are found, each by file and line."""

import os
import time

import pytest

from portroom.kernel.firewall_files import LINE_LETTERS, MOST_FILES, MOST_LINES, read_filter_lines
from tests.unit.kernel.trees import Fifo, Link, make_tree


def found_in(tmp_path, tree):
    """
    Return file, line and text of each line found in a tree, and the gaps.
    """
    lines, gaps = read_filter_lines(os.fsencode(make_tree(tmp_path, tree)))
    return [(one.file, one.line, one.text) for one in lines], gaps


@pytest.mark.parametrize(
    "path",
    [
        "/etc/nftables.conf",
        "/etc/nftables.d/10-local.nft",
        "/etc/nftables/main.nft",
        "/etc/iptables/rules.v4",
        "/etc/iptables/rules.v6",
        "/etc/sysconfig/iptables",
        "/etc/sysconfig/ip6tables",
        "/etc/sysconfig/nftables.conf",
        "/etc/ufw/user.rules",
        "/etc/ufw/before6.rules",
        "/etc/firewalld/direct.xml",
        "/etc/firewalld/zones/public.xml",
        "/etc/firewalld/services/own.xml",
        "/etc/firewalld/policies/out.xml",
    ],
)
def test_each_place_is_searched(tmp_path, path):
    """
    A line is told with its file, its number and its text without blanks around it.
    """
    tree = {path: "first\n  a --sport 32768:60999 b\n"}

    assert ([(path, 2, "a --sport 32768:60999 b")], ()) == found_in(tmp_path, tree)


@pytest.mark.parametrize(
    "line",
    [
        "tcp sport 32768-60999 accept",
        "tcp sport { 53, 32768 - 60999 } accept",
        "-A INPUT -p tcp -m tcp --dport 32768:61000 -j ACCEPT",
        "-A INPUT -p tcp -m multiport --dports 22,32768:65535 -j ACCEPT",
        '<port port="32768-60999" protocol="tcp"/>',
        "ct state new tcp sport 32768-60999 # since 2019",
        "define ephemeral = 32768-60999",
    ],
)
def test_ways_to_write_the_range(tmp_path, line):
    """
    The range counts in every spelling of nftables, iptables and firewalld.
    """
    lines, _ = found_in(tmp_path, {"/etc/nftables.conf": f"{line}\n{line}"})

    assert [("/etc/nftables.conf", 1, line), ("/etc/nftables.conf", 2, line)] == lines


@pytest.mark.parametrize(
    "line",
    [
        "# tcp sport 32768-60999 accept",
        "accept # was 32768-60999",
        '<!-- <port port="32768-60999"/> -->',
        "tcp sport 1024-60999 accept",
        "tcp sport 32768-50000 accept",
        "tcp sport 132768-60999",
        "tcp sport 32768-609990",
        "ip saddr 10.32768-60999",
        "32768-\n60999",
        "",
    ],
)
def test_what_is_no_such_line(tmp_path, line):
    """
    Comments, other ranges and longer numbers do not count.
    """
    assert ([], ()) == found_in(tmp_path, {"/etc/nftables.conf": line})


def test_other_files_of_a_folder_are_left_out(tmp_path):
    """
    ufw reads *.rules and firewalld *.xml.
    """
    tree = {"/etc/ufw/ufw.conf": "32768:60999", "/etc/firewalld/zones/a.xml.old": "32768:60999"}

    assert ([], ()) == found_in(tmp_path, tree)


@pytest.mark.parametrize(
    ("path", "what"),
    [("/etc/nftables.conf", Fifo()), ("/etc/ufw/user.rules", "x" * (1 << 20) + "x")],
)
def test_what_is_not_searched_is_a_gap(tmp_path, path, what):
    """
    A FIFO is not opened and a file without end is not read; both are told.
    """
    lines, gaps = found_in(tmp_path, {path: what})

    assert ([], [path]) == (lines, [gap.source for gap in gaps])


def test_nothing_outside_the_root_is_read(tmp_path):
    """
    A link leads to where it would from inside the root.
    """
    outside = tmp_path / "outside"
    outside.write_text("32768-60999")
    tree = {"/etc/nftables.conf": Link(os.fspath(outside))}

    assert ([], ()) == found_in(tmp_path / "root", tree)


def test_too_many_files_are_a_gap(tmp_path):
    """
    So many are searched, and that is told.
    """
    tree = {f"/etc/nftables.d/{number:04}": "32768-60999" for number in range(MOST_FILES)}
    lines, gaps = found_in(tmp_path, tree)

    assert ["filters"] == [gap.source for gap in gaps]
    assert MOST_FILES > len(lines) > 0


def test_a_hostile_file_costs_little(tmp_path):
    """
    One endless line, many lines, and bytes that are no text are looked at once and cut.
    """
    tree = {
        "/etc/iptables/a": b"32768-60999 " * 80_000,
        "/etc/iptables/b": b"# 32768-60999" + b" 32768-60999" * 80_000,
        "/etc/iptables/c": b"\xff\x1b[31m 32768-60999\n" * 40_000,
    }
    begin = time.monotonic()
    lines, _ = found_in(tmp_path, tree)

    assert 5 > time.monotonic() - begin
    assert [1, MOST_LINES] == [
        sum(file == name for file, _, _ in lines) for name in ("/etc/iptables/a", "/etc/iptables/c")
    ]
    assert LINE_LETTERS == len(lines[0][2])
    assert "\\xff\x1b[31m 32768-60999" == lines[1][2]
