"""What somebody asks to be set: words in, settings and values out.

Rules of this file:

- only settings marked writable are taken, so that a right to run portroom is
  no right to set any sysctl;
- a word is taken as a whole or refused; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from portroom.errors import InvalidRequestError
from portroom.model.advice.spelling import (
    NONE,
    SpellingError,
    as_typed,
    example,
    parse_typed,
    quoted,
)
from portroom.model.facts.ports import PortSet
from portroom.model.facts.settings import SETTINGS, Setting, ValueType, setting_named
from portroom.model.facts.snapshot import SettingValue

SET, ADD, TAKE = "=", "+=", "-="

WRITABLE = tuple(setting for setting in SETTINGS if setting.writable)

LONGEST_NAME = 64
"""Characters of a name in an error."""

MYTHS_PAGE = "docs/explanation/myths.md"

MYTHS = {
    "tcp_fin_timeout": setting_named("tcp_fin_timeout").does_not,
    "tcp_max_tw_buckets": setting_named("tcp_max_tw_buckets").does_not,
    "tcp_tw_recycle": "It broke clients behind NAT and is gone since Linux 4.12.",
}
"""Settings that are named where ports run out and do not help; why not."""


class Wanted(NamedTuple):
    """
    One setting and what it shall be.

    Args:
        setting: A writable one.
        operator: SET; or ADD and TAKE for ports of a list.
        value: The value, or the ports to add or to take.
    """

    setting: Setting
    operator: str
    value: SettingValue

    def __str__(self) -> str:
        """Return the word that is parsed to this."""
        return f"{self.setting.name}{self.operator}{as_typed(self.value)}"


def parse_words(words: Iterable[str]) -> tuple[Wanted, ...]:
    """
    Return what is wanted, in the order of the words.

    Args:
        words: ``NAME=VALUE``; ``NAME+=PORTS`` and ``NAME-=PORTS`` for lists.

    Raises:
        InvalidRequestError: A word is not taken; it is shown escaped, with what
            to write instead.

    >>> [str(one) for one in parse_words(["range=15000 64001", "reserved+=8080"])]
    ['range=15000-64001', 'reserved+=8080']
    """
    wanted: list[Wanted] = []
    for word in words:
        one = _parse_word(word)
        if any(before.setting is one.setting for before in wanted):
            raise InvalidRequestError(
                f"{quoted(word)}: {one.setting.name} is named twice.", "Name each setting once."
            )
        wanted.append(one)
    if not wanted:
        raise InvalidRequestError("Nothing to set.", "Write NAME=VALUE, such as range=15000-64001.")
    return tuple(wanted)


def _parse_word(word: str) -> Wanted:
    """Return what one word wants."""
    left, equals, text = word.partition("=")
    if not equals:
        raise _without_equals(word)
    name, operator = _name_and_operator(left)
    setting = _writable(name)
    if operator != SET and setting.type is not ValueType.PORTS:
        raise InvalidRequestError(
            f"{quoted(word)}: {operator} is for lists of ports, and {setting.name} is none.",
            f"Write {setting.name}={example(setting)}.",
        )
    try:
        value = parse_typed(setting, text)
    except SpellingError as error:
        raise _misspelt(setting, operator, text, error) from None
    if operator != SET and value == PortSet():
        raise InvalidRequestError(
            f"{quoted(word)}: {NONE} neither adds nor takes a port.",
            f"Write {setting.name}={NONE} to clear the list.",
        )
    return Wanted(setting, operator, value)


def _name_and_operator(left: str) -> tuple[str, str]:
    """Return the name and the operator of what stands before the ``=``."""
    plain = left.strip(" \t")
    operator = plain[-1:] + SET if plain.endswith(("+", "-")) else SET
    return plain.removesuffix(operator[:-1]).strip(" \t"), operator


def _writable(name: str) -> Setting:
    """Return the writable setting of a name, refused where there is none."""
    last = name.replace("/", ".").rpartition(".")[2]
    if last in MYTHS:
        raise InvalidRequestError(
            f"portroom does not set {last}. {MYTHS[last]}",
            f"What helps instead: {MYTHS_PAGE}#{last}",
        )
    if name and any(name.replace("/", ".") in row.words for row in SETTINGS if not row.writable):
        raise InvalidRequestError(
            f"portroom shows {setting_named(name).name} and does not set it.",
            f"It sets {', '.join(row.name for row in WRITABLE)}.",
        )
    # Longer than every key: it is none of them, cut or not.
    return setting_named(name[:LONGEST_NAME], WRITABLE)


def _without_equals(word: str) -> InvalidRequestError:
    """Return the error of a word that has no ``=``."""
    name, _, text = word.strip().partition(" ")
    if any(name.replace("/", ".") in row.words for row in WRITABLE):
        setting = setting_named(name, WRITABLE)
        value = _read_or_example(setting, text)
        return InvalidRequestError(f"{quoted(word)} has no =.", f"Write {setting.name}={value}.")
    hint = "Write NAME=VALUE, such as range=15000-64001."
    if word.strip().isascii() and word.strip().isdigit():
        hint = f"Two ports in one word: write range=15000-{word.strip()[:5]}, or use quotes."
    return InvalidRequestError(f"{quoted(word)} has no =, so no setting is named.", hint)


def _read_or_example(setting: Setting, text: str) -> str:
    """Return a value as it is to be written, or an example where it is none."""
    try:
        return as_typed(parse_typed(setting, text))
    except SpellingError:
        return example(setting)


def _misspelt(
    setting: Setting, operator: str, text: str, error: SpellingError
) -> InvalidRequestError:
    """Return the error of a value that is not taken."""
    name = f"{setting.name}{operator}"
    like = "" if setting.type is ValueType.NUMBER else "it like "
    hint = f"Write {like}{name}{example(setting)}."
    if error.value == NONE and operator == SET:
        hint = f"Write {name}{NONE} to clear the list."
    elif error.value not in {"", NONE}:
        hint = f"Write {name}{error.value}."
    return InvalidRequestError(f"{name}{quoted(text)}: {error.why}.", hint)
