"""Files of processes are parsed whatever a process calls itself."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portroom.kernel.processes import (
    ProcessStat,
    hidden_processes,
    may_trace,
    parse_proc_options,
    parse_stat,
    parse_thread_group,
    parse_uid,
    process_ids,
    read_command,
    unlisted_processes,
)

REST = b" S 1 7 7 0 -1 4194560 0 0 0 0 1 2 0 0 20 0 1 0 4321 1000 200 0 0\n"


@given(st.binary(max_size=15).filter(lambda name: b"\0" not in name))
def test_any_name_leaves_the_start_time_right(name):
    """
    The command ends at the last parenthesis, whatever it holds.
    """
    expected = ProcessStat(name.decode("utf-8", "backslashreplace"), 4321)

    assert expected == parse_stat(b"7 (" + name + b")" + REST)


@pytest.mark.parametrize("raw", [b"", b"7", b"7 (a", b"7 a)", b"7 (a) S 1 2", b")("])
def test_what_is_no_stat_is_refused(raw):
    """
    A cut file is an error, and the error quotes it.
    """
    with pytest.raises(ValueError, match="expected the stat of a process"):
        parse_stat(raw)


def test_invalid_utf_8_becomes_valid_text():
    """
    A byte that is no UTF-8 stands as its number.
    """
    assert r"a\xffb" == parse_stat(b"7 (a\xffb)" + REST).command


def test_the_effective_uid_is_the_owner():
    """
    The second of the four uids counts; a name cannot forge the line.
    """
    assert 33 == parse_uid(b"Name:\ta\\nUid:\t1\t1\nUid:\t0\t33\t0\t33\nGid:\t0\n")
    assert parse_uid(b"Name:\tweb\n") is None


def test_the_process_of_a_thread_is_read():
    """
    Of this one, it is this one.
    """
    assert os.getpid() == parse_thread_group(Path("/proc/thread-self/status").read_bytes())


@given(st.binary(max_size=200))
def test_a_status_without_process_is_refused(raw):
    """
    Nothing but a ValueError comes out.
    """
    try:
        parse_thread_group(raw)
    except ValueError:
        return
    assert b"\nTgid:\t" in raw


def test_a_name_cannot_forge_its_process():
    """
    The kernel writes a newline of a name as two letters.
    """
    assert parse_thread_group(b"Name:\ta\\nTgid:\t1\nUmask:\t0022\nTgid:\t7\n") == 7


def test_the_last_mount_of_proc_counts():
    """
    What was mounted over it is not seen any more; other folders do not count.
    """
    text = (
        "proc /proc proc rw,hidepid=invisible 0 0\n"
        "proc /srv/proc proc rw,hidepid=2 0 0\n"
        "proc /proc proc rw,nosuid,hidepid=1,gid=50 0 0\n"
    )

    assert {"rw": "", "nosuid": "", "hidepid": "1", "gid": "50"} == parse_proc_options(text)
    assert {} == parse_proc_options("")


@pytest.mark.parametrize(
    ("mask", "allowed"),
    [("000001ffffffffff", True), ("0000000000080000", True), ("0000000000040000", False)],
)
def test_the_right_to_trace_is_one_bit(mask, allowed):
    """
    CAP_SYS_PTRACE is capability 19 of those in force.
    """
    assert allowed == may_trace(f"CapPrm:\tffff\nCapEff:\t{mask}\nCapBnd:\t0\n")
    assert not may_trace("")


def folder(root, *, options="rw", capabilities="0", namespace="pid:[4026531836]", init=True):
    """Make a folder as procfs would look like, and return its path."""
    for name in ("self/ns", "thread-self", *(["1"] if init else [])):
        (root / name).mkdir(parents=True)
    (root / "self/ns/pid").symlink_to(namespace)
    (root / "self/mounts").write_text(f"proc {root} proc {options} 0 0\n")
    (root / "thread-self/status").write_text(f"CapEff:\t{capabilities}\n")
    return str(root)


@pytest.mark.parametrize(
    ("given", "hidden"),
    [
        ({}, False),
        ({"options": "rw,hidepid=off"}, False),
        ({"options": "rw,hidepid=noaccess"}, False),
        ({"options": "rw,hidepid=2"}, True),
        ({"options": "rw,hidepid=invisible"}, True),
        ({"options": "rw,hidepid=ptraceable", "capabilities": "80000"}, False),
        ({"options": "rw,hidepid=invisible,gid=4294967294"}, True),
        ({"init": False}, True),
        ({"namespace": "pid:[4026532999]"}, True),
    ],
)
def test_hidden_processes_are_noticed(tmp_path, given, hidden):
    """
    hidepid without the right to see, a missing pid 1, or a pid namespace.
    """
    assert hidden == hidden_processes(folder(tmp_path, **given))


@pytest.mark.parametrize("hidden", [False, True])
def test_of_a_system_that_boots_only_its_own_processes_count(tmp_path, hidden):
    """
    A pid namespace hides none of itself; hidepid does there as well.
    """
    options = "rw,hidepid=invisible" if hidden else "rw"
    proc = folder(tmp_path, namespace="pid:[4026532999]", options=options)

    assert hidden == unlisted_processes(proc)


def test_process_ids_are_numbers_in_order(tmp_path):
    """
    Other entries of procfs are none.
    """
    for name in ("10", "9", "self", "sys", "1"):
        (tmp_path / name).mkdir()

    assert [1, 9, 10] == process_ids(str(tmp_path))


def test_a_process_that_ended_has_no_command(tmp_path):
    """
    Its missing file is no error.
    """
    assert read_command(7, str(tmp_path)) is None
