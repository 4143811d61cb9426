"""The Answer of `portroom boot`: which line decides each sysctl at the next boot.

Apart from the other Answers, so that no other command pays for it at start.
"""

from __future__ import annotations

import msgspec

from portroom.model.facts.answers import Answer, FileLine
from portroom.model.facts.boot import EVERY_KEY, BootWriter
from portroom.model.facts.boot_lines import BootCandidate


class BootOther(msgspec.Struct, frozen=True):
    """What another program would leave in a sysctl; null for the kernel's default."""

    value: str | None
    winner: FileLine | None


class BootKey(msgspec.Struct, frozen=True):
    """
    What the next boot gives one sysctl; ``value`` null is the kernel's default.

    ``name`` is what portroom calls it, ``current`` what the kernel holds now,
    ``default`` what it starts with; null where that is not known. ``exists``
    says whether the kernel has it, null for a system that does not run here.
    """

    key: str
    value: str | None
    winner: FileLine | None
    candidates: tuple[BootCandidate, ...]
    programs_differ: bool
    others: dict[str, BootOther]
    name: str
    current: str | None
    default: str | None
    exists: bool | None


class Boot(Answer, frozen=True, kw_only=True):
    """
    What decides at the next boot, for several sysctls.

    ``program`` is null where nothing was read. ``evidence`` says how it is
    known, ``root`` which folder stands for ``/``.
    """

    program: str | None
    keys: tuple[BootKey, ...]
    program_version: str | None
    evidence: str
    notes: tuple[str, ...]
    writers: tuple[BootWriter, ...]
    root: str


class BootOfKey(Answer, frozen=True, kw_only=True):
    """What decides at the next boot, for one sysctl: the fields of Boot and BootKey."""

    program: str | None
    key: str
    value: str | None
    winner: FileLine | None
    candidates: tuple[BootCandidate, ...]
    programs_differ: bool
    others: dict[str, BootOther]
    name: str
    current: str | None
    default: str | None
    exists: bool | None
    program_version: str | None
    evidence: str
    notes: tuple[str, ...]
    writers: tuple[BootWriter, ...]
    root: str


def of_each_key(answer: Boot) -> tuple[BootOfKey, ...]:
    """Return an answer as one that is complete in itself for each key."""
    shared = {
        name: getattr(answer, name)
        for name in Boot.__struct_fields__
        if name not in {"keys", "writers"}
    }
    return tuple(
        BootOfKey(
            **shared,
            **{name: getattr(one, name) for name in BootKey.__struct_fields__},
            writers=tuple(w for w in answer.writers if w.key in {one.key, EVERY_KEY}),
        )
        for one in answer.keys
    )
