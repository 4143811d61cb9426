"""The configuration read anew while the daemon runs: all of it, or nothing."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from portroom.api.alerts import checked_addresses
from portroom.api.configuration import configuration
from portroom.daemon.log import Log
from portroom.errors import PortroomError
from portroom.model.facts.config import KEYS, Config, ConfigKey
from portroom.render.flow import joined


class Origin(NamedTuple):
    """
    Where the configuration comes from.

    Args:
        file: The file that was named, None for the usual one.
        words: ``SECTION.KEY=VALUE`` of the command line, which prevail.
    """

    file: str | None
    words: tuple[str, ...]

    def read(self) -> Config:
        """
        Return the configuration as it is now, with addresses that can be used.

        Raises:
            PortroomError: It cannot be read, or not be.
        """
        config = configuration(self.file, self.words)
        checked_addresses(config.alerts)
        return config


def reloaded(origin: Origin, holding: Config, log: Log) -> Config:
    """
    Return the configuration that holds from now on, and tell what is new.

    Args:
        origin: Where it is read.
        holding: The one until now, which stays where the file is wrong.
        log: Told what changed, or why nothing did; never a value, some are secrets.
    """
    try:
        wanted = origin.read()
    except PortroomError as error:
        log.tell("error", "reload_refused", f"The configuration stays as it was: {error}")
        return holding
    found = changed_keys(holding, wanted)
    at_start = [key for key in found if not key.reloads]
    if at_start:
        names = joined([_name(key) for key in at_start])
        log.tell("warning", "reload_partly", f"Only a restart changes {names}.")
    now = [_name(key) for key in found if key.reloads]
    what = f"changed: {joined(now)}" if now else "nothing changed"
    log.tell("notice", "reloaded", f"The configuration was read anew, {what}.")
    return with_values_of(holding, wanted, at_start)


def changed_keys(before: Config, after: Config) -> list[ConfigKey]:
    """
    Return the keys whose values differ.

    >>> other = msgspec.structs.replace(Config().serve, interval_s=5.0)
    >>> changed = changed_keys(Config(), msgspec.structs.replace(Config(), serve=other))
    >>> [_name(key) for key in changed]
    ['serve.interval']
    """
    return [key for key in KEYS if _value(before, key) != _value(after, key)]


def with_values_of(holding: Config, wanted: Config, kept: list[ConfigKey]) -> Config:
    """Return what is wanted, but for keys that keep the value that holds."""
    for key in kept:
        section = getattr(wanted, key.section)
        one = msgspec.structs.replace(section, **{key.field: _value(holding, key)})
        wanted = msgspec.structs.replace(wanted, **{key.section: one})
    return wanted


def _value(config: Config, key: ConfigKey) -> Any:
    """Return the value of a key."""
    return getattr(getattr(config, key.section), key.field)


def _name(key: ConfigKey) -> str:
    """Return a key as options and the log name it."""
    return f"{key.section}.{key.name}"
