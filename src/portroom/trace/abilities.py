"""Whether failures could be watched here, asked without watching anything.

Rules of this file: nothing is switched on, so that no program is slowed down, not even
for a moment; where a right is missing the answer is unknown, and names the right.
"""

from __future__ import annotations

import errno
import os

from portroom.errors import KernelDataError, NotPermittedError, NotSupportedError
from portroom.model.facts.features import Asked
from portroom.trace.events import BEFORE, FAILURES, read_decoders
from portroom.trace.perf_ring import try_copies
from portroom.trace.tracefs import open_tracefs, refused

REFUSED = frozenset({errno.EPERM, errno.EACCES})
ABSENT = frozenset({errno.ENOSYS, errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP, errno.EINVAL})
"""How a kernel refuses an event or an option that it does not have."""


def read_trace_abilities() -> dict[str, Asked]:
    """Return what can be traced, by the names of ``model.laws.feature_table``."""
    return {"trace_events": _events(), "trace_stacks": _stacks()}


def _events() -> Asked:
    """Say whether tracefs may be opened, and has all events that are watched."""
    try:
        top = open_tracefs()
        try:
            read_decoders((*FAILURES, *BEFORE), top)
        finally:
            os.close(top)
    except NotSupportedError as error:
        return Asked(False, error.message)
    except NotPermittedError:
        return Asked(None, "needs CAP_SYS_ADMIN, and a user who may write tracefs, as root")
    except KernelDataError as error:
        return Asked(None, error.message)
    except OSError as error:
        return Asked(None, refused(error, "reading events").message)
    return Asked(True)


def _stacks() -> Asked:
    """Say whether the kernel would copy stacks of any process."""
    try:
        try_copies(min(os.sched_getaffinity(0)))
    except NotSupportedError as error:
        return Asked(False, error.message)
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "error")
        if error.errno in REFUSED:
            return Asked(None, f"needs CAP_PERFMON or CAP_SYS_ADMIN ({name})")
        return Asked(False if error.errno in ABSENT else None, f"perf_event_open: {name}")
    return Asked(True)
