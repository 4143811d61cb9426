"""Every recorded socket is found, by each way to read it, and none is invented."""

import re
from collections import Counter

from portroom.kernel import proc_net, sock_diag
from portroom.kernel.collect import Collector, tables
from portroom.kernel.columns import Columns
from portroom.kernel.rows import RowsQuery, request_of
from portroom.model.facts.snapshot import Rows
from portroom.model.facts.sockets import Family, Kind, Protocol, TcpState, address_text
from portroom.model.laws.summary import summary
from tests.replay.recordings import DUMPS, Made, diag_rows, disagreements, made, plain, sockets_of
from tests.replay.snapshots import (
    automatic,
    counters,
    explicitly_bound,
    proc_folder,
    recorded_groups,
)

SS_STATES = {"ESTAB": "ESTABLISHED", "UNCONN": "CLOSE", "FIN-WAIT-2": "FIN_WAIT2"}


def grouped(groups):
    """Return how many sockets are in groups, by all that groups tell of one."""
    found = Counter()
    for table in groups:
        for key, ports in table.ports.items():
            local = address_text(table.family, key[2:18])
            remote = address_text(table.family, key[18:34])
            port = int.from_bytes(key[:2], "big")
            for own in ports:
                place = table.protocol, table.family, table.state
                found[Made(*place, local, own, remote, port, 0, 0)] += 1
    return found


def without_process(one):
    """Return a socket without uid and inode, which groups do not keep."""
    return one._replace(uid=0, inode=0)


def test_a_dump_asks_what_was_asked_when_it_was_recorded(recorded):
    """The request for all sockets of a protocol is the recorded one, byte for byte."""
    for name, protocol, family in DUMPS[2:]:
        request = request_of(protocol, family, RowsQuery())
        states = recorded.request(name)[4:8]

        assert recorded.request(name) == request[:4] + states + request[8:]


def test_rows_are_the_sockets_of_the_manifest(recorded):
    """Each socket is one row with its state, both ends, user and inode; no row is more."""
    assert [] == disagreements(recorded)


def test_what_is_only_bound_is_listed_where_the_kernel_can(recorded):
    """Kernels before BOUND_INACTIVE list no such socket; the others list all eleven."""
    dumps = (*recorded.dump("tcp4-bound"), *recorded.dump("tcp6-bound"))
    found = sum(len(sock_diag.messages(datagram)) for datagram in dumps)

    assert (11 if recorded.features.bound_inactive_rows else 0) == found


def test_groups_hold_the_sockets_of_the_manifest(recorded):
    """A Collector that folds nothing has each TCP and UDP socket once."""
    found = Counter()
    for name, protocol, _ in DUMPS:
        collector = Collector()
        for datagram in recorded.dump(name):
            collector.feed(datagram)
        found += grouped(tables(collector, protocol, Kind.UNKNOWN))
    expected = Counter(without_process(as_grouped(made(one))) for one in recorded.listed())

    assert expected == found


def as_grouped(one):
    """Return a socket with the state that the kernel's row has."""
    return one._replace(state=TcpState.CLOSE) if one.state is TcpState.BOUND_INACTIVE else one


def test_folding_keeps_every_socket(recorded):
    """Accepted sockets are counted under their listener, all others are in a group."""
    groups = recorded_groups(recorded)
    single = grouped(groups.tables).total()
    folded = sum(one.sockets for one in groups.inbound)
    accepted = [
        one
        for one in recorded.listed()
        if one["port_from"] in ("accepted (listener port)", "listener port")
    ]

    assert len(recorded.listed()) == single + folded
    assert len(accepted) == folded


def test_listeners_and_bound_sockets_tell_whether_they_are_v6only(recorded):
    """Wildcards say what was asked for; a specific address is v6only; IPv4 tells nothing."""
    kinds = (Kind.LISTENER, Kind.BOUND)
    told = {
        (port, table.v6only)
        for table in recorded_groups(recorded).tables
        if table.kind in kinds and table.family is Family.IPV6
        for ports in table.ports.values()
        for port in ports
    }
    expected = {
        (one["local"]["port"], one.get("v6only", 1) == 1)
        for one in recorded.listed()
        if one["protocol"] == "tcp"
        and one["state"] in ("LISTEN", "BOUND_INACTIVE")
        and ":" in plain(one["local"]["address"])
    }

    assert expected == told


def test_no_port_and_explicit_ports_are_told(recorded):
    """Where a port came from is known of these two kinds, and of no others."""
    kinds = {
        kind: {port for ports in kind_ports(recorded, kind) for port in ports}
        for kind in (Kind.NO_PORT, Kind.EXPLICIT)
    }
    no_port = {
        one["local"]["port"]
        for one in recorded.listed()
        if "NO_PORT" in one["port_from"] and one["state"] == "ESTABLISHED"
    }

    assert {Kind.NO_PORT: no_port, Kind.EXPLICIT: {42000}} == kinds


def kind_ports(recorded, kind):
    """Return the lists of ports of one kind."""
    return [
        ports
        for table in recorded_groups(recorded).tables
        if table.kind is kind
        for ports in table.ports.values()
    ]


def test_the_filter_for_automatic_ports_leaves_out_one_socket(recorded):
    """Of the established ones only 127.0.0.1:42000 asked for its port by number."""
    rest = sum(len(sock_diag.messages(datagram)) for datagram in automatic(recorded))
    tcp = [one for one in recorded.listed() if one["protocol"] == "tcp"]

    assert 1 == len(explicitly_bound(recorded))
    assert len(tcp) - 1 == rest


def test_a_socket_bound_to_a_device_has_a_key_of_its_own(recorded):
    """The device index is the end of the key."""
    bound = [
        (port, int.from_bytes(key[34:], "little"))
        for table in recorded_groups(recorded).tables
        for key, ports in table.ports.items()
        for port in ports
        if any(key[34:])
    ]
    expected = [(one["local"]["port"], 1) for one in recorded.listed() if one.get("bound_device")]

    assert expected == bound


def test_time_wait_tells_its_remaining_time(recorded):
    """Each entry has between none and all of its 60 seconds left."""
    times = [
        (len(ports), list(table.remaining_ms[key]))
        for table in recorded_groups(recorded).tables
        if table.state is TcpState.TIME_WAIT
        for key, ports in table.ports.items()
    ]
    expected = [one for one in recorded.listed() if one["state"] == "TIME_WAIT"]
    folded = [one for one in expected if one["local"]["port"] == 9001]

    assert len(expected) - len(folded) == sum(count for count, _ in times)
    assert all(count == len(left) for count, left in times)
    assert all(50_000 < ms <= 60_000 for _, left in times for ms in left)


def test_proc_net_tells_the_same_sockets(recorded, tmp_path):
    """The texts hold all sockets but those that are only bound."""
    rows = proc_net.read_rows((Protocol.TCP, Protocol.UDP), str(proc_folder(recorded, tmp_path)))
    expected = Counter(made(one) for one in recorded.manifest if one["state"] != "BOUND_INACTIVE")

    assert expected == sockets_of(rows)


def test_many_datagrams_give_each_row_once(recorded):
    """301 sockets in seven datagrams: a listener and both ends of 150 connections."""
    columns, collector = Columns(), Collector(frozenset({9000}), lambda *_: True)
    for datagram in recorded.dump("tcp4-many"):
        columns.append(datagram, Protocol.TCP, Family.IPV4)
        collector.feed(datagram)
    rows = columns.rows
    clients = sorted(
        own for own, port in zip(rows.local_port, rows.remote_port, strict=True) if port == 9000
    )
    grouped_ports = sorted(
        port
        for table in tables(collector, Protocol.TCP, Kind.UNKNOWN)
        for ports in table.ports.values()
        for port in ports
    )
    expected = recorded.json("index.json")["diag-tcp4-many.bin"]["client_ports"]

    assert expected == clients == grouped_ports
    assert 301 == len(rows.state) == collector.rows
    assert 151 == sum(collector.inbound.values())


def test_the_remote_port_filter_was_obeyed(recorded):
    """The kernel's answer to our bytecode has the remote port 9000 and no other."""
    columns = Columns()
    for datagram in recorded.dump("tcp4-dport9000"):
        columns.append(datagram, Protocol.TCP, Family.IPV4)
    every = [one for one in recorded.listed() if one["family"] == "AF_INET" and one["remote"]]

    assert sum(one["remote"]["port"] == 9000 for one in every) == len(columns.rows.state)
    assert {9000} == set(columns.rows.remote_port)


def test_ss_lists_the_same_sockets(recorded):
    """What ss printed, row by row: state, queues, both ends."""
    rows = diag_rows(recorded)
    listed = Counter(
        fields
        for fields in zip(
            [state.name for state in rows.state],
            rows.recv_queue_bytes,
            rows.send_queue_bytes,
            rows.local_address,
            rows.local_port,
            rows.remote_address,
            rows.remote_port,
            strict=True,
        )
        if fields[0] != "BOUND_INACTIVE"
    )

    assert Counter(ss_sockets(recorded)) == listed


def ss_sockets(recorded):
    """Yield state, queues and both ends of each socket that ss printed."""
    for name in ("ss-tcp.txt", "ss-udp.txt"):
        for line in recorded.text(name).splitlines():
            state, receive, send, local, remote = line.split()
            ends = (*ss_end(local), *ss_end(remote))
            spelled = SS_STATES.get(state, state.replace("-", "_"))
            # This ss prints a queue over 2 GiB, as of a deferred connect, as negative.
            yield spelled, int(receive), int(send) % 2**32, *ends


def ss_end(text):
    """Return address and port of ``127.0.0.1%lo:40044`` or ``*:9002``."""
    address, _, port = text.rpartition(":")
    address = re.sub("%.*", "", address.strip("[]").replace("*", "::"))
    return plain(address), 0 if port == "*" else int(port)


def test_ss_counts_the_same(recorded):
    """
    The summary of the recorded counters is what ``ss -s`` printed, but for its
    Total, which counts the sockets of the recorder too, and was read before.
    """
    text = recorded.text("ss-summary.txt")
    numbers = list(map(int, re.findall(r"\d+", text.replace("IPv6", ""))))
    found = summary(counters(recorded), recorded_groups(recorded))
    tcp = found.tcp
    head = [tcp.total, tcp.established, tcp.closed, tcp.orphaned, tcp.time_wait]
    kinds = [getattr(found.transports, name) for name in ("raw", "udp", "tcp", "inet", "frag")]
    table = [number for kind in kinds for number in (kind.total, kind.ipv4, kind.ipv6)]

    assert numbers[1:] == [*head, *table]


def test_columns_are_of_one_length(recorded):
    """No field of a row is lost."""
    rows = diag_rows(recorded)
    lengths = {len(getattr(rows, name)) for name in Rows.__struct_fields__}

    assert {len(recorded.listed())} == lengths
