"""The configuration: from the text of the file and the words of options to Config.

Rules of this file:

- all that can be wrong is told with its place: file and line, or the option;
- values to notify are secrets and never quoted.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from portroom.errors import InvalidRequestError
from portroom.model.facts.config import KEYS, Alerts, Config, ConfigKey
from portroom.model.laws.config_lines import line_of, place_of_error
from portroom.model.laws.config_values import meant, typed

FILE = "/etc/portroom.toml"
"""Where it is looked for; it may be missing."""

SECTIONS = tuple(dict.fromkeys(key.section for key in KEYS))

SECRET = frozenset({("alerts", "notify")})
"""Keys whose values hold passwords."""

LONGEST_QUOTED = 60

ORDERED = ("half_ratio", "warning_ratio", "critical_ratio")
"""Each is at most the next."""


def parse_config(text: str, where: str) -> Config:
    r"""
    Return what a configuration says; what it does not name has its default.

    Args:
        text: The whole file, TOML.
        where: The file's name, for errors.

    Raises:
        InvalidRequestError: It is no TOML, or a key or value cannot be; the
            message names file and line, what was seen, and the nearest key.

    >>> parse_config('[alerts]\nfor = "1m"', "x.toml").alerts.for_s
    60.0
    >>> parse_config('[alerts]\nfoor = "1m"', "x.toml")
    Traceback (most recent call last):
    portroom.errors.InvalidRequestError: x.toml:2: [alerts] has no key 'foor'. Did you mean 'for'?
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line, reason = place_of_error(error, text)
        raise InvalidRequestError(f"{where}:{line}: this is not TOML: {reason}.") from None
    except RecursionError:
        raise InvalidRequestError(
            f"{where}: this is no configuration: it nests too deep."
        ) from None
    config = _with_tables(Config(), tables, text, where)
    if not _is_ordered(config.alerts):
        place = _placed(text, where, ("alerts",))
        raise InvalidRequestError(f"{place}: {_disorder(config.alerts)}")
    return config


def with_options(config: Config, options: Sequence[str]) -> Config:
    """
    Return the configuration with ``SECTION.KEY=VALUE`` words over it.

    A key that takes a list takes one text a word; several words make the list.

    Raises:
        InvalidRequestError: A word has not this form, or its key or value cannot be.

    >>> with_options(Config(), ("alerts.warning=0.7", "serve.interval=5s")).serve.interval_s
    5.0
    """
    lists: dict[ConfigKey, list[object]] = {}
    for word in options:
        key, value = _split(word)
        if isinstance(value, list):
            value = lists.setdefault(key, [])
            value.append(word.partition("=")[2])
        config = _with_value(config, key, value, f"--set {key.section}.{key.name}")
    if options and not _is_ordered(config.alerts):
        raise InvalidRequestError(f"--set: {_disorder(config.alerts)}")
    return config


def key_named(section: str, name: str) -> ConfigKey | None:
    """
    Return the row of a key, None where there is none.

    >>> key_named("serve", "interval").field
    'interval_s'
    """
    return next((key for key in KEYS if (key.section, key.name) == (section, name)), None)


def value_of(config: Config, key: ConfigKey) -> Any:
    """
    Return the value of a key, in the unit of its field.

    >>> value_of(Config(), key_named("serve", "interval"))
    10.0
    """
    return getattr(getattr(config, key.section), key.field)


def _with_tables(config: Config, tables: dict[str, Any], text: str, where: str) -> Config:
    """Return the configuration with each value of the file."""
    for section, table in tables.items():
        if section not in SECTIONS:
            place = _placed(text, where, (section,))
            raise InvalidRequestError(*_no_section(section, place, is_table=_is_table(table)))
        if not _is_table(table):
            place = _placed(text, where, (section,))
            raise InvalidRequestError(f"{place}: {section} is a section: write [{section}].")
        for name, value in table.items():
            key = key_named(section, name)
            if key is None:
                place = _placed(text, where, (section, name))
                raise InvalidRequestError(*_no_key(section, name, place))
            try:
                config = _with_value(config, key, value, "")
            except InvalidRequestError as error:
                place = _placed(text, where, (section, name))
                raise InvalidRequestError(f"{place}{error.message}", error.hint) from None
    return config


def _with_value(config: Config, key: ConfigKey, value: object, place: str) -> Config:
    """Return the configuration with one value of a key."""
    try:
        read = meant(key, value)
    except ValueError as error:
        quoted = "" if (key.section, key.name) in SECRET else f", got {_quoted(value)}"
        raise InvalidRequestError(f"{place}: {key.name}: {error}{quoted}.") from None
    section = msgspec.structs.replace(getattr(config, key.section), **{key.field: read})
    return msgspec.structs.replace(config, **{key.section: section})


def _split(word: str) -> tuple[ConfigKey, object]:
    """Return the key of an option's word, and its value as TOML would have it."""
    path, equals, text = word.partition("=")
    section, dot, name = path.partition(".")
    if not (equals and dot):
        raise InvalidRequestError(
            f"--set {_quoted(path)}: expected SECTION.KEY=VALUE.",
            "An example is --set alerts.warning=0.7.",
        )
    if section not in SECTIONS:
        raise InvalidRequestError(*_no_section(section, "--set", is_table=True))
    key = key_named(section, name)
    if key is None:
        raise InvalidRequestError(*_no_key(section, name, "--set"))
    return key, typed(key, text)


def _is_ordered(alerts: Alerts) -> bool:
    """Say whether no threshold is above a graver one."""
    values = [getattr(alerts, field) for field in ORDERED]
    return values == sorted(values)


def _disorder(alerts: Alerts) -> str:
    """Return the sentence about thresholds that are in no order."""
    half, warning, critical = (f"{getattr(alerts, field):g}" for field in ORDERED)
    return (
        f"half ({half}) may not be above warning ({warning}), nor warning above "
        f"critical ({critical})."
    )


def _no_section(section: str, place: str, *, is_table: bool) -> tuple[str, str]:
    """Return message and hint about a section that is none."""
    homes = [key.section for key in KEYS if key.name == section]
    if homes and not is_table:
        return f"{place}: {_quoted(section)} stands in no section.", _belongs(section, homes)
    return f"{place}: there is no section {_quoted(section)}.", _nearest(section, SECTIONS)


def _no_key(section: str, name: str, place: str) -> tuple[str, str]:
    """Return message and hint about a key that is none."""
    message = f"{place}: [{section}] has no key {_quoted(name)}."
    homes = [key.section for key in KEYS if key.name == name]
    if homes:
        return message, _belongs(name, homes)
    return message, _nearest(name, [key.name for key in KEYS if key.section == section])


def _belongs(name: str, sections: Sequence[str]) -> str:
    """Return the sentence that says in which section a key stands."""
    return f"{name!r} belongs in {' or '.join(f'[{section}]' for section in sections)}."


def _nearest(word: str, known: Iterable[str]) -> str:
    """Return a sentence with the nearest word, or with all of them."""
    # Only the way of an error pays for difflib.
    from difflib import get_close_matches

    words = list(known)
    # Who writes a field's name, interval_s, means the key.
    nearest = get_close_matches(word.lower().replace("-", "_"), words, n=1)
    if nearest:
        return f"Did you mean {nearest[0]!r}?"
    return f"Known are {', '.join(words)}."


def _placed(text: str, where: str, path: Sequence[str]) -> str:
    """Return ``file:line`` of a table or key; the file alone where the line is not found."""
    line = line_of(text, path)
    return where if line is None else f"{where}:{line}"


def _is_table(value: object) -> bool:
    """Say whether a value of TOML is a section."""
    return isinstance(value, dict)


def _quoted(value: object) -> str:
    """Return what was seen, in quotes and not too long: nothing in it acts."""
    text = ascii(value) if not isinstance(value, str) else repr(value)
    return text if len(text) <= LONGEST_QUOTED else f"{text[:LONGEST_QUOTED]}…"
