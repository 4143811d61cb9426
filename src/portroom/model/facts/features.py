"""What a kernel can tell: the question of each feature, and the answer.

Rules of this file:

- it knows what a feature is, not how it is found out nor what it means for a person;
- an answer is yes, no, or unknown where the kernel could not be asked.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from portroom.model.facts.answers import SCHEMA_VERSION, Answer
from portroom.model.facts.snapshot import Features

YES, NO, UNKNOWN = "yes", "no", "unknown"
SAID = (YES, NO, UNKNOWN)

WORDS = {True: YES, False: NO, None: UNKNOWN}
"""What is said of a feature, by what was found."""


class Asked(NamedTuple):
    """
    What the kernel answered about one feature.

    Args:
        holds: Whether it has it; None where it could not be asked.
        detail: What was seen, or which right or thing is missing; "" where nothing is to add.
    """

    holds: bool | None
    detail: str = ""


class FeatureTold(msgspec.Struct, frozen=True):
    """
    One feature: the statement that is true or not, and what follows for the answers.

    ``answer`` is ``yes``, ``no`` or ``unknown``. ``how`` is how it was found out,
    ``detail`` what was seen beside, or what was missing to ask; "" where nothing.
    """

    name: str
    title: str
    answer: str
    how: str
    consequence: str
    detail: str = ""


class FeaturesAnswer(Answer, frozen=True, kw_only=True):
    """What this kernel can tell, and what it cannot."""

    features: tuple[FeatureTold, ...]


class KeptFeatures(msgspec.Struct, frozen=True, kw_only=True):
    """What a kernel can do, kept in one boot by who may ask for who may not."""

    schema_version: int = SCHEMA_VERSION
    boot_id: str
    features: Features
