"""Files that set a sysctl later or by other means are found by file and line."""

import os
import time

import pytest

from portroom.kernel.boot_traces import MOST_TRACE_FILES, lines_naming, read_traces, written_value
from tests.unit.kernel.trees import Fifo, Link, make_tree

RANGE = "net.ipv4.ip_local_port_range"
REUSE = "net.ipv4.tcp_tw_reuse"


def found_in(tmp_path, tree, *keys):
    """
    Return runner, key, value, file, line and time of each trace in a tree.
    """
    writers, _ = read_traces(keys or [RANGE], os.fsencode(make_tree(tmp_path, tree)))
    return [(w.name, w.key, w.value, w.file, w.line, w.when) for w in writers]


@pytest.mark.parametrize(
    ("path", "runner", "when"),
    [
        ("/etc/rc.local", "rc.local", "after it"),
        ("/etc/rc.d/rc.local", "rc.local", "after it"),
        ("/etc/local.d/ports.start", "OpenRC's local", "after it"),
        ("/etc/network/interfaces", "ifupdown", "any time"),
        ("/etc/network/if-up.d/ports", "ifupdown", "any time"),
        ("/etc/NetworkManager/dispatcher.d/10-ports", "NetworkManager", "any time"),
        ("/etc/networkd-dispatcher/routable.d/ports", "networkd-dispatcher", "any time"),
        ("/etc/systemd/system/ports.service", "systemd", "any time"),
        ("/etc/systemd/system/nginx.service.d/ports.conf", "systemd", "any time"),
        ("/etc/udev/rules.d/90-ports.rules", "udev", "any time"),
        ("/etc/modprobe.d/ports.conf", "modprobe", "any time"),
        ("/etc/crontab", "cron", "any time"),
        ("/etc/cron.d/ports", "cron", "any time"),
        ("/etc/cloud/cloud.cfg.d/90-ports.cfg", "cloud-init", "any time"),
        ("/var/lib/cloud/instance/user-data.txt", "cloud-init", "any time"),
    ],
)
def test_each_place_is_searched(tmp_path, path, runner, when):
    """
    The place says who runs what stands there, and when.
    """
    tree = {path: f"# first line\nsysctl -w {RANGE}='1024 65000'\n"}

    assert [(runner, RANGE, "1024 65000", path, 2, when)] == found_in(tmp_path, tree)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ('sysctl -w net.ipv4.ip_local_port_range="15000 65000"', "15000 65000"),
        ("sysctl -w 'net/ipv4/ip_local_port_range=15000 65000' >&2", "15000 65000"),
        ("/sbin/sysctl -q net.ipv4.ip_local_port_range=15000; true", "15000"),
        ("echo 15000 65000 > /proc/sys/net/ipv4/ip_local_port_range", "15000 65000"),
        ('echo "1 2" | sudo tee /proc/sys/net/ipv4/ip_local_port_range', "1 2"),
        ('RUN+="/sbin/sysctl -w net.ipv4.ip_local_port_range=15000"', "15000"),
        ("- [ sysctl, -w, net.ipv4.ip_local_port_range=1 2 ]", "1 2"),
        ("    net.ipv4.ip_local_port_range = 1 2", "1 2"),
        ("-net.ipv4.ip_local_port_range=1 2", "1 2"),
        ("cat $RANGE > /proc/sys/net/ipv4/ip_local_port_range", None),
        ("sysctl -w net.ipv4.ip_local_port_range=", ""),
    ],
)
def test_the_value_is_what_the_line_gives(tmp_path, line, value):
    """
    The value is told where the line has it in one of the usual ways, else it is None.
    """
    found = found_in(tmp_path, {"/etc/rc.local": line})

    assert [value] == [told for _, _, told, _, _, _ in found]


@pytest.mark.parametrize(
    "line",
    [
        "# sysctl -w net.ipv4.tcp_tw_reuse=1",
        "   # net.ipv4.tcp_tw_reuse=1",
        "; net.ipv4.tcp_tw_reuse=1",
        "true # net.ipv4.tcp_tw_reuse=1",
        "sysctl -w net.ipv4.tcp_tw_reuse_delay=1",
        "sysctl -w net.ipv4.tcp_tw_reuse.more=1",
        "sysctl -w planet.ipv4.tcp_tw_reuse=1",
        "net.ipv4.TCP_TW_REUSE=1",
    ],
)
def test_comments_and_other_keys_are_no_traces(tmp_path, line):
    """
    A comment does nothing, and a longer name is another key.
    """
    assert [] == found_in(tmp_path, {"/etc/rc.local": line}, REUSE)


@pytest.mark.parametrize("command", ["sysctl --system", "/sbin/sysctl -qp /etc/x", "sysctl -p"])
def test_files_applied_again_are_a_trace_of_every_key(tmp_path, command):
    """
    A command that applies sysctl files is told whatever the key.
    """
    found = found_in(tmp_path, {"/etc/rc.local": f"#!/bin/sh\n{command}\n"}, REUSE)

    assert [("rc.local", "*", None, "/etc/rc.local", 2, "after it")] == found


def test_the_sentence_names_place_and_runner(tmp_path):
    """
    A person reads where, by whom and what.
    """
    root = make_tree(tmp_path, {"/etc/crontab": f"@reboot root sysctl -w {REUSE}=1\n"})

    (writer,), _ = read_traces([REUSE], os.fsencode(root))

    assert f"/etc/crontab:1, run by cron, may set {REUSE}." == writer.sentence


def test_hostile_names_stay_text(tmp_path):
    """
    A file name with an escape, a newline or bytes that are no UTF-8 is told as valid text.
    """
    name = os.fsdecode(b"a\x1b[31m\n\xff")

    found = found_in(tmp_path, {f"/etc/cron.d/{name}": f"{RANGE}=1 2"})

    assert ["/etc/cron.d/a\x1b[31m\n\\xff"] == [file for _, _, _, file, _, _ in found]


def test_links_never_leave_the_root(tmp_path):
    """
    Absolute links and those that climb lead to the tree's own files, or to nothing.
    """
    make_tree(tmp_path, {"/secret": f"{RANGE}=1 1", "/tree/secret": f"{RANGE}=2 2"})
    tree = {
        "/etc/rc.local": Link("../../../../../../secret"),
        "/etc/crontab": Link(str(tmp_path / "secret")),
        "/etc/cron.d": Link(str(tmp_path)),
    }

    found = found_in(tmp_path / "tree", tree)

    assert [("2 2", "/etc/rc.local")] == [(value, file) for _, _, value, file, _, _ in found]


def test_what_would_block_or_never_end_is_a_gap(tmp_path):
    """
    A FIFO, a loop and a huge file are named, not read; folders and dangling links are nothing.
    """
    tree = {
        "/etc/rc.local": Fifo(),
        "/etc/crontab": Link("crontab"),
        "/etc/cron.d/huge": b"\n" * ((1 << 20) + 1),
        "/etc/cron.d/folder": None,
        "/etc/cron.d/dangling": Link("nowhere"),
    }

    writers, gaps = read_traces([RANGE], os.fsencode(make_tree(tmp_path, tree)))

    assert [] == writers
    assert {"/etc/rc.local": "FIFO", "/etc/crontab": "link loop", "/etc/cron.d/huge": "large"} == {
        gap.source: gap.reason.removeprefix("is a ").partition(" file")[0].partition(":")[0]
        for gap in gaps
    }


def test_too_many_files_are_told(tmp_path):
    """
    No more than a thousand files are read, and a Gap says that there are more.
    """
    tree = {f"/etc/cron.d/{number:04}": "" for number in range(MOST_TRACE_FILES + 1)}

    _, gaps = read_traces([RANGE], os.fsencode(make_tree(tmp_path, tree)))

    assert [f"{MOST_TRACE_FILES} were"] == [gap.reason[-len("1000 were") :] for gap in gaps]


def test_the_worst_files_take_no_two_seconds(tmp_path):
    """
    Files full of the key, of comments or of one endless line are searched in bounded time.
    """
    line = f"{RANGE}=1 2\n"
    size = 1 << 20
    tree = {
        f"/etc/cron.d/{number}-{kind}": (text * (size // len(text)))
        for number in range(6)
        for kind, text in {"key": line, "comment": "#" + line, "long": f"sysctl {RANGE} "}.items()
    }
    root = os.fsencode(make_tree(tmp_path, tree))

    begin = time.monotonic()
    writers, gaps = read_traces([RANGE, REUSE], root)

    assert 2.0 > time.monotonic() - begin
    assert [] != writers
    assert [] != gaps


def test_a_line_counts_once_for_each_spelling_and_from_one():
    """
    Numbers count from one, as editors do, whatever stands before.
    """
    text = b"\n\nnet.ipv4.tcp_tw_reuse=1 net.ipv4.tcp_tw_reuse=2\n\nnet.ipv4.tcp_tw_reuse=1"

    assert [3, 5] == [line.number for line in lines_naming(text, REUSE)]


def test_a_value_without_its_closing_quote_ends_with_the_line():
    """
    A quote that is never closed holds the rest.
    """
    assert b"1 2" == written_value(b'sysctl -w "a=1 2', 11, 12)
