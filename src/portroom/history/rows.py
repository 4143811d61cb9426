"""Samples as rows of history: the tightest key of each moment, and the tightest keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from portroom.history.packed_keys import pack
from portroom.history.schema import TIGHTEST
from portroom.model.facts.answers import Key
from portroom.model.facts.sample import BELOW_HALF, Forecast, Instant, Sample
from portroom.model.facts.snapshot import NetnsId
from portroom.model.facts.watched import KeyName

Counts = tuple[int | None, ...]
Cells = tuple[bytes, int, int, int | None, int | None, int | None, int | None, int | None,
              int | None, float | None, float | None]  # fmt: skip
"""A row of ``schema.COLUMNS`` without what says where and when."""

PPM = 1_000_000
"""Ratios are told to six digits (``model.laws.headroom``), so millionths lose nothing."""

NOTHING: Counts = (None, None, None, None, None)


class Taken(NamedTuple):
    """What history remembers of one sample."""

    instant: Instant
    netns: NetnsId
    cells: tuple[Cells, ...]


def as_rows(sample: Sample, forecasts: Sequence[Forecast], keys: int) -> Taken:
    """
    Return what is remembered of a sample.

    Args:
        sample: What was seen.
        forecasts: Of its keys, in their order; fewer where they are not known.
        keys: How many keys are remembered at most.
    """
    return Taken(sample.instant, sample.netns, tuple(_cells(sample, forecasts, keys)))


def uptime_ms(instant: Instant) -> int:
    """Return when that was, in milliseconds since the boot."""
    return round(instant.uptime_s * 1000)


def _cells(sample: Sample, forecasts: Sequence[Forecast], most: int) -> Iterator[Cells]:
    """Yield the row of the tightest key, and one for each of the tightest."""
    if not sample.keys:
        yield _without_keys(sample)
        return
    for place, key in enumerate(sample.keys[:most]):
        foreseen = forecasts[place] if place < len(forecasts) else Forecast()
        cells = _of_key(key, foreseen)
        if place == 0:
            yield TIGHTEST, *cells[1:]
        yield cells


def _of_key(key: Key, foreseen: Forecast) -> Cells:
    """Return the row of one key."""
    return (
        pack(name_of(key)),
        1,
        0,
        key.eligible_ports,
        key.held_ports,
        key.doubtful_ports,
        key.free_ports,
        round(key.occupancy_ratio * PPM),
        key.states.get("TIME_WAIT", 0),
        foreseen.connects_per_s,
        foreseen.exhausted_in_s,
    )


def name_of(key: Key) -> KeyName:
    """Return which key that is."""
    return KeyName(
        key.protocol,
        key.operation,
        key.local_address,
        key.remote_address,
        key.remote_port,
        key.vrf,
    )


def _without_keys(sample: Sample) -> Cells:
    """Return the row of a sample without keys: not looked at, none there, or not known."""
    if sample.depth == BELOW_HALF:
        return TIGHTEST, 1, 1, *NOTHING, None, None, None  # type: ignore[return-value]
    use = sample.range
    if sample.keys_total == 0 and use is not None:
        every = use.eligible_ports
        return TIGHTEST, 1, 0, every, 0, 0, every, 0 if every else PPM, 0, None, None
    return TIGHTEST, 1, 0, *NOTHING, None, None, None  # type: ignore[return-value]
