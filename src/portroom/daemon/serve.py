"""What `portroom serve` starts: first everything that may be refused, then the daemon."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Sequence
from importlib.util import find_spec

from portroom.daemon.reload import Origin
from portroom.daemon.sockets import bound
from portroom.daemon.systemd import handed_over
from portroom.errors import NotSupportedError

NEEDED = ("starlette", "uvicorn", "sse_starlette")
"""What the extra ``serve`` installs."""


def serve(file: str | None, words: Sequence[str], snapshot: str | None) -> int:
    """
    Watch and answer until a signal comes; return the exit status.

    The caller has to end the process without waiting for its threads: one may hang.

    Args:
        file: The configuration that was named.
        words: ``SECTION.KEY=VALUE`` of the command line.
        snapshot: A saved Snapshot to tell instead of the kernel.

    Raises:
        PortroomError: It cannot begin.
    """
    gc.enable()  # this goes on for days
    need_extra()
    from portroom.daemon.running import Daemon

    origin = Origin(file, tuple(words))
    config = origin.read()
    environment = dict(os.environ)
    sockets = handed_over(environment, os.getpid()) or bound(config.serve.listen)
    # Not asyncio.run: at the end it waits for threads, for ever if one hangs.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    daemon = Daemon(origin, config, snapshot, sockets, environment)
    return loop.run_until_complete(daemon.run())


def need_extra() -> None:
    """
    Return if what the web needs is installed.

    Raises:
        NotSupportedError: It is not; the message says how to install it.
    """
    if any(find_spec(name) is None for name in NEEDED):
        raise NotSupportedError(
            "`portroom serve` needs packages that are not installed.",
            "pip install 'portroom[serve]'",
        )
