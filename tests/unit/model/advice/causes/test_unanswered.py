"""Connects without an answer: a queue of this host, or a silent destination."""

import msgspec
import pytest

from portroom.model.facts.explanation import FOUND, POSSIBLE, RULED_OUT, UNKNOWN
from portroom.model.facts.scene import Reached
from portroom.model.facts.snapshot import Owners, Rows
from portroom.model.facts.sockets import Endpoint, Family, Protocol, TcpState
from portroom.model.facts.surroundings import Surroundings
from tests.unit.made_causes import PORTS, THERE, WEB, of
from tests.unit.made_groups import table
from tests.unit.made_scenes import pulse

QUEUE, SILENT = "accept_queue_full", "no_answer"
HOME = Endpoint("127.0.0.1", 9000)


def listening(*queues):
    """Return rows of listeners: address, port, connections that wait, and the limit."""
    rows = Rows(*([] for _ in Rows.__struct_fields__))
    for inode, (address, port, waiting, limit) in enumerate(queues, 1):
        values = (Protocol.TCP, Family.IPV4, TcpState.LISTEN, address, port, "0.0.0.0", 0)
        for name, value in zip(
            Rows.__struct_fields__, (*values, waiting, limit, 0, inode, 0), strict=True
        ):
            getattr(rows, name).append(value)
    return rows


def queue(*queues, to=HOME, **parts):
    """Return a question about timeouts towards a listener of this host."""
    way = Reached(remote=to, local_address="127.0.0.1", error="") if to else None
    case = of(error="ETIMEDOUT", to=to, reached=(way,) if way else (), **parts)
    owners = Owners(by_inode={1: (WEB,)})
    read = msgspec.structs.replace(case.scene.read, rows=listening(*queues), owners=owners)
    return case._replace(scene=msgspec.structs.replace(case.scene, read=read))


def test_one_more_than_the_limit_waits_and_the_queue_is_full():
    """The kernel lets in one more than listen() asked for."""
    case = queue(("127.0.0.1", 9000, 129, 128))
    cause = case.causes()[QUEUE]

    assert [QUEUE] == case.found()
    assert cause.sentence == (
        "129 connections wait in the accept queue of 127.0.0.1:9000, which takes 128: it is full, "
        "and further handshakes are dropped. Owners: web (pid 4711, 7 sockets)."
    )
    assert "portroom sessions --state LISTEN --local :9000" == cause.command


@pytest.mark.parametrize(
    ("queues", "verdict"),
    [
        ([("0.0.0.0", 9000, 2, 1)], FOUND),
        ([("::", 9000, 2, 1)], FOUND),
        ([("0.0.0.0", 9000, 0, 128), ("0.0.0.0", 9000, 129, 128)], FOUND),
        ([("127.0.0.1", 9000, 1, 1)], RULED_OUT),
        ([("127.0.0.1", 9001, 2, 1)], RULED_OUT),
        ([("127.0.0.2", 9000, 2, 1)], RULED_OUT),
        ([], RULED_OUT),
    ],
)
def test_only_the_listener_that_the_connection_meets_counts(queues, verdict):
    """Its address or a wildcard, its port; of several that share it, the fullest."""
    assert verdict == queue(*queues).verdict(QUEUE)


def test_overflows_while_looking_are_a_possible_cause():
    """The queue was full, and has room again."""
    case = queue(("127.0.0.1", 9000, 0, 128), after=pulse(at_s=1.0, listen_overflows=4))

    assert POSSIBLE == case.verdict(QUEUE)
    assert "rose by 4" in case.causes()[QUEUE].sentence


def test_without_a_destination_every_listener_is_judged():
    """The fullest is told."""
    case = queue(("127.0.0.1", 9000, 0, 1), ("192.0.2.1", 80, 3, 1), to=None)

    assert FOUND == case.verdict(QUEUE)
    assert "192.0.2.1:80" in case.causes()[QUEUE].sentence


def test_the_queue_of_another_host_cannot_be_seen_from_here():
    """And rows that nobody read tell nothing."""
    there = queue(("0.0.0.0", 443, 9, 1), to=THERE)

    assert UNKNOWN == there.verdict(QUEUE)
    assert "not in this namespace" in there.causes()[QUEUE].sentence
    assert UNKNOWN == of(error="ETIMEDOUT").verdict(QUEUE)


def test_the_address_of_this_host_itself_is_here():
    """The kernel goes to it from the same address."""
    mine = Endpoint("192.0.2.1", 80)
    case = queue(("0.0.0.0", 80, 2, 1), to=mine)
    way = (Reached(remote=mine, local_address="192.0.2.1", error=""),)
    scene = msgspec.structs.replace(case.scene, reached=way)

    assert FOUND == case._replace(scene=scene).verdict(QUEUE)


def waiting(sockets, others=0, **more):
    """Return a question where so many connections wait for an answer, and so many do not."""
    tables = [table(*range(40000, 40000 + sockets), state=TcpState.SYN_SENT)] if sockets else []
    tables += [table(*range(41000, 41000 + others))] if others else []
    return of(*tables, error="ETIMEDOUT", **more)


@pytest.mark.parametrize(
    ("sockets", "others", "verdict"),
    [(0, 5, RULED_OUT), (1, 0, POSSIBLE), (3, 0, FOUND), (3, 20, FOUND), (3, 1000, POSSIBLE)],
)
def test_a_pile_of_unanswered_connections_is_told_from_some_on_their_way(sockets, others, verdict):
    """With many connects a second a few are always in SYN_SENT."""
    assert verdict == waiting(sockets, others).verdict(SILENT)


def test_the_destination_is_named_where_none_was():
    """The one that most wait for."""
    case = waiting(4, to=None)
    cause = case.causes()[SILENT]

    assert "4 connections to 198.51.100.1:443 wait for an answer" in cause.sentence
    assert "ip route get 198.51.100.1" == cause.command


def test_another_destination_that_is_silent_is_not_the_cause():
    """Only connections to the one that is asked about count."""
    assert RULED_OUT == waiting(4, to=Endpoint("198.51.100.2", 443)).verdict(SILENT)


def test_a_cause_on_this_host_explains_the_pile():
    """A full table loses the SYNs: nothing is lost on the way."""
    full = Surroundings(conntrack_used=10, conntrack_max=10)
    case = waiting(5, around=full)

    assert ["conntrack_full"] == case.found()
    assert "That comes from conntrack_full" in case.causes()[SILENT].sentence


def test_udp_waits_for_nobody():
    """Neither cause belongs to it."""
    case = of(table(*PORTS), error="ETIMEDOUT", asked={"protocol": Protocol.UDP})

    assert (None, None) == (case.verdict(QUEUE), case.verdict(SILENT))
