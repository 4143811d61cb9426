"""A named port: who has it, and whether that is a server or an outgoing connection."""

import pytest

from portroom.model.facts.explanation import FOUND, POSSIBLE, RULED_OUT, UNKNOWN
from portroom.model.facts.gaps import Gap
from portroom.model.facts.ports import PortRange
from portroom.model.facts.scene import Address, Holding
from portroom.model.facts.snapshot import NetnsId
from portroom.model.facts.sockets import Endpoint, Protocol
from tests.unit.made_causes import IN_USE, NOT_AVAILABLE, THERE, WEB, of

ANY = "0.0.0.0"


def socket_on(port, state="ESTABLISHED", local="192.0.2.1", remote=THERE, outgoing=None, **changes):
    """Return one socket on a port."""
    protocol = changes.pop("protocol", Protocol.TCP)
    end = Endpoint(local, port)
    return Holding(
        protocol=protocol, state=state, local=end, remote=remote, outgoing=outgoing, **changes
    )


def listening(port, local=ANY, **changes):
    """Return a listener."""
    return socket_on(port, "LISTEN", local, None, outgoing=False, **changes)


def wants(port, *holdings, address=ANY, error=IN_USE, **more):
    """Return a question about binding one port."""
    asked = {"from_address": address, "from_port": port} | more.pop("asked", {})
    return of(error=error, to=None, asked=asked, holdings=holdings, **more)


def test_a_listener_has_the_port_and_is_named():
    """Its process, its address, and the command that shows it."""
    case = wants(8080, listening(8080, owners=(WEB,)))
    cause = case.causes()["port_taken"]

    assert ["port_taken"] == case.found()
    assert cause.sentence == (
        "TCP port 8080 on 0.0.0.0 is held by 1 socket: 1 LISTEN, on 0.0.0.0:8080; by web (pid "
        "4711)."
    )
    assert "portroom sessions --local :8080" == cause.command
    assert RULED_OUT == case.verdict("port_held_by_outgoing")


def test_an_outgoing_connection_has_the_port_and_reserving_it_helps():
    """The kernel chose it, since it lies inside the range."""
    case = wants(40001, socket_on(40001, outgoing=True))
    cause = case.causes()["port_held_by_outgoing"]

    assert ["port_held_by_outgoing"] == case.found()
    assert "portroom set reserved+=40001 --persist --force --dry-run" == cause.command
    assert "to 198.51.100.1:443" in cause.sentence


def test_a_port_outside_of_the_range_was_named_by_its_program_and_reserving_is_no_help():
    """The kernel never chooses it; nor one that is reserved already."""
    outside = wants(8090, socket_on(8090, "TIME_WAIT", outgoing=True))
    reserved = wants(40001, socket_on(40001, outgoing=True), settings={"reserved": "40001"})

    for case, port in ((outside, 8090), (reserved, 40001)):
        cause = case.causes()["port_held_by_outgoing"]
        assert "the program named it itself" in cause.remedy
        assert f"portroom sessions --local :{port}" == cause.command


def test_a_namespace_that_is_not_the_hosts_keeps_nothing_for_its_next_start():
    """--persist would be refused there; --force is needed where few ports are left."""
    shop = NetnsId("shop", 5, 6, "named")
    wide = {"netns": shop, "ephemeral": PortRange(32768, 60999)}
    case = wants(40001, socket_on(40001, outgoing=True), settings=wide)

    assert "portroom set reserved+=40001 --dry-run --netns shop" == (
        case.causes()["port_held_by_outgoing"].command
    )


@pytest.mark.parametrize(
    ("port", "others", "expected"),
    [
        (40001, (), "port_held_by_outgoing"),
        (40001, (listening(40001),), "port_taken"),
        (8080, (), "port_taken"),
    ],
)
def test_who_connected_is_judged_by_the_port_where_the_kernel_does_not_tell(port, others, expected):
    """On a port of the range that nobody listens on, it was the kernel's choice."""
    case = wants(port, socket_on(port, outgoing=None), *others)

    assert [expected] == case.found()


def test_time_wait_of_an_outgoing_connection_is_over_in_a_minute():
    """The remedy says so, and that it may happen again."""
    cause = wants(40001, socket_on(40001, "TIME_WAIT", outgoing=True)).causes()

    assert "at most 60 seconds" in cause["port_held_by_outgoing"].remedy


def test_time_wait_of_a_server_keeps_only_who_does_not_set_so_reuseaddr():
    """Found where bind() failed; where nothing is known to fail it is possible."""
    waiting = socket_on(8080, "TIME_WAIT", outgoing=False)

    assert FOUND == wants(8080, waiting).verdict("port_taken")
    assert POSSIBLE == wants(8080, waiting, error=None).verdict("port_taken")
    assert "SO_REUSEADDR" in wants(8080, waiting).causes()["port_taken"].remedy


@pytest.mark.parametrize(
    ("held", "asked_for", "verdict"),
    [
        (listening(8080, "192.0.2.1"), "192.0.2.2", RULED_OUT),
        (listening(8080, "192.0.2.1"), ANY, FOUND),
        (listening(8080, "::", v6only=False), ANY, FOUND),
        (listening(8080, "::", v6only=True), ANY, RULED_OUT),
        (listening(8080, "::"), ANY, POSSIBLE),
        (listening(8080, "2001:db8::1"), ANY, RULED_OUT),
        (listening(8080, ANY), "::", FOUND),
        (listening(8080, protocol=Protocol.UDP), ANY, RULED_OUT),
        (listening(8080), None, FOUND),
    ],
)
def test_only_an_address_that_overlaps_is_in_the_way(held, asked_for, verdict):
    """As for every bind()."""
    assert verdict == wants(8080, held, address=asked_for).verdict("port_taken")


def test_a_udp_port_is_held_by_udp_sockets():
    """A TCP listener does not matter to it."""
    asked = {"protocol": Protocol.UDP}
    bound = socket_on(5353, "CLOSE", ANY, None, outgoing=None, protocol=Protocol.UDP)

    assert FOUND == wants(5353, bound, asked=asked).verdict("port_taken")
    assert RULED_OUT == wants(5353, listening(5353), asked=asked).verdict("port_taken")


def test_without_a_port_or_its_sockets_nothing_is_known():
    """The command says what to name."""
    unnamed = wants(0).causes()["port_taken"]
    unread = of(
        error=IN_USE, asked={"from_port": 8080}, holdings=Gap("sock_diag", "EPERM"), to=None
    )

    assert UNKNOWN == unnamed.verdict
    assert "portroom explain EADDRINUSE --from ADDRESS:PORT" == unnamed.command
    assert UNKNOWN == unread.verdict("port_held_by_outgoing")


def test_an_address_that_is_not_here_fails_before():
    """bind() says EADDRNOTAVAIL then."""
    case = of(
        error=IN_USE,
        to=None,
        asked={"from_address": "192.0.2.77", "from_port": 8080},
        holdings=(listening(8080),),
        address=Address(address="192.0.2.77", error=NOT_AVAILABLE),
    )

    assert RULED_OUT == case.verdict("port_taken")


def test_a_port_that_nobody_is_seen_on_may_be_a_bound_socket_s_where_those_are_not_listed():
    """It is never said to be free, and how many there may be is told."""
    cause = wants(8080, unseen=3).causes()["port_taken"]

    assert UNKNOWN == cause.verdict
    assert cause.sentence == (
        "No listener is in the way of TCP port 8080 on 0.0.0.0. This kernel does not list sockets "
        "that are only bound, and there may be up to 3: one of them may have the port."
    )


def test_a_port_of_udp_is_known_where_bound_sockets_of_tcp_are_not_listed():
    """Those of UDP are in every table."""
    case = wants(8080, unseen=3, asked={"protocol": Protocol.UDP})

    assert RULED_OUT == case.verdict("port_taken")
