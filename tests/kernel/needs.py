"""What a test needs of the kernel, asked of it: a kernel that lacks it skips the test, and says so.

Rules of this file:

- the kernel is asked, by what portroom asks or by doing it; no version is compared;
- a test is skipped only where there is nothing to be right or wrong about: where an
  answer is a span, or names another cause, the test expects that instead;
- each reason begins with LACKS: in a guest any other skip counts as a failure.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

import pytest

from portroom.kernel.features import read_features
from portroom.kernel.namespaces import read_cookie
from portroom.kernel.probe import has_range_option
from portroom.model.facts.snapshot import Features

TW_REUSE_DELAY = Path("/proc/sys/net/ipv4/tcp_tw_reuse_delay")

IN_GUEST = "PORTROOM_GUEST" in os.environ
"""Whether this is a machine that software emulates."""

SLOWNESS = 10 if IN_GUEST else 1
"""How many times longer anything may take: that it ends is all that emulation can show."""

LACKS = "this kernel lacks "
"""How the reason of such a skip begins; what is missing follows."""


@functools.cache
def features() -> Features:
    """Return what the running kernel can do."""
    return read_features()


def settles_all() -> bool:
    """Say whether --probe of a destination leaves no doubt: it can ask about each port."""
    return features().range_option is True


def rounds(usual: int, *, full: int | None = None, in_guest: int | None = None) -> int:
    """
    Return how often a test does what it does.

    Args:
        usual: In the default run.
        full: With PORTROOM_TESTS=full.
        in_guest: In an emulated machine, where the kernel is asked and not the luck.
    """
    if IN_GUEST:
        return usual if in_guest is None else in_guest
    return full if full is not None and os.environ.get("PORTROOM_TESTS") == "full" else usual


def lacking(what: str, *, missing: bool) -> pytest.MarkDecorator:
    """Return a mark that skips a test where *what* is missing."""
    return pytest.mark.skipif(missing, reason=f"{LACKS}{what}")


range_option = lacking("IP_LOCAL_PORT_RANGE", missing=has_range_option() is False)
tw_reuse_delay = lacking("tcp_tw_reuse_delay", missing=not TW_REUSE_DELAY.exists())
netns_cookie = lacking("SO_NETNS_COOKIE", missing=read_cookie() is None)
