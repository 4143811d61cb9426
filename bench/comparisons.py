"""What is compared with what, and which comparison is a bar to reach."""

import enum
from collections.abc import Mapping
from statistics import median
from typing import NamedTuple

from bench.rounds import Series, pairs

MEBIBYTE = 1 << 20


class Figure(enum.Enum):
    """
    How two commands are compared, pair by pair of the same round.

    Each names its unit and whether a target is the least or the most allowed.
    """

    SPEED = "times as fast"
    COST = "times the time"
    EXTRA = "ms more"
    MEMORY = "MiB"

    @property
    def more_is_better(self) -> bool:
        """Return whether a target is the least that counts as reached."""
        return self is Figure.SPEED


class Comparison(NamedTuple):
    """
    One row of the table.

    Args:
        command: The command it is about.
        base: The command it is compared with; the same one for a memory bar.
        figure: How.
        target: The bar, or None where there is none.
    """

    command: str
    base: str
    figure: Figure
    target: float | None = None


class Outcome(NamedTuple):
    """A comparison with what was measured; ``value`` is None if nothing was."""

    comparison: Comparison
    series: Series
    value: float | None

    @property
    def reached(self) -> bool | None:
        """Return whether the bar was reached; None without bar or figure."""
        target = self.comparison.target
        if target is None or self.value is None:
            return None
        if self.comparison.figure.more_is_better:
            return self.value >= target
        return self.value <= target


def outcome(comparison: Comparison, series: Mapping[str, Series]) -> Outcome:
    """Return what *series* of one population tell about *comparison*."""
    own = series[comparison.command]
    return Outcome(comparison, own, _value(comparison, own, series[comparison.base]))


def _value(comparison: Comparison, own: Series, base: Series) -> float | None:
    """Return the figure, the median over all pairs."""
    if comparison.figure is Figure.MEMORY:
        return own.peak_bytes / MEBIBYTE if own.peak_bytes else None
    together = pairs(own, base)
    if not together or comparison.command == comparison.base:
        return None
    if comparison.figure is Figure.SPEED:
        return median(base_s / own_s for own_s, base_s in together)
    if comparison.figure is Figure.COST:
        return median(own_s / base_s for own_s, base_s in together)
    return median((own_s - base_s) * 1000 for own_s, base_s in together)
