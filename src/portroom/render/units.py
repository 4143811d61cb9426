"""How values are written for people: numbers, ratios, times, hostile text, colour.

Rules of this file: percent exists only here; nothing is rounded to an extreme
that was not reached; text of other processes passes ``printable``.
"""

from __future__ import annotations

import datetime
from typing import NamedTuple

LONGEST_IN_SENTENCE = 48
"""Columns of a value in a sentence: a list of reserved ports may have thousands."""

BESIDE_VALUE = 8
"""Columns that stay free beside it: lines of a paragraph are set in."""


class Style(NamedTuple):
    """
    How a screen is to look; the door finds it out, rendering obeys.

    Args:
        width: Columns, or 0 for as many as it takes.
        colour: Write ANSI colours.
        ascii: Draw with ASCII alone.
        wide: Show every column, cut nothing.
        height: Lines, or 0 for as many as it takes.
    """

    width: int = 80
    colour: bool = False
    ascii: bool = False
    wide: bool = False
    height: int = 0


LOOKS = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}
"""SGR codes that every terminal has, readable on dark and on light ground."""


def paint(text: str, look: str, style: Style) -> str:
    """Return *text* in one of LOOKS ("" is none) where colour is wanted."""
    if not (look and text and style.colour):
        return text
    return f"\x1b[{LOOKS[look]}m{text}\x1b[0m"


def number(count: int | None) -> str:
    """
    Return a count with thousands separated, or "-" where there is none.

    >>> number(28232)
    '28,232'
    """
    return "-" if count is None else f"{count:,}"


def span(low: int, high: int, style: Style) -> str:
    """
    Return one number, or both ends where they differ.

    >>> span(12, 9000, Style(ascii=True))
    '12-9,000'
    """
    if low == high:
        return number(low)
    return f"{low:,}{'-' if style.ascii else '–'}{high:,}"


def percent(ratio: float) -> str:
    """
    Return a ratio of 0…1 as whole percent, rounded down.

    100 % is said only of all, 0 % only of nothing.

    >>> percent(0.9999), percent(1.0), percent(0.0001), percent(0.0)
    ('99 %', '100 %', '<1 %', '0 %')
    """
    if ratio <= 0:
        return "0 %"
    return f"{int(ratio * 100)} %" if ratio >= 0.01 else "<1 %"


def duration(seconds: float) -> str:
    """
    Return a time span in its two largest units.

    >>> duration(0.25), duration(90), duration(7322)
    ('250 ms', '1 min 30 s', '2 h 2 min')
    """
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    rest, parts = int(seconds), []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        amount, rest = divmod(rest, size)
        if amount:
            parts.append(f"{amount} {unit}")
    return " ".join(parts[:2])


def instant(moment: datetime.datetime) -> str:
    """Return an aware moment as ``2026-03-01 12:00:00 UTC``."""
    return f"{moment.astimezone(datetime.UTC):%Y-%m-%d %H:%M:%S} UTC"


def plural(count: int, noun: str, nouns: str = "") -> str:
    """
    Return a count and its noun.

    >>> plural(1, "port"), plural(2, "port"), plural(0, "entry", "entries")
    ('1 port', '2 ports', '0 entries')
    """
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def endpoint(address: str, port: int | None) -> str:
    """
    Return an address with its port, IPv6 in brackets; None leaves the port out.

    >>> endpoint("2001:db8::1", 443)
    '[2001:db8::1]:443'
    """
    if port is None:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def printable(text: str) -> str:
    r"""
    Return hostile text so that none of its characters acts or hides.

    Control characters, escapes, bidirectional and zero-width marks, line
    separators and invalid characters are written as escapes.

    >>> printable("a\x1b[31m\n")
    'a\\x1b[31m\\x0a'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(ord(c)) for c in text)


def _escape(code: int) -> str:
    """Return the shortest Python escape of a character."""
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def columns(text: str) -> int:
    """
    Return how many terminal columns a printable text takes.

    >>> columns("ab"), columns("日本"), columns("e\u0301")
    (2, 4, 1)
    """
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def cut(text: str, width: int, style: Style, *, middle: bool = False) -> str:
    """
    Return *text* in at most *width* columns, an ellipsis where it was cut.

    Args:
        text: Printable text.
        width: Columns; at least one.
        style: Tells which ellipsis.
        middle: Cut the middle out, so that the port of an endpoint stays.

    >>> cut("[2001:db8::1234]:443", 12, Style(ascii=True), middle=True)
    '[2001:~]:443'
    """
    if columns(text) <= width:
        return text
    ellipsis = "~" if style.ascii else "…"
    tail = (width - 1) // 2 if middle else 0
    end = _fitting(text[::-1], tail)[::-1]
    return _fitting(text, width - 1 - columns(end)) + ellipsis + end


def in_sentence(value: str | None, style: Style) -> str:
    """
    Return a value of a setting in a sentence, cut in its middle if it is long, unless wide.

    Args:
        value: None for one that depends on the machine.
        style: Tells how much room there is, and which ellipsis.

    >>> [in_sentence(value, Style()) for value in ("8080", "", None)]
    ['8080', 'none', 'by machine']
    """
    if value is None:
        return "by machine"
    text = printable(value) or "none"
    if style.wide:
        return text
    # A word that fills a line would be cut once more where it is set.
    room = max(style.width - BESIDE_VALUE, 8) if style.width else LONGEST_IN_SENTENCE
    return cut(text, min(room, LONGEST_IN_SENTENCE), style, middle=True)


def _fitting(text: str, width: int) -> str:
    """Return the longest beginning of *text* that takes at most *width* columns."""
    while columns(text) > width:
        text = text[: max(width, 0)] if len(text) > width else text[:-1]
    return text
