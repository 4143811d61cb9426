"""The words of ``portroom explain``: an errno by number, by name, or by its message.

Rules of this file: what people paste is a line of a log, so a name or a message may
stand anywhere in it; a number counts only where it can be nothing but an errno.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from portroom.errors import InvalidRequestError
from portroom.model.facts.explanation import ERRORS

MESSAGES: dict[str, tuple[str, ...]] = {
    "EADDRNOTAVAIL": ("Cannot assign requested address", "Address not available"),
    "EADDRINUSE": ("Address already in use", "Address in use"),
    "EAGAIN": ("Resource temporarily unavailable",),
    "ETIMEDOUT": ("Connection timed out", "Operation timed out"),
    "EPERM": ("Operation not permitted",),
    "EMFILE": ("Too many open files", "No file descriptors available"),
    "ENFILE": ("Too many open files in system",),
}
"""What the C libraries say for each: glibc first, then musl where it differs."""

OTHER_NAMES = {"EWOULDBLOCK": "EAGAIN"}
"""Second names of one number. Source: errno(3)."""

WORDS = {
    **{name.casefold(): name for name in ERRORS},
    **{other.casefold(): name for other, name in OTHER_NAMES.items()},
    **{text.casefold(): name for name, texts in MESSAGES.items() for text in texts},
}

NUMBERED = re.compile(r"(?:^|\b(?:errno|error|code)[ :=]*|\()-?(\d{1,5})(?=$|[\]) :,])")
"""A number that is an errno: all there is, or after such a word, or in parentheses."""

BY_NUMBER = {number: name for name, number in ERRORS.items()}


def parse_error(words: Iterable[str]) -> str | None:
    """
    Return the errno that some words name; None if there is no word.

    Args:
        words: ``99``, ``EADDRNOTAVAIL``, ``Cannot assign requested address``, in
            any case, or a line of a log with one of them in it.

    Raises:
        InvalidRequestError: They name none of ERRORS, or several; they are quoted.

    >>> parse_error(["[Errno 98] Address already in use"]), parse_error(["99"])
    ('EADDRINUSE', 'EADDRNOTAVAIL')
    """
    text = " ".join(" ".join(words).split())
    if not text:
        return None
    named = _named(text.casefold()) or _numbered(text.casefold())
    if len(named) != 1:
        raise InvalidRequestError(
            f"{text!r} names {'no error' if not named else ' and '.join(sorted(named))}"
            f"{' that `explain` knows' if not named else ''}.",
            f"It takes {known_words()}, or the message, as 'Cannot assign requested address'.",
        )
    return next(iter(named))


def known_words() -> str:
    """
    Return what ERRORS has, as it can be typed.

    >>> known_words()[:37]
    '99 EADDRNOTAVAIL, 98 EADDRINUSE, 11 E'
    """
    return ", ".join(f"{number} {name}" for name, number in ERRORS.items())


def _named(text: str) -> set[str]:
    """Return the errnos whose name or message stands in a text, the longest words first."""
    found = set()
    for word in sorted(WORDS, key=len, reverse=True):
        # ENFILE's message begins as EMFILE's does: what is understood is taken out.
        pattern = rf"\b{re.escape(word)}\b"
        if re.search(pattern, text):
            found.add(WORDS[word])
            text = re.sub(pattern, " ", text)
    return found


def _numbered(text: str) -> set[str]:
    """Return the errnos that a text has as numbers."""
    numbers = [int(digits) for digits in NUMBERED.findall(text)]
    return {BY_NUMBER[number] for number in numbers if number in BY_NUMBER}
