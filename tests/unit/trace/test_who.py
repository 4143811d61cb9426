"""Prove how a thread's process is read, and what is told where it is gone."""

import os
import time

import pytest

from portroom.trace.who import parse_commands, sees_first_namespace, started_after


def test_commands_are_read_with_their_blanks():
    """
    A command is the rest of the line.
    """
    assert {7: "nginx: worker", 12: "", 9: " x"} == parse_commands(
        "7 nginx: worker\n12 \n9  x\nlost\n"
    )


def test_a_thread_that_started_later_is_another():
    """
    The number was given again; what started before may be the one.
    """
    ticks = os.sysconf("SC_CLK_TCK")
    now_ns, booted_ns = time.monotonic_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    start_ticks = booted_ns * ticks // 10**9

    assert not started_after(start_ticks - ticks, now_ns)
    assert started_after(start_ticks + ticks, now_ns)


@pytest.mark.parametrize("number", ["4026531836", "4026532999"])
@pytest.mark.parametrize("own", [True, False])
def test_numbers_mean_something_in_the_first_namespace_only(tmp_path, number, own):
    """
    The namespace has to be the first one, and the proc file system one of it.
    """
    folder = tmp_path / str(os.getpid() if own else os.getpid() + 1)
    (folder / "ns").mkdir(parents=True)
    (folder / "ns/pid").symlink_to(f"pid:[{number}]")
    (tmp_path / "self").symlink_to(folder.name)

    assert sees_first_namespace(str(tmp_path)) is (own and number == "4026531836")


def test_without_proc_numbers_mean_nothing(tmp_path):
    """
    What cannot be looked at is not guessed.
    """
    assert not sees_first_namespace(str(tmp_path))
