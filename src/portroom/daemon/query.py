"""The query of a request: each parameter known, given once, and what it may be."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from portroom.daemon.endpoints import (
    COUNT,
    DURATION,
    DURATION_FORM,
    LONGEST_TEXT,
    MOST_SECONDS,
    TEXT,
    TEXT_FORM,
    Parameter,
)
from portroom.errors import InvalidRequestError
from portroom.model.facts import config
from portroom.model.laws.config_values import FORMS, READERS

Values = Mapping[str, Any]
"""Each parameter of an endpoint by its name, those not given by their default."""

MOST_DIGITS = 9


def parse_query(query: bytes, parameters: Sequence[Parameter]) -> Values:
    """
    Return the parameters of a request.

    Args:
        query: What stands after the question mark.
        parameters: Those that there are.

    Raises:
        InvalidRequestError: One is unknown, given twice, or cannot be so.

    >>> from portroom.daemon.endpoints import LIMIT, OFFSET
    >>> parse_query(b"limit=7", (LIMIT, OFFSET))
    {'limit': 7, 'offset': 0}
    """
    known = {one.name: one for one in parameters}
    found: dict[str, Any] = {}
    for name, text in _pairs(query):
        if name not in known:
            raise InvalidRequestError(*_unknown(name, tuple(known)))
        if name in found:
            raise InvalidRequestError(f"{name} is given twice.")
        found[name] = _value(known[name], text)
    return {one.name: found.get(one.name, one.default) for one in parameters}


def _pairs(query: bytes) -> list[tuple[str, str]]:
    """Return the names and texts of a query."""
    if not query:
        return []
    try:
        return parse_qsl(
            query.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict"
        )
    except ValueError:
        raise InvalidRequestError(
            f"The query cannot be read: {query[:100]!r}.", "Write NAME=VALUE&NAME=VALUE."
        ) from None


def _unknown(name: str, known: Sequence[str]) -> tuple[str, str]:
    """Return message and hint about a parameter that is none."""
    message = f"There is no parameter {name[:50]!r} here."
    near = difflib.get_close_matches(name[:50], known, 1)
    if near:
        return message, f"Did you mean {near[0]!r}?"
    return message, f"There are: {', '.join(known)}." if known else "There are none."


def _value(parameter: Parameter, text: str) -> Any:
    """Return what a parameter is meant to be."""
    found = READ[parameter.kind](parameter, text)
    if found is None:
        raise InvalidRequestError(
            f"{parameter.name}: expected {form(parameter)}, got {text[:100]!r}."
        )
    return found


def _count(parameter: Parameter, text: str) -> int | None:
    """Return a whole number within its bounds."""
    if not (text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS):
        return None
    number = int(text)
    return number if parameter.least <= number <= parameter.most else None


def _duration(_: Parameter, text: str) -> float | None:
    """Return seconds."""
    if not re.fullmatch(DURATION_FORM, text, re.ASCII):
        return None
    seconds: float | None = READERS[config.DURATION](text)
    return seconds if seconds is not None and seconds <= MOST_SECONDS else None


def _text(parameter: Parameter, text: str) -> str | None:
    """Return a text of one line that is not empty, or one of some words."""
    if parameter.words and text not in parameter.words:
        return None
    return text if re.fullmatch(TEXT_FORM, text) else None


def form(parameter: Parameter) -> str:
    """
    Return in words what a parameter may be.

    >>> from portroom.daemon.endpoints import LIMIT
    >>> form(LIMIT)
    'a whole number from 1 to 1000'
    """
    if parameter.kind == COUNT:
        return f"a whole number from {parameter.least} to {parameter.most}"
    if parameter.kind == DURATION:
        return FORMS[config.DURATION]
    if parameter.words:
        return " or ".join(parameter.words)
    return f"a text of 1 to {LONGEST_TEXT} characters of printable ASCII"


READ = {COUNT: _count, DURATION: _duration, TEXT: _text}
"""Of each kind what makes its value; None where it is none."""
