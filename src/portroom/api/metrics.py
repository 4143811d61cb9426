"""Metrics once: what a daemon would know after its first sample. Changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from portroom import __version__
from portroom.api.charging import Charging
from portroom.api.sampling import Sampler, saved_known
from portroom.api.source import Live, Saved, Source
from portroom.api.trials import trials
from portroom.errors import PortroomError
from portroom.kernel.published import read_published
from portroom.kernel.sampling import read_instant
from portroom.model.facts.config import Config, OwnersKept
from portroom.model.facts.sample import Instant
from portroom.model.facts.snapshot import Snapshot
from portroom.model.facts.watched import Known, Watched

ONCE = Config(owners=OwnersKept(enabled=False))
"""Metrics name no owner, so none is looked for."""

COUNTS_WITHIN_S = 1.0
"""Longer nobody waits for the trace service, which looks every half second who asks."""


def watched(sources: Sequence[Source], step: Callable[[], None] = lambda: None) -> Watched:
    """
    Return all that one reading tells.

    A namespace that cannot be read is counted as an error, and the others are told.

    Args:
        sources: A saved Snapshot, or the kernel in one namespace or several.
        step: Called after each namespace, for who shows how far it is.

    Raises:
        PortroomError: Nothing could be read; the error is that of the last namespace.
    """
    if isinstance(sources[0], Saved):
        return _saved(sources[0])
    now = read_instant()
    known: list[Known] = []
    missed: list[PortroomError] = []
    for source in sources:
        try:
            known.append(_sampled(source))
        except PortroomError as error:
            missed.append(error)
        step()
    if not known:
        raise missed[-1]
    return _with_rest(_made(tuple(known), now), missed)


def unread(error: PortroomError) -> Watched:
    """Return what is told where nothing could be read: that, and nothing of keys."""
    made = _made((), read_instant())
    return msgspec.structs.replace(_with_rest(made, [error]), samples_total=0, missed_samples=1)


def _sampled(source: Source) -> Known:
    """
    Return what one namespace tells, with what was not seen while looking for others.

    Raises:
        PortroomError: It cannot be read.
    """
    assert isinstance(source, Live)
    known = Sampler(source, ONCE, Charging(ONCE.owners)).sample()
    gaps = (*known.sample.gaps, *source.unseen)
    return msgspec.structs.replace(known, sample=msgspec.structs.replace(known.sample, gaps=gaps))


def _made(known: tuple[Known, ...], now: Instant) -> Watched:
    """Return what is known; without an interval, for nothing is read again."""
    return Watched(
        version=__version__,
        host=known[0].sample.host if known else "",
        started_at=now.at,
        now=now,
        interval_s=0.0,
        namespaces=known,
        samples_total=len(known),
    )


def _with_rest(made: Watched, missed: Sequence[PortroomError]) -> Watched:
    """Return it with what belongs to the whole system, and with what went wrong."""
    seen = trials()
    return msgspec.structs.replace(
        made,
        errors_total=dict(Counter(type(error).__name__ for error in missed)),
        error=str(missed[-1]) if missed else "",
        failures=read_published(timeout_s=COUNTS_WITHIN_S),
        trials=seen.trials,
        broken_off=seen.broken_off,
    )


def _saved(source: Saved) -> Watched:
    """Return what a saved Snapshot tells, as of when it was taken."""
    now = _taken(source.snapshot)
    return _made((saved_known(source, ONCE, now),), now)


def _taken(read: Snapshot) -> Instant:
    """Return when a Snapshot was taken; how long after the boot it does not say."""
    return Instant(read.boot_id, 0.0, read.taken_at)
