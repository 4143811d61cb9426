"""Watched: all that the daemon knows at one moment; page, metrics and alerts say it alike."""

from __future__ import annotations

import datetime

import msgspec

from portroom.model.facts.answers import Answer, Findings, SettingsAnswer, Status, Summary
from portroom.model.facts.failure import FailureCounts
from portroom.model.facts.gaps import Gap
from portroom.model.facts.sample import Forecast, Instant, Sample
from portroom.model.facts.trial import BrokenOff, PendingTrial

HISTORY_STATES = ("ok", "degraded", "off")

PENDING, FIRING, RESOLVED = "pending", "firing", "resolved"


class HistoryState(msgspec.Struct, frozen=True):
    """
    How remembering goes: ``ok``, ``degraded`` (sampling goes on without), or ``off``.

    ``reason`` is a sentence, "" where it goes well. ``set_aside`` are corrupt files
    that were moved away, never deleted.
    """

    state: str = "off"
    reason: str = ""
    file: str = ""
    size_bytes: int = 0
    set_aside: tuple[str, ...] = ()


class Alert(msgspec.Struct, frozen=True):
    """
    A rule that fires, or fired: ``pending``, ``firing`` or ``resolved``.

    ``name`` is the rule, ``subject`` what it is about: a namespace, and a key if there
    is one. ``severity`` as of findings. ``summary`` is a sentence with the figures and
    ``value`` the figure that decides. ``page`` is the page of the documentation.
    ``netns`` is the name of the namespace, "" for the whole host. ``seen`` is when it
    was last found to be so, ``ended`` when not any more. Somebody was to be told of it
    ``tellings`` times, the last time at ``told``.
    """

    name: str
    severity: str
    subject: str
    summary: str
    state: str
    since: Instant
    value: float | None = None
    page: str = ""
    netns: str = ""
    seen: Instant | None = None
    ended: Instant | None = None
    told: Instant | None = None
    tellings: int = 0


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is known of one namespace: its newest sample, and what the last full one told.

    ``forecasts`` belong to ``sample.keys``, one each, in their order. ``states`` is
    the summary of the last full sample. What was not looked at yet is None.
    """

    sample: Sample
    forecasts: tuple[Forecast, ...] = ()
    states: Summary | None = None
    states_at: datetime.datetime | None = None
    status: Status | None = None
    settings: SettingsAnswer | None = None
    findings: Findings | None = None


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """
    All that the daemon knows: one value, made by each sample anew.

    ``namespaces`` are in the order in which they were found; those above
    ``namespaces_omitted`` were not looked at. ``missed_samples`` is how many samples in
    a row could not be taken, ``error`` why. ``failures`` come from the trace service.
    ``told`` are the alerts that somebody has to be told of now.
    Counts with ``_total`` are since ``started_at``.
    """

    version: str
    host: str
    started_at: datetime.datetime
    now: Instant
    interval_s: float
    namespaces: tuple[Known, ...] = ()
    namespaces_omitted: int = 0
    samples_total: int = 0
    skipped_total: int = 0
    errors_total: dict[str, int] = {}
    missed_samples: int = 0
    error: str = ""
    history: HistoryState = HistoryState()
    failures: FailureCounts | Gap | None = None
    alerts: tuple[Alert, ...] = ()
    notify_failures_total: int = 0
    trials: tuple[PendingTrial, ...] = ()
    broken_off: tuple[BrokenOff, ...] = ()
    told: tuple[Alert, ...] = ()


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """
    What history remembers of one namespace, or of one key of it, at one moment or span.

    ``at`` is the start of the span, ``span_s`` its length, 0 for a single sample.
    Counts are those of the sample; of a span the highest held, the lowest free, and
    the highest ratio. ``below_half`` says that no key could be half full and none was
    looked at: the counts are None then. ``samples`` is how many made the span.
    """

    at: datetime.datetime
    boot_id: str
    uptime_s: float
    span_s: float
    samples: int
    below_half: bool = False
    eligible_ports: int | None = None
    held_ports: int | None = None
    doubtful_ports: int | None = None
    free_ports: int | None = None
    occupancy_ratio: float | None = None
    time_wait_sockets: int | None = None
    connects_per_s: float | None = None
    exhausted_in_s: float | None = None


class KeyName(msgspec.Struct, frozen=True):
    """Which key a line of history is about; all None where it is the tightest at each moment."""

    protocol: str | None = None
    operation: str | None = None
    local_address: str | None = None
    remote_address: str | None = None
    remote_port: int | None = None
    vrf: str | None = None


class Line(msgspec.Struct, frozen=True):
    """The moments of one key, the oldest first."""

    netns: str
    key: KeyName
    moments: tuple[Moment, ...]


class Mark(msgspec.Struct, frozen=True):
    """
    Something that happened beside the samples.

    ``kind`` is ``change``, ``start``, ``stop``, ``alert``, ``recorded`` (a Snapshot was
    kept) or ``gap``; ``text`` is one line and may be hostile.
    """

    at: datetime.datetime
    kind: str
    text: str


class History(Answer, frozen=True, kw_only=True):
    """
    What was seen since a time, and what happened meanwhile.

    ``since`` and ``until`` are both included; ``step_s`` is the length of a span, 0
    where every sample is told. ``lines_omitted`` are keys left out.
    """

    since: datetime.datetime
    until: datetime.datetime
    step_s: float
    lines: tuple[Line, ...]
    lines_omitted: int = 0
    marks: tuple[Mark, ...] = ()
