"""Gaps: what could not be read, or what nobody looked at."""

from __future__ import annotations

from typing import TypeVar

import msgspec

Part = TypeVar("Part")


class Gap(msgspec.Struct, frozen=True):
    """
    Something that could not be read, and what it makes uncertain.

    ``source`` names what was asked, ``reason`` is one word or one sentence
    for a person, ``affects`` names the fields of the answer.
    """

    source: str
    reason: str
    affects: tuple[str, ...] = ()


NOT_LOOKED_AT = "not_looked_at"


def not_looked_at(part: str, *affects: str) -> Gap:
    """Return the Gap of a *part* that nobody asked for."""
    return Gap(part, NOT_LOOKED_AT, affects)


def part_or_none(part: Part | Gap) -> Part | None:
    """Return a part if it was read, else None."""
    return None if isinstance(part, Gap) else part
