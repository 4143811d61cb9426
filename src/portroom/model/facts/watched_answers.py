"""What the daemon answers by HTTP: the Answers of the commands, and what only watching tells.

The fields of the command's JSON are there with the same meaning; the others come after.
"""

from __future__ import annotations

import datetime

import msgspec

from portroom.model.facts.answers import (
    SCHEMA_VERSION,
    Headroom,
    Key,
    RangeUse,
    Sessions,
    Status,
    Summary,
)
from portroom.model.facts.failure import FailureCounts
from portroom.model.facts.gaps import Gap
from portroom.model.facts.sample import Charge, Forecast
from portroom.model.facts.snapshot import NetnsId
from portroom.model.facts.watched import Alert, HistoryState


class WatchState(msgspec.Struct, frozen=True, kw_only=True):
    """
    How watching goes, for all namespaces together.

    Counts with ``_total`` are since ``started_at``. ``missed_samples`` is how many samples
    in a row could not be taken, ``error`` why. ``failures`` is null with a
    ``failures_gap`` where the trace service tells nothing.
    """

    version: str
    started_at: datetime.datetime
    interval_s: float
    namespaces_total: int
    namespaces_omitted: int
    samples_total: int
    skipped_total: int
    errors_total: dict[str, int]
    missed_samples: int
    error: str
    history: HistoryState
    alerts: tuple[Alert, ...]
    notify_failures_total: int
    failures: FailureCounts | None
    failures_gap: Gap | None


class WatchedStatus(Status, frozen=True, kw_only=True):
    """
    A Status of the newest sample.

    ``drift``, ``findings`` and ``boot_conflicts`` are as of ``full_at``, when every socket
    was looked at last. ``keys_total`` is null below half. ``forecasts`` belong to
    ``tightest``, one each, in their order.
    """

    keys_total: int | None  # type: ignore[assignment]  # below half nobody counts them
    depth: str
    full_at: datetime.datetime | None
    forecasts: tuple[Forecast, ...]
    watch: WatchState


class WatchedHeadroom(Headroom, frozen=True, kw_only=True):
    """
    The Headroom of the newest sample.

    ``keys_total`` and ``keys_omitted`` are null below half. ``forecasts`` and ``charges``
    belong to ``keys``, one each, in their order; ``charges`` is empty as a whole where
    nobody looked.
    """

    keys_total: int | None  # type: ignore[assignment]  # below half nobody counts them
    keys_omitted: int | None  # type: ignore[assignment]  # likewise
    depth: str
    range: RangeUse | None
    forecasts: tuple[Forecast, ...]
    charges: tuple[tuple[Charge, ...], ...]


class WatchedSessions(Sessions, frozen=True, kw_only=True):
    """
    Sessions in numbers, none of them singly.

    ``summary`` is of the newest sample: its states are empty with a Gap unless that
    looked at every socket. ``counted`` is that of the last one that did, at ``counted_at``.
    """

    depth: str
    counted: Summary | None
    counted_at: datetime.datetime | None


class WatchedNamespace(msgspec.Struct, frozen=True, kw_only=True):
    """
    One namespace in a line.

    ``tightest`` is null below half, and where nothing holds a port. ``findings`` counts
    them by severity, as of the last full sample.
    """

    netns: NetnsId
    taken_at: datetime.datetime
    depth: str
    eligible_ports: int | None
    tightest: Key | None
    keys_total: int | None
    exhausted_in_s: float | None
    findings: dict[str, int]
    gaps: tuple[Gap, ...]


class WatchedNamespaces(msgspec.Struct, frozen=True, kw_only=True):
    """
    The namespaces that are watched, in the order in which they were found.

    ``namespaces_total`` are watched; ``namespaces_omitted`` of these are not on this page.
    """

    schema_version: int = SCHEMA_VERSION
    host: str
    taken_at: datetime.datetime
    namespaces: tuple[WatchedNamespace, ...]
    namespaces_total: int
    namespaces_omitted: int


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Whether samples are taken: ``ok``, with when the newest was."""

    schema_version: int = SCHEMA_VERSION
    state: str
    taken_at: datetime.datetime
    missed_samples: int


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request is not answered: the status of HTTP, a sentence, and what to do."""

    schema_version: int = SCHEMA_VERSION
    status: int
    message: str
    hint: str = ""
