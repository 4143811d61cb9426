"""Fixtures of the kernel tests, and which of them run."""

from __future__ import annotations

import functools

import pytest

from tests.kernel import harness
from tests.kernel.boot_host import found_programs
from tests.kernel.boot_tuned import found_tuned
from tests.kernel.sockets import listener

refusal = functools.cache(harness.refusal)


@pytest.fixture
def netns():
    """
    Return ``in_namespace``: run a function in a private network namespace.

    ``netns(function, *arguments, ip_local_port_range="40000 40009")`` writes
    the settings, runs the function there and returns its result. Skips where
    the kernel refuses namespaces; REQUIRE=kernel makes that a failure.
    """
    if reason := refusal():
        pytest.skip(f"no private network namespace: {reason}")
    return harness.in_namespace


@pytest.fixture
def ten_ports(netns):
    """
    Return a ``netns`` with ports 40000-40009 and listeners on 9000 and 9001.
    """

    def run(job, *arguments, **settings):
        def with_servers():
            listener("0.0.0.0", 9000)
            listener("0.0.0.0", 9001)
            return job(*arguments)

        settings.setdefault("ip_local_port_range", "40000 40009")
        return netns(with_servers, **settings)

    return run


def pytest_collection_modifyitems(config, items):
    """
    Leave out what needs a tuned where there is none: it is there for who fetched one.
    """
    absent = (
        [] if found_tuned() else [one for one in items if one.path.name == "test_boot_tuned.py"]
    )
    if absent:
        config.hook.pytest_deselected(items=absent)
        items[:] = [one for one in items if one not in absent]


def pytest_terminal_summary(terminalreporter):
    """
    Say what the laws of the boot were not compared with, if tests of them ran.
    """
    missing = [] if len(found_programs()) > 1 else ["boot programs of other releases"]
    missing += [] if found_tuned() else ["tuned"]
    passed = terminalreporter.stats.get("passed", [])
    if missing and any("test_boot_trees.py" in report.nodeid for report in passed):
        what = " and ".join(missing)
        terminalreporter.write_line(f"Not compared with {what}: ./run boot-programs fetches them.")
