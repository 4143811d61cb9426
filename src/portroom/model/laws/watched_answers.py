"""From what the daemon knows to what it answers: the fields of the commands, of the newest sample.

Rules of this file:

- a number is taken from the sample or the answer that has it, never computed anew;
- what the newest sample did not look at is a Gap, or is of the last full sample and
  says when that was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from portroom.model.facts.answers import Answer, Status
from portroom.model.facts.failure import FailureCounts
from portroom.model.facts.gaps import NOT_LOOKED_AT, Gap, not_looked_at
from portroom.model.facts.sample import FULL, Forecast, Sample
from portroom.model.facts.watched import Known, Watched
from portroom.model.facts.watched_answers import (
    WatchedHeadroom,
    WatchedNamespace,
    WatchedNamespaces,
    WatchedSessions,
    WatchedStatus,
    WatchState,
)
from portroom.model.laws.summary import FROM_GROUPS

TIGHTEST = 5
"""Keys in a status, as on the status screen."""

OF_FULL_SAMPLE = frozenset({"drift", "findings", "boot_conflicts"})
"""Fields of a Status that only a full sample fills."""

UNCOUNTED = Gap(
    "sock_diag",
    f"{NOT_LOOKED_AT}: the newest sample did not look at every socket; "
    "`counted` is of the last that did",
    FROM_GROUPS,
)

Item = TypeVar("Item")


def known_as(watched: Watched, name: str | None) -> Known | None:
    """
    Return the namespace of a name, None where there is none.

    Args:
        watched: What the daemon knows.
        name: Its name, that of history, or its cookie or inode; None is the first one, which is
            the daemon's own.
    """
    if name is None:
        return watched.namespaces[0] if watched.namespaces else None
    for part in ("name", "lasting_name", "cookie", "inode"):
        for known in watched.namespaces:
            if str(getattr(known.sample.netns, part)) == name:
                return known
    return None


def status(watched: Watched, known: Known) -> WatchedStatus:
    """
    Return the Status of a namespace.

    Args:
        watched: What the daemon knows.
        known: One namespace of it.
    """
    sample = known.sample
    full = known.status
    fields = _status_fields(sample, full)
    fields["gaps"] = (*_missed(watched), *fields["gaps"])
    return WatchedStatus(
        **fields,
        trials=watched.trials,
        broken_off=watched.broken_off,
        depth=sample.depth,
        full_at=None if full is None else full.taken_at,
        forecasts=known.forecasts[: len(fields["tightest"])],
        watch=watch_state(watched),
    )


def _status_fields(sample: Sample, full: Status | None) -> dict[str, Any]:
    """Return the fields of a Status: as the full sample has them, where that is the newest."""
    own = {"trials", "broken_off"}
    if full is not None and full.taken_at == sample.taken_at:
        return {name: getattr(full, name) for name in Status.__struct_fields__ if name not in own}
    fields = _header(sample)
    fields["gaps"] = (*sample.gaps, *_gaps_of_full(full))
    fields |= {
        "range": sample.range,
        "tightest": sample.keys[:TIGHTEST],
        "keys_total": sample.keys_total,
        "sessions": sample.sessions,
    }
    if full is None:
        return fields
    return fields | {name: getattr(full, name) for name in OF_FULL_SAMPLE}


def watch_state(watched: Watched) -> WatchState:
    """
    Return how watching goes.

    Args:
        watched: What the daemon knows.
    """
    failures = watched.failures
    same = set(WatchState.__struct_fields__) & set(Watched.__struct_fields__) - {"failures"}
    return WatchState(
        **{name: getattr(watched, name) for name in same},
        namespaces_total=len(watched.namespaces),
        failures=failures if isinstance(failures, FailureCounts) else None,
        failures_gap=failures if isinstance(failures, Gap) else None,
    )


def headroom(watched: Watched, known: Known, limit: int, offset: int = 0) -> WatchedHeadroom:
    """
    Return the Headroom of a namespace, a page of it.

    Args:
        watched: What the daemon knows.
        known: One namespace of it.
        limit: How many keys; 0 is all that are known.
        offset: How many tighter ones to leave out.
    """
    sample = known.sample
    keys = _page(sample.keys, limit, offset)
    total = sample.keys_total
    return WatchedHeadroom(
        **_header(sample) | {"gaps": (*_missed(watched), *sample.gaps)},
        keys=keys,
        keys_total=total,
        keys_omitted=None if total is None else total - len(keys),
        depth=sample.depth,
        range=sample.range,
        forecasts=_page(known.forecasts, limit, offset),
        charges=_page(sample.charges, limit, offset),
    )


def sessions(watched: Watched, known: Known) -> WatchedSessions:
    """
    Return the sessions of a namespace in numbers.

    Args:
        watched: What the daemon knows.
        known: One namespace of it.
    """
    sample = known.sample
    gaps = [gap for gap in sample.gaps if _concerns_sessions(gap)]
    if sample.depth != FULL:
        gaps.append(UNCOUNTED)
    return WatchedSessions(
        **_header(sample) | {"gaps": (*_missed(watched), *gaps)},
        sessions=(),
        sessions_total=0,
        summary=sample.sessions,
        depth=sample.depth,
        counted=known.states,
        counted_at=known.states_at,
    )


def _concerns_sessions(gap: Gap) -> bool:
    """Say whether a gap makes sessions uncertain, not only keys."""
    return not gap.affects or any(field.startswith("sessions") for field in gap.affects)


def namespaces(watched: Watched, limit: int, offset: int = 0) -> WatchedNamespaces:
    """
    Return the namespaces that are watched, a line each.

    Args:
        watched: What the daemon knows.
        limit: How many; 0 is all of them.
        offset: How many to leave out before.
    """
    shown = _page(watched.namespaces, limit, offset)
    return WatchedNamespaces(
        host=watched.host,
        taken_at=watched.now.at,
        namespaces=tuple(map(_namespace, shown)),
        namespaces_total=len(watched.namespaces),
        namespaces_omitted=len(watched.namespaces) - len(shown),
    )


def _namespace(known: Known) -> WatchedNamespace:
    """Return one namespace in a line."""
    sample = known.sample
    first = next(iter(known.forecasts), Forecast())
    found = known.findings.findings if known.findings else ()
    return WatchedNamespace(
        netns=sample.netns,
        taken_at=sample.taken_at,
        depth=sample.depth,
        eligible_ports=sample.range.eligible_ports if sample.range else None,
        tightest=next(iter(sample.keys), None),
        keys_total=sample.keys_total,
        exhausted_in_s=first.exhausted_in_s,
        findings=dict(Counter(finding.severity for finding in found)),
        gaps=sample.gaps,
    )


AnswerT = TypeVar("AnswerT", bound=Answer)


def told_with_misses(watched: Watched, answer: AnswerT) -> AnswerT:
    """
    Return an answer of an earlier sample, with a Gap where later ones were missed.

    Args:
        watched: What the daemon knows.
        answer: One of its answers.
    """
    missed = _missed(watched)
    return msgspec.structs.replace(answer, gaps=missed + answer.gaps) if missed else answer


def _missed(watched: Watched) -> tuple[Gap, ...]:
    """Return the Gap of samples that could not be taken; none where the newest could."""
    count = watched.missed_samples
    if not count:
        return ()
    samples = "the newest sample" if count == 1 else f"the last {count} samples"
    return (Gap("sample", f"{samples} could not be taken: {watched.error}"),)


def _header(sample: Sample) -> dict[str, Any]:
    """Return what every answer has, of a sample."""
    return {name: getattr(sample, name) for name in Answer.__struct_fields__}


def _gaps_of_full(full: Status | None) -> tuple[Gap, ...]:
    """Return what the last full sample left uncertain of its own fields."""
    if full is None:
        return (not_looked_at("full sample", *sorted(OF_FULL_SAMPLE)),)
    return tuple(gap for gap in full.gaps if not OF_FULL_SAMPLE.isdisjoint(gap.affects))


def _page(items: Sequence[Item], limit: int, offset: int) -> tuple[Item, ...]:
    """Return some of the items; a limit of 0 is all."""
    return tuple(items[offset : offset + limit if limit else None])
