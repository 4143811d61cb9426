"""Listening unix sockets are told from the bytes of unix_diag, and their names as they are."""

import struct

import pytest

from portroom.errors import KernelDataError
from portroom.kernel.sock_diag import attribute
from portroom.kernel.unix_sockets import NAME, RQLEN, parse_listener

PEER_QUEUE = 3


def message(name=b"/run/x\0", waiting=3, limit=4):
    """
    Return a message of unix_diag about a listening stream socket with inode 77.
    """
    body = struct.pack("=BBBBIII", 1, 1, 10, 0, 77, 5, 0)
    if name is not None:
        body += attribute(NAME, name)
    body += attribute(PEER_QUEUE, b"\1\0\0\0")
    if waiting is not None:
        body += attribute(RQLEN, struct.pack("=II", waiting, limit))
    return struct.pack("=IHHII", 16 + len(body), 20, 2, 1, 0) + body


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"/run/x\0", "/run/x"),
        (b"/run/x", "/run/x"),
        (b"\0bus", "@bus"),
        (b"\0a\0b", "@a@b"),
        (b"\0\xff", "@\\xff"),
        (b"relative", "relative"),
        (b"/a\nb\x1b[0m\0", "/a\nb\x1b[0m"),
        (None, ""),
        (b"", ""),
    ],
)
def test_a_name_is_a_path_or_abstract(name, expected):
    """
    Hostile bytes stay: each screen escapes them for itself.
    """
    found = parse_listener(message(name))

    assert (77, expected, 3, 4) == (
        found.inode,
        found.backlog.path,
        found.backlog.waiting,
        found.backlog.limit,
    )


@pytest.mark.parametrize(
    "raw", [message(waiting=None), message()[:20], message()[:-8] + b"\4\0\4\0"]
)
def test_a_message_without_a_queue_is_refused(raw):
    """
    No queue is not an empty one.
    """
    with pytest.raises(KernelDataError):
        parse_listener(raw)
