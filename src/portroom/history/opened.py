"""The database as a reader opens it: another process may write meanwhile, nothing is changed."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator

from portroom.errors import HistoryError
from portroom.history.schema import ForeignFileError, read_version

BUSY_S = 2.0

CACHE_KIB = 4096


@contextlib.contextmanager
def opened(file: str) -> Iterator[sqlite3.Connection]:
    """
    Yield a connection that only reads, all of it at one moment.

    Raises:
        HistoryError: There is no history, or it cannot be read.
    """
    if not os.path.exists(file):  # noqa: PTH110 - Path.exists() raises what may not be looked at
        raise HistoryError(
            f"There is no history at {file!r}, or it may not be looked at.",
            "`portroom serve` keeps one; --history FILE names another.",
        )
    if not os.path.isfile(file):  # noqa: PTH113 - as above; of a FIFO nobody ever reads
        raise HistoryError(f"The history {file!r} cannot be read: it is no regular file.")
    try:
        with contextlib.closing(_connect(file)) as connection:
            read_version(connection)
            connection.execute("BEGIN")
            yield connection
    except ForeignFileError as error:
        raise HistoryError(f"The history {file!r} cannot be read: {error}.") from None
    except (sqlite3.Error, ValueError) as error:
        raise HistoryError(
            f"The history {file!r} cannot be read: {str(error)!r}.",
            "If it is damaged, `portroom serve` sets it aside and begins anew.",
        ) from None


def _connect(file: str) -> sqlite3.Connection:
    """
    Return a connection that only reads.

    Raises:
        sqlite3.Error: It is no database, or may not be read.
    """
    from urllib.parse import quote

    path = quote(os.path.abspath(file))  # noqa: PTH100 - Path may hold bytes that quote has not
    # Without a log nobody writes: then nothing has to be made beside it, nor stays there.
    writes = os.path.exists(f"{file}-wal")  # noqa: PTH110 - see above
    connection = sqlite3.connect(
        f"file:{path}?mode=ro{'' if writes else '&immutable=1'}",
        timeout=BUSY_S,
        isolation_level=None,
        uri=True,
    )
    for setting in (f"cache_size = -{CACHE_KIB}", "temp_store = MEMORY"):
        connection.execute(f"PRAGMA {setting}")
    return connection
