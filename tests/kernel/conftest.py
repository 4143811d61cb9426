"""Fixtures of the kernel tests."""

from __future__ import annotations

import functools

import pytest
from tests.kernel import harness

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
