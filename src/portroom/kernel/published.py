"""
Counts of failures that the trace service publishes, as everybody of its group may read them.

Rules of this file:

- it never waits longer than it is told, whoever serves there and however slowly;
- only what root or this user serves is believed, and only if it is what it should be;
- that nobody serves is the usual case: a Gap, which says how to have it.

Source: the other end is ``trace.publish``: a document and the end of the file.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import time

import msgspec

from portroom.model.facts.failure import FailureCounts
from portroom.model.facts.gaps import Gap

COUNTS = "/run/portroom-trace/counts.sock"
"""Where ``portroom-trace.service`` serves."""

LARGEST_BYTES = 16 << 20
"""A row is about 400 bytes, and it tells some thousand rows at most."""

CHUNK_BYTES = 1 << 18

PEER = struct.Struct("3i")
"""pid, uid and gid. Source: unix(7), SO_PEERCRED."""

OFF = "nobody counts failed connects: `systemctl enable --now portroom-trace` does"

REASONS = {
    errno.ENOENT: OFF,
    errno.ENOTDIR: OFF,
    errno.ECONNREFUSED: "the trace service has ended: `systemctl status portroom-trace` says why",
    errno.EACCES: "only root and the group portroom-trace may read the counts of failures",
    errno.EAGAIN: "too many ask the trace service at once",
}


class _DisbelievedError(Exception):
    """What is served is not believed; the text says why."""


def read_published(path: str = COUNTS, timeout_s: float = 1.0) -> FailureCounts | Gap:
    """
    Return the counts that are published at a path, or why there are none.

    Args:
        path: Of the unix socket.
        timeout_s: How long to wait in all; whoever serves there answers within half
            a second, where the machine is not busy.
    """
    try:
        content = _read(path, time.monotonic() + timeout_s)
        return msgspec.json.decode(content, type=FailureCounts)
    except TimeoutError:
        return _gap(f"the trace service gave no answer within {timeout_s:g} s")
    except OSError as error:
        said = f"{path}: {error.strerror or error}"
        return _gap(REASONS.get(error.errno or 0, said))
    except (_DisbelievedError, RecursionError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        return _gap(f"{path}: what is served there is not believed: {error}")


def _gap(reason: str) -> Gap:
    """Return the Gap of counts."""
    return Gap("trace", reason, ("failures",))


def _read(path: str, until_s: float) -> bytes:
    """
    Return all that a socket gives until its end.

    Raises:
        OSError: It cannot be reached, or not in time.
        _DisbelievedError: It is another user's, or gives too much.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        _wait_at_most(asking, until_s)
        try:
            asking.connect(path)
        except ValueError as error:
            raise OSError(errno.EINVAL, str(error)) from None
        uid = PEER.unpack(asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size))[1]
        if uid not in {0, os.geteuid()}:
            raise _DisbelievedError(f"it belongs to uid {uid}")
        return _drain(asking, until_s)


def _drain(asking: socket.socket, until_s: float) -> bytes:
    """
    Return what comes until the end.

    Raises:
        OSError: The end does not come in time.
        _DisbelievedError: It is too much.
    """
    chunks: list[bytes] = []
    length = 0
    while chunk := asking.recv(CHUNK_BYTES):
        chunks.append(chunk)
        length += len(chunk)
        if length > LARGEST_BYTES:
            raise _DisbelievedError(f"it has more than {LARGEST_BYTES >> 20} MiB")
        _wait_at_most(asking, until_s)
    return b"".join(chunks)


def _wait_at_most(asking: socket.socket, until_s: float) -> None:
    """
    Let the next call of a socket wait until an instant and no longer.

    Raises:
        TimeoutError: It is over.
    """
    left_s = until_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    asking.settimeout(left_s)
