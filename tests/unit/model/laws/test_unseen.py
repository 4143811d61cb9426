"""Sockets in no table: up to how many, and what they leave in doubt."""

import msgspec
import pytest

from portroom.model.facts.snapshot import Counters, Gap, Groups
from portroom.model.facts.sockets import Operation, Protocol
from portroom.model.laws.headroom import KeysWanted, as_key, find_keys
from portroom.model.laws.unseen import unseen_sockets
from tests.unit.made_groups import FORGETS, HERE, REMOTE, settings, snapshot, table

HIDES = msgspec.structs.replace(FORGETS, bound_inactive_rows=False)
BIND0 = KeysWanted(Protocol.TCP, Operation.BIND0, from_address=HERE)


def counters(alloc, inuse=3, inuse6=1):
    """Return counters of TCP sockets; the others are none."""
    none = dict.fromkeys(Counters.__struct_fields__, 0)
    return Counters(**none | {"tcp_alloc": alloc, "tcp_inuse": inuse, "tcp6_inuse": inuse6})


def taken(features=HIDES, alloc=6, counted=None, last=40009):
    """Return a Snapshot with one connection on 40001, and counters."""
    read = snapshot(Groups((table(40001, remote=REMOTE),), ()), settings(last=last))
    return msgspec.structs.replace(read, features=features, counters=counted or counters(alloc))


def spans(read, wanted):
    """Return held, surely free and perhaps free ports of each key."""
    keys = map(as_key, find_keys(read, wanted).measured)
    return [(key.held_ports, key.free_ports, key.free_ports_max) for key in keys]


@pytest.mark.parametrize(("alloc", "unseen"), [(4, 0), (6, 2), (3, 0)])
def test_what_neither_connects_nor_listens_may_be_bound(alloc, unseen):
    """It is what is allocated less what is in use, and never below none."""
    assert unseen == unseen_sockets(taken(alloc=alloc))


def test_where_bound_sockets_are_listed_none_is_unseen():
    """Their rows tell, whatever the counters say."""
    assert unseen_sockets(taken(FORGETS)) == 0


def test_without_counters_every_port_may_be_held():
    """Nothing bounds what cannot be seen."""
    read = taken(counted=Gap("sockstat", "could not be read"))

    assert unseen_sockets(read) == 65_535
    assert [(1, 0, 9)] == spans(read, BIND0)


@pytest.mark.parametrize("wanted", [KeysWanted(Protocol.TCP), BIND0])
def test_each_unseen_socket_leaves_one_free_port_in_doubt(wanted):
    """Held and perhaps free stay; surely free are fewer, for connect and bind0 alike."""
    (seen,), (unseen,) = spans(taken(FORGETS), wanted), spans(taken(), wanted)

    assert (seen[0], seen[1] - 2, seen[2]) == unseen


def test_a_port_that_parity_loses_is_in_doubt_besides():
    """An end port may be passed over, and another one be held unseen."""
    (seen,), (unseen,) = (spans(taken(each, last=40010), BIND0) for each in (FORGETS, HIDES))

    assert (1, 9, 10) == seen
    assert (1, 7, 10) == unseen


def test_udp_has_nothing_unseen():
    """Every UDP socket with a port is in its table."""
    wanted = KeysWanted(Protocol.UDP, from_address=HERE)

    assert spans(taken(FORGETS), wanted) == spans(taken(), wanted)
