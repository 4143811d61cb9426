"""The configuration that holds here: the file's, with the words of options over it."""

from __future__ import annotations

import os
from collections.abc import Sequence

from portroom.errors import InvalidRequestError
from portroom.kernel.saved_file import read_named
from portroom.model.facts.config import Alerts, Config
from portroom.model.laws.config import FILE, parse_config, with_options

LARGEST_BYTES = 1 << 18
RIGHT = "The configuration has to be readable for the user who asks: sudo, or another --config."
NOTIFY_RIGHT = "It holds passwords: its owner alone should be able to read it, and be who asks."


def configuration(file: str | None, options: Sequence[str] = ()) -> Config:
    """
    Return the configuration, read anew.

    Args:
        file: The file that was named; None is ``/etc/portroom.toml``, which may
            be missing.
        options: ``SECTION.KEY=VALUE`` words, which prevail over the file.

    Raises:
        InvalidRequestError: The named file is missing, or a key or value cannot
            be; the message names file and line.
        NotPermittedError: It may not be read.
    """
    if file is None and not os.path.lexists(FILE):
        return with_options(Config(), options)
    where = FILE if file is None else file
    read = read_named(where, f"The configuration {where!r}", RIGHT, LARGEST_BYTES)
    return with_options(parse_config(_text(read, where), where), options)


def notify_addresses(alerts: Alerts) -> tuple[str, ...]:
    """
    Return where alerts go: what the configuration says, and the lines of its file.

    Empty lines and those that begin with ``#`` are none.

    Raises:
        InvalidRequestError: There is no such file.
        NotPermittedError: It may not be read.
    """
    if not alerts.notify_file:
        return alerts.notify
    where = alerts.notify_file
    read = read_named(where, f"alerts.notify_file {where!r}", NOTIFY_RIGHT, LARGEST_BYTES)
    lines = (line.strip() for line in _text(read, where).splitlines())
    return alerts.notify + tuple(line for line in lines if line and not line.startswith("#"))


def _text(read: bytes, where: str) -> str:
    """
    Return the file's text as TOML has it: UTF-8, whose lines end with a line feed.

    Raises:
        InvalidRequestError: It is none; the line is named.
    """
    try:
        return read.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = read.count(b"\n", 0, error.start) + 1
        raise InvalidRequestError(
            f"{where}:{line}: this is no text: {read[error.start : error.end]!r} is not UTF-8."
        ) from None
