"""A failure that was just seen gets the cause that the sockets show, and no other."""

import msgspec
import pytest

from portroom.model.advice.attribution import (
    Attempt,
    Evidence,
    is_exhaustion,
    is_judged,
    needs_all_ports,
    told,
)
from portroom.model.facts.gaps import Gap
from portroom.model.facts.scene import Window
from portroom.model.facts.snapshot import Groups
from portroom.model.facts.sockets import Endpoint, Kind, Protocol, TcpState
from tests.unit.made_groups import (
    FORGETS,
    HERE,
    REMOTE,
    inbound,
    listener,
    settings,
    snapshot,
    table,
)
from tests.unit.made_scenes import counters

PORTS = range(40000, 40010)
OTHER = ("198.51.100.2", 443)

SEARCHED = Attempt(
    "connect", 99, 2, "tcp", searched=True, local=Endpoint(HERE, 0), remote=Endpoint(*REMOTE)
)


WINDOW, ELSEWHERE = (Window(first=first, last=first + 1, sockets=2) for first in (40002, 40006))


def bind(address, port, protocol="tcp"):
    """Return a bind that found its address in use."""
    return Attempt("bind", 98, 2, protocol, local=Endpoint(address, port))


def seen(attempt, *tables, windows=(), inbound=(), **others):
    """Return the cause of an attempt where there are these sockets."""
    groups = Groups(tables, tuple(inbound))
    return Evidence(snapshot(groups, settings(**others))).cause(attempt, windows)


@pytest.mark.parametrize(
    ("attempt", "cause"),
    [
        (Attempt("connect", 11, 1), "unix_backlog_full"),
        (Attempt("connect", 11, 2, "udp"), None),
        (Attempt("connect", 11, 10), None),
        (Attempt("connect", 11, 2, "sctp"), None),
        (Attempt("connect", 11), None),
        (Attempt("connect", 11, 17), None),
        (Attempt("connect", 99, 10, "tcp"), "no_source_address"),
        (Attempt("connect", 99), None),
        (Attempt("connect", 99, 2, local=Endpoint(HERE, 40000)), "tuple_clash"),
        (Attempt("bind", 99, 2), "address_not_local"),
        (SEARCHED, None),
        (bind(HERE, 0), None),
    ],
)
def test_some_causes_are_told_by_the_events(attempt, cause):
    """Whatever the sockets are: address family, call and errno leave one cause, or none."""
    assert cause == told(attempt)


def test_only_what_the_sockets_show_is_judged():
    """A search that failed and a bind in conflict; for one to a port, all ports are needed."""
    assert is_judged(SEARCHED)
    assert is_judged(bind(HERE, 8080))
    assert is_judged(Attempt("bind", 98))
    assert is_judged(Attempt("connect", 11, 10))
    assert not is_judged(Attempt("bind", 99))
    assert not is_judged(Attempt("connect", 11, 1))
    assert not is_judged(Attempt("connect", 11, 2, "sctp"))
    assert (False, True) == tuple(needs_all_ports(bind(HERE, port)) for port in (0, 8080))


def test_a_full_unix_backlog_is_no_exhaustion():
    """A failed search is one though its cause is not known."""
    assert is_exhaustion(SEARCHED, None)
    assert is_exhaustion(Attempt("connect", 11, 2), "udp_pool_full")
    assert is_exhaustion(Attempt("connect", 11, 2), None)
    assert not is_exhaustion(Attempt("connect", 11, 1), "unix_backlog_full")
    assert not is_exhaustion(bind(HERE, 8080), "port_taken")


def test_a_key_full_of_its_own_connections():
    """In any state, bound to any device; a port or two may have come free meanwhile."""
    assert "key_full" == seen(SEARCHED, table(*PORTS))
    assert "key_full" == seen(SEARCHED, table(*PORTS, state=TcpState.TIME_WAIT))
    assert "key_full" == seen(SEARCHED, table(*PORTS, device=3))
    assert "key_full" == seen(SEARCHED, table(*PORTS[:8]))


def test_listeners_and_bound_sockets_everywhere():
    """They block every destination: also this one, to which nothing is connected."""
    assert "ports_blocked" == seen(SEARCHED, *map(listener, PORTS))
    bound = table(*PORTS, remote=("0.0.0.0", 0), state=TcpState.BOUND_INACTIVE, kind=Kind.BOUND)
    assert "ports_blocked" == seen(SEARCHED, bound)


def test_the_failure_settles_what_was_in_doubt():
    """Connections to elsewhere that may have bound first did so: else there were ports."""
    assert "ports_blocked" == seen(SEARCHED, table(*PORTS, remote=OTHER))


def test_few_own_connections_beside_blocked_ports_are_not_the_cause():
    """As `explain` counts it: less than 5 % of the ports did not fill them."""
    blocked = table(
        *range(40000, 40097), remote=("0.0.0.0", 0), state=TcpState.BOUND_INACTIVE, kind=Kind.BOUND
    )
    own = table(*range(40097, 40100))

    assert "ports_blocked" == seen(SEARCHED, blocked, own, last=40099)


def test_nothing_eligible():
    """Where all ports are reserved no search finds one."""
    assert "narrowed_range" == seen(SEARCHED, reserved="40000-40009")
    assert "narrowed_range" == seen(bind(HERE, 0), reserved="40000-40009")


def test_many_free_ports_are_no_cause():
    """They may have come free since, or an option narrowed the search: only that tells."""
    half = table(*PORTS[:5])
    low = Window(first=40000, last=40004, sockets=5)
    high = Window(first=40005, last=40009, sockets=5)

    assert None is seen(SEARCHED, half)
    assert "narrowed_range" == seen(SEARCHED, half, windows=[low])
    assert None is seen(SEARCHED, half, windows=[high])
    assert None is seen(SEARCHED)


@pytest.mark.parametrize(
    ("attempt", "tables", "cause"),
    [
        (bind("0.0.0.0", 0), [table(*PORTS)], "bind0_pool_full"),
        (bind("192.0.2.2", 0), [table(*PORTS)], None),
        (bind("0.0.0.0", 0, "udp"), [table(*PORTS)], None),
        (bind("0.0.0.0", 0, "udp"), [table(*PORTS, protocol=Protocol.UDP)], "udp_pool_full"),
        (bind("0.0.0.0", 0, None), [table(*PORTS, protocol=Protocol.UDP)], "udp_pool_full"),
        (bind("0.0.0.0", 0, None), [table(*PORTS)], "bind0_pool_full"),
    ],
)
def test_a_bind_to_any_port(attempt, tables, cause):
    """The pool is that of its address and protocol; of both where it is not known."""
    assert cause == seen(attempt, *tables)


UDP = table(*PORTS, protocol=Protocol.UDP)
UDP6 = table(*PORTS, protocol=Protocol.UDP, local="::1", remote=("::1", 53), v6only=True)


@pytest.mark.parametrize(
    ("family", "tables", "others", "cause"),
    [
        (2, [UDP], {}, "udp_pool_full"),
        (10, [UDP], {}, "udp_pool_full"),
        (10, [UDP6], {}, "udp_pool_full"),
        (2, [UDP6], {}, None),
        (2, [table(*PORTS)], {}, None),
        (2, [], {}, None),
        (2, [], {"reserved": "40000-40009"}, "narrowed_range"),
        (2, [table(40002, 40003, protocol=Protocol.UDP)], {"windows": [WINDOW]}, "narrowed_range"),
        (2, [table(40002, protocol=Protocol.UDP)], {"windows": [ELSEWHERE]}, None),
    ],
)
def test_a_connect_of_udp(family, tables, others, cause):
    """It looks for a port on all addresses of its family, among UDP sockets alone."""
    assert cause == seen(Attempt("connect", 11, family), *tables, **others)


@pytest.mark.parametrize(
    ("attempt", "tables", "others", "named"),
    [
        (Attempt("bind", 98, 2, "tcp"), [], {}, True),
        (Attempt("bind", 98, 2, "tcp"), [*map(listener, PORTS[:5])], {}, True),
        (Attempt("bind", 98, 2, "tcp"), [*map(listener, PORTS[:6])], {}, False),
        (Attempt("bind", 98, 2, "udp"), [*map(listener, PORTS)], {}, True),
        (Attempt("bind", 98, 10), [UDP], {}, False),
        (Attempt("bind", 98, 2, "sctp"), [], {}, False),
        (Attempt("bind", 98, 2, "tcp"), [], {"reserved": "40000-40009"}, False),
    ],
)
def test_a_bind_whose_address_is_gone_named_a_port_where_others_were_left(
    attempt, tables, others, named
):
    """For a bind to port 0 could not have failed there."""
    evidence = Evidence(snapshot(Groups(tuple(tables), ()), settings(**others)))

    assert attempt.is_unread_bind
    assert [named] * 2 == [evidence.names_port(attempt) for _ in range(2)]


def test_only_binds_of_the_internet_are_unread():
    """Unix names and netlink numbers may be in use as well."""
    others = [Attempt("bind", 98, 1), Attempt("bind", 98, 0), bind(HERE, 0), SEARCHED]

    assert [] == [one for one in others if one.is_unread_bind]


@pytest.mark.parametrize(
    ("attempt", "tables", "cause"),
    [
        (bind("0.0.0.0", 8080), [listener(8080)], "port_taken"),
        (bind(HERE, 40003), [table(40003)], "port_held_by_outgoing"),
        (bind(HERE, 40003), [table(40003, state=TcpState.TIME_WAIT)], "port_held_by_outgoing"),
        (bind("192.0.2.2", 40003), [table(40003)], None),
        (bind(HERE, 8080), [table(8080)], "port_taken"),
        (bind(HERE, 40003), [table(40003, kind=Kind.EXPLICIT)], "port_taken"),
        (bind(HERE, 40003), [table(40003), listener(40003)], "port_taken"),
        (bind(HERE, 40003), [table(40003, protocol=Protocol.UDP)], None),
        (bind(HERE, 40003, None), [table(40003, protocol=Protocol.UDP)], "port_held_by_outgoing"),
        (bind(HERE, 40003), [], None),
        (bind(HERE, 40003, "sctp"), [listener(40003)], None),
    ],
)
def test_a_bind_to_one_port(attempt, tables, cause):
    """Who holds it: a connection that went out, or somebody who asked for it."""
    assert cause == seen(attempt, *tables)


def test_a_bind_to_who_knows_what():
    """Even where every port is held it may have asked for one outside of the range."""
    unknown = Attempt("bind", 98)

    assert None is seen(unknown, table(*PORTS))
    assert None is seen(unknown, table(*PORTS, protocol=Protocol.UDP))
    assert None is seen(unknown, table(*PORTS[:-1]))


def test_accepted_connections_of_a_listener_take_its_port():
    """They are folded to a count, and hold it all the same."""
    assert "port_taken" == seen(bind("0.0.0.0", 8080), inbound=[inbound(8080, 9)])


def test_without_sockets_nothing_is_told():
    """A Gap is no evidence."""
    read = snapshot(Gap("sock_diag", "could not be read (EPERM)"), settings())

    assert None is Evidence(read).cause(SEARCHED)


def test_sockets_that_are_not_listed_may_have_left_no_port_to_a_bind():
    """Then one whose address is gone may have asked for any port."""
    hides = msgspec.structs.replace(FORGETS, bound_inactive_rows=False)
    read = snapshot(Groups((), ()), settings())
    few, many = (
        msgspec.structs.replace(read, features=hides, counters=counters(tcp_alloc=sockets))
        for sockets in (5, 6)
    )
    attempt = Attempt("bind", 98, 2, "tcp")

    assert Evidence(few).names_port(attempt)
    assert not Evidence(many).names_port(attempt)
