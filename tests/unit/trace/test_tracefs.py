"""Prove what is said where the kernel refuses tracing."""

import errno
import os

import pytest

from portroom.errors import KernelDataError, NotPermittedError, NotSupportedError
from portroom.trace.live import buffer_kb
from portroom.trace.ring import parse_lost
from portroom.trace.tracefs import missing, refused

REFUSALS = [
    (errno.EPERM, NotPermittedError, "CAP_SYS_ADMIN", "sudo"),
    (errno.EACCES, NotPermittedError, "CAP_SYS_ADMIN", "sudo"),
    (errno.ENODEV, NotSupportedError, "CONFIG_TRACING", ""),
    (errno.ENOENT, NotSupportedError, "no None there", ""),
    (errno.ENOSYS, NotSupportedError, "5.2", "mount -t tracefs"),
    (errno.ENOMEM, KernelDataError, "Cannot allocate memory", ""),
]


@pytest.mark.parametrize(("number", "kind", "told", "hint"), REFUSALS)
def test_a_refusal_says_what_is_missing(number, kind, told, hint):
    """
    What was tried, what was seen, and what to do.
    """
    error = refused(OSError(number, os.strerror(number)), "mounting tracefs")

    assert type(error) is kind
    assert "mounting tracefs" in error.message
    assert told in error.message
    assert hint in error.hint


def test_an_event_that_is_missing_names_the_option():
    """
    System calls need an option of the kernel, changes of state a kernel that is new enough.
    """
    assert "CONFIG_FTRACE_SYSCALLS" in missing("syscalls/sys_exit_bind").message
    assert "4.16" in missing("sock/inet_sock_set_state").message


def test_losses_of_all_kinds_count():
    """
    Overwritten and dropped events are lost alike.
    """
    stats = (
        b"entries: 9\noverrun: 1\ncommit overrun: 2\nbytes: 400\noldest event ts:     3.000000\n"
        b"now ts: 36428.836462\ndropped events: 40\nread events: 5\n"
    )

    assert 43 == parse_lost(stats)
    assert 0 == parse_lost(b"")


@pytest.mark.parametrize(("processors", "size"), [(1, 2048), (16, 2048), (32, 1024), (1024, 512)])
def test_buffers_are_bounded(processors, size):
    """
    Few processors have large ones; many have small ones.
    """
    assert size == buffer_kb(processors)
