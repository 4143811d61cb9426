"""Limits are told beside what is used of them, and only where both are known."""

from pathlib import Path

import pytest

from portroom.errors import KernelDataError
from portroom.kernel.limits import (
    UNKNOWN,
    Usage,
    parse_open_files_limit,
    parse_tcp_pages,
    read_conntrack,
    read_open_files,
    read_tcp_memory,
)
from portroom.model.facts.sockets import Owner
from tests.unit.kernel.trees import Link, make_tree

LIMITS = (
    "Limit                     Soft Limit           Hard Limit           Units     \n"
    "Max core file size        0                    unlimited            bytes     \n"
    "Max open files            1024                 524288               files     \n"
)
STAT = "7 (a) S 1) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4321 0"
SOCKSTAT = "sockets: used 16\nTCP: inuse 1 orphan 0 tw 0 alloc 1 mem 177\nUDP: inuse 0 mem 9\n"


def owner(pid=7, start_time=4321):
    """
    Return a process as it was seen before.
    """
    return Owner(pid, start_time, "a", 0, None, None)


def process(**others):
    """
    Return the files of one process.
    """
    return {"7/stat": STAT, "7/limits": LIMITS, "7/fd": None, **others}


def read(tmp_path, tree, *owners):
    """
    Return what is used and the limit of each owner in a folder as procfs.
    """
    files, gaps = read_open_files(owners, make_tree(tmp_path, tree))
    return [(one.used, one.limit) for one in files], gaps


def test_a_process_is_told_once(tmp_path):
    """
    However often it owns a socket; the limit is the soft one.
    """
    files, gaps = read(tmp_path, process(), owner(), owner())

    assert [1024] == [limit for _, limit in files]
    assert () == gaps


@pytest.mark.parametrize(
    ("tree", "of"),
    [
        (process(), owner(start_time=4322)),
        (process(), owner(pid=8)),
        (process(**{"7/limits": "Limit\n"}), owner()),
        (process(**{"7/limits": "Limit\nMax open files            "}), owner()),
        (process(**{"7/limits": LIMITS.replace("1024", "many")}), owner()),
        (process(**{"7/stat": ""}), owner()),
        ({"7": None}, owner()),
    ],
)
def test_a_process_that_is_not_the_same_any_more_is_left_out(tmp_path, tree, of):
    """
    It ended, its number went to another one, or its files tell nothing.
    """
    assert ([], ()) == read(tmp_path, tree, of)


def test_the_limit_of_a_process_that_forges_lines():
    """
    The first line that begins so counts; names of processes are not in this file.
    """
    assert 1024 == parse_open_files_limit(LIMITS.encode() + b"Max open files            9 9\n")


CONNTRACK = "sys/net/netfilter/nf_conntrack_"


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({f"{CONNTRACK}count": "12\n", f"{CONNTRACK}max": "262144\n"}, Usage(12, 262144)),
        ({f"{CONNTRACK}count": "12\n", f"{CONNTRACK}max": "0\n"}, UNKNOWN),
        ({f"{CONNTRACK}max": "262144\n"}, UNKNOWN),
        ({f"{CONNTRACK}count": "12\n"}, UNKNOWN),
        ({}, UNKNOWN),
    ],
)
def test_tracked_connections(tmp_path, tree, expected):
    """
    Without connection tracking, or without a limit, there is neither number.
    """
    assert expected == read_conntrack(make_tree(tmp_path, tree))


TCP_MEM = "sys/net/ipv4/tcp_mem"


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({TCP_MEM: "1\t2\t575802\n", "thread-self/net/sockstat": SOCKSTAT}, Usage(177, 575802)),
        ({"thread-self/net/sockstat": SOCKSTAT}, UNKNOWN),
    ],
)
def test_memory_of_tcp(tmp_path, tree, expected):
    """
    The limit is the third number of tcp_mem, which only the initial namespace has.
    """
    assert expected == read_tcp_memory(make_tree(tmp_path, tree))


@pytest.mark.parametrize("text", ["", "TCP: inuse 1 mem\n", "UDP: mem 9\n", "TCP: mem x\n"])
def test_sockstat_without_the_pages_is_an_error(text):
    """
    It quotes what was there.
    """
    with pytest.raises(KernelDataError, match="expected the pages of TCP"):
        parse_tcp_pages(text)


@pytest.mark.parametrize("text", ["", "many\n", "1\x002\n"])
def test_a_sysctl_that_holds_no_number_is_an_error(tmp_path, text):
    """
    It names the file.
    """
    tree = {f"{CONNTRACK}count": text, f"{CONNTRACK}max": "1\n"}

    with pytest.raises(KernelDataError, match="nf_conntrack_count: expected numbers"):
        read_conntrack(make_tree(tmp_path, tree))


def test_a_folder_whose_size_is_not_told_is_counted(tmp_path):
    """
    Before Linux 6.2 the size of a folder of descriptors is 0, as it still is of others in procfs.
    """
    folder = Path("/proc/self/ns")
    files, _ = read(tmp_path, process(**{"7/fd": Link(str(folder))}), owner())

    assert 0 == folder.stat().st_size
    assert [(len(list(folder.iterdir())), 1024)] == files
