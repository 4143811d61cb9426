"""The keys of a Watched: which may still be told, and which are the tightest.

Metrics, alerts, the page and the monitoring plugin take the worst key from here, so that
they name the same one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import islice
from typing import NamedTuple

from portroom.model.facts.answers import Key
from portroom.model.facts.gaps import Gap
from portroom.model.facts.sample import BELOW_HALF, Flow, Forecast, Sample
from portroom.model.facts.watched import Known, Watched

MISSED = 3
"""So many samples missed, and what is known of keys is too old to be told."""

HALF_RATIO = 0.5
"""No key of a sample below half reaches this occupancy."""

KEYS = "keys"
"""The field that a gap names where keys could not be seen."""


class Ranked(NamedTuple):
    """A key, the namespace it is of, and what else is known of it."""

    known: Known
    key: Key
    flow: Flow | None = None
    forecast: Forecast | None = None


def fresh(watched: Watched, age_s: float = 0.0) -> tuple[Known, ...]:
    """
    Return the namespaces whose newest sample may still be told.

    Args:
        watched: What the daemon knows.
        age_s: How long ago *watched* was made, in seconds.
    """
    if watched.missed_samples >= MISSED:
        return ()
    if not watched.interval_s:
        return watched.namespaces  # read once, and told at once
    took_s = sum(known.sample.duration_s for known in watched.namespaces)
    patience_s = MISSED * max(watched.interval_s, took_s)
    return tuple(
        known for known in watched.namespaces if _age_s(watched, known) + age_s <= patience_s
    )


def _age_s(watched: Watched, known: Known) -> float:
    """Return how old a sample was when *watched* was made; without end if of another boot."""
    taken = known.sample.instant
    if taken.boot_id != watched.now.boot_id:
        return float("inf")
    return watched.now.uptime_s - taken.uptime_s


def is_below_half(known: Known) -> bool:
    """Say whether no key was looked at, because none can be half full."""
    return known.sample.depth == BELOW_HALF


def is_hidden(sample: Sample) -> bool:
    """Say whether keys could not be seen, though somebody looked."""
    return sample.depth != BELOW_HALF and any(KEYS in gap.affects for gap in sample.gaps)


def is_of_below_half(gap: Gap) -> bool:
    """
    Say whether a gap is only that of a sample below half, which is a choice, no failure.

    >>> is_of_below_half(Gap("keys", "below half: 3 TCP sockets ...", ("keys",)))
    True
    """
    return gap.source == KEYS and gap.reason.startswith("below half")


def ranked(namespaces: Iterable[Known], most: int | None = None) -> list[Ranked]:
    """
    Return the keys of several namespaces, the fullest first.

    Args:
        namespaces: Each has its keys in that order already.
        most: How many keys at most, None for all.
    """
    each = map(_ranked, namespaces)
    return list(islice(merge(*each, key=lambda one: -one.key.occupancy_ratio), most))


def _ranked(known: Known) -> Iterator[Ranked]:
    """Yield the keys of one namespace, each with what belongs to it."""
    flows, forecasts = known.sample.flows, known.forecasts
    for place, key in enumerate(known.sample.keys):
        yield Ranked(
            known,
            key,
            flows[place] if place < len(flows) else None,
            forecasts[place] if place < len(forecasts) else None,
        )


def worst(namespaces: Sequence[Known]) -> Ranked | None:
    """
    Return the fullest key, None where it is not known which that is.

    Next to a namespace below half only a key that is half full is surely the fullest.

    Args:
        namespaces: Those that may be told.
    """
    first = next(iter(ranked(namespaces, 1)), None)
    if first is None or first.key.occupancy_ratio >= HALF_RATIO:
        return first
    return None if any(is_below_half(known) for known in namespaces) else first


def has_no_key(namespaces: Sequence[Known]) -> bool:
    """Say whether every namespace was looked at in full, and none has a key."""
    return bool(namespaces) and not any(
        known.sample.keys or is_below_half(known) or is_hidden(known.sample) for known in namespaces
    )
