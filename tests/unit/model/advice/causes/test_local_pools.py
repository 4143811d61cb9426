"""Pools without a destination: bind() to port 0, and UDP."""

import msgspec
import pytest

from portroom.model.facts.explanation import FOUND, POSSIBLE, RULED_OUT, UNKNOWN
from portroom.model.facts.gaps import Gap
from portroom.model.facts.ports import PortRange
from portroom.model.facts.sockets import Protocol
from tests.unit.made_causes import AGAIN, IN_USE, PORTS, of
from tests.unit.made_groups import HERE, table

HUNDRED = {"ephemeral": PortRange(40000, 40099)}


def bind0(*tables, address=None, **more):
    """Return a question about bind() to port 0."""
    asked = {"from_address": address} | more.pop("asked", {})
    return of(*tables, error=IN_USE, to=None, asked=asked, **more)


def udp(*ports, local="0.0.0.0"):
    """Return connected UDP sockets."""
    return table(*ports, local=local, protocol=Protocol.UDP)


def test_sockets_of_any_kind_fill_the_pool_of_an_address_that_overlaps():
    """Automatic connections of one address: that one and the wildcard are full."""
    full = table(*PORTS)
    cause = bind0(full, address=HERE).causes()["bind0_pool_full"]

    assert FOUND == cause.verdict
    assert cause.sentence == (
        "TCP bind() to port 0 on 192.0.2.1 finds none (EADDRINUSE). All 10 ports that the kernel "
        "may choose are held by sockets whose address overlaps, whatever their destination: "
        "10 ESTABLISHED."
    )
    assert "portroom sessions --proto tcp --local 192.0.2.1" == cause.command
    assert FOUND == bind0(full, address="0.0.0.0").verdict("bind0_pool_full")
    assert FOUND == bind0(full).verdict("bind0_pool_full")
    assert RULED_OUT == bind0(full, address="192.0.2.2").verdict("bind0_pool_full")


def test_a_port_in_doubt_is_possible():
    """IPv6 sockets may be in the way of the IPv4 wildcard."""
    six = table(*PORTS, local="2001:db8::1", remote=("2001:db8::9", 443))

    assert POSSIBLE == bind0(six, address="0.0.0.0").verdict("bind0_pool_full")


def test_a_pool_that_is_nearly_full_is_possible_once_something_failed():
    """A burst takes the rest."""
    tables = table(*range(40000, 40096))

    assert POSSIBLE == bind0(tables, settings=HUNDRED).verdict("bind0_pool_full")
    quiet = of(tables, error=None, to=None, settings=HUNDRED)
    assert RULED_OUT == quiet.verdict("bind0_pool_full")


def test_a_pool_without_an_eligible_port_is_not_full():
    """The list of reserved ports is to blame."""
    case = bind0(settings={"reserved": "40000-40009"})

    assert ["narrowed_range"] == case.found()
    assert RULED_OUT == case.verdict("bind0_pool_full")


def test_a_named_port_is_not_chosen_from_a_pool():
    """And sockets that could not be read leave it unknown."""
    named = bind0(table(*PORTS), asked={"from_port": 8080})
    case = bind0(table(*PORTS))
    read = msgspec.structs.replace(case.scene.read, groups=Gap("sock_diag", "EPERM"))
    unread = case._replace(scene=msgspec.structs.replace(case.scene, read=read))

    assert RULED_OUT == named.verdict("bind0_pool_full")
    assert UNKNOWN == unread.verdict("bind0_pool_full")


def test_udp_is_full_for_every_destination_and_tcp_does_not_matter():
    """Ten sockets on any address; ten TCP connections beside them change nothing."""
    full = of(udp(*PORTS), error=AGAIN)
    tcp_only = of(table(*PORTS), error=AGAIN)

    assert ["udp_pool_full"] == full.found()
    assert full.causes()["udp_pool_full"].sentence.startswith(
        "An unbound UDP connect or send from 0.0.0.0 finds none (EAGAIN). All 10 ports"
    )
    assert [] == tcp_only.found()


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [(None, {"udp_pool_full"}), (Protocol.UDP, {"udp_pool_full"}), (Protocol.TCP, set())],
)
def test_udp_bind0_gives_eaddrinuse_from_the_udp_pool(protocol, expected):
    """Only where the question is not about TCP alone."""
    case = bind0(udp(*PORTS), asked={"protocol": protocol})

    assert expected == set(case.found())


def test_a_udp_pool_of_one_address_leaves_another_alone():
    """Bound to a specific address; the wildcard overlaps it."""
    mine = udp(*PORTS, local=HERE)
    asked = {"from_address": "192.0.2.2", "protocol": Protocol.UDP}

    assert RULED_OUT == of(mine, error=AGAIN, to=None, asked=asked).verdict("udp_pool_full")
    assert FOUND == of(mine, error=AGAIN, to=None).verdict("udp_pool_full")


def test_a_pool_that_sockets_without_a_row_may_fill_is_possible():
    """With what this kernel does not list, and up to how many; never of UDP."""
    cause = bind0(unseen=1200, address=HERE).causes()["bind0_pool_full"]

    assert POSSIBLE == cause.verdict
    assert cause.sentence.endswith(
        "Of 10 ports the kernel does not tell. This kernel does not list sockets that are only "
        "bound, and there may be up to 1,200."
    )
    of_udp = of(error=AGAIN, to=None, unseen=1200)
    assert RULED_OUT == of_udp.verdict("udp_pool_full")
