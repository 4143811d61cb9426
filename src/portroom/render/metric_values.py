"""The values of all metrics: each part of a Watched yields those that are about it.

Rules of this file: what is not known is None or is not yielded, never zero.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import msgspec

from portroom.model.advice.alert_table import RULES
from portroom.model.facts.answers import SEVERITIES, Key
from portroom.model.facts.failure import FailureCounts
from portroom.model.facts.sample import CONFIDENCES, NO_FORECAST, Forecast
from portroom.model.facts.watched import FIRING, HISTORY_STATES, Known, Watched
from portroom.model.laws import watched_keys
from portroom.model.laws.told_labels import Label
from portroom.model.laws.watched_keys import Ranked
from portroom.render.gaps import is_unseen
from portroom.render.metric_table import TIGHTEST
from portroom.render.units import Style, cut, endpoint, printable

LONGEST_LABEL = 120
"""Columns of a label; a process may give itself any name."""

ANY_REMOTE = "any"
"""The destination of a key that has none: UDP."""

Values = Iterator[tuple[str, Label, float | None]]
"""The name of a metric without its prefix, its labels, and its value if it is known."""


CONFIDENCE = {word: place for place, word in enumerate(CONFIDENCES)}
"""How sure a forecast is, as a number."""


class View(msgspec.Struct, frozen=True):
    """What all metrics are made from: a Watched, and what of it may be told."""

    watched: Watched
    fresh: tuple[Known, ...]
    keys: tuple[Ranked, ...]
    worst: Ranked | None
    destinations: bool


@lru_cache(maxsize=4096)  # each is asked for by several metrics, at each sample anew
def label(text: str) -> str:
    """Return hostile text as a label: printable, and not too long."""
    return cut(printable(text), LONGEST_LABEL, Style(ascii=True), middle=True)


def destination(one: Ranked) -> Label:
    """Return the labels of a key's destination."""
    key = one.key
    remote = key.remote_address
    where = ANY_REMOTE if remote is None else endpoint(remote, key.remote_port)
    return key.protocol, label(where)


def _of_daemon(view: View) -> Values:
    """Yield how sampling goes."""
    watched = view.watched
    instants = [known.sample.instant.at.timestamp() for known in watched.namespaces]
    yield "build_info", (watched.version,), 1
    yield "start_timestamp_seconds", (), watched.started_at.timestamp()
    yield "interval_seconds", (), watched.interval_s or None
    yield "last_sample_timestamp_seconds", (), max(instants, default=None)
    yield "sample_duration_seconds", (), _sum(known.sample.duration_s for known in view.fresh)
    yield "samples_total", (), watched.samples_total
    yield "samples_skipped_total", (), watched.skipped_total
    yield "missed_samples", (), watched.missed_samples
    for kind, errors in watched.errors_total.items():
        yield "sample_errors_total", (kind,), errors
    for source, count in _gaps(view).items():
        yield "gaps", (source,), count


def _gaps(view: View) -> Counter[str]:
    """Count what could not be read by its source; what nobody wanted to look at is none."""
    return Counter(
        gap.source
        for known in view.fresh
        for gap in known.sample.gaps
        if not is_unseen(gap) and not watched_keys.is_of_below_half(gap)
    )


def _of_memory(view: View) -> Values:
    """Yield how the history and the alerts go."""
    history, watched = view.watched.history, view.watched
    for state in HISTORY_STATES:
        yield "history_state", (state,), state == history.state
    yield "history_size_bytes", (), history.size_bytes
    yield "history_set_aside_files", (), len(history.set_aside)
    firing = {one.name for one in watched.alerts if one.state == FIRING}
    for rule in RULES if watched.interval_s else ():  # who reads once judges no alert
        yield "alert_firing", (rule.name,), rule.name in firing
    yield "notify_failures_total", (), watched.notify_failures_total


def _of_namespaces(view: View) -> Values:
    """Yield how many namespaces there are, and the worst key of each."""
    namespaces = view.watched.namespaces
    yield "namespaces", (), len(namespaces)
    yield "namespaces_omitted", (), view.watched.namespaces_omitted
    yield "namespaces_below_half", (), sum(map(watched_keys.is_below_half, view.fresh))
    yield "namespaces_stale", (), len(namespaces) - len(view.fresh)
    for known in view.fresh:
        name = (known.sample.netns.name,)
        use = known.sample.range
        yield "netns_eligible_ports", name, use.eligible_ports if use else None
        for metric, value in _worst_figures((known,)):
            yield f"netns_{metric}", name, value


def _worst_figures(namespaces: Sequence[Known]) -> Iterator[tuple[str, float | None]]:
    """Yield the sure figures of the worst key; where there is none, all ports are free."""
    one = watched_keys.worst(namespaces)
    if one is not None:
        yield "worst_held_ports", one.key.held_ports
        yield "worst_free_ports", one.key.free_ports
        yield "worst_occupancy_ratio", one.key.occupancy_ratio
    elif watched_keys.has_no_key(namespaces):
        use = namespaces[0].sample.range
        yield "worst_held_ports", 0
        yield "worst_free_ports", use.eligible_ports if use else None
        yield "worst_occupancy_ratio", 0


def _of_range(view: View) -> Values:
    """Yield the range of the namespace of the worst key, else of the first one."""
    known = view.worst.known if view.worst else next(iter(view.fresh), None)
    use = known.sample.range if known else None
    if use is not None:
        yield "range_first_port", (), use.first
        yield "range_last_port", (), use.last
        yield "range_ports", (), use.ports
        yield "range_reserved_ports", (), use.reserved_ports
        yield "eligible_ports", (), use.eligible_ports


def _of_worst(view: View) -> Values:
    """Yield the figures of the worst key, without labels."""
    for metric, value in _worst_figures(view.fresh):
        yield metric, (), value
    totals = [known.sample.keys_total for known in view.fresh]
    yield "keys", (), None if None in totals else _sum(total or 0 for total in totals)
    highest = max((one.key.occupancy_ratio_max for one in view.keys), default=0.0)
    if view.worst is not None or highest >= watched_keys.HALF_RATIO:
        yield "worst_occupancy_ratio_max", (), highest
    if view.worst is not None:
        key = view.worst.key
        yield "worst_doubtful_ports", (), key.doubtful_ports
        yield "worst_free_ports_max", (), key.free_ports_max
        yield "exhausted_keys", (), sum(one.key.exhausted for one in view.keys)


def _of_tightest(view: View) -> Values:
    """Yield the ten tightest keys by rank."""
    for rank, one in enumerate(view.keys[:TIGHTEST], 1):
        key, label = one.key, (str(rank),)
        yield "tightest_eligible_ports", label, key.eligible_ports
        yield "tightest_held_ports", label, key.held_ports
        yield "tightest_doubtful_ports", label, key.doubtful_ports
        yield "tightest_free_ports", label, key.free_ports
        yield "tightest_occupancy_ratio", label, key.occupancy_ratio
        yield "tightest_time_wait_sockets", label, _time_waits(key)
        yield "tightest_connects_per_second", label, _connects_per_s(one)
        yield "tightest_exhaustion_seconds", label, _seconds(one.forecast, "exhausted_in_s")


def _of_destinations(view: View) -> Values:
    """Yield the keys by destination, where addresses may be labels."""
    for one in view.keys if view.destinations else ():
        key, labels = one.key, destination(one)
        yield "destination_held_ports", labels, key.held_ports
        yield "destination_free_ports", labels, key.free_ports
        yield "destination_occupancy_ratio", labels, key.occupancy_ratio
        yield "destination_time_wait_sockets", labels, _time_waits(key)
        yield "destination_connects_per_second", labels, _connects_per_s(one)


def _of_sockets(view: View) -> Values:
    """Yield sockets by state, and those that counters tell at each sample."""
    counted = [known for known in view.fresh if known.states is not None]
    for known in counted:
        assert known.states is not None
        for protocol, states in (("tcp", known.states.states), ("udp", known.states.udp_states)):
            for state, sockets in states.items():
                yield "sockets", (protocol, state), sockets
    times = (known.states_at.timestamp() for known in counted if known.states_at)
    yield "sockets_timestamp_seconds", (), min(times, default=None)
    sessions = [known.sample.sessions for known in view.fresh if known.sample.sessions]
    yield "tcp_established_sockets", (), _sum(one.tcp.established for one in sessions)
    yield "tcp_time_wait_sockets", (), _sum(one.tcp.time_wait for one in sessions)


def _of_rates(view: View) -> Values:
    """Yield how fast connections come, and what is foreseen."""
    foreseen = [one.forecast for one in view.keys if one.forecast is not None]
    first = min(foreseen, key=_exhaustion_s, default=None)
    yield "exhaustion_seconds", (), _seconds(first, "exhausted_in_s")
    yield "exhaustion_confidence", (), CONFIDENCE.get(first.confidence) if first else None
    halves = (_seconds(one, "half_in_s") for one in foreseen)
    yield "half_seconds", (), min((one for one in halves if one is not None), default=None)
    speeds = map(_connects_per_s, view.keys)
    yield "connects_per_second", (), _sum(one for one in speeds if one is not None)
    if view.worst is not None and (forecast := view.worst.forecast) is not None:
        yield "worst_connects_per_second", (), forecast.connects_per_s
        yield "worst_max_connects_per_second", (), forecast.max_connects_per_s
        yield "worst_hold_time_seconds", (), forecast.hold_time_s
    failures = view.watched.failures
    if isinstance(failures, FailureCounts):
        yield "failed_connects_total", (), failures.failures_total
        yield "exhausted_connects_total", (), failures.exhausted_total
        yield "failed_connects_lost_total", (), failures.lost_events


def _of_host(view: View) -> Values:
    """Yield settings, drift, findings, and changes that wait."""
    known = [one for one in view.watched.namespaces if one.settings is not None]
    settings = known[0].settings.settings if known and known[0].settings else ()
    for one in settings:
        yield "setting", (one.name,), one.current if isinstance(one.current, int) else None
        yield "drift", (one.name,), one.drift
    found = [one.findings.findings for one in view.watched.namespaces if one.findings is not None]
    severities = Counter(finding.severity for findings in found for finding in findings)
    for severity in SEVERITIES if found else ():
        yield "findings", (severity,), severities[severity]
    trials = view.watched.trials
    yield "trials_pending", (), len(trials)
    yield "trial_pending_seconds", (), min((one.left_s for one in trials), default=None)
    yield "changes_broken_off", (), len(view.watched.broken_off)


PARTS = (
    _of_daemon,
    _of_memory,
    _of_namespaces,
    _of_range,
    _of_worst,
    _of_tightest,
    _of_destinations,
    _of_sockets,
    _of_rates,
    _of_host,
)


def _sum(values: Iterable[float]) -> float | None:
    """Return the sum of some values, None where there is none."""
    found = list(values)
    return sum(found) if found else None


def _time_waits(key: Key) -> int:
    """Return how many connections of a key are in TIME_WAIT."""
    return key.states.get("TIME_WAIT", 0)


def _connects_per_s(one: Ranked) -> float | None:
    """Return the new connections per second of a key, None if not known."""
    return one.forecast.connects_per_s if one.forecast else None


def _seconds(forecast: Forecast | None, field: str) -> float | None:
    """Return when something happens: infinite if it is not foreseen, None if not known."""
    if forecast is None or forecast.confidence == NO_FORECAST:
        return None
    value: float | None = getattr(forecast, field)
    return math.inf if value is None else value


def _exhaustion_s(forecast: Forecast) -> tuple[bool, float]:
    """Return what sorts forecasts, the earliest exhaustion first, those not known last."""
    seconds = _seconds(forecast, "exhausted_in_s")
    return seconds is None, seconds or 0.0
