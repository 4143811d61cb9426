"""One beat of a namespace's counters; two of them tell what happens now."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TypeVar

from portroom.errors import KernelDataError
from portroom.kernel.conntrack import read_conntrack_stats
from portroom.kernel.files import PROC
from portroom.kernel.netstat import read_net_counts
from portroom.model.facts.gaps import Gap
from portroom.model.facts.scene import Pulse

Read = TypeVar("Read")

AFFECTS = ("causes", "findings")


def read_pulse(at_s: float, proc: str = PROC) -> Pulse:
    """
    Read the counters of the namespace of the calling thread, each part or why not.

    Args:
        at_s: The monotonic time now, in seconds.
        proc: Where the proc file system is mounted.
    """
    return Pulse(
        at_s=at_s,
        counts=_or_gap("counters", lambda: read_net_counts(proc)),
        conntrack=_or_gap("conntrack", lambda: read_conntrack_stats(proc)),
    )


def _or_gap(source: str, read: Callable[[], Read]) -> Read | Gap:
    """Return what *read* reads, or a Gap that says why not."""
    try:
        return read()
    except PermissionError:
        return Gap(source, "may not be read (needs CAP_NET_ADMIN)", AFFECTS)
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "error")
        return Gap(source, f"could not be read ({name})", AFFECTS)
    except KernelDataError as error:
        return Gap(source, error.message, AFFECTS)
