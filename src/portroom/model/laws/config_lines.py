"""Where in a TOML file something stands: the parser of the standard library does not tell.

Rules of this file: only the way of an error comes here; it may take its time.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from typing import Any


def line_of(text: str, path: Sequence[str]) -> int | None:
    r"""
    Return the line, counted from 1, on which a table or key begins.

    It is the last line before which the file could end, and would not have it: so
    texts and lists over many lines, comments and dotted keys need no rule of their own.

    Args:
        text: The whole file, which is valid.
        path: The names that lead to it: the section, and perhaps the key.

    Returns:
        None where it is not found.

    >>> line_of('[serve]\n# log?\nlog = "text"\n', ("serve", "log"))
    3
    """
    # Only "\n" ends a line in TOML; str.splitlines() would count other characters too.
    lines = text.split("\n")
    for count in range(len(lines) - 1, -1, -1):
        if path[-1] in lines[count] or "\\" in lines[count]:
            begun = _parsed("\n".join(lines[:count]))
            if begun is not None and not _has(begun, path):
                return count + 1
    return None


def place_of_error(error: tomllib.TOMLDecodeError, text: str) -> tuple[int, str]:
    r"""
    Return the line of an error of the parser, and what it says without the place.

    >>> try:
    ...     tomllib.loads("a = 1\nb = = 2")
    ... except tomllib.TOMLDecodeError as error:
    ...     place_of_error(error, "a = 1\nb = = 2")
    (2, 'Invalid value')
    """
    message = str(error)
    found = re.search(r" \((?:at line (\d+), column \d+|at end of document)\)$", message)
    reason = message[: found.start()] if found else message
    line = int(found[1]) if found and found[1] else text.rstrip("\n").count("\n") + 1
    return line, reason


def _parsed(text: str) -> dict[str, Any] | None:
    """Return what a beginning of the file says, None where the file cannot end there."""
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return None


def _has(tables: dict[str, Any], path: Sequence[str]) -> bool:
    """Say whether the names lead to something."""
    found: Any = tables
    for name in path:
        if not isinstance(found, dict) or name not in found:
            return False
        found = found[name]
    return True
