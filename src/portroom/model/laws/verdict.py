"""Verdict: what is said of the worst key, by what is surely held."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from portroom.model.facts.answers import Key
from portroom.model.facts.check import (
    CRITICAL,
    OK,
    UNKNOWN,
    WARNING,
    Checked,
    CheckQuestion,
    Limits,
    Rate,
    Verdict,
)

UNSEEN = {
    "keys": "not every key could be read",
    "namespaces": "not every network namespace could be read",
}
"""Fields of which a gap leaves open whether another key is worse, and why."""


def verdict(checked: Sequence[Checked], question: CheckQuestion) -> Verdict:
    """
    Return what is said of some namespaces.

    The sure occupancy of the worst key decides. Ports in doubt are a warning at most.
    What could not be seen makes it unknown, unless what was seen is bad enough.

    Args:
        checked: At least one namespace.
        question: The thresholds, and what is asked about.
    """
    limits = question.limits
    pairs = [(one, key) for one in checked for key in one.keys]
    where, key = max(pairs, key=lambda pair: pair[1].occupancy_ratio, default=(checked[0], None))
    unseen = _unseen(checked)
    sure = _sure(key, limits)
    doubtful = None
    if sure == OK:
        where_doubtful, doubtful = _doubtful(pairs, limits) or (where, None)
        where = where_doubtful if doubtful else where
        sure = WARNING if doubtful else UNKNOWN if unseen else OK
    return Verdict(
        state=sure,
        limits=limits,
        key=key,
        doubtful=doubtful,
        netns=where.netns,
        eligible_ports=where.eligible_ports if key is None else key.eligible_ports,
        unseen=unseen,
        namespaces=len(checked),
        address=question.address,
    )


def with_rate(found: Verdict, rate: Rate) -> Verdict:
    """
    Return a verdict with what the history tells: it was asked for, so that it misses is unknown.

    Args:
        found: What the keys say.
        rate: How fast connections came, or why that is not known.
    """
    return msgspec.structs.replace(
        found,
        rate=rate,
        state=UNKNOWN if found.state == OK and rate.reason else found.state,
    )


def _sure(key: Key | None, limits: Limits) -> str:
    """Return what the ports that are surely held say."""
    ratio = key.occupancy_ratio if key else 0.0
    if ratio >= limits.critical:
        return CRITICAL if key else OK
    return WARNING if key and ratio >= limits.warning else OK


def _doubtful(pairs: Iterable[tuple[Checked, Key]], limits: Limits) -> tuple[Checked, Key] | None:
    """Return the key that may be the fullest, if it may be over a threshold."""
    found = max(pairs, key=lambda pair: pair[1].occupancy_ratio_max, default=None)
    if found is None or found[1].occupancy_ratio_max < limits.warning:
        return None
    return found


def _unseen(checked: Sequence[Checked]) -> str:
    """Return what was not seen in which another key may be worse; "" if all was."""
    gaps = [gap for one in checked for gap in one.gaps]
    for field, why in UNSEEN.items():
        reasons = [gap.reason for gap in gaps if field in gap.affects]
        if reasons:
            return f"{why}: {reasons[0]}"
    if any(one.eligible_ports is None for one in checked):
        return "the settings could not be read"
    return ""
