"""Ports of installed units: sockets say theirs, services are known by name."""

import os

import pytest

from portroom.kernel.service_ports import listened_port, parse_services, read_service_ports
from tests.unit.kernel.trees import Fifo, Link, make_tree

USR, ETC = "/usr/lib/systemd/system", "/etc/systemd/system"
SERVICES = """\
# Network services
ssh\t\t22/tcp\t\t\t\t# SSH
domain\t\t53/tcp
domain\t\t53/udp
mysql\t\t3306/tcp
postgresql\t5432/tcp\tpostgres\t# PostgreSQL
http-alt\t8080/tcp\twebcache
zabbix-agent\t10050/tcp
sctp-thing\t9/sctp
"""
SERVICE = "[Service]\nExecStart=/x\n"


def ports(tmp_path, tree, services=SERVICES):
    """
    Return protocol, port, service and unit of each port in a tree.
    """
    root = make_tree(tmp_path, {"/etc/services": services, **tree})
    return [
        (one.protocol, one.port, one.service, one.unit)
        for one in read_service_ports(os.fsencode(root))
    ]


def socket(*lines):
    """
    Return a socket unit with some lines.
    """
    return "\n".join(("[Unit]", "[Socket]", *lines, "[Install]", "ListenStream=1"))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ListenStream=9090", [("tcp", 9090)]),
        ("ListenDatagram=9090", [("udp", 9090)]),
        ("ListenStream=0.0.0.0:9090", [("tcp", 9090)]),
        ("ListenStream = [::1]:9090 ", [("tcp", 9090)]),
        ("ListenStream=[fe80::1]:9090%eth0", [("tcp", 9090)]),
        ("ListenStream=/run/x.sock", []),
        ("ListenStream=@abstract", []),
        ("ListenStream=vsock:2:9090", []),
        ("ListenStream=%t/x", []),
        ("ListenStream=0", []),
        ("ListenStream=65536", []),
        ("ListenStream=x:9090", []),
        ("ListenFIFO=/run/9090", []),
        ("ListenSequentialPacket=9090", []),
        ("ListenStream=9090\nListenStream=\nListenStream=9091", [("tcp", 9091)]),
        ("ListenStream=9090\nListenDatagram=", []),
        ("ListenStream=9090\nListenDatagram=9090", [("tcp", 9090), ("udp", 9090)]),
    ],
)
def test_socket_units_say_their_ports(tmp_path, line, expected):
    """
    A path or another family is no port; an empty value takes back what stands before.
    """
    found = ports(tmp_path, {f"{USR}/cockpit.socket": socket(line)})

    assert [(*one, "cockpit", "cockpit.socket") for one in expected] == found


def test_a_socket_has_the_name_of_its_service(tmp_path):
    """
    As /etc/services has it for port and protocol, else its own.
    """
    tree = {f"{USR}/proxy.socket": socket("ListenStream=8080", "ListenDatagram=8080")}
    expected = [("tcp", 8080, "http-alt", "proxy.socket"), ("udp", 8080, "proxy", "proxy.socket")]

    assert expected == ports(tmp_path, tree)


def test_drop_ins_move_a_socket(tmp_path):
    """
    What a generator or an administrator adds counts, in their order.
    """
    tree = {
        f"{USR}/ssh.socket": socket("ListenStream=22"),
        "/run/systemd/generator/ssh.socket.d/addresses.conf": socket(
            "ListenStream=", "ListenStream=0.0.0.0:2222"
        ),
    }

    assert [("tcp", 2222, "ssh", "ssh.socket")] == ports(tmp_path, tree)


def test_an_instance_fills_in_its_name(tmp_path):
    """
    The template itself names no port.
    """
    tree = {
        f"{USR}/proxy@.socket": socket("ListenStream=127.0.0.1:%i"),
        f"{ETC}/sockets.target.wants/proxy@7777.socket": Link(f"{USR}/proxy@.socket"),
    }

    assert [("tcp", 7777, "proxy", "proxy@7777.socket")] == ports(tmp_path, tree)


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("postgresql.service", [("tcp", 5432, "postgresql")]),
        ("postgresql@.service", [("tcp", 5432, "postgresql")]),
        ("postgresql@15-main.service", [("tcp", 5432, "postgresql")]),
        ("postgres.service", [("tcp", 5432, "postgresql")]),
        ("webcache.service", [("tcp", 8080, "http-alt")]),
        ("mariadb.service", [("tcp", 3306, "mysql")]),
        ("sshd.service", [("tcp", 22, "ssh")]),
        ("named.service", [("tcp", 53, "domain"), ("udp", 53, "domain")]),
        ("zabbix-agent2.service", [("tcp", 10050, "zabbix-agent")]),
        ("sctp-thing.service", []),
        ("postgresql-backup.service", []),
        ("postgresql.timer", []),
        ("nginx.service", []),
    ],
)
def test_service_units_are_known_by_name(tmp_path, unit, expected):
    """
    By name, by alias, without what makes an instance, or by the table of other names.
    """
    found = ports(tmp_path, {f"{USR}/{unit}": SERVICE})

    assert [(*one, unit) for one in expected] == found


@pytest.mark.parametrize("mask", [Link("/dev/null"), "", Fifo(), Link("nowhere")])
def test_a_masked_or_broken_unit_listens_on_nothing(tmp_path, mask):
    """
    In /etc it switches off the one of that name in /usr.
    """
    tree = {
        f"{USR}/postgresql.service": SERVICE,
        f"{ETC}/postgresql.service": mask,
        f"{USR}/a.socket": socket("ListenStream=9090"),
        f"{ETC}/a.socket": mask,
    }

    assert [] == ports(tmp_path, tree)


def test_a_port_is_told_once(tmp_path):
    """
    Sockets go before services, and names before later ones.
    """
    tree = {
        f"{USR}/ssh.socket": socket("ListenStream=22", "ListenStream=[::]:22"),
        f"{USR}/ssh.service": SERVICE,
        f"{USR}/sshd.service": Link("ssh.service"),
    }

    assert [("tcp", 22, "ssh", "ssh.socket")] == ports(tmp_path, tree)


@pytest.mark.parametrize("services", ["", "\0\xff", Fifo(), Link("nowhere")])
def test_without_services_sockets_still_tell(tmp_path, services):
    """
    A file that is none says nothing, and is not waited for.
    """
    tree = {f"{USR}/a.socket": socket("ListenStream=9090"), f"{USR}/ssh.service": SERVICE}

    assert [("tcp", 9090, "a", "a.socket")] == ports(tmp_path, tree, services)


def test_the_second_file_of_services(tmp_path):
    """
    It counts where the first is missing.
    """
    tree = {"/usr/etc/services": SERVICES, f"{USR}/postgresql.service": SERVICE}
    root = os.fsencode(make_tree(tmp_path, tree))

    assert [5432] == [one.port for one in read_service_ports(root)]


@pytest.mark.parametrize(
    "line",
    [
        b"a 0/tcp",
        b"a 65536/tcp",
        b"a 999999/tcp",
        b"a b/tcp",
        b"a 1/tcpx",
        b" a 1/tcp",
        b"#a 1/tcp",
        b"a\n1/tcp",
        b"",
    ],
)
def test_lines_that_are_no_service(line):
    """
    They are left out, and the next line counts.
    """
    assert ["next"] == [one.names[0] for one in parse_services(line + b"\nnext 7/udp\n")]


@pytest.mark.parametrize("text", [b"", b":", b"[]:1", b"1:2:3", b"a", b"1.2.3.4", b"80 81", b"-1"])
def test_texts_that_name_no_port(text):
    """
    What systemd takes for no address is none here.
    """
    assert listened_port(text) is None
