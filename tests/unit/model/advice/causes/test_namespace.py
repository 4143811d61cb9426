"""The same question in another namespace has another answer: whose is it?"""

import msgspec
import pytest

from portroom.model.facts.answers import Key
from portroom.model.facts.explanation import FOUND, POSSIBLE, RULED_OUT, UNKNOWN
from portroom.model.facts.gaps import Gap
from portroom.model.facts.ports import PortRange
from portroom.model.facts.scene import (
    Address,
    Elsewhere,
    NamespaceRange,
    ProcessSeen,
    Reached,
    UnixBacklog,
)
from portroom.model.facts.snapshot import NetnsId
from portroom.model.facts.sockets import Endpoint, Protocol
from portroom.model.facts.surroundings import OpenFiles
from tests.unit.made_causes import AGAIN, IN_USE, NOT_AVAILABLE, PORTS, TEN, WEB, of
from tests.unit.made_change import HOST
from tests.unit.made_groups import table

NAME = "other_namespace"
SHOP = NetnsId("shop", 77, 4026532000, "named")
POD = NetnsId("web-1", 78, 4026532001, "container", 1234)


def key(free=0, operation="connect", protocol="tcp", remote=("198.51.100.1", 443)):
    """Return a key of ten ports with so many free."""
    held = 10 - free
    return Key(
        protocol, operation, "192.0.2.1", *(remote or (None, None)), 10, held, 0, free, free,
        held / 10, held / 10, not free, {"TIME_WAIT": held}, (WEB,),
    )  # fmt: skip


def elsewhere(*keys, netns=SHOP):
    """Return keys of another namespace."""
    return tuple(Elsewhere(netns=netns, key=one) for one in keys)


def test_a_key_that_is_exhausted_elsewhere_and_not_here_is_found():
    """With the command that asks the same there."""
    case = of(elsewhere=elsewhere(key()))
    cause = case.causes()[NAME]

    assert [NAME] == case.found()
    assert "in network namespace shop no port is left towards 198.51.100.1:443" in cause.sentence
    assert "portroom explain EADDRNOTAVAIL --remote 198.51.100.1:443 --netns shop" == cause.command


def test_a_key_that_is_exhausted_here_needs_no_other_namespace():
    """It was not even looked for."""
    case = of(table(*PORTS), elsewhere=Gap("namespaces", "not_looked_at"))

    assert ["key_full"] == case.found()
    assert RULED_OUT == case.verdict(NAME)


def test_a_key_that_is_nearly_exhausted_elsewhere_is_possible():
    """A process number stands for a container without a name."""
    cause = of(elsewhere=elsewhere(key(free=1), netns=POD)).causes()[NAME]

    assert POSSIBLE == cause.verdict
    assert cause.command.endswith("--netns 1234")


@pytest.mark.parametrize(
    ("error", "one", "verdict"),
    [
        (NOT_AVAILABLE, key(remote=("198.51.100.2", 443)), RULED_OUT),
        (NOT_AVAILABLE, key(operation="bind0", remote=None), RULED_OUT),
        (NOT_AVAILABLE, key(protocol="udp", remote=None), RULED_OUT),
        (IN_USE, key(operation="bind0", remote=None), POSSIBLE),
        (IN_USE, key(), RULED_OUT),
        (AGAIN, key(protocol="udp", remote=None), POSSIBLE),
        (None, key(protocol="udp", remote=None), POSSIBLE),
        (None, key(), FOUND),
    ],
)
def test_only_a_key_that_gives_the_errno_counts(error, one, verdict):
    """Of the same operation, protocol and destination."""
    assert verdict == of(error=error, elsewhere=elsewhere(one)).verdict(NAME)


def test_a_key_elsewhere_is_possible_unless_the_destination_is_the_same():
    """Without one any failure may be meant; loopback is another place in each namespace."""
    home = Endpoint("127.0.0.1", 9000)
    there = elsewhere(key(remote=("127.0.0.1", 9000)))
    way = (Reached(remote=home, local_address="127.0.0.1", error=""),)
    loopback = of(to=home, reached=way, elsewhere=there)

    assert POSSIBLE == of(to=None, elsewhere=elsewhere(key())).verdict(NAME)
    assert POSSIBLE == loopback.verdict(NAME)
    assert "another place there" in loopback.causes()[NAME].sentence


def test_the_namespace_that_was_read_is_no_other_one():
    """Known by its cookie."""
    assert RULED_OUT == of(elsewhere=elsewhere(key(), netns=HOST)).verdict(NAME)


def test_namespaces_that_may_not_be_entered_are_unknown():
    """The right that is needed is named."""
    cause = of(elsewhere=Gap("namespaces", "needs CAP_SYS_ADMIN")).causes()[NAME]

    assert UNKNOWN == cause.verdict
    assert "CAP_SYS_ADMIN" in cause.sentence


def process(netns):
    """Return the process, in a namespace."""
    return ProcessSeen(owner=WEB, netns=netns, open_files=OpenFiles(WEB, 1, 10), windows=())


def test_a_process_of_another_namespace_than_the_one_read_is_elsewhere():
    """Whatever was seen here is not about it."""
    cause = of(process=process(SHOP)).causes()[NAME]

    assert FOUND == cause.verdict
    assert "portroom explain EADDRNOTAVAIL --pid 4711" == cause.command


def test_a_process_that_was_looked_at_from_inside_rules_it_out():
    """Unless its range is smaller than that of whoever asks, and used up."""
    ranges = (
        NamespaceRange(netns=HOST, range=PortRange(15000, 64001), reserved_ports=0),
        NamespaceRange(netns=SHOP, range=TEN, reserved_ports=0),
    )
    inside = {"process": process(SHOP), "settings": {"netns": SHOP}, "ranges": ranges}
    full = of(table(*PORTS), **inside)

    assert RULED_OUT == of(**inside).verdict(NAME)
    assert RULED_OUT == of(process=process(HOST)).verdict(NAME)
    assert ["key_full", NAME] == full.found()
    assert "40000-40009 with 10 eligible ports, here 15000-64001" in full.causes()[NAME].sentence


def test_a_process_that_is_gone_is_unknown():
    """Its namespace went with it."""
    assert UNKNOWN == of(process=Gap("process", "no such process")).verdict(NAME)


def test_a_scene_without_cookies_is_told_apart_by_inodes():
    """An old kernel has no cookie."""
    bare = msgspec.structs.replace(HOST, cookie=None)

    assert RULED_OUT == of(elsewhere=elsewhere(key(), netns=bare)).verdict(NAME)


def test_udp_has_no_eaddrnotavail_for_want_of_a_port():
    """The cause does not belong to the question."""
    there = Endpoint("198.51.100.1", 443)
    case = of(to=there, asked={"protocol": Protocol.UDP}, elsewhere=elsewhere(key()))

    assert None is case.verdict(NAME)


def test_a_named_port_or_a_sure_cause_leaves_no_word_of_pools_elsewhere():
    """A full pool of another namespace cannot give such a failure."""
    there = elsewhere(key(operation="bind0", remote=None))
    named = of(error=IN_USE, to=None, asked={"from_port": 8082}, elsewhere=there)
    refused = Address(address="192.0.2.77", error=NOT_AVAILABLE)
    sure = of(asked={"from_address": "192.0.2.77"}, address=refused, elsewhere=elsewhere(key()))
    unix = UnixBacklog(path="/run/web.sock", waiting=2, limit=1)
    udp = elsewhere(key(protocol="udp", remote=None))
    backlog = of(error=AGAIN, to=None, backlogs=(unix,), elsewhere=udp)

    assert {None} == {case.verdict(NAME) for case in (named, sure, backlog)}


def test_a_key_of_which_the_kernel_does_not_tell_elsewhere_is_possible():
    """None is surely free there, and none is surely held."""
    doubtful = msgspec.structs.replace(
        key(free=10, operation="bind0", remote=None), free_ports=0, doubtful_ports=10
    )
    cause = of(error=IN_USE, to=None, elsewhere=elsewhere(doubtful)).causes()[NAME]

    assert POSSIBLE == cause.verdict
    assert cause.sentence == (
        "In network namespace shop 0 ports of 10 are surely free for TCP bind() to port 0 on "
        "192.0.2.1. Of 10 ports the kernel does not tell."
    )
