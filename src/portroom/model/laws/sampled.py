"""From a Snapshot to a Sample: which numbers are remembered, and what is not told."""

from __future__ import annotations

import msgspec

from portroom.model.facts.gaps import Gap
from portroom.model.facts.sample import BELOW_HALF, FULL, Charge, Flow, Instant, Sample
from portroom.model.facts.snapshot import Counters, Snapshot
from portroom.model.laws.headroom import Keys, as_key, owners_by_key
from portroom.model.laws.ownership import unread
from portroom.model.laws.range_use import range_use
from portroom.model.laws.summary import states_gap, summary

HALF_UNTOLD = ("keys",)
"""What a sample below half does not tell."""

OWNERS_UNTOLD = ("keys.owners",)
"""What a sample does not tell where nobody looked for owners, or may not."""


class Beside(msgspec.Struct, frozen=True):
    """What was learned beside the keys, each for all of them in their order, or empty."""

    flows: tuple[Flow, ...] = ()
    charges: tuple[tuple[Charge, ...], ...] = ()
    active_opens: int | None = None


def sample_below_half(
    read: Snapshot, instant: Instant, beside: Beside, duration_s: float
) -> Sample:
    """
    Return the sample of a namespace in which no key can be half full.

    Args:
        read: With settings and counters.
        instant: When it was read.
        beside: What else was learned.
        duration_s: How long it took.
    """
    gap = Gap("keys", _below_half(read), HALF_UNTOLD)
    return msgspec.structs.replace(
        _sample(read, BELOW_HALF, instant, beside, duration_s), gaps=(*read.gaps, gap)
    )


def sample_of(
    read: Snapshot, keys: Keys, depth: str, instant: Instant, beside: Beside, duration_s: float
) -> Sample:
    """
    Return the sample of a namespace whose keys were looked at.

    Args:
        read: With settings, counters and groups.
        keys: The tightest.
        depth: ``in_range`` or ``full``: how much *read* holds.
        instant: When it was read.
        beside: What else was learned.
        duration_s: How long it took.
    """
    known = owners_by_key(read.owners)
    return msgspec.structs.replace(
        _sample(read, depth, instant, beside, duration_s),
        keys=tuple(
            as_key(one, known.get((one.id.protocol.value, one.id.group_key, one.id.family), ()))
            for one in keys.measured
        ),
        keys_total=keys.total,
        gaps=(*read.gaps, *keys.gaps, *_missing(read, keys, depth)),
    )


def _missing(read: Snapshot, keys: Keys, depth: str) -> list[Gap]:
    """Return what the keys and the sessions do not tell."""
    owners = unread(read.owners) if keys.measured else None
    states = states_gap(read.groups) if depth == FULL else None
    told = msgspec.structs.replace(owners, affects=OWNERS_UNTOLD) if owners else None
    return [gap for gap in (told, states) if gap]


def _sample(
    read: Snapshot, depth: str, instant: Instant, beside: Beside, duration_s: float
) -> Sample:
    """Return what every sample has."""
    sessions = summary(read.counters, read.groups)
    return Sample(
        host=read.host,
        taken_at=read.taken_at,
        netns=read.netns,
        instant=instant,
        depth=depth,
        range=range_use(read.settings),
        flows=beside.flows,
        charges=beside.charges,
        sessions=None if isinstance(sessions, Gap) else sessions,
        active_opens=beside.active_opens,
        duration_s=duration_s,
    )


def _below_half(read: Snapshot) -> str:
    """Return why no key was looked at."""
    counters = read.counters
    use = range_use(read.settings)
    sockets = 0
    if isinstance(counters, Counters):
        sockets = counters.tcp_inuse + counters.tcp6_inuse + counters.tcp_tw
    eligible = use.eligible_ports if use else 0
    return (
        f"below half: {sockets} TCP sockets in use or in TIME_WAIT cannot fill half of "
        f"{eligible} ports, so no key was looked at"
    )


def without_beside(sample: Sample, keys: int) -> Sample:
    """
    Return what of a sample later ones are compared with: the tightest keys and their flows.

    Args:
        sample: Any sample.
        keys: How many keys to keep.
    """
    return msgspec.structs.replace(
        sample, keys=sample.keys[:keys], flows=sample.flows[:keys], charges=(), gaps=()
    )
