"""Labels that were told: few distinct ones a day, however many a host goes through.

A time series database keeps every label that it ever saw. So a destination that is told
keeps its place for a day after it was told last, and where all places are taken, others
are told together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from portroom.model.facts.sample import Instant

DAY_S = 86_400.0

Label = tuple[str, ...]


class Told(msgspec.Struct, frozen=True):
    """
    When each label was told last, in seconds since boot.

    ``boot_id`` names the boot; of another one nothing is remembered.
    """

    boot_id: str = ""
    labels: Mapping[Label, float] = {}


def told(before: Told, labels: Iterable[Label], now: Instant, most: int) -> Told:
    """
    Return what is remembered once some labels are told.

    Within any 24 hours at most *most* distinct ones are.

    Args:
        before: What was remembered.
        labels: Those to tell, those first that are told if not all can be.
        now: This moment.
        most: Places there are.

    >>> import datetime
    >>> at = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    >>> first = told(Told(), [("a",), ("b",)], Instant("x", 10.0, at), 1)
    >>> dict(first.labels)
    {('a',): 10.0}
    >>> dict(told(first, [("b",)], Instant("x", 86_409.0, at), 1).labels)
    {('a',): 10.0}
    >>> dict(told(first, [("b",)], Instant("x", 86_411.0, at), 1).labels)
    {('b',): 86411.0}
    """
    kept = {} if before.boot_id != now.boot_id else _kept(before.labels, now.uptime_s)
    for label in labels:
        if label in kept or len(kept) < most:
            kept[label] = now.uptime_s
    return Told(now.boot_id, kept)


def _kept(labels: Mapping[Label, float], uptime_s: float) -> dict[Label, float]:
    """Return the labels that were told within the last day."""
    return {label: at for label, at in labels.items() if uptime_s - at <= DAY_S}
