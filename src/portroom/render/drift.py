"""Drift and boot conflicts: one sentence each, however many settings they are."""

from __future__ import annotations

from collections.abc import Sequence

from portroom.model.facts.answers import BootConflict, Drift
from portroom.render.flow import TIED, joined
from portroom.render.units import Style, in_sentence, plural, printable


def drift_sentences(drift: Sequence[Drift], style: Style, where: str = "") -> list[str]:
    """
    Return one sentence, or none, about all settings that drift, the first by name.

    Args:
        drift: In the order in which a person asks: the range first.
        style: Tells how much room there is, and which ellipsis.
        where: A place to be named, as `` in namespace web``.
    """
    if not drift:
        return []
    first, *others = drift
    text = (
        f"Drift{where}: {first.name} is {in_sentence(first.current, style)}, the next boot gives "
    )
    if first.file is None:
        text += f"the kernel's default {in_sentence(first.persisted, style)}: no line sets it."
    else:
        text += f"{in_sentence(first.persisted, style)} ({printable(first.file)}:{first.line})."
    if others:
        verb = "drifts" if len(others) == 1 else "drift"
        text += f" {plural(len(others), 'other setting')} {verb}: portroom{TIED}settings."
    return [text]


def conflict_sentences(conflicts: Sequence[BootConflict], style: Style) -> list[str]:
    """Return one sentence, or none, about all settings on which boot programs differ."""
    if not conflicts:
        return []
    from portroom.model.laws.boot_notes import PROGRAM_NAMES

    first, *others = conflicts
    names = joined([PROGRAM_NAMES.get(name, printable(name)) for name in first.values])
    values = " / ".join(in_sentence(value, style) for value in first.values.values())
    command = f"portroom boot --key {first.name}.".replace(" ", TIED)
    text = f"Boot: {names} differ on {first.name}: {values} - {command}"
    if others:
        text += f" So do they on {plural(len(others), 'other setting')}."
    return [text]
