"""Features: what this kernel can tell, and what it cannot. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from portroom.api.source import Live, Saved, Source
from portroom.kernel.abilities import read_abilities
from portroom.kernel.kept_features import ask_features
from portroom.kernel.snapshot import Wanted
from portroom.model.facts.features import FeaturesAnswer, KeptFeatures
from portroom.model.laws.feature_table import FEATURES
from portroom.model.laws.features import feature_named, features_answer, saved_features
from portroom.trace.abilities import read_trace_abilities


def features(source: Source, names: Sequence[str] = ()) -> FeaturesAnswer:
    """
    Say what the kernel can tell: yes, no, or unknown, with what follows.

    Args:
        source: The kernel or a saved Snapshot, which holds four of them.
        names: Names of features, told in this order and each once; none for all.

    Raises:
        InvalidRequestError: There is no feature of such a name.
        NotPermittedError: The namespace may not be entered.
    """
    rows = tuple(dict.fromkeys(map(feature_named, names))) or FEATURES
    if isinstance(source, Saved):
        read = source.snapshot
        return features_answer(read, saved_features(read.features), rows)

    live: Live = source

    def job() -> FeaturesAnswer:
        """Ask inside the namespace."""
        found = read_abilities() | read_trace_abilities()
        return features_answer(live.take(Wanted()), found, rows)

    return live.run(job)


def features_to_keep() -> KeptFeatures:
    """Return what this kernel can do, for a daemon that may not ask it."""
    return ask_features()
