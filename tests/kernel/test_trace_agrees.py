"""
What trace and explain say of one scene is the same cause, on the real kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from portroom.api.explain import explain
from portroom.api.source import Live
from portroom.kernel.snapshot import Wanted, take
from portroom.model.advice.attribution import Attempt, Evidence, needs_all_ports
from portroom.model.facts.explanation import FOUND, ExplainQuestion
from portroom.model.facts.sockets import Endpoint, Protocol
from tests.kernel import needs
from tests.kernel.harness import in_namespace
from tests.kernel.sockets import (
    attempt,
    connected,
    fill,
    fill_bind0,
    listener,
    local_port,
    make_time_wait,
    tcp,
    udp,
)

SERVER, LOCAL = ("127.0.0.1", 9000), "127.0.0.1"


def traced(tried: Attempt) -> str | None:
    """Return the cause that trace tells."""
    wanted = Wanted(groups=True, all_ports=needs_all_ports(tried))
    return Evidence(take(wanted)).cause(tried)


def explained(error: str, **asked: Any) -> list[str]:
    """Return the causes that explain finds."""
    answer = explain(ExplainQuestion(error=error, **asked), Live())
    return [cause.name for cause in answer.causes if cause.verdict == FOUND]


def bind(port: int, protocol: str = "tcp") -> tuple[str | None, list[str]]:
    """Return what both say of a bind that fails."""
    tried = Attempt("bind", 98, 2, protocol, local=Endpoint(LOCAL, port))
    asked = {"from_address": LOCAL, "from_port": port, "protocol": Protocol(protocol)}
    assert "EADDRINUSE" == attempt(lambda: (tcp if protocol == "tcp" else udp)((LOCAL, port)))
    return traced(tried), explained("EADDRINUSE", **asked)


def connect() -> tuple[str | None, list[str]]:
    """Return what both say of a connect that fails."""
    tried = Attempt("connect", 99, 2, "tcp", True, Endpoint(LOCAL, 0), Endpoint(*SERVER))
    assert "EADDRNOTAVAIL" == attempt(lambda: connected(SERVER))
    return traced(tried), explained("EADDRNOTAVAIL", remote="127.0.0.1:9000")


def left_by_name() -> tuple[str | None, list[str]]:
    """Bind a client to a port outside of the range, and leave it in TIME_WAIT."""
    make_time_wait(listener(*SERVER), SERVER, 1, bind=(LOCAL, 8090))
    return bind(8090)


def left_by_kernel() -> tuple[str | None, list[str]]:
    """Leave a client in TIME_WAIT whose port the kernel chose."""
    make_time_wait(listener(*SERVER), SERVER, 1)
    return next(told for port in range(40000, 40010) if (told := _in_use(port)))


def _in_use(port: int) -> tuple[str | None, list[str]] | None:
    """Return what both say of a port, None where it is free."""
    return bind(port) if attempt(lambda: tcp((LOCAL, port))) == "EADDRINUSE" else None


def gone_out() -> tuple[str | None, list[str]]:
    """Connect out, and bind where it came from."""
    listener(*SERVER)
    return bind(local_port(connected(SERVER)))


def named() -> tuple[str | None, list[str]]:
    """Connect out from a port that was named."""
    listener(*SERVER)
    connected(SERVER, bind=(LOCAL, 8091))
    return bind(8091)


def served() -> tuple[str | None, list[str]]:
    """Listen."""
    listener(*SERVER)
    return bind(SERVER[1])


def any_port() -> tuple[str | None, list[str]]:
    """Bind every port."""
    fill_bind0(LOCAL)
    return bind(0)


def any_udp_port() -> tuple[str | None, list[str]]:
    """Hold every port by UDP."""
    fill(SERVER, make=udp)
    return bind(0, "udp")


def udp_search() -> tuple[str | None, list[str]]:
    """Hold every port by UDP, and connect one more."""
    fill(SERVER, make=udp)
    assert "EAGAIN" == attempt(lambda: connected(SERVER, make=udp))
    tried = Attempt("connect", 11, 2, "udp")
    return traced(tried), explained("EAGAIN", protocol=Protocol.UDP)


def full() -> tuple[str | None, list[str]]:
    """Fill a destination."""
    listener(*SERVER)
    fill(SERVER)
    return connect()


def blocked() -> tuple[str | None, list[str]]:
    """Bind every port elsewhere."""
    fill_bind0("127.0.0.9")
    return connect()


OF_BOUND_SOCKETS = (any_port, blocked)
"""Where nothing but sockets that are only bound holds ports: not every kernel lists those."""


@pytest.mark.parametrize(
    "scene",
    [
        *(left_by_name, left_by_kernel, gone_out, named, served),
        *(any_port, any_udp_port, udp_search, full, blocked),
    ],
)
def test_both_tell_one_cause(scene: Callable[[], tuple[str | None, list[str]]]):
    """Whoever sees a failure, and asks why, is told one thing, or neither is told any."""
    told, found = in_namespace(scene, ip_local_port_range="40000 40009")
    hidden = scene in OF_BOUND_SOCKETS and not needs.features().bound_inactive_rows

    assert ([] if told is None else [told]) == found
    assert told is not None or hidden
