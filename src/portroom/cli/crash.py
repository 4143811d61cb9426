"""What a user is told when portroom itself is wrong."""

from __future__ import annotations

import sys
import traceback

from portroom import __version__
from portroom.cli.files import write_report


def told(error: BaseException) -> str:
    """
    Return one sentence about a bug, and where its report lies.

    The report goes to a file of its own, which the user alone can read; where
    none can be written, the sentence has to do.
    """
    kind = type(error).__name__
    place = write_report(report(error))
    where = f" The report is in {place}: please send it." if place else ""
    return f"This is a bug in portroom {__version__}: {kind}: {error}.{where}"


def report(error: BaseException) -> str:
    """Return what is needed to find the bug: versions, words and traceback."""
    return "\n".join(
        [
            f"portroom {__version__}, Python {sys.version}",
            f"arguments: {sys.argv[1:]!r}",
            "",
            *traceback.format_exception(error),
        ]
    )
