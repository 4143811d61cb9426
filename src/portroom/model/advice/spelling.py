"""The values that people type: taken strictly, or refused in words.

The kernel takes much that nobody meant: ``15000`` changes one end of the
range, ``015000 064000`` is octal, and what follows two ports is dropped
without a word. So a value is understood here or refused, and never passed on
as it was typed.

Rules of this file:

- digits are ASCII and decimal, without sign and leading zeros;
- what was typed is shown escaped, and cut if it is long;
- a number is measured by its digits before it is one: it may have thousands.

Source: the rows of ``laws/acceptance.py`` say what the kernel makes of it.
"""

from __future__ import annotations

import re

from portroom.model.facts.ports import LAST_PORT, PortRange, PortSet
from portroom.model.facts.settings import Setting, ValueType
from portroom.model.facts.snapshot import SettingValue

NONE = "none"
"""The word for a list without a port: nothing at all might be a slip."""

EXAMPLE = PortRange(15000, 64001)
"""A range to show what one looks like: ends of different parity."""

SHOWN = 48
"""Characters of a text in a sentence."""

RANGE = re.compile(r"([0-9]+)(?: *[:,] *|-| +- +| +)([0-9]+)")
RUN = re.compile(r"([0-9]+)(?:-([0-9]+))?")
NUMBER = re.compile(r"[0-9]+")

HEXADECIMAL = re.compile(r"(?<![0-9A-Za-z])0[xX][0-9A-Fa-f]+")
LEADING_ZERO = re.compile(r"(?<![0-9A-Za-z_])0[0-9]+")
SIGN = re.compile(r"(?:^|(?<=[ ,:-]))[+-][0-9]+")

QUOTES = frozenset("'\"`")

NAMES = {
    "\0": "a NUL byte",
    "\n": "a line break",
    "\r": "a carriage return",
    "\x1b": "an escape character",
    "\ufeff": "a byte order mark",
    "\xa0": "a no-break space",
}


class SpellingError(ValueError):
    """
    A value that is not taken.

    Args:
        why: What is wrong, the end of a sentence.
        value: What is surely meant; "" where that is not known.
    """

    def __init__(self, why: str, value: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.value = value


def parse_typed(setting: Setting, text: str) -> SettingValue:
    """
    Return the value of a setting as a person typed it.

    Raises:
        SpellingError: It is no such value, or not surely the one that is meant.

    >>> from portroom.model.facts.settings import setting_named
    >>> parse_typed(setting_named("range"), "15000-64001")
    PortRange(first=15000, last=64001)
    >>> parse_typed(setting_named("reserved"), "none")
    PortSet.parse('')
    """
    plain = text.replace("\t", " ").strip(" ")
    _refuse_oddities(plain, setting)
    if setting.type is ValueType.RANGE:
        return _parse_range(plain)
    if setting.type is ValueType.PORTS:
        return _parse_ports(plain)
    return _parse_number(plain, setting)


def as_typed(value: SettingValue) -> str:
    """
    Return a value as it is typed: what ``parse_typed`` reads again.

    >>> as_typed(PortRange(15000, 64001)), as_typed(PortSet())
    ('15000-64001', 'none')
    """
    return str(value) or NONE


def quoted(text: str) -> str:
    r"""
    Return what somebody typed, escaped to ASCII and cut.

    >>> quoted("\x1b\uff11")
    "'\\x1b\\uff11'"
    """
    return ascii(text) if len(text) <= SHOWN else ascii(text[:SHOWN]) + "..."


def example(setting: Setting) -> str:
    """Return a value that such a setting takes, or which values it takes."""
    if setting.type is ValueType.RANGE:
        return as_typed(EXAMPLE)
    if setting.type is ValueType.PORTS:
        return "8080,9000-9100"
    return f"NUMBER, {setting.lowest} to {setting.highest}"


def _refuse_oddities(text: str, setting: Setting) -> None:
    """Refuse what no value of any type may hold."""
    if not text:
        raise SpellingError("it is empty", NONE if setting.type is ValueType.PORTS else "")
    for character in text:
        if not " " <= character <= "~":
            name = NAMES.get(character, f"the character U+{ord(character):04X}")
            raise SpellingError(f"it holds {name}", _guess(text, setting))
    if QUOTES & set(text):
        raise SpellingError("quotes are for the shell and no part of it", _guess(text, setting))
    if found := HEXADECIMAL.search(text):
        why = f"{quoted(found[0])} is hexadecimal, and only decimal numbers are taken"
        raise SpellingError(why, _guess(text, setting))
    if found := LEADING_ZERO.search(text):
        raise SpellingError(_octal(found[0]), _guess(text, setting))


def _octal(digits: str) -> str:
    """Return what is wrong with a number that begins with 0."""
    if len(digits) > 20 or set(digits) & set("89"):
        return f"{quoted(digits)} begins with 0, which the kernel takes for octal and refuses"
    return f"{quoted(digits)} begins with 0: the kernel would read it as octal, {int(digits, 8)}"


def _parse_range(text: str) -> PortRange:
    """Return two ports with a blank, ``-``, ``:`` or ``,`` between."""
    found = RANGE.fullmatch(text)
    if not found:
        raise SpellingError(_no_range(text), _guessed_range(text))
    first, last = map(_port, found.groups())
    if first > last:
        raise SpellingError(
            f"its first port {first} lies above its last, {last}", f"{last}-{first}"
        )
    if not first:
        raise SpellingError("port 0 is none: a range begins at 1 or above")
    return PortRange(first, last)


def _no_range(text: str) -> str:
    """Return why a text is no range."""
    if NUMBER.fullmatch(text):
        return "it is one number: the kernel would change the first port and keep the last"
    if found := SIGN.search(text):
        return f"{quoted(found[0])} has a sign, and a port has none"
    if found := RANGE.match(text):
        rest = text[found.end() :].strip(" ")
        return f"{quoted(rest)} follows the two ports, and the kernel might drop it silently"
    return "it is not two ports"


def _guessed_range(text: str) -> str:
    """Return the range that is meant where a text has two ports and no sign, else ""."""
    ports = [int(digits) for digits in NUMBER.findall(text) if len(digits.lstrip("0")) <= 5]
    if len(ports) == 2 and min(ports) >= 1 and max(ports) <= LAST_PORT and text[:1] != "-":
        return as_typed(PortRange(*sorted(ports)))
    return ""


def _parse_ports(text: str) -> PortSet:
    """Return a list of ports and runs, commas between; ``none`` is the empty one."""
    if text == NONE:
        return PortSet()
    if " " in text:
        raise SpellingError(
            "it holds a blank; ports are parted by commas alone", _guessed_ports(text)
        )
    parts = text.removesuffix(",").split(",")
    return PortSet(_parse_run(part) for part in parts)


def _parse_run(part: str) -> PortRange:
    """Return one port, or a run of ports."""
    found = RUN.fullmatch(part)
    if not found:
        raise SpellingError(f"{quoted(part)} is no port and no run of ports")
    first, last = _port(found[1]), _port(found[2] or found[1])
    if first > last:
        why = f"the run {quoted(part)} begins above its end"
        raise SpellingError(why, f"{last}-{first}")
    return PortRange(first, last)


def _guessed_ports(text: str) -> str:
    """Return a list with commas for blanks and no zeros in front, "" if that is none."""
    guess = re.sub(r"(?<![0-9])0+(?=[0-9])", "", re.sub(r"[ ,;]+", ",", text)).strip(",")
    try:
        return str(PortSet.parse(guess)) if len(guess) <= SHOWN else ""
    except ValueError:
        return ""


def _port(digits: str) -> int:
    """Return a port, 0 included."""
    if len(digits) > 5 or int(digits) > LAST_PORT:
        raise SpellingError(f"{quoted(digits)} lies above {LAST_PORT}, the last port")
    return int(digits)


def _parse_number(text: str, setting: Setting) -> int:
    """Return a number within the bounds of its setting."""
    lowest, highest = setting.lowest or 0, setting.highest
    assert highest is not None, "every writable number has bounds"
    if not NUMBER.fullmatch(text):
        raise SpellingError("it is not one plain number")
    if len(text) > len(str(highest)) or not lowest <= int(text) <= highest:
        raise SpellingError(f"it lies outside of {lowest} to {highest}")
    return int(text)


def _guess(text: str, setting: Setting) -> str:
    """Return what a value with odd characters surely means, else ""."""
    plain = "".join(c if " " < c <= "~" and c not in QUOTES else " " for c in text)
    decimal = HEXADECIMAL.sub(_as_decimal, plain).strip(" ")
    if setting.type is ValueType.RANGE:
        return _guessed_range(decimal)
    if setting.type is ValueType.PORTS:
        return _guessed_ports(decimal)
    try:
        return str(_parse_number(decimal.lstrip("0") or "0", setting))
    except SpellingError:
        return ""


def _as_decimal(found: re.Match[str]) -> str:
    """Return a hexadecimal number in decimal digits; a long one is meant by nobody."""
    return str(int(found[0], 16)) if len(found[0]) <= 10 else found[0]
