"""In which order settings are written, and whether the kernel takes each step.

Rules of this file:

- each setting is written once; between two writes the host must not be worse
  off than before or after;
- the order is right both ways: an undo writes the same steps backwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from portroom.model.facts.change import SettingStep
from portroom.model.facts.settings import KEYS, kernel_text
from portroom.model.facts.snapshot import NetnsId, Settings, SettingValue
from portroom.model.laws.acceptance import (
    KNOWN,
    RANGE_KEY,
    RESERVED_KEY,
    START_KEY,
    write_whole,
)


class Blocked(NamedTuple):
    """
    A step that the kernel would refuse.

    Args:
        key: What is written.
        by: The sysctl whose value stands in the way, "" where none does.
        reason: Why, as ``laws/acceptance.py`` says it.
    """

    key: str
    by: str
    reason: str


def steps_between(netns: NetnsId, before: Settings, after: Settings) -> tuple[SettingStep, ...]:
    """Return the writes that lead from one state to the other, in their order."""
    return tuple(
        SettingStep(netns, key, kernel_text(before.values[key]), kernel_text(after.values[key]))
        for key in ordered(before, after)
    )


def ordered(before: Settings, after: Settings) -> tuple[str, ...]:
    """
    Return the sysctls that differ, in the order of writing.

    Ports are reserved before a range grows over them, and given up after it
    shrank. The first unprivileged port may never lie above the range: lowered
    it goes first, raised last.
    """
    changed = [key for key in KEYS if before.values.get(key) != after.values.get(key)]
    places = _places(before, after)
    return tuple(sorted(changed, key=lambda key: places.get(key, len(places))))


def _places(before: Settings, after: Settings) -> dict[str, int]:
    """Return the places of the sysctls that depend on each other."""
    lowered = before.number(START_KEY, 0) > after.number(START_KEY, 0)
    widened = not (
        before.ephemeral.first <= after.ephemeral.first
        and after.ephemeral.last <= before.ephemeral.last
    )
    order = [RESERVED_KEY, RANGE_KEY] if widened else [RANGE_KEY, RESERVED_KEY]
    order.insert(0 if lowered else len(order), START_KEY)
    return {key: place for place, key in enumerate(order)}


def state_of(settings: Settings) -> dict[str, str]:
    """Return the settings as canonical text, those that the law of acceptance knows."""
    return {key: kernel_text(value) for key, value in settings.values.items() if key in KNOWN}


def first_blocked(steps: Iterable[SettingStep], before: Settings) -> Blocked | None:
    """
    Return the first step that the kernel would refuse, or None.

    >>> from portroom.model.facts.ports import PortRange
    >>> start = {START_KEY: 1024}
    >>> old = Settings({RANGE_KEY: PortRange(32768, 60999), **start})
    >>> new = Settings({RANGE_KEY: PortRange(80, 60999), **start})
    >>> steps = steps_between(NetnsId("host", 1, 1, "host"), old, new)
    >>> first_blocked(steps, old).by
    'net.ipv4.ip_unprivileged_port_start'
    """
    state = state_of(before)
    for step in steps:
        data = f"{step.after}\n".encode()
        written = write_whole(step.key, data, state)
        if written.refusal or written.value != step.after:
            return Blocked(step.key, _in_the_way(step.key, data, state), written.reason)
        state[step.key] = written.value
    return None


def _in_the_way(key: str, data: bytes, state: Mapping[str, str]) -> str:
    """Return the sysctl without which the kernel would take a write, or ""."""
    for other in state:
        rest = {name: value for name, value in state.items() if name != other}
        if other != key and not write_whole(key, data, rest).refusal:
            return other
    return ""


def in_file_order(values: Mapping[str, SettingValue], new: Settings) -> dict[str, str]:
    """
    Return values as canonical text in the order in which a boot can write them.

    Args:
        values: By sysctl.
        new: What a kernel holds that just booted, as far as it is known.
    """
    after = Settings({**new.values, **values})
    first = [key for key in ordered(new, after) if key in values]
    rest: Sequence[str] = [key for key in values if key not in first]
    return {key: kernel_text(values[key]) for key in (*first, *rest)}
