"""The report: one answer with all that somebody needs who helps from afar.

Rules of this file:

- every answer in it is of one Snapshot, so no two figures in it contradict each other;
- what is not of the Snapshot is numbers of the same moment, or names that a redacted
  report leaves out.
"""

from __future__ import annotations

import datetime

import msgspec

from portroom.model.facts.answers import Answer, Findings, Headroom, SettingsAnswer, Status
from portroom.model.facts.boot_answer import Boot
from portroom.model.facts.failure import FailureCounts
from portroom.model.facts.features import FeaturesAnswer
from portroom.model.facts.scene import ConntrackStats, NetCounts
from portroom.model.facts.surroundings import OpenFiles


class SystemSeen(msgspec.Struct, frozen=True, kw_only=True):
    """
    What runs here: kernel, distribution, Python; null where that is not told.

    ``uptime_s`` are seconds since the system booted. ``distribution`` is hostile text.
    """

    kernel: str
    architecture: str
    python: str
    distribution: str | None = None
    uptime_s: float | None = None


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """
    What else may run out: how much is used, and how much there is; null where not known.

    Tracked connections are of the namespace, pages of TCP memory and ``files`` of the
    whole system; ``open_files`` are of the processes behind the tightest keys.
    """

    conntrack_used: int | None = None
    conntrack_max: int | None = None
    tcp_memory_pages: int | None = None
    tcp_memory_max_pages: int | None = None
    files_used: int | None = None
    files_max: int | None = None
    open_files: tuple[OpenFiles, ...] = ()


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """
    Events that the kernel counts, since the namespace was made, read twice.

    ``after_s`` seconds lie between both; what rose between them happens now. Null is
    what could not be read, or does not apply.
    """

    after_s: float
    before: NetCounts | None = None
    after: NetCounts | None = None
    conntrack_before: ConntrackStats | None = None
    conntrack_after: ConntrackStats | None = None


class ChangeMade(msgspec.Struct, frozen=True, kw_only=True):
    """
    A change of the journal in short: ``settings`` names what it wrote.

    ``action``, ``phase`` and ``outcome`` are those of the journal. ``who`` and ``words``,
    which tell of people and namespaces, are empty in a redacted report, as is ``outcome``.
    """

    number: int
    at: datetime.datetime
    action: str
    phase: str
    settings: tuple[str, ...]
    who: str = ""
    words: tuple[str, ...] = ()
    outcome: str = ""


class Report(Answer, frozen=True, kw_only=True):
    """
    Everything that support asks for.

    ``version`` is portroom's. What a saved Snapshot does not hold is null, and empty
    where it would be a list: a gap says so.
    """

    version: str
    redacted: bool
    system: SystemSeen | None
    status: Status
    headroom: Headroom
    settings: SettingsAnswer
    boot: Boot
    findings: Findings
    features: FeaturesAnswer
    limits: Limits | None = None
    counted: Counted | None = None
    failures: FailureCounts | None = None
    changes: tuple[ChangeMade, ...] = ()
