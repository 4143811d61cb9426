"""A plugin for pytest: one line of JSON for each case, written as it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

_FILE: list[Path] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that names the file."""
    parser.addoption("--cases", help="Write what became of each case to this file.")


def pytest_configure(config: pytest.Config) -> None:
    """Remember the file."""
    _FILE.append(Path(config.getoption("--cases")))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Tell of a case that ran, and of one that failed or skipped before or after."""
    if report.when == "call" or not report.passed:
        _tell(report, report.duration, dict(report.user_properties))


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Tell of a file that could not be collected."""
    if report.failed:
        _tell(report, 0.0, {})


def _tell(
    report: pytest.TestReport | pytest.CollectReport, seconds: float, counted: dict[str, object]
) -> None:
    """Add a line to the file."""
    told = {
        "case": report.nodeid,
        "outcome": report.outcome,
        "seconds": round(seconds, 2),
        "why": "" if report.passed else _why(report),
        "counted": counted,
    }
    with _FILE[0].open("a", encoding="utf-8") as file:
        file.write(json.dumps(told) + "\n")


def _why(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return why a case failed, or the reason of a skip alone."""
    if report.skipped and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return report.longreprtext
