"""The ephemeral range and what of it the kernel may choose."""

from __future__ import annotations

from portroom.model.facts.answers import RangeUse
from portroom.model.facts.gaps import Gap
from portroom.model.facts.snapshot import Settings


def range_use(settings: Settings | Gap) -> RangeUse | None:
    """Return the ephemeral range and what is reserved inside it."""
    if isinstance(settings, Gap):
        return None
    ephemeral = settings.ephemeral
    reserved = len(settings.reserved.within(ephemeral))
    return RangeUse(
        ephemeral.first, ephemeral.last, ephemeral.ports, reserved, ephemeral.ports - reserved
    )
