"""Lines of /proc/net become sockets, groups and rows, or an error that quotes them."""

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portroom.errors import KernelDataError
from portroom.kernel.proc_net import parse_line, parse_sockets, read_groups, read_rows
from portroom.model.facts.ports import PortRange
from portroom.model.facts.snapshot import Inbound
from portroom.model.facts.sockets import (
    Family,
    Kind,
    Protocol,
    TcpState,
    address_text,
    packed_address,
)

HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt\n"
ANY, LOOP = "00000000", "0100007F"
ANY6, LOOP6 = "0" * 32, "00000000000000000000000001000000"
MAPPED = "0000000000000000FFFF00000100007F"

ESTABLISHED, TIME_WAIT, CLOSE, LISTEN = 1, 6, 7, 10


def line(local, remote, state, *, timer="00:00000000", queues="00000000:00000000", inode=7):
    """Return one line as Linux prints it."""
    return (
        f"   0: {local} {remote} {state:02X} {queues} {timer} 00000000    33"
        f"        0 {inode} 1 00000000490e3b79 20 0 0 10 -1\n"
    )


def parsed(text):
    """Return one parsed line in words."""
    found = parse_line(text.encode())
    return (
        found.family.name,
        address_text(found.family, found.local),
        found.local_port,
        address_text(found.family, found.remote),
        found.remote_port,
    )


@pytest.fixture
def proc(tmp_path):
    """Return a function that writes tables of a procfs and returns its path."""
    folder = tmp_path / "thread-self/net"
    folder.mkdir(parents=True)

    def write(**tables):
        for name, lines in tables.items():
            (folder / name).write_text(HEADER + "".join(lines))
        return str(tmp_path)

    return write


@pytest.mark.parametrize(
    ("local", "remote", "expected"),
    [
        (f"{LOOP}:1F90", f"{ANY}:0000", ("IPV4", "127.0.0.1", 8080, "0.0.0.0", 0)),
        (f"{LOOP6}:1F90", f"{ANY6}:0000", ("IPV6", "::1", 8080, "::", 0)),
        (
            "B80D0120000000000000000002000000:9C70",
            "B80D0120000000000000000001000000:01BB",
            ("IPV6", "2001:db8::2", 40048, "2001:db8::1", 443),
        ),
        (f"{MAPPED}:0050", f"{MAPPED}:9C9A", ("IPV4", "127.0.0.1", 80, "127.0.0.1", 40090)),
        (f"{MAPPED}:0050", f"{ANY6}:0000", ("IPV4", "127.0.0.1", 80, "0.0.0.0", 0)),
    ],
)
def test_addresses_are_read_by_words(local, remote, expected):
    """
    Each word is a number of the machine's order; v4-mapped is IPv4.
    """
    assert expected == parsed(line(local, remote, ESTABLISHED))


def test_queues_timer_uid_and_inode_are_numbers():
    """
    tx before rx; the timer counts 100 ticks a second.
    """
    text = line(f"{LOOP}:0001", f"{LOOP}:0002", 6, timer="03:0000175A", queues="0000000A:0000000B")
    found = parse_line(text.encode())

    assert (TcpState.TIME_WAIT, 10, 11, 59780, 33, 7) == (
        found.state,
        found.send_queue_bytes,
        found.recv_queue_bytes,
        found.remaining_ms,
        found.uid,
        found.inode,
    )


PORTS = st.integers(0, 65535)
V4 = st.binary(min_size=4, max_size=4)
V6 = st.binary(min_size=16, max_size=16).filter(lambda packed: packed[:10] != bytes(10))


def printed(packed):
    """Return an address as Linux prints it on a little-endian machine."""
    words = [packed[start : start + 4][::-1] for start in range(0, len(packed), 4)]
    return b"".join(words).hex().upper()


@given(st.one_of(st.tuples(V4, V4), st.tuples(V6, V6)), PORTS, PORTS)
def test_what_is_printed_is_read_back(addresses, local_port, remote_port):
    """
    parse(print(x)) is x for every pair of endpoints.
    """
    local, remote = addresses
    text = line(
        f"{printed(local)}:{local_port:04X}", f"{printed(remote)}:{remote_port:04X}", ESTABLISHED
    )
    found = parse_line(text.encode())

    assert (local.ljust(16, b"\0"), local_port) == (found.local, found.local_port)
    assert (remote.ljust(16, b"\0"), remote_port) == (found.remote, found.remote_port)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        b"   0: 0100007F:1F90\n",
        line(f"{LOOP}:XXXX", f"{ANY}:0000", LISTEN).encode(),
        line("0100:1F90", f"{ANY}:0000", LISTEN).encode(),
        line(f"{LOOP}:1F90", f"{ANY}:0000", 99).encode(),
        line(f"{LOOP}:1F90", f"{ANY}:0000", LISTEN).encode()[:60],
        b"   0: \xff\xfe\n",
    ],
)
def test_a_line_that_is_no_socket_is_an_error(text):
    """
    It names the file and quotes the line; nothing is left out silently.
    """
    with pytest.raises(KernelDataError, match="tcp: expected a socket, got b"):
        list(parse_sockets([HEADER.encode(), text], where="tcp"))


@pytest.mark.parametrize("lines", [[], [b"garbage\n"]])
def test_a_table_begins_with_its_header(lines):
    """
    An empty file is not "no sockets".
    """
    with pytest.raises(KernelDataError, match="expected a header"):
        list(parse_sockets(lines, where="tcp"))


def listening(address, port):
    """Return the line of a listener."""
    return line(f"{address}:{port:04X}", f"{'0' * len(address)}:0000", LISTEN)


def between(local, local_port, remote, remote_port, state=ESTABLISHED, **rest):
    """Return the line of a connection."""
    return line(f"{local}:{local_port:04X}", f"{remote}:{remote_port:04X}", state, **rest)


def group(groups, state):
    """Return kind and ports of the tables of one state."""
    return [
        (
            table.protocol,
            table.family,
            table.kind,
            sorted(chain.from_iterable(table.ports.values())),
        )
        for table in groups.tables
        if table.state is state
    ]


def test_connections_are_grouped_and_accepted_ones_fold(proc):
    """
    What a listener covers is counted, the rest is of unknown kind.
    """
    groups = read_groups(
        proc=proc(
            tcp=[
                listening(LOOP, 80),
                between(LOOP, 80, LOOP, 40000),
                between(LOOP, 80, LOOP, 40002, TIME_WAIT),
                between(LOOP, 40000, LOOP, 80),
                between(LOOP, 40004, LOOP, 80, timer="02:00000100"),
            ],
            udp=[between(LOOP, 53, ANY, 0, CLOSE)],
        )
    )
    address = packed_address("127.0.0.1")[1]
    key = (80).to_bytes(2, "big") + address + address + bytes(4)
    (connected,) = (table for table in groups.tables if key in table.ports)

    assert [(Protocol.TCP, Family.IPV4, Kind.LISTENER, [80])] == group(groups, TcpState.LISTEN)
    assert [(Protocol.UDP, Family.IPV4, Kind.UNKNOWN, [53])] == group(groups, TcpState.CLOSE)
    assert [40000, 40004] == list(connected.ports[key])
    assert Kind.UNKNOWN is connected.kind
    assert {} == connected.remaining_ms
    assert {
        Inbound(Protocol.TCP, Family.IPV4, address, 80, TcpState.ESTABLISHED, 1),
        Inbound(Protocol.TCP, Family.IPV4, address, 80, TcpState.TIME_WAIT, 1),
    } == set(groups.inbound)


def test_one_protocol_is_read_alone(proc):
    """
    Only the sockets of the protocol that is asked for are grouped.
    """
    folder = proc(tcp=[listening(LOOP, 80)], udp=[between(LOOP, 53, ANY, 0, CLOSE)])
    groups = read_groups(proc=folder, protocols=(Protocol.UDP,))

    assert [Protocol.UDP] == [table.protocol for table in groups.tables]
    assert [(Protocol.UDP, Family.IPV4, Kind.UNKNOWN, [53])] == group(groups, TcpState.CLOSE)


def test_a_dual_listener_covers_both_families(proc):
    """
    Accepted v4-mapped sockets fold too, counted as IPv4.
    """
    groups = read_groups(
        proc=proc(
            tcp=[],
            tcp6=[
                listening(ANY6, 80),
                between(MAPPED, 80, MAPPED, 40000),
                between(LOOP6, 80, LOOP6, 40000),
            ],
            udp=[],
        )
    )

    assert {(Family.IPV4, "127.0.0.1", 1), (Family.IPV6, "::1", 1)} == {
        (part.family, address_text(part.family, part.local_address), part.sockets)
        for part in groups.inbound
    }


def test_time_wait_keeps_its_remaining_time(proc):
    """
    In the same order as the ports of the group.
    """
    groups = read_groups(
        proc=proc(
            tcp=[
                between(LOOP, 40000, LOOP, 80, TIME_WAIT, timer="03:00000064"),
                between(LOOP, 40002, LOOP, 80, TIME_WAIT, timer="03:00001770"),
            ],
            udp=[],
        )
    )
    (table,) = groups.tables
    ((ports, times),) = zip(table.ports.values(), table.remaining_ms.values(), strict=True)

    assert [(40000, 1000), (40002, 60000)] == list(zip(ports, times, strict=True))


def test_only_ports_of_the_scope_are_kept_and_every_listener(proc):
    """
    Both ends of the scope are inside.
    """
    groups = read_groups(
        PortRange(40000, 40002),
        proc(
            tcp=[
                listening(LOOP, 80),
                *(between(LOOP, port, LOOP, 443) for port in range(39999, 40004)),
            ],
            udp=[between(LOOP, 53, ANY, 0, CLOSE)],
        ),
    )

    assert [(Protocol.TCP, Family.IPV4, Kind.LISTENER, [80])] == group(groups, TcpState.LISTEN)
    assert [(Protocol.TCP, Family.IPV4, Kind.UNKNOWN, [40000, 40001, 40002])] == group(
        groups, TcpState.ESTABLISHED
    )
    assert [] == group(groups, TcpState.CLOSE)
    assert PortRange(40000, 40002) == groups.scope


def test_rows_have_every_column(proc):
    """
    One entry a socket in each column, of each protocol asked for.
    """
    path = proc(
        tcp=[between(LOOP, 40000, LOOP, 80, inode=9)],
        udp=[between(LOOP, 53, ANY, 0, CLOSE)],
        udp6=[between(LOOP6, 53, ANY6, 0, CLOSE)],
    )
    rows = read_rows([Protocol.TCP, Protocol.UDP], path)

    assert [Protocol.TCP, Protocol.UDP, Protocol.UDP] == rows.protocol
    assert ["127.0.0.1", "127.0.0.1", "::1"] == rows.local_address
    assert [9, 7, 7] == rows.inode
    assert {3} == {len(getattr(rows, column)) for column in rows.__struct_fields__}


def test_a_protocol_without_any_file_is_an_error(proc):
    """
    Missing is not "no sockets": the caller makes a Gap of it.
    """
    path = proc(tcp=[])

    with pytest.raises(FileNotFoundError, match="thread-self/net/udp"):
        read_rows([Protocol.TCP, Protocol.UDP], path)
    with pytest.raises(FileNotFoundError, match="mptcp"):
        read_rows([Protocol.MPTCP], path)
