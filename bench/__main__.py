"""Measure, show progress on stderr, print the table, keep it in the docs."""

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

from bench import installation, machine, plan, table, tracing, watching, workers
from bench.comparisons import Outcome, outcome
from bench.errors import BenchError
from bench.plan import Case
from bench.population import populated
from bench.rounds import Series, alternate

LONGEST_ROUND_S = 8
"""No round begins so shortly before the first sockets vanish."""


def main() -> int:
    """Run the benchmark; return 0 if all of it could be measured."""
    signal.signal(signal.SIGTERM, _end)
    wishes = _wishes()
    if os.geteuid():
        sys.stderr.write("bench: making namespaces and sockets in them needs root.\n")
        return 3
    with tempfile.TemporaryDirectory(prefix="portroom-bench-") as folder:
        try:
            extra = "serve" if wishes.watch else None
            programs = installation.install(Path(folder, "installation"), extra)
            os.environ["PATH"] = f"{programs}:{os.environ['PATH']}"
            if wishes.watch:
                return watching.run()
            return tracing.run() if wishes.trace else _run(wishes, Path(folder))
        except BenchError as error:
            sys.stderr.write(f"bench: {error}\n")
            return 1
        except KeyboardInterrupt:
            return 130


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    """Leave in order on SIGTERM: every population is removed on the way."""
    raise SystemExit(128 + number)


def _wishes() -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        prog="bench",
        description="Measure portroom beside its peers; a run of everything also "
        "writes the table into docs/performance.md.",
    )
    parser.add_argument("--only", action="append", metavar="NAME", help="only this population")
    parser.add_argument("--runs", type=int, metavar="N", help="rounds, in place of each one's own")
    parser.add_argument("--write", action="store_true", help="write even what --only measured")
    parser.add_argument(
        "--trace", action="store_true", help="what `portroom trace` tells and costs, and keep that"
    )
    parser.add_argument(
        "--watch", action="store_true", help="what `portroom serve` costs, and keep that"
    )
    parser.add_argument("--list", action="store_true", help="list the populations")
    return parser.parse_args()


def _run(wishes: argparse.Namespace, folder: Path) -> int:
    """Measure the chosen cases, print the table and keep it."""
    cases = _chosen(plan.all_cases(folder), wishes.only)
    if wishes.list:
        for case in cases:
            print(f"{case.population.name:20} {case.population.title}")
        return 0
    workers.raise_descriptor_limit()
    started = time.monotonic()
    rows: table.Rows = []
    failures: list[str] = []
    for case in cases:
        outcomes = _measure(case, wishes.runs or case.rounds)
        rows += table.rows_of(case, outcomes)
        failures += [one.series.failure for one in outcomes if one.series.failure]
    text = f"{machine.describe()}\n\n{table.markdown(rows)}"
    print(text)
    _tell(f"{time.monotonic() - started:.0f} s in all")
    if wishes.write or not wishes.only:
        table.write(text)
    return 1 if failures else 0


def _chosen(cases: list[Case], names: list[str] | None) -> list[Case]:
    """
    Return the cases of these names, all without names.

    Raises:
        BenchError: A name is not known.
    """
    known = [case.population.name for case in cases]
    for name in names or ():
        if name not in known:
            raise BenchError(f"no population {name!r}; there are {', '.join(known)}.")
    return [case for case in cases if not names or case.population.name in names]


def _measure(case: Case, rounds: int) -> list[Outcome]:
    """Build the population of *case*, measure on it, remove it."""
    started = time.monotonic()
    _tell(f"{case.population.title}: building")
    with populated(case.population) as lives_until:
        built_s = time.monotonic() - started
        _tell(f"{case.population.title}: built in {built_s:.1f} s")
        series = alternate(
            case.commands,
            rounds,
            sockets=case.population.sockets,
            until=lives_until - LONGEST_ROUND_S,
            tell=_tell,
        )
        _tell_series(series)
    _tell(f"{case.population.title}: {time.monotonic() - started:.1f} s in all")
    return [outcome(comparison, series) for comparison in case.comparisons]


def _tell_series(series: dict[str, Series]) -> None:
    """Say what each command took, or why it could not be measured."""
    for name, one in series.items():
        if one.failure:
            _tell(f"  {name}: NOT MEASURED: {one.failure}")
        elif one.seconds:
            _tell(f"  {name}: {one.median_s * 1000:.1f} ms, {len(one.seconds)} runs")


def _tell(line: str) -> None:
    """Show progress on stderr."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
