"""From rows to sessions: filters, order, and what is unknown."""

from hypothesis import given
from hypothesis import strategies as some

from portroom.model.facts.snapshot import Rows
from portroom.model.facts.sockets import Family, Owner, Protocol, TcpState, packed_address
from portroom.model.laws import sessions
from portroom.model.laws.endpoint_filter import EVERY_ENDPOINT, parse_endpoint_filter
from portroom.model.laws.session_words import EVERY_STATE, SORTS, SortKey
from portroom.model.laws.sessions import SessionsQuestion

ADDRESSES = ("0.0.0.0", "127.0.0.1", "127.0.0.2", "10.1.2.3", "::", "::1", "2001:db8::1")
FILTERS = ("*", ":443", ":1-1000", "127.0.0.0/8", "10.1.2.3:443", "::1", "2001:db8::/32")
PORTS = (0, 22, 443, 40000, 65535)

NGINX = Owner(7, 70, "nginx", 33, "nginx.service", None)
CURL = Owner(9, 90, "curl", 1000, None, None)

ROW = some.tuples(
    some.sampled_from(Protocol),
    some.sampled_from(sorted(EVERY_STATE)),
    some.sampled_from(ADDRESSES),
    some.sampled_from(PORTS),
    some.sampled_from(ADDRESSES),
    some.sampled_from(PORTS),
    some.integers(0, 3),
    some.integers(0, 3),
    some.sampled_from((0, 33)),
    some.integers(0, 3),
)


def rows_of(sockets):
    """Return rows from tuples of their columns, families from the addresses."""
    rows = Rows(*([] for _ in Rows.__struct_fields__))
    for protocol, state, *ends, recv, send, uid, inode in sockets:
        family = Family.IPV6 if ":" in ends[0] else Family.IPV4
        values = (protocol, family, state, *ends, recv, send, uid, inode, 0)
        for column, value in zip(Rows.__struct_fields__, values, strict=True):
            getattr(rows, column).append(value)
    return rows


def socket(state=TcpState.ESTABLISHED, local_port=1, remote="10.0.0.1", remote_port=443, inode=1):
    """Return the columns of one TCP socket."""
    local = "127.0.0.1"
    return (Protocol.TCP, state, local, local_port, remote, remote_port, 5, 6, 0, inode)


def passes(wanted, address, port):
    """Say whether an endpoint passes a filter, one by one."""
    return port in wanted.ports and wanted.matches_address(*packed_address(address))


@given(
    some.lists(ROW, max_size=20),
    some.sets(some.sampled_from(Protocol), min_size=1),
    some.frozensets(some.sampled_from(sorted(EVERY_STATE)), min_size=1),
    some.sampled_from(FILTERS),
    some.sampled_from(FILTERS),
)
def test_all_filters_must_hold(sockets, protocols, states, local, remote):
    """A row is selected exactly if each filter passes it; order stays."""
    here, there = parse_endpoint_filter(local), parse_endpoint_filter(remote)
    question = SessionsQuestion(protocols=tuple(protocols), states=states, local=here, remote=there)
    expected = [
        place
        for place, row in enumerate(sockets)
        if row[0] in protocols
        and row[1] in states
        and passes(here, row[2], row[3])
        and passes(there, row[4], row[5])
    ]

    assert expected == sessions.select(rows_of(sockets), question)


@given(some.lists(ROW, max_size=20), some.sampled_from(SORTS), some.booleans())
def test_sorting_moves_rows_and_loses_none(sockets, column, descending):
    """Every order is a permutation, and sorting twice changes nothing."""
    rows = rows_of(sockets)
    owners = {1: (NGINX,), 2: (CURL, NGINX)}
    keys = [SortKey(column, descending)]
    once = sessions.arrange(rows, range(len(sockets)), keys, owners)

    assert list(range(len(sockets))) == sorted(once)
    assert once == sessions.arrange(rows, once, keys, owners)


def test_addresses_sort_as_numbers():
    """IPv4 before IPv6, 9 before 10, then by port."""
    remotes = [("::1", 1), ("10.0.0.10", 1), ("10.0.0.9", 2), ("10.0.0.9", 1)]
    rows = rows_of([socket(remote=remote, remote_port=port) for remote, port in remotes])

    assert [3, 2, 1, 0] == sessions.arrange(rows, range(4), [SortKey("remote")], {})


def test_equal_rows_keep_their_order_also_when_descending():
    """The second key decides among equals, then the order of the kernel."""
    rows = rows_of([socket(local_port=port) for port in (2, 1, 2, 1)])
    keys = [SortKey("state"), SortKey("local", descending=True)]

    assert [0, 2, 1, 3] == sessions.arrange(rows, range(4), keys, {})


def test_a_process_is_found_by_id_name_and_pattern():
    """Names may have wildcards; a number is a process id."""
    rows = rows_of([socket(inode=inode) for inode in (1, 2, 0, 3)])
    owners = {1: (NGINX,), 2: (CURL, NGINX)}
    found = {
        wanted: sessions.owned_by(rows, [0, 1, 2, 3], wanted, owners)
        for wanted in ("nginx", "9", "c*", "NGINX", "*")
    }

    assert {"nginx": [0, 1], "9": [1], "c*": [1], "NGINX": [], "*": [0, 1]} == found


def test_a_long_process_name_is_cut_as_the_kernel_cuts_it():
    """The kernel keeps 15 bytes; the whole name finds the process still."""
    rows = rows_of([socket(inode=1)])
    owners = {1: (Owner(5, 1, "systemd-resolve", None, None, None),)}

    assert [0] == sessions.owned_by(rows, [0], "systemd-resolved", owners)


def test_time_wait_has_no_user_and_no_inode():
    """The zeros of the kernel mean unknown, never root."""
    rows = rows_of([socket(state=TcpState.TIME_WAIT, inode=0)])
    (session,) = sessions.make(rows, [0], {})

    assert (None, None, ()) == (session.uid, session.inode, session.owners)


def test_an_owner_of_a_session_owns_one_socket_of_it():
    """However many others the process has."""
    rows = rows_of([socket(inode=2)])
    (session,) = sessions.make(rows, [0], {2: (CURL, NGINX)})

    assert [("curl", 1), ("nginx", 1)] == [
        (owner.command, owner.sockets) for owner in session.owners
    ]


def test_a_listener_has_no_remote_endpoint():
    """The wildcard with port 0 is none; a raw socket's remote has no port."""
    rows = rows_of(
        [
            socket(state=TcpState.LISTEN, remote="0.0.0.0", remote_port=0),
            socket(remote="10.0.0.1", remote_port=0),
        ]
    )
    first, second = sessions.make(rows, [0, 1], {})

    assert (None, None) == (first.remote_address, first.remote_port)
    assert ("10.0.0.1", 0) == (second.remote_address, second.remote_port)


def test_owners_must_be_known_first_only_where_they_decide():
    """Filtering and sorting by process are the only reasons."""
    assert not SessionsQuestion(sort=(SortKey("uid"),)).chooses_by_owner
    assert SessionsQuestion(sort=(SortKey("process"),)).chooses_by_owner
    assert SessionsQuestion(process="x").chooses_by_owner
    assert EVERY_ENDPOINT == SessionsQuestion().local
