"""A process is found by its number, and its sockets' option read as two ends."""

import pytest

from portroom.errors import InvalidRequestError
from portroom.kernel.process_seen import read_process
from portroom.kernel.processes import parse_thread_group


@pytest.mark.parametrize("pid", [0, -1, 2**22 + 1, 10**12])
def test_no_process_has_such_a_number(pid):
    """
    Nothing is looked at for a number that no process has.
    """
    with pytest.raises(InvalidRequestError) as refused:
        read_process(pid)

    assert f"No process {pid}: it has ended, or cannot be seen from here." == refused.value.message


def test_a_status_without_a_group_is_refused():
    """
    A name cannot forge the line: its newlines are escaped by the kernel.
    """
    with pytest.raises(ValueError, match="expected the status of a process"):
        parse_thread_group(b"Name:\tTgid:\t7\nPid:\t9\n")
