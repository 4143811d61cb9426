"""What `portroom features` says of this kernel is what the kernel does."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from portroom.kernel import abilities, sock_diag
from portroom.kernel.abilities import read_abilities
from portroom.kernel.features import _forgets_for_bind, _forgets_for_connect, read_features
from portroom.kernel.namespaces import read_cookie
from portroom.kernel.netlink import NETLINK_SOCK_DIAG, Netlink
from portroom.kernel.throwaway import Throwaway
from portroom.model.facts.features import Asked
from portroom.model.facts.sockets import TcpState
from portroom.model.laws.feature_table import FEATURES
from tests.kernel.harness import (
    CLONE_NEWNET,
    CLONE_NEWUSER,
    in_child,
    own_user_namespace,
    read_setting,
    unshare,
    write_settings,
)
from tests.kernel.sockets import attempt, connected, fill, listener, tcp, udp

FIRST = ("127.0.0.1", 9000)
TRACED = {"trace_events", "trace_stacks"}
NO_PROTOCOL, NO_FAMILY = 200, 3
"""A protocol of IP that nobody has, and a family without any sockets of it listed: AX.25."""


def held(found):
    """Return whether each feature holds, without what was seen beside."""
    return {name: one.holds for name, one in found.items()}


def test_all_features_but_those_of_tracing_are_asked(netns):
    """The kernel's part answers each row of the table, and nothing else."""
    found = netns(read_abilities)

    assert {row.name for row in FEATURES} - TRACED == set(found)


def test_what_the_laws_use_is_the_same(netns):
    """One question has one answer, whoever asks."""
    known, found = netns(lambda: (read_features(), held(read_abilities())))

    assert {
        "bucket_forgets": known.bucket_forgets,
        "range_option": known.range_option,
        "bound_inactive_rows": known.bound_inactive_rows,
        "tw_reuse_by_age": known.tw_reuse_by_age,
    } == {name: found[name] for name in known.__struct_fields__}


def test_both_ways_to_ask_whether_a_bucket_forgets_agree():
    """Where a socket can have a window, connect() and bind() tell the same."""
    by_connect, by_bind = Throwaway((_forgets_for_connect, _forgets_for_bind)).answers(2).told

    assert by_bind is not None
    assert by_connect in {by_bind, None}
    # In a child: a socket of the test process would be one of every test after this.
    done = in_child(lambda: attempt(lambda: tcp(range_option=(1, 1))))
    assert (by_connect is None) == (done != "ok")


def test_a_window_gives_as_many_ports_as_is_said(ten_ports):
    """Three connects from a window of three ports succeed where every port is given, else two."""

    def job():
        """Fill a window inside the range, where sockets can have one."""
        said = read_abilities()["range_option_step"].holds
        if said is None:
            return said, None
        return said, fill(FIRST, range_option=(40_002, 40_004)).count

    said, count = ten_ports(job)

    assert {None: None, True: 3, False: 2}[said] == count


def test_the_probe_is_said_to_work_where_it_sends_nothing(ten_ports):
    """A connect that is prepared so succeeds, and no segment leaves."""

    def job():
        """Connect as the probe does."""
        said = read_abilities()["zero_packet_probe"].holds
        before = segments_sent()
        with abilities.unsent(socket.AF_INET) as prepared:
            number = prepared.connect_ex(FIRST)
        return said, number, segments_sent() - before

    said, number, sent = ten_ports(job)

    assert said == (number == 0 and sent == 0)


def test_the_probe_is_said_not_to_work_where_fast_open_is_off(netns):
    """What the namespace of the caller has switched off is asked there, not in the trial's."""
    found = netns(read_abilities, tcp_fastopen=0)

    expected = Asked(False, "bit 0 of net.ipv4.tcp_fastopen is off here (EOPNOTSUPP)")
    assert expected == found["zero_packet_probe"]


def test_rows_tell_no_port_where_it_is_said(netns):
    """The row of a connection that left its port to connect() has the flag, and only it."""

    def job():
        """Make one connection with the option and one without; return both, and what is said."""
        listener(*FIRST)
        made = [connected(FIRST, noport=one) for one in (True, False)]
        said = read_abilities()
        flags = flags_by_port() if said["tcp_rows"].holds else {}
        return [flags.get(one.getsockname()[1]) for one in made], said["no_port_rows"].holds

    flags, said = netns(job)

    assert [said, None if said is None else False] == flags


@pytest.mark.parametrize(
    ("family", "protocol"), [(socket.AF_INET, NO_PROTOCOL), (NO_FAMILY, socket.IPPROTO_TCP)]
)
def test_a_table_that_nobody_lists_is_not_an_empty_one(netns, family, protocol):
    """ENOENT at the end of an empty dump, or in an error, is a no: not "no sockets"."""
    request = sock_diag.request(family, protocol, states=0)

    found = netns(abilities._lists, request, "such_diag")

    assert Asked(False, "ENOENT: this kernel has no such_diag") == found


def test_settings_are_told_with_their_value_here(netns):
    """A setting that exists is a yes with the value of this namespace."""
    names = {
        "vrf": "tcp_l3mdev_accept",
        "step_width": "ip_local_port_step_width",
        "tw_reuse_by_age": "tcp_tw_reuse_delay",
    }

    def job():
        """Change one, and read them in another way."""
        if read_setting("tcp_tw_reuse_delay") is not None:
            write_settings(tcp_tw_reuse_delay=777)
        return read_abilities(), {name: read_setting(key) for name, key in names.items()}

    found, values = netns(job)

    assert {
        name: Asked(False) if value is None else Asked(True, f"it is {value} here")
        for name, value in values.items()
    } == {name: found[name] for name in names}


def test_a_cookie_is_told_where_namespaces_have_one(netns):
    """Two namespaces then have two cookies."""

    def job():
        """Return what is said, and the cookies of two namespaces."""
        said, here = read_abilities()["netns_cookie"].holds, read_cookie()
        unshare(CLONE_NEWNET)
        return said, here, read_cookie()

    said, here, there = netns(job)

    assert said == (here is not None) == (here != there)


def test_where_no_namespace_can_be_made_that_is_told(netns):
    """It is a no, and what only a trial tells is unknown with that reason."""

    def job():
        # The limit of a user namespace of our own, which ends with this child.
        unshare(CLONE_NEWUSER)
        own_user_namespace(0, 0)
        Path("/proc/sys/user/max_net_namespaces").write_text("0")
        return read_abilities()

    found = netns(job)

    assert found["private_netns"].holds is False
    assert "user.max_user_namespaces" in found["private_netns"].detail
    unknown = Asked(None, abilities.NO_NAMESPACE)
    assert unknown == found["bucket_forgets"] == found["zero_packet_probe"]


def test_an_ordinary_user_is_told_the_same_but_for_rights(netns):
    """Uid 1000 without any capability is told what root is, or that a right is missing."""

    def ordinary():
        os.setgroups([])
        os.setresgid(1000, 1000, 1000)
        os.setresuid(1000, 1000, 1000)
        return read_abilities()

    asked = ordinary if os.geteuid() == 0 else read_abilities

    root, user = netns(lambda: (read_abilities(), in_child(asked)))

    unlike = {name for name in root if root[name].holds != user[name].holds}
    assert unlike <= {"conntrack_rows"}
    assert all(user[name] == Asked(None, "needs CAP_NET_ADMIN") for name in unlike)


def test_asking_changes_nothing(ten_ports):
    """No socket and no process more, every setting as before, and no port is lost."""

    def job():
        """Ask beside a connection and a UDP socket."""
        fill(FIRST, at_most=1)
        udp(("127.0.0.1", 5000))
        before = state()
        read_abilities()
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
        return before, state(), fill(("127.0.0.1", 9001)).count

    before, after, count = ten_ports(job)

    assert before == after
    assert 10 == count


def state():
    """Return every row of the tables of sockets, and every setting of IPv4."""
    tables = [rows_of(name) for name in ("tcp", "tcp6", "udp", "udp6")]
    paths = sorted(path for path in Path("/proc/sys/net/ipv4").iterdir() if path.is_file())
    return tables, {path.name: text_of(path) for path in paths}


def rows_of(name):
    """
    Return the sockets of a table: ends, state, queues, user and inode.

    Timers and references are the kernel's own: a handshake that has just ended leaves some.
    """
    lines = Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    return [[*line.split()[1:5], line.split()[7], line.split()[9]] for line in lines]


def text_of(path):
    """Return the text of a setting, or the error of one that may not be read."""
    try:
        return path.read_text()
    except OSError as error:
        return error.errno


def segments_sent():
    """Return how many segments of TCP left this namespace."""
    head, values = [
        line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if "Tcp:" in line
    ]
    return int(values[head.index("OutSegs")])


def flags_by_port():
    """Return whether the row of each connection tells NO_PORT, by its local port."""
    found = {}
    request = sock_diag.legacy_request(1 << TcpState.ESTABLISHED)
    with Netlink(NETLINK_SOCK_DIAG) as netlink:
        for datagram in netlink.dump(sock_diag.TCPDIAG_GETSOCK, request):
            for message in sock_diag.messages(datagram):
                row = sock_diag.attributes(message, sock_diag.ATTRIBUTES)
                port = int.from_bytes(message[20:22], "big")
                found[port] = bool(row.get(sock_diag.SOCKOPT, bytes(2))[1] & sock_diag.NO_PORT_BIT)
    return found
