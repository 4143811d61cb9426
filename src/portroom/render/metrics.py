"""Metrics: what a Watched says in the text format of Prometheus.

Rules of this file:

- names, labels and bounds are those of ``metric_table``; here are the values;
- what is not known is absent, never zero;
- labels are hostile text: they are made printable, cut, and escaped by the exposition.

Source: Prometheus, Exposition formats; Metric and label naming.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from portroom.model.facts.config import Metrics
from portroom.model.facts.watched import Watched
from portroom.model.laws import watched_keys
from portroom.model.laws.told_labels import Label, Told, told
from portroom.render.metric_table import (
    COUNTER,
    DESTINATION_LABELS,
    METRICS,
    MOST_DESTINATIONS,
    MOST_NAMESPACES,
    NETNS_LABELS,
    OTHER,
    Metric,
    Series,
    full_name,
)
from portroom.render.metric_values import PARTS, View, destination, label

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

__all__ = ["CONTENT_TYPE", "Destinations", "as_text", "remembered"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

TRUNCATED = "truncated"


class Destinations(msgspec.Struct, frozen=True):
    """Labels that were told within a day; keep what ``remembered`` returns for the next time."""

    destinations: Told = Told()
    namespaces: Told = Told()


def as_text(
    watched: Watched,
    config: Metrics,
    seen: Destinations | None = None,
    *,
    age_s: float = 0.0,
) -> str:
    """
    Return all metrics in the text format of Prometheus.

    Args:
        watched: What is known.
        config: Whether addresses are labels, and how many.
        seen: Labels told before, see ``remembered``.
        age_s: How long ago *watched* was made; what is too old is absent.
    """
    view = _view(watched, config, age_s)
    found: dict[str, list[Series]] = {}
    for name, labels, value in chain.from_iterable(part(view) for part in PARTS):
        if value is not None:
            found.setdefault(name, []).append(Series(tuple(map(label, labels)), value))
    places = _places(seen or Destinations(), view, config)
    chosen = {DESTINATION_LABELS: places.destinations, NETNS_LABELS: places.namespaces}
    bounded = {
        metric.name: _bounded(metric, found.get(metric.name, ()), chosen.get(metric.labels))
        for metric in METRICS
    }
    left_out = sum(omitted for _, omitted in bounded.values())
    bounded[TRUNCATED] = [Series((), left_out)], 0
    return _exposed((metric, bounded[metric.name][0]) for metric in METRICS)


def remembered(
    seen: Destinations | None, watched: Watched, config: Metrics, age_s: float = 0.0
) -> Destinations:
    """
    Return which labels have been told once these metrics are, for the next time.

    Args:
        seen: What was remembered, None at the beginning.
        watched: What is known.
        config: How many destinations are told a day.
        age_s: How long ago *watched* was made, in seconds.
    """
    return _places(seen or Destinations(), _view(watched, config, age_s), config)


def _view(watched: Watched, config: Metrics, age_s: float) -> View:
    """Return what the metrics are made from."""
    fresh = watched_keys.fresh(watched, age_s)
    keys = tuple(watched_keys.ranked(fresh))
    return View(watched, fresh, keys, watched_keys.worst(fresh), config.destinations)


def _places(seen: Destinations, view: View, config: Metrics) -> Destinations:
    """Return the labels that are told under their own name."""
    now = view.watched.now
    most = min(config.most_destinations, MOST_DESTINATIONS)
    destinations = map(destination, view.keys if view.destinations else ())
    names = ((label(one.sample.netns.name),) for one in view.fresh)
    return Destinations(
        told(seen.destinations, destinations, now, most),
        told(seen.namespaces, names, now, MOST_NAMESPACES),
    )


def _bounded(
    metric: Metric, series: Sequence[Series], chosen: Told | None
) -> tuple[list[Series], int]:
    """
    Return the series of a metric, each label once, and how many were left out.

    Those without a place are told as one, as ``other``.

    Args:
        metric: Says how many there may be, and how they are merged.
        series: As they were found.
        chosen: Labels that have a place, None for all.
    """
    groups: dict[Label, list[float]] = {}
    for one in series:
        groups.setdefault(one.labels, []).append(one.value)
    rest = (OTHER,) * len(metric.labels)
    named = [one for one in groups if one != rest and (chosen is None or one in chosen.labels)]
    crowded = len(named) < len(groups) or len(named) > metric.most
    kept = named[: metric.most - 1] if crowded and metric.labels else named
    left = {labels: groups[labels] for labels in groups.keys() - set(kept)}
    told_series = [Series(labels, metric.merged(groups[labels])) for labels in kept]
    if left:
        told_series.append(Series(rest, metric.merged(chain.from_iterable(left.values()))))
    return told_series, len(left) - (rest in left)


class Made(NamedTuple):
    """What the exposition asks for its families."""

    families: Sequence[Family]

    def collect(self) -> Sequence[Family]:
        """Return the families."""
        return self.families


def _exposed(families: Iterable[tuple[Metric, Sequence[Series]]]) -> str:
    """Return families as the exposition writes them, without those that have no series."""
    from prometheus_client.exposition import generate_latest  # costs start-up

    return generate_latest(Made([_family(*one) for one in families if one[1]])).decode()


def _family(metric: Metric, series: Sequence[Series]) -> Family:
    """Return one metric with its series."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    make = CounterMetricFamily if metric.kind == COUNTER else GaugeMetricFamily
    family = make(full_name(metric), metric.meaning, labels=metric.labels)
    for one in series:
        family.add_metric(list(one.labels), one.value)
    return family
