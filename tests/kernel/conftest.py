"""Fixtures of the kernel tests."""

from __future__ import annotations

import functools

import pytest

from tests.kernel import harness
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
