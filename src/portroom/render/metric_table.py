"""Every metric that portroom tells, one row each, and which series are told of many.

Rules of this file:

- names and labels are public: additions only, never a change;
- base units: seconds, bytes, ports, sockets; ratios are 0…1; a counter ends in ``_total``;
- what is not known is absent, never zero;
- the documentation and the bound on all series are made from this table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

GAUGE, COUNTER = "gauge", "counter"

OTHER = "other"
"""The label of what is told together."""

MOST_SERIES = 2000
"""Never more than that, whatever the host does; the rows below sum up to less."""

MOST_DESTINATIONS = 50
MOST_NAMESPACES = 50
TIGHTEST = 10

Merge = Callable[[Iterable[float]], float]
"""How several series become one: counts add up, of ratios the highest, of times the earliest."""


class Metric(NamedTuple):
    """
    A metric: its name, what it tells, its labels, and how many series it may have.

    ``merged`` makes one value of several, where there are more series than ``most``,
    or several of the same labels. ``group`` is its heading in the documentation.
    """

    group: str
    name: str
    meaning: str
    kind: str = GAUGE
    labels: tuple[str, ...] = ()
    most: int = 1
    merged: Merge = sum


class Series(NamedTuple):
    """One time series of a metric."""

    labels: tuple[str, ...]
    value: float


DAEMON = "portroom itself"
NAMESPACES = "Namespaces"
RANGE = "Range"
WORST = "The worst key"
TIGHT = "The ten tightest keys"
BY_DESTINATION = "Destinations"
SESSIONS = "Sockets"
RATES = "Rates and forecast"
HOST = "Settings, findings, changes"

RANK_LABELS = ("rank",)
DESTINATION_LABELS = ("protocol", "destination")
NETNS_LABELS = ("netns",)

METRICS: tuple[Metric, ...] = (
    Metric(DAEMON, "build_info", "The version, always 1.", labels=("version",)),
    Metric(DAEMON, "start_timestamp_seconds", "When sampling began, by the wall clock."),
    Metric(DAEMON, "interval_seconds", "Time from sample to sample."),
    Metric(
        DAEMON,
        "last_sample_timestamp_seconds",
        "When the newest sample was taken, by the wall clock.",
    ),
    Metric(DAEMON, "sample_duration_seconds", "What the newest samples took, all namespaces."),
    Metric(DAEMON, "samples_total", "Samples taken.", COUNTER),
    Metric(
        DAEMON,
        "samples_skipped_total",
        "Samples that looked at no key, because none could be half full.",
        COUNTER,
    ),
    Metric(
        DAEMON,
        "missed_samples",
        "Samples in a row that could not be taken; from 3 on the metrics of keys are absent.",
    ),
    Metric(DAEMON, "sample_errors_total", "What went wrong, by kind.", COUNTER, ("kind",), 20),
    Metric(
        DAEMON,
        "gaps",
        "What could not be read by the newest samples, by source.",
        labels=("source",),
        most=30,
    ),
    Metric(
        DAEMON,
        "truncated",
        "Series that were left out or told as `other`, to keep their number bounded; 0 if none.",
    ),
    Metric(
        DAEMON,
        "history_state",
        "1 for the state of the history: ok, degraded (sampling goes on without it) or off.",
        labels=("state",),
        most=3,
        merged=max,
    ),
    Metric(DAEMON, "history_size_bytes", "Size of the history."),
    Metric(DAEMON, "history_set_aside_files", "Corrupt history files that were moved away."),
    Metric(
        DAEMON,
        "alert_firing",
        "1 for a rule of portroom's own that fires, else 0.",
        labels=("alert",),
        most=30,
        merged=max,
    ),
    Metric(DAEMON, "notify_failures_total", "Alerts that could not be sent.", COUNTER),
    Metric(NAMESPACES, "namespaces", "Network namespaces that are sampled."),
    Metric(NAMESPACES, "namespaces_omitted", "Namespaces that are not, because they are too many."),
    Metric(
        NAMESPACES,
        "namespaces_below_half",
        "Namespaces in whose newest sample no key could be half full, so that none was looked at.",
    ),
    Metric(
        NAMESPACES,
        "namespaces_stale",
        "Namespaces of which three samples were missed, so that nothing is told of their keys.",
    ),
    Metric(
        NAMESPACES,
        "netns_eligible_ports",
        "Eligible ports of a namespace.",
        labels=NETNS_LABELS,
        most=MOST_NAMESPACES + 1,
    ),
    Metric(
        NAMESPACES,
        "netns_worst_held_ports",
        "Ports surely held for the worst key of a namespace.",
        labels=NETNS_LABELS,
        most=MOST_NAMESPACES + 1,
    ),
    Metric(
        NAMESPACES,
        "netns_worst_free_ports",
        "Ports surely free for the worst key of a namespace.",
        labels=NETNS_LABELS,
        most=MOST_NAMESPACES + 1,
    ),
    Metric(
        NAMESPACES,
        "netns_worst_occupancy_ratio",
        "Part of the eligible ports that is surely held for the worst key of a namespace.",
        labels=NETNS_LABELS,
        most=MOST_NAMESPACES + 1,
        merged=max,
    ),
    Metric(RANGE, "range_first_port", "First port of the ephemeral range."),
    Metric(RANGE, "range_last_port", "Last port of the ephemeral range, itself included."),
    Metric(RANGE, "range_ports", "Ports of the ephemeral range."),
    Metric(RANGE, "range_reserved_ports", "Reserved ports inside the ephemeral range."),
    Metric(
        RANGE,
        "eligible_ports",
        "Ports that the kernel may choose for one key: the range less the reserved ports.",
    ),
    Metric(WORST, "worst_held_ports", "Ports surely held for the worst key."),
    Metric(WORST, "worst_doubtful_ports", "Ports of which the kernel does not tell."),
    Metric(WORST, "worst_free_ports", "Ports surely free for the worst key."),
    Metric(WORST, "worst_free_ports_max", "Ports free for the worst key, those in doubt included."),
    Metric(
        WORST, "worst_occupancy_ratio", "Part of the eligible ports that is surely held, 0 to 1."
    ),
    Metric(
        WORST,
        "worst_occupancy_ratio_max",
        "The highest such part of any key, ports in doubt included, 0 to 1.",
    ),
    Metric(WORST, "keys", "Keys there are."),
    Metric(WORST, "exhausted_keys", "Keys without a free port, of those that are looked at."),
    *(
        Metric(TIGHT, f"tightest_{name}", meaning, labels=RANK_LABELS, most=TIGHTEST)
        for name, meaning in (
            ("eligible_ports", "Eligible ports, by rank."),
            ("held_ports", "Ports surely held, by rank."),
            ("doubtful_ports", "Ports in doubt, by rank."),
            ("free_ports", "Ports surely free, by rank."),
            ("occupancy_ratio", "Part of the eligible ports that is surely held, by rank."),
            ("time_wait_sockets", "Sockets in TIME_WAIT, by rank."),
            ("connects_per_second", "New connections per second, by rank."),
            ("exhaustion_seconds", "Seconds until none is free, by rank; +Inf if not foreseen."),
        )
    ),
    *(
        Metric(
            BY_DESTINATION,
            f"destination_{name}",
            meaning,
            labels=DESTINATION_LABELS,
            most=MOST_DESTINATIONS + 1,
            merged=merged,
        )
        for name, meaning, merged in (
            ("held_ports", "Ports surely held, by destination.", sum),
            ("free_ports", "Ports surely free, by destination.", sum),
            ("occupancy_ratio", "The highest occupancy, by destination.", max),
            ("time_wait_sockets", "Sockets in TIME_WAIT, by destination.", sum),
            ("connects_per_second", "New connections per second, by destination.", sum),
        )
    ),
    Metric(
        SESSIONS,
        "sockets",
        "Sockets by state, as of the last sample of every socket.",
        labels=("protocol", "state"),
        most=40,
    ),
    Metric(
        SESSIONS,
        "sockets_timestamp_seconds",
        "When the sockets by state were counted, by the wall clock; the oldest namespace.",
    ),
    Metric(SESSIONS, "tcp_established_sockets", "TCP connections that are established."),
    Metric(SESSIONS, "tcp_time_wait_sockets", "TCP connections in TIME_WAIT."),
    Metric(
        RATES,
        "exhaustion_seconds",
        "Seconds until some key has no free port; +Inf if none is foreseen.",
    ),
    Metric(
        RATES,
        "exhaustion_confidence",
        "How sure that is: 0 not known, 1 low, 2 medium, 3 high.",
    ),
    Metric(RATES, "half_seconds", "Seconds until some key is half full; +Inf if none is foreseen."),
    Metric(RATES, "connects_per_second", "New connections per second, all keys looked at."),
    Metric(
        RATES,
        "worst_connects_per_second",
        "New connections per second of the worst key.",
    ),
    Metric(
        RATES,
        "worst_max_connects_per_second",
        "New connections per second that the worst key can sustain.",
    ),
    Metric(
        RATES, "worst_hold_time_seconds", "How long a connection of the worst key holds a port."
    ),
    Metric(
        RATES,
        "failed_connects_total",
        "Connects and binds that failed, as portroom-trace saw them.",
        COUNTER,
    ),
    Metric(
        RATES,
        "exhausted_connects_total",
        "Those that failed for want of a free local port.",
        COUNTER,
    ),
    Metric(
        RATES,
        "failed_connects_lost_total",
        "Events that the kernel had no room for: the counts of failures are lower bounds.",
        COUNTER,
    ),
    Metric(
        HOST,
        "setting",
        "Settings that are numbers, of the first namespace.",
        labels=("name",),
        most=100,
        merged=max,
    ),
    Metric(
        HOST,
        "drift",
        "1 if the next boot gives a setting another value than it has, else 0.",
        labels=("name",),
        most=100,
        merged=max,
    ),
    Metric(
        HOST,
        "findings",
        "Findings of `portroom doctor`, by severity.",
        labels=("severity",),
        most=3,
    ),
    Metric(HOST, "trials_pending", "Changes on trial, that wait for their confirmation."),
    Metric(
        HOST,
        "trial_pending_seconds",
        "What is left of the trial that ends first; negative if it should have been taken back.",
    ),
    Metric(HOST, "changes_broken_off", "Changes that a crash left, for `portroom recover`."),
)


def full_name(metric: Metric) -> str:
    """
    Return the name under which a metric is told.

    >>> full_name(METRICS[0])
    'portroom_build_info'
    """
    return f"portroom_{metric.name}"
