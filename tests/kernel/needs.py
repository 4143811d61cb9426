"""What a test needs of the kernel, asked of it: a kernel that lacks it skips the test, and says so.

Rules of this file:

- the kernel is asked, by what portroom asks or by doing it; no version is compared;
- a test is skipped only where there is nothing to be right or wrong about: where an
  answer is a span, or names another cause, the test expects that instead;
- each reason begins with LACKS: in a guest any other skip counts as a failure.
"""

from __future__ import annotations

import functools

import pytest

from portroom.kernel.features import read_features
from portroom.kernel.probe import has_range_option
from portroom.model.facts.snapshot import Features

LACKS = "this kernel lacks "
"""How the reason of such a skip begins; what is missing follows."""


@functools.cache
def features() -> Features:
    """Return what the running kernel can do."""
    return read_features()


def lacking(what: str, *, missing: bool) -> pytest.MarkDecorator:
    """Return a mark that skips a test where *what* is missing."""
    return pytest.mark.skipif(missing, reason=f"{LACKS}{what}")


range_option = lacking("IP_LOCAL_PORT_RANGE", missing=has_range_option() is False)
