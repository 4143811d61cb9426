"""Answers as JSON: one object an answer, or one object a line.

Rules of this file: instants are RFC 3339 in UTC; a ratio stays a ratio; a
character that could act on a terminal or break a log line is an escape, which
JSON readers take for the same character.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from portroom.model.facts.answers import SCHEMA_VERSION, Answer
from portroom.model.facts.snapshot import NetnsId

HEADER = frozenset({"schema_version", "host", "taken_at", "netns"})
"""Fields that stand before each row of JSON lines."""

ACTING = {
    code: f"\\u{code:04x}"
    for code in (
        *range(0x7F, 0xA0),  # DEL and C1: 0x9b alone begins a control sequence
        0x061C,  # bidirectional marks, embeddings, isolates
        *range(0x200B, 0x2010),  # with zero-width characters
        *range(0x2028, 0x202F),  # with line and paragraph separators
        *range(0x2060, 0x2070),
        0xFEFF,
    )
}


class Namespaces(msgspec.Struct, frozen=True, kw_only=True):
    """The same answer of several network namespaces."""

    schema_version: int = SCHEMA_VERSION
    host: str
    taken_at: datetime.datetime
    namespaces: tuple[Answer, ...]


class Header(msgspec.Struct, frozen=True):
    """What stands before each row of JSON lines."""

    schema_version: int
    host: str
    taken_at: datetime.datetime
    netns: NetnsId


def as_json(answer: msgspec.Struct) -> str:
    """Return one answer as an indented JSON object and a newline."""
    return indented(_encode(answer))


def indented(encoded: bytes) -> str:
    """Return JSON that is encoded already, indented and with nothing that acts."""
    return _safe(msgspec.json.format(encoded, indent=2)) + "\n"


def as_json_all(answers: Sequence[Answer], host: str, at: datetime.datetime) -> str:
    """
    Return the answers of all namespaces as one JSON object.

    Args:
        answers: One a namespace, perhaps none.
        host: Whose namespaces they are.
        at: When the reading began.
    """
    return as_json(Namespaces(host=host, taken_at=at, namespaces=tuple(answers)))


def as_json_line(answer: msgspec.Struct) -> str:
    """Return one answer as one line."""
    return _safe(_encode(answer)) + "\n"


def as_json_lines(answer: Answer, rows: Iterable[msgspec.Struct]) -> str:
    """Return one line a row, each with the header of the answer before its fields."""
    header = Header(answer.schema_version, answer.host, answer.taken_at, answer.netns)
    beginning = _encode(header)[:-1] + b","
    return "".join(_safe(beginning + _encode(_without_header(row))[1:]) + "\n" for row in rows)


def _without_header(row: msgspec.Struct) -> object:
    """Return a row without the fields that its header has: no name may stand there twice."""
    if HEADER.isdisjoint(row.__struct_fields__):
        return row
    fields = msgspec.to_builtins(row)
    return {name: value for name, value in fields.items() if name not in HEADER}


def _encode(value: Any) -> bytes:
    """Return the JSON of a value; text that is no Unicode is escaped first."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_without_surrogates(msgspec.to_builtins(value)))


def _without_surrogates(value: Any) -> Any:
    """Return builtins whose texts are all valid Unicode."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {
            _without_surrogates(name): _without_surrogates(item) for name, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_without_surrogates(item) for item in value]
    return value


def _safe(encoded: bytes) -> str:
    """Return JSON text in which no character acts; outside of texts none can."""
    text = encoded.decode()
    return text if text.isascii() and "\x7f" not in text else text.translate(ACTING)
