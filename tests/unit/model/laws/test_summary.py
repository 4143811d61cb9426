"""The summary says what ``ss -s`` says, and counts sockets by state."""

from array import array

from hypothesis import given
from hypothesis import strategies as st

from portroom.model.facts.answers import Summary, TcpSummary, TransportCount
from portroom.model.facts.ports import PortRange
from portroom.model.facts.snapshot import (
    ADDRESS_KEY_BYTES,
    Counters,
    Gap,
    Groups,
    GroupTable,
    Inbound,
    not_looked_at,
)
from portroom.model.facts.sockets import Family, Kind, Protocol, TcpState
from portroom.model.laws.summary import (
    FROM_GROUPS,
    bound_local_ports,
    sockets_by_state,
    states_gap,
    summary,
)

COUNTERS = Counters(
    sockets_used=57,
    tcp_inuse=25,
    tcp_orphan=2,
    tcp_tw=7,
    tcp_alloc=46,
    udp_inuse=6,
    udplite_inuse=50,
    raw_inuse=3,
    frag_inuse=4,
    tcp6_inuse=9,
    udp6_inuse=5,
    udplite6_inuse=60,
    raw6_inuse=10,
    frag6_inuse=11,
    tcp_curr_estab=24,
)

NO_GROUPS = Groups(tables=(), inbound=())


def table(state, ports, protocol=Protocol.TCP, family=Family.IPV4):
    """Return a table whose groups hold *ports*, one list for each group."""
    keyed = {
        bytes([number]) * ADDRESS_KEY_BYTES: array("H", held) for number, held in enumerate(ports)
    }
    return GroupTable(protocol, family, state, Kind.UNKNOWN, None, keyed)


def inbound(sockets, port=443, protocol=Protocol.TCP, state=TcpState.ESTABLISHED):
    """Return *sockets* accepted sockets on one listening port."""
    return Inbound(protocol, Family.IPV4, bytes(16), port, state, sockets)


def test_the_line_of_tcp_is_that_of_ss():
    """
    Total is alloc and tw; closed is alloc without what is in a table but TIME_WAIT.
    """
    answer = summary(COUNTERS, NO_GROUPS)

    # 53 = 46 + 7; 19 = 46 - (25 + 9 - 7)
    expected = TcpSummary(total=53, established=24, closed=19, orphaned=2, time_wait=7)
    assert expected == answer.tcp
    assert 57 == answer.sockets_total


def test_the_table_of_transports_is_that_of_ss():
    """
    INET is RAW, UDP and TCP together; UDP-Lite is in no row.
    """
    transports = summary(COUNTERS, NO_GROUPS).transports

    assert TransportCount(13, 3, 10) == transports.raw
    assert TransportCount(11, 6, 5) == transports.udp
    assert TransportCount(34, 25, 9) == transports.tcp
    assert TransportCount(58, 34, 24) == transports.inet
    assert TransportCount(15, 4, 11) == transports.frag


def test_figures_of_the_whole_system_are_named():
    """
    What counts every namespace is named, and each name is a field.
    """
    answer = summary(COUNTERS, NO_GROUPS)

    assert ("tcp.total", "tcp.closed", "tcp.orphaned") == answer.system_wide
    assert all(hasattr(answer.tcp, name.removeprefix("tcp.")) for name in answer.system_wide)


def test_sockets_are_counted_by_state_the_most_first():
    """
    Tables of one state add up, accepted sockets join them, UDP stands apart.
    """
    groups = Groups(
        tables=(
            table(TcpState.ESTABLISHED, [[1, 2], [2]]),
            table(TcpState.ESTABLISHED, [[3]], family=Family.IPV6),
            table(TcpState.TIME_WAIT, [[4, 5, 6, 7, 8, 9, 10, 11, 12]]),
            table(TcpState.FIN_WAIT2, []),
            table(TcpState.ESTABLISHED, [[53]], protocol=Protocol.UDP),
            table(TcpState.CLOSE, [[54, 55]], protocol=Protocol.UDP),
        ),
        inbound=(inbound(3), inbound(1, state=TcpState.CLOSE_WAIT)),
    )

    answer = summary(COUNTERS, groups)

    expected = [("TIME_WAIT", 9), ("ESTABLISHED", 7), ("CLOSE_WAIT", 1)]
    assert expected == list(answer.states.items())
    assert [("CLOSE", 2), ("ESTABLISHED", 1)] == list(answer.udp_states.items())


def test_a_port_in_use_counts_once():
    """
    One port counts once over groups, states, families, TCP and UDP; RAW has none.
    """
    groups = Groups(
        tables=(
            table(TcpState.ESTABLISHED, [[40000, 40001], [40000]]),
            table(TcpState.TIME_WAIT, [[40001]], family=Family.IPV6),
            table(TcpState.CLOSE, [[40000, 53]], protocol=Protocol.UDP),
            table(TcpState.CLOSE, [[58]], protocol=Protocol.RAW),
        ),
        inbound=(inbound(9, port=443), inbound(9, port=53)),
    )

    assert len({40000, 40001, 53, 443}) == bound_local_ports(groups)


@given(st.lists(st.lists(st.integers(1, 65535), max_size=9), max_size=9))
def test_states_and_ports_agree_with_a_plain_count(ports):
    """
    Whatever the groups: sockets are all ports listed, ports are the distinct ones.
    """
    groups = Groups(tables=(table(TcpState.ESTABLISHED, ports),), inbound=())
    every = [port for group in ports for port in group]

    assert sum(sockets_by_state(groups, Protocol.TCP).values()) == len(every)
    assert bound_local_ports(groups) == len(set(every))


def test_without_counters_there_is_no_summary():
    """
    The Gap of the counters travels on and names what it makes uncertain.
    """
    gap = Gap("counters", "sockstat may not be read")

    assert Gap("counters", gap.reason, ("sessions",)) == summary(gap, NO_GROUPS)


def test_without_groups_states_are_a_gap_and_not_zero():
    """
    States stay empty, the port count unknown, and a Gap says why.
    """
    gap = not_looked_at("groups")
    answer = summary(COUNTERS, gap)

    assert isinstance(answer, Summary)
    assert ({}, {}, None) == (answer.states, answer.udp_states, answer.bound_local_ports)
    assert Gap("groups", "not_looked_at", FROM_GROUPS) == states_gap(gap)


def test_groups_of_some_ports_count_no_states():
    """
    Groups that were read for one range would hide all others; so they are a Gap.
    """
    tables = (table(TcpState.ESTABLISHED, [[40000]]),)
    groups = Groups(tables=tables, inbound=(), scope=PortRange(40000, 40009))
    answer = summary(COUNTERS, groups)

    assert ({}, {}, None) == (answer.states, answer.udp_states, answer.bound_local_ports)
    reason = "only sockets on local ports 40000-40009 were read"
    assert Gap("groups", reason, FROM_GROUPS) == states_gap(groups)


def test_groups_of_all_ports_leave_no_gap():
    """
    With every socket at hand nothing is uncertain.
    """
    assert states_gap(NO_GROUPS) is None
