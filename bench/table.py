"""Write the outcomes as one Markdown table, and put it into the documentation."""

from collections.abc import Iterable
from pathlib import Path

from bench.comparisons import MEBIBYTE, Comparison, Figure, Outcome
from bench.errors import BenchError
from bench.plan import Case

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN = "<!-- begin: written by ./run bench -->"
END = "<!-- end: written by ./run bench -->"

HEADINGS = (
    "Sockets",
    "Command",
    "Median",
    "CPU",
    "Peak memory",
    "Measured",
    "Target",
    "Reached",
)

Rows = list[tuple[str, ...]]


def rows_of(case: Case, outcomes: Iterable[Outcome]) -> Rows:
    """Return the rows of one population, its title in the first alone."""
    rows = [("", *_row(outcome)) for outcome in outcomes]
    return [(case.population.title, *rows[0][1:]), *rows[1:]] if rows else []


def _row(outcome: Outcome) -> tuple[str, ...]:
    """Return what one comparison says, all columns but the first."""
    if outcome.value is None and outcome.series.failure:
        return f"`{outcome.comparison.command}`", "–", "–", "–", "not measured", "", ""
    return (
        f"`{outcome.comparison.command}`",
        _duration(outcome.series.median_s),
        _duration(outcome.series.median_cpu_s),
        _size(outcome.series.peak_bytes),
        _measured(outcome),
        _target(outcome.comparison),
        {True: "yes", False: "**no**", None: ""}[outcome.reached],
    )


def _duration(seconds: float) -> str:
    """
    Return a time in milliseconds with three digits that count.

    >>> _duration(0.00851), _duration(1.2345)
    ('8.5 ms', '1234 ms')
    """
    milliseconds = seconds * 1000
    return f"{milliseconds:.1f} ms" if milliseconds < 100 else f"{milliseconds:.0f} ms"


def _size(peak_bytes: int | None) -> str:
    """Return peak memory in MiB, or a dash where it could not be told."""
    return f"{peak_bytes / MEBIBYTE:.0f} MiB" if peak_bytes else "–"


def _measured(outcome: Outcome) -> str:
    """Return the figure in words."""
    figure, base = outcome.comparison.figure, outcome.comparison.base
    if outcome.value is None:
        return "–"
    if figure is Figure.MEMORY:
        return f"{outcome.value:.0f} MiB"
    if figure is Figure.EXTRA:
        return f"{outcome.value:+.1f} ms to `{base}`"
    relation = "as fast as" if figure is Figure.SPEED else "the time of"
    return f"{outcome.value:.2f} × {relation} `{base}`"


def _target(comparison: Comparison) -> str:
    """Return the bar, or nothing where there is none."""
    if comparison.target is None:
        return ""
    sign = "≥" if comparison.figure.more_is_better else "≤"
    unit = {Figure.EXTRA: " ms", Figure.MEMORY: " MiB"}.get(comparison.figure, " ×")
    return f"{sign} {comparison.target:g}{unit}"


def markdown(rows: Rows) -> str:
    """Return *rows* under their headings, aligned for reading as text."""
    every = [HEADINGS, *(tuple(_escape(cell) for cell in row) for row in rows)]
    widths = [max(len(row[column]) for row in every) for column in range(len(HEADINGS))]
    rule = tuple("-" * width for width in widths)
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in (every[0], rule, *every[1:])
    ]
    return "\n".join(lines)


def _escape(cell: str) -> str:
    """Return *cell* with bars that do not end it."""
    return cell.replace("|", "\\|")


def write(text: str, first: str = BEGIN, last: str = END, page: Path = PAGE) -> None:
    """
    Put *text* between two marks of *page*, in place of what stood there.

    Raises:
        BenchError: The page lacks a mark.
    """
    before, begin, rest = page.read_text(encoding="utf-8").partition(first)
    _, end, after = rest.partition(last)
    if not (begin and end):
        raise BenchError(f"{page}: expected the lines {first!r} and {last!r}.")
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")
