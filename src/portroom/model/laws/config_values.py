"""One value of the configuration: as it is written, and as it is meant.

Rules of this file:

- a kind is a row of READERS, and its form one of FORMS;
- a value that cannot be raises ValueError, whose text says why without the value:
  an address to notify holds passwords. Who calls quotes what may be quoted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from portroom.model.facts.config import (
    COUNT,
    DURATION,
    RATIO,
    SIZE,
    SWITCH,
    TEXT,
    TEXTS,
    ConfigKey,
)

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "y": 31_536_000}
BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

MOST = {DURATION: 100.0 * SECONDS["y"], SIZE: 1 << 50, COUNT: 1 << 31}
"""What a value may be at most where its key names no bound: nothing overflows below."""

FORMS = {
    DURATION: "a time such as 30s, 5m, 48h, 30d or 2y",
    SIZE: "a size such as 256MiB",
    RATIO: "a ratio from 0 to 1 such as 0.8",
    SWITCH: "true or false",
    COUNT: "a whole number such as 20",
    TEXT: "a text in quotes",
    TEXTS: 'a list of texts such as ["one", "two"]',
}

_AMOUNT = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([A-Za-z]*)", re.ASCII)


def meant(key: ConfigKey, value: object) -> Any:
    """
    Return what a value of the file means, in the unit of the key's field.

    Args:
        key: Whose value it is.
        value: As TOML has it.

    Raises:
        ValueError: It cannot be; the text says what would, without the value.

    >>> from portroom.model.facts.config import KEYS
    >>> (raw,) = (key for key in KEYS if key.name == "raw")
    >>> meant(raw, "48h"), meant(raw, 90)
    (172800.0, 90.0)
    """
    read = READERS[key.kind](value)
    if read is None:
        raise ValueError(f"expected {FORMS[key.kind]}")
    _check_bounds(key, read)
    if key.words and read not in key.words:
        raise ValueError(f"expected one of {', '.join(key.words)}")
    return read


def typed(key: ConfigKey, text: str) -> object:
    """
    Return the value that TOML would have, of one that is typed without quotes.

    >>> from portroom.model.facts.config import KEYS
    >>> [typed(key, "20") for key in KEYS if key.name in ("keep", "after", "raw", "log")]
    ['20', '20', 20, 20]
    """
    if key.kind in {TEXT, DURATION, SIZE}:
        return text
    if key.kind == TEXTS:
        return [text]
    if key.kind == SWITCH:
        return {"true": True, "false": False}.get(text, text)
    try:
        return float(text) if key.kind == RATIO else int(text)
    except ValueError:
        return text


def written(key: ConfigKey, value: Any) -> str:
    """
    Return a value as it stands in the file.

    >>> from portroom.model.facts.config import KEYS
    >>> by_name = {f"{key.section}.{key.name}": key for key in KEYS}
    >>> written(by_name["history.raw"], 172_800.0), written(by_name["recorder.most_size"], 1 << 28)
    ('"48h"', '"256MiB"')
    """
    if key.kind == DURATION:
        return f'"{_in_units(value, SECONDS)}"'
    if key.kind == SIZE:
        return f'"{_in_units(value, BYTES)}"'
    if key.kind == SWITCH:
        return "true" if value else "false"
    if key.kind == RATIO:
        return f"{value:g}"
    if key.kind == TEXTS:
        return f"[{', '.join(_quoted(text) for text in value)}]"
    return _quoted(value) if key.kind == TEXT else str(value)


def bounds(key: ConfigKey) -> str:
    """
    Return what a key's value may be, "" where its kind says it all.

    >>> from portroom.model.facts.config import KEYS
    >>> [bounds(key) for key in KEYS if key.name in ("interval", "log", "raw")]
    ['1s to 1h', 'text or json', 'at least 1m']
    """
    if key.words:
        return " or ".join(key.words)
    least, most = (_bound(key, bound) for bound in (key.least, key.most))
    if least and most:
        return f"{least} to {most}"
    return f"at least {least}" if least else f"at most {most}" if most else ""


def _check_bounds(key: ConfigKey, read: Any) -> None:
    """Raise ValueError where a number is out of the key's bounds, or of what can be at all."""
    if key.kind not in {DURATION, SIZE, RATIO, COUNT}:
        return
    most = MOST.get(key.kind, 1) if key.most is None else key.most
    least = 0 if key.least is None else key.least
    # Written so that what is no number (TOML has nan) is out of bounds.
    if not least <= read <= most:
        raise ValueError(f"expected {_bound(key, least)} to {_bound(key, most)}")


def _bound(key: ConfigKey, bound: float | None) -> str:
    """Return a bound as a person would type it, "" for none."""
    return "" if bound is None else written(key, bound).strip('"')


def _in_units(amount: float, units: dict[str, int]) -> str:
    """Return an amount in the largest unit in which it is whole; 48h rather than 2d."""
    names = [name for name, size in units.items() if amount and amount % size == 0]
    if names[-1:] == ["d"] and amount <= 2 * SECONDS["d"]:
        names.pop()
    name = names[-1] if names else next(iter(units))
    return f"{amount / units[name]:.15g}{name}"


def _quoted(text: str) -> str:
    """Return a text as TOML's basic string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'


def _amount(value: object, units: dict[str, int]) -> float | None:
    """Return a number with a unit in the smallest one; a bare number is in it already."""
    if isinstance(value, str):
        match = _AMOUNT.fullmatch(value.strip())
        if match is None or (match[2] and match[2] not in units):
            return None
        return float(match[1]) * units.get(match[2], 1)
    return _number(value)


def _number(value: object) -> float | None:
    """Return a finite number, None for anything else: true is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _size(value: object) -> int | None:
    """Return bytes."""
    amount = _amount(value, BYTES)
    return None if amount is None else int(amount)


def _count(value: object) -> int | None:
    """Return a whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    """Return a text of one line."""
    return value if isinstance(value, str) and value.isprintable() else None


def _texts(value: object) -> tuple[str, ...] | None:
    """Return texts of one line each, none of them empty."""
    if not isinstance(value, list):
        return None
    texts = [_text(one) for one in value]
    return tuple(text for text in texts if text) if all(texts) else None


READERS: dict[str, Callable[[object], Any]] = {
    DURATION: lambda value: _amount(value, SECONDS),
    SIZE: _size,
    RATIO: _number,
    SWITCH: lambda value: value if isinstance(value, bool) else None,
    COUNT: _count,
    TEXT: _text,
    TEXTS: _texts,
}
"""Of each kind what makes its value of TOML's; None where it is none."""
