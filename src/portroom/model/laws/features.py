"""Features: what follows from what a kernel answered, or from what a Snapshot holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from portroom.errors import InvalidRequestError
from portroom.model.facts.features import WORDS, Asked, FeaturesAnswer, FeatureTold
from portroom.model.facts.snapshot import Features, Snapshot
from portroom.model.laws.feature_table import FEATURES, FeatureRow

IN_SNAPSHOT = "a Snapshot does not hold it"
"""Why most features are unknown in an answer from a Snapshot."""

NOT_ASKED_THEN = "it was not known when the Snapshot was taken"


def features_answer(
    read: Snapshot, found: Mapping[str, Asked], rows: Sequence[FeatureRow] = FEATURES
) -> FeaturesAnswer:
    """
    Return the answer: each feature with what follows.

    Args:
        read: Whose answer this is, and when.
        found: What was found out, by name; what is not there is unknown.
        rows: The features that are wanted.
    """
    return FeaturesAnswer(
        host=read.host,
        taken_at=read.taken_at,
        netns=read.netns,
        features=tuple(told(row, found.get(row.name, Asked(None))) for row in rows),
    )


def told(row: FeatureRow, asked: Asked) -> FeatureTold:
    """
    Return what is told of one feature.

    >>> told(FEATURES[0], Asked(None, "no right")).answer
    'unknown'
    """
    answer = WORDS[asked.holds]
    consequence = {True: row.yes, False: row.no, None: row.unknown}[asked.holds]
    return FeatureTold(row.name, row.title, answer, row.how, consequence, asked.detail)


def saved_features(features: Features) -> dict[str, Asked]:
    """
    Return what a Snapshot holds of the features, and of the others that it does not.

    >>> saved_features(Features(range_option=False))["range_option"]
    Asked(holds=False, detail='')
    """
    held = msgspec.structs.asdict(features)
    found = {row.name: Asked(None, IN_SNAPSHOT) for row in FEATURES}
    for name, value in held.items():
        found[name] = Asked(value, NOT_ASKED_THEN if value is None else "")
    return found


def feature_named(word: str) -> FeatureRow:
    """
    Return the feature of a name.

    Raises:
        InvalidRequestError: There is none; the nearest is named.

    >>> feature_named("vrf").name
    'vrf'
    """
    for row in FEATURES:
        if row.name == word:
            return row
    from difflib import get_close_matches  # only the way of an error pays for it

    names = [row.name for row in FEATURES]
    near = get_close_matches(word, names, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known are {', '.join(names)}."
    raise InvalidRequestError(f"There is no feature {word!r}.", hint)
