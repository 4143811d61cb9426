"""Report: everything that support asks for, of one Snapshot. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from msgspec.structs import replace

from portroom import __version__
from portroom.api import scene as reading
from portroom.api.boot import boot
from portroom.api.doctor import findings, look_around, with_keys
from portroom.api.journal import journal
from portroom.api.look import headroom, status
from portroom.api.settings import settings
from portroom.api.source import Live, Saved, Source
from portroom.kernel.abilities import read_abilities
from portroom.kernel.published import COUNTS, read_published
from portroom.kernel.system_files import read_system_files
from portroom.kernel.system_seen import read_system
from portroom.model.facts.answers import Findings
from portroom.model.facts.change import SettingStep
from portroom.model.facts.failure import FailureCounts
from portroom.model.facts.features import Asked, FeaturesAnswer
from portroom.model.facts.gaps import Gap, not_looked_at, part_or_none
from portroom.model.facts.journal import Entry
from portroom.model.facts.questions import BootQuestion, HeadroomQuestion
from portroom.model.facts.report import ChangeMade, Counted, Limits, Report, SystemSeen
from portroom.model.facts.scene import Pulse, Scene
from portroom.model.facts.snapshot import Snapshot
from portroom.model.laws.feature_table import FEATURES
from portroom.model.laws.features import features_answer, saved_features
from portroom.model.laws.redact_report import redact_changes, redact_failures, redact_scene
from portroom.trace.abilities import read_trace_abilities

TIGHTEST = 20
"""Destinations that are told; the findings are about as many."""

CHANGES = 10
"""The latest changes of the journal."""

NOT_SAVED = ("system", "limits", "counted", "failures", "changes")
"""What a saved Snapshot does not hold."""


class Beside(NamedTuple):
    """What is read beside the Snapshot, each part or None; and why not."""

    system: SystemSeen | None = None
    failures: FailureCounts | None = None
    changes: tuple[ChangeMade, ...] = ()
    gaps: tuple[Gap, ...] = ()


def report(
    source: Source, *, redacted: bool = False, watch_s: float = 1.0, counts: str = COUNTS
) -> Report:
    """
    Return everything that support asks for, of one moment of one namespace.

    Args:
        source: The kernel or a saved Snapshot.
        redacted: Whether nothing in it may tell whose it is. It is left out before
            anything is answered.
        watch_s: Seconds between two readings of counters.
        counts: Where the trace service serves.

    Raises:
        NotPermittedError: The namespace may not be entered.
    """
    if isinstance(source, Saved):
        read = source.snapshot
        scene, known = Scene(read=read), saved_features(read.features)
        beside = Beside(gaps=(not_looked_at("report", *NOT_SAVED),))
    else:
        scene, known = source.run(lambda: _seen(source, watch_s))
        beside = _beside(counts)
    if redacted:
        scene, beside = redact_scene(scene), _without_names(beside)
    return _report(with_keys(scene), features_answer(scene.read, known, FEATURES), beside, redacted)


def _seen(source: Live, watch_s: float) -> tuple[Scene, dict[str, Asked]]:
    """Read the scene in the namespace of the calling thread, its counters twice, and features."""
    scene = look_around(source)
    files = reading.or_gap("file-nr", read_system_files, "limits.files_used", "limits.files_max")
    known = read_abilities() | read_trace_abilities()
    assert isinstance(scene.before, Pulse)
    return replace(scene, files=files, after=reading.later_pulse(scene.before, watch_s)), known


def _beside(counts: str) -> Beside:
    """Return what is not of one namespace: the system, failures, changes."""
    failures = read_published(counts)
    told = journal(CHANGES)
    return Beside(
        read_system(),
        part_or_none(failures),
        tuple(map(_in_short, told.entries)),
        (*([failures] if isinstance(failures, Gap) else []), *told.gaps),
    )


def _without_names(beside: Beside) -> Beside:
    """Return what is beside the Snapshot without whatever tells whose it is."""
    return beside._replace(
        failures=beside.failures and redact_failures(beside.failures),
        changes=redact_changes(beside.changes),
    )


def _in_short(entry: Entry) -> ChangeMade:
    """Return a change of the journal in short."""
    written = (one.key if isinstance(one, SettingStep) else one.path for one in entry.steps)
    return ChangeMade(
        number=entry.number,
        at=entry.started_at,
        action=entry.action,
        phase=entry.phase,
        settings=tuple(dict.fromkeys(written)),
        who=entry.who.name,
        words=entry.request.words,
        outcome=entry.outcome,
    )


def _report(scene: Scene, features: FeaturesAnswer, beside: Beside, redacted: bool) -> Report:
    """Return all answers of a scene."""
    read = scene.read
    saved = Saved(read)
    found = findings(scene)
    return Report(
        host=read.host,
        taken_at=read.taken_at,
        netns=read.netns,
        gaps=_gaps(read, found, beside.gaps),
        version=__version__,
        redacted=redacted,
        system=beside.system,
        status=status(saved),
        headroom=headroom(HeadroomQuestion(limit=TIGHTEST, owners=True), saved),
        settings=settings(saved),
        boot=boot(BootQuestion(), saved),
        findings=found,
        features=features,
        limits=_limits(scene) if beside.system else None,
        counted=_counted(scene),
        failures=beside.failures,
        changes=beside.changes,
    )


def _gaps(read: Snapshot, found: Findings, others: Iterable[Gap]) -> tuple[Gap, ...]:
    """Return what was not seen, each once; every answer inside has gaps of its own, too."""
    return tuple(dict.fromkeys((*read.gaps, *found.gaps, *others)))


def _limits(scene: Scene) -> Limits:
    """Return what else may run out."""
    around, files = scene.around, part_or_none(scene.files)
    return Limits(
        conntrack_used=around.conntrack_used,
        conntrack_max=around.conntrack_max,
        tcp_memory_pages=around.tcp_memory_pages,
        tcp_memory_max_pages=around.tcp_memory_max_pages,
        files_used=files.used if files else None,
        files_max=files.limit if files else None,
        open_files=around.open_files,
    )


def _counted(scene: Scene) -> Counted | None:
    """Return both readings of the counters, None where there are none."""
    before, after = scene.before, scene.after
    if isinstance(before, Gap) or isinstance(after, Gap):
        return None
    return Counted(
        after_s=round(after.at_s - before.at_s, 3),
        before=part_or_none(before.counts),
        after=part_or_none(after.counts),
        conntrack_before=part_or_none(before.conntrack),
        conntrack_after=part_or_none(after.conntrack),
    )
