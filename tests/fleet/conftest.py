"""Fixtures of the tests with the programs of others."""

from __future__ import annotations

import functools

import pytest

from tests.kernel import harness

refusal = functools.cache(harness.refusal)


@pytest.fixture
def netns():
    """
    Return ``in_namespace``: run a function in a private network namespace.

    Skips where the kernel refuses namespaces; REQUIRE=fleet makes that a failure.
    """
    if reason := refusal():
        pytest.skip(f"no private network namespace: {reason}")
    return harness.in_namespace
