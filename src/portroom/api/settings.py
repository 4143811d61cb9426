"""Settings: what they are now and at the next boot, and what each does and does not."""

from __future__ import annotations

from collections.abc import Sequence

from portroom.api.source import Saved, Source
from portroom.kernel.snapshot import Wanted
from portroom.model.facts.answers import SettingsAnswer
from portroom.model.facts.settings import SETTINGS, setting_named
from portroom.model.laws.setting_states import settings_answer


def settings(source: Source, names: Sequence[str] = ()) -> SettingsAnswer:
    """
    Say what each setting is, beside what the next boot gives and the kernel's default.

    Args:
        source: The kernel or a saved Snapshot.
        names: Names or sysctl keys, told in this order and each once; none
            for all settings.

    Raises:
        InvalidRequestError: There is no setting of such a name.
        NotPermittedError: The namespace may not be entered.
    """
    wanted = tuple(dict.fromkeys(map(setting_named, names))) or SETTINGS
    if isinstance(source, Saved):
        return settings_answer(source.snapshot, wanted)
    live = source
    return settings_answer(live.run(lambda: live.take(Wanted(boot=True))), wanted)
