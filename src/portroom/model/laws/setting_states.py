"""What the settings of a Snapshot are, at the next boot and by default."""

from __future__ import annotations

from collections.abc import Sequence

from portroom.model.facts.answers import RangeEnds, SettingsAnswer, SettingState
from portroom.model.facts.ports import PortRange, PortSet
from portroom.model.facts.settings import SETTINGS, Setting
from portroom.model.facts.snapshot import Gap, Settings, SettingValue, Snapshot
from portroom.model.laws.drift import Prospect, prospects


def settings_answer(snapshot: Snapshot, wanted: Sequence[Setting] = SETTINGS) -> SettingsAnswer:
    """
    Return the state of each wanted setting, in the order asked for.

    Args:
        snapshot: Its parts ``settings`` and ``boot`` are used.
        wanted: Rows of the table; all where none is named.

    Returns:
        One state a setting. A value that this namespace does not have is
        None with a Gap that says why, never the default.
    """
    part = snapshot.settings
    known = Settings({}) if isinstance(part, Gap) else part
    ahead = prospects(snapshot, wanted)
    states = tuple(setting_state(row, known, ahead.by_name[row.name]) for row in wanted)
    return SettingsAnswer(
        host=snapshot.host,
        taken_at=snapshot.taken_at,
        netns=snapshot.netns,
        # The Snapshot's own gaps are about sockets; no setting depends on them.
        gaps=(*_gaps(part, wanted), *ahead.gaps),
        settings=states,
    )


def setting_state(setting: Setting, known: Settings, ahead: Prospect) -> SettingState:
    """Return one setting: its value now, at the next boot and by default, and its meaning."""
    current = known.values.get(setting.key)
    return SettingState(
        name=setting.name,
        current=None if current is None else answer_value(current),
        default=None if setting.default is None else answer_value(setting.default),
        persisted=None if ahead.persisted is None else answer_value(ahead.persisted),
        persisted_at=ahead.at,
        drift=ahead.drift,
        unit=setting.unit,
        scope=setting.scope.value,
        meaning=setting.meaning,
        does_not=setting.does_not,
        key=setting.key,
        candidates=ahead.candidates,
    )


def answer_value(value: SettingValue) -> int | str | RangeEnds:
    """Return a value as answers have it: number, canonical text, or both ends."""
    if isinstance(value, PortRange):
        return RangeEnds(value.first, value.last)
    if isinstance(value, PortSet):
        return str(value)
    return value


def _gaps(part: Settings | Gap, wanted: Sequence[Setting]) -> list[Gap]:
    """Return why values are missing: all for one reason, or each for its own."""
    if isinstance(part, Gap):
        return [Gap(part.source, part.reason, ("current",))]
    absent = [setting for setting in wanted if setting.key not in part.values]
    return [Gap(row.key, row.absent, (f"{row.name}.current",)) for row in absent]
