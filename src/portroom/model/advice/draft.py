"""A change as far as it is thought through: the settings before and after, and around them."""

from __future__ import annotations

import msgspec

from portroom.errors import KernelDataError
from portroom.model.advice.collisions import Choice, newly_choosable
from portroom.model.advice.requests import ADD, SET, Wanted
from portroom.model.facts.change import Request
from portroom.model.facts.ports import PortSet
from portroom.model.facts.snapshot import Settings, SettingValue, Snapshot
from portroom.model.facts.surroundings import Surroundings
from portroom.model.laws.acceptance import RANGE_KEY, RESERVED_KEY


class Draft(msgspec.Struct, frozen=True):
    """
    What is wanted, on what it is judged, and what would be.

    ``newly`` are the ports that the kernel could choose after the change and
    not before.
    """

    read: Snapshot
    wanted: tuple[Wanted, ...]
    request: Request
    around: Surroundings
    before: Settings
    after: Settings
    newly: PortSet

    def changes(self, key: str) -> bool:
        """Say whether a sysctl gets another value."""
        return self.before.values.get(key) != self.after.values.get(key)

    @property
    def reserves(self) -> bool:
        """Say whether ports that collide are reserved in the same change."""
        return self.request.reserve and RESERVED_KEY in self.before.values

    @property
    def changes_choice(self) -> bool:
        """Say whether the range or the reserved ports change."""
        return self.changes(RANGE_KEY) or self.changes(RESERVED_KEY)

    @property
    def eligible_ports(self) -> tuple[int, int]:
        """Return how many ports the kernel may choose before and after."""
        return len(choice(self.before).ports), len(choice(self.after).ports)

    def reserving(self, reserved: PortSet) -> Draft:
        """Return the same draft with other reserved ports."""
        after = Settings({**self.after.values, RESERVED_KEY: reserved})
        newly = newly_choosable(choice(self.before), choice(after))
        return msgspec.structs.replace(self, after=after, newly=newly)


def choice(settings: Settings) -> Choice:
    """Return what the kernel chooses from."""
    return Choice(settings.ephemeral, settings.reserved)


def draft(
    read: Snapshot, wanted: tuple[Wanted, ...], request: Request, around: Surroundings
) -> Draft:
    """
    Return a draft of what is wanted; a setting that is not there is left out.

    Raises:
        KernelDataError: The Snapshot has no settings.
    """
    before = read.settings
    if not isinstance(before, Settings):
        raise KernelDataError(f"The settings are not known: {before.reason}.")
    after = Settings({**before.values, **values_after(before, wanted)})
    newly = newly_choosable(choice(before), choice(after))
    return Draft(read, wanted, request, around, before, after, newly)


def values_after(before: Settings, wanted: tuple[Wanted, ...]) -> dict[str, SettingValue]:
    """Return the values of the wanted settings, those that exist, by sysctl."""
    return {
        one.setting.key: _value(before.values[one.setting.key], one)
        for one in wanted
        if one.setting.key in before.values
    }


def _value(before: SettingValue, one: Wanted) -> SettingValue:
    """Return the value of one setting after the change."""
    if one.operator == SET:
        return one.value
    assert isinstance(before, PortSet)
    assert isinstance(one.value, PortSet)
    if one.operator == ADD:
        return PortSet([*before.runs, *one.value.runs])
    return before - one.value
