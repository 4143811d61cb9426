"""The scene of a failure: read what explains it, beside the Snapshot. Changes nothing.

Rules of this file:

- every function reads the namespace of the calling thread, but for those of other
  namespaces, which enter them on threads of their own;
- what cannot be read is a Gap in its place, and the others are still read.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from portroom.errors import KernelDataError, NotPermittedError
from portroom.kernel.columns import append_rows, empty_rows
from portroom.kernel.limits import UNKNOWN, read_conntrack, read_open_files
from portroom.kernel.owners import read_owners
from portroom.kernel.pulse import read_pulse
from portroom.kernel.rows import RowsQuery, read_rows
from portroom.kernel.selinux import read_selinux
from portroom.model.facts.gaps import Gap
from portroom.model.facts.scene import Pulse
from portroom.model.facts.snapshot import Owners, Snapshot
from portroom.model.facts.sockets import Endpoint, Owner
from portroom.model.facts.surroundings import Surroundings

Read = TypeVar("Read")

NOBODY = Endpoint("127.0.0.1", 9)
"""
A remote that a probe asks about a port for everybody: nothing is sent there.

Port 9 discards; whoever is connected there holds the port of that connection alone.
"""


def pulse() -> Pulse:
    """Return the counters now."""
    return read_pulse(time.monotonic())


def later_pulse(before: Pulse, after_s: float) -> Pulse:
    """
    Return the counters once *after_s* seconds have passed since *before*.

    What rises between both happens now; Ctrl-C ends the wait.
    """
    left = before.at_s + after_s - time.monotonic()
    if left > 0:
        threading.Event().wait(left)
    return pulse()


def or_gap(source: str, read: Callable[[], Read], *affects: str) -> Read | Gap:
    """Return what *read* reads, or a Gap that says why it could not."""
    try:
        return read()
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "error")
        return Gap(source, f"could not be read ({name})", affects)
    except (NotPermittedError, KernelDataError) as error:
        return Gap(source, error.message, affects)


def limits(owners: Iterable[Owner]) -> Surroundings:
    """Return the limits that a failure may come from, and nothing else around."""
    files, uncounted = read_open_files(owners)
    conntrack = or_gap("conntrack", read_conntrack, "causes")
    selinux = or_gap("selinux", lambda: read_selinux(b"/"), "causes")
    known = UNKNOWN if isinstance(conntrack, Gap) else conntrack
    return Surroundings(
        open_files=files,
        conntrack_used=known.used,
        conntrack_max=known.limit,
        selinux="" if isinstance(selinux, Gap) else selinux,
        gaps=(*uncounted, *(gap for gap in (conntrack, selinux) if isinstance(gap, Gap))),
    )


def with_rows(read: Snapshot, *queries: RowsQuery) -> Snapshot:
    """Return a Snapshot with the sockets that match any query, and their owners by inode."""
    rows = empty_rows()
    gaps: list[Gap] = []
    for query in queries:
        found = or_gap("sock_diag", partial(read_rows, query), "causes", "findings")
        if isinstance(found, Gap):
            return msgspec.structs.replace(read, rows=found)
        append_rows(rows, found.rows)
        gaps += found.gaps
    by_inode, complete = read_owners(set(rows.inode), netns_inode=read.netns.inode)
    known = read.owners if isinstance(read.owners, Owners) else Owners()
    owners = Owners(known.by_key, known.by_inode | by_inode, known.complete and complete)
    return msgspec.structs.replace(read, rows=rows, owners=owners, gaps=(*read.gaps, *gaps))


def owners_of(read: Snapshot) -> Sequence[Owner]:
    """Return the processes behind the keys of a Snapshot, each once."""
    if isinstance(read.owners, Gap):
        return ()
    owners = [owner for key in read.owners.by_key for owner in key.owners]
    return list({(one.pid, one.start_time): one for one in owners}.values())
