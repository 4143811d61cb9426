"""
Hold the rules that every test lives by.

* ``REQUIRE=kernel,e2e`` turns each skip in those folders into a failure, and so
  does a required folder of which a whole run collects nothing.
* ``PORTROOM_TESTS=full`` lets hypothesis look deeper, and runs what is marked ``deep``,
  which is left out else: that is no skip, since nothing is missing. Either way the same commit
  gives the same result: examples are derived from the test, not from chance.
* No test changes the host: its settings are compared before and after a session.
"""

import os
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest

TESTS = Path(__file__).parent
FOLDERS = frozenset({"unit", "replay", "kernel", "e2e", "browser", "fleet", "docs", "kernels"})
REQUIRED = frozenset(os.environ.get("REQUIRE", "").replace(",", " ").split())
FULL = os.environ.get("PORTROOM_TESTS") == "full"
HOST_SETTINGS = (
    "ip_local_port_range",
    "ip_local_reserved_ports",
    "ip_unprivileged_port_start",
    "tcp_fin_timeout",
    "tcp_max_tw_buckets",
    "tcp_tw_reuse",
)

hypothesis.settings.register_profile("quick", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.register_profile("full", deadline=None, derandomize=True, max_examples=1000)
hypothesis.settings.load_profile("full" if FULL else "quick")


def pytest_configure(config: pytest.Config) -> None:
    """
    Refuse a ``REQUIRE`` that names no folder of tests: a typo would require nothing.
    """
    config.addinivalue_line("markers", "deep: takes long, and runs with PORTROOM_TESTS=full alone")
    if unknown := sorted(REQUIRED - FOLDERS):
        raise pytest.UsageError(
            f"REQUIRE names {', '.join(unknown)}; the folders are {', '.join(sorted(FOLDERS))}."
        )


def folder_of(path: Path) -> str:
    """
    Return the folder of ``tests/`` that *path* is in, or ``""``.
    """
    return next((folder for folder in FOLDERS if path.is_relative_to(TESTS / folder)), "")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """
    Fail a test that skips in a required folder.
    """
    report = yield
    fail_required_skip(report, item.path)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """
    Fail a file that skips as a whole in a required folder.
    """
    report = yield
    fail_required_skip(report, collector.path)
    return report


def fail_required_skip(report: pytest.TestReport | pytest.CollectReport, path: Path) -> None:
    """
    Turn a skip into a failure if ``REQUIRE`` names the folder that *path* is in.
    """
    folder = folder_of(path)
    if report.skipped and folder in REQUIRED:
        _, _, reason = report.longrepr
        report.outcome = "failed"
        report.longrepr = f"REQUIRE names {folder}, so this may not be skipped. {reason}"


@pytest.hookimpl(tryfirst=True)  # before -k and -m choose among what was found
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """
    Fail a whole run that finds nothing in a required folder.
    """
    absent = sorted(REQUIRED - {folder_of(item.path) for item in items})
    if absent and config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        raise pytest.UsageError(f"REQUIRE names {', '.join(absent)}, of which no test was found.")
    leave_out_deep(config, items)


def leave_out_deep(config: pytest.Config, items: list[pytest.Item]) -> None:
    """
    Leave out what is marked ``deep``, unless the full tests are asked for.
    """
    deep = [] if FULL else [one for one in items if one.get_closest_marker("deep")]
    if deep:
        config.hook.pytest_deselected(items=deep)
        items[:] = [one for one in items if one not in deep]


@pytest.fixture(scope="session", autouse=True)
def host_stays_as_it_is() -> Generator[None, None, None]:
    """
    Fail the session if a setting of the host is not what it was.
    """
    before = read_host_settings()
    yield
    after = read_host_settings()

    assert before == after


def read_host_settings() -> dict[str, str]:
    """
    Read the settings of this network namespace that a stray test could change.
    """
    folder = Path("/proc/sys/net/ipv4")
    return {name: (folder / name).read_text() for name in HOST_SETTINGS if (folder / name).exists()}
