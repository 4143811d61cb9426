"""What counts on ports is found in rows, in groups and around the host."""

from __future__ import annotations

import msgspec
import pytest

from portroom.model.advice.collisions import (
    BOUND,
    LISTENER,
    NODE_PORTS,
    PUBLISHED,
    SERVICE,
    UDP,
    UDP_CLIENT,
    VXLAN,
    Occupied,
)
from portroom.model.advice.occupied import occupied, of_sockets, unseen
from portroom.model.facts.answers import RangeEnds
from portroom.model.facts.gaps import Gap
from portroom.model.facts.ports import PortRange
from portroom.model.facts.snapshot import Groups
from portroom.model.facts.sockets import Protocol, TcpState
from portroom.model.facts.surroundings import (
    NodePorts,
    PublishedPort,
    ServicePort,
    Surroundings,
    VxlanPort,
)
from tests.unit.made_change import NGINX, NOWHERE, bound, host, listens, udp, with_rows
from tests.unit.made_groups import listener, table

PEER = ("198.51.100.1", 53)


@pytest.mark.parametrize(
    ("socket", "kind", "protocol"),
    [
        (listener(8080), LISTENER, "tcp"),
        (bound(8080), BOUND, "tcp"),
        (udp(8080), UDP, "udp"),
        (udp(8080, PEER), UDP_CLIENT, "udp"),
    ],
)
def test_groups_tell_who_has_a_port(socket, kind, protocol):
    """A listener, a bound socket and UDP sockets count on their port."""
    (found,) = of_sockets(host(socket))

    assert (kind, protocol, 8080, 8080) == found[:4]
    assert found.label.endswith(":8080")


def test_a_connection_does_not_count_on_its_port():
    """An outgoing TCP connection has its port for as long as it lasts, and no longer."""
    assert [] == list(of_sockets(host(table(40001, 40002), table(40003, state=TcpState.TIME_WAIT))))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (listens(8080), (LISTENER, "tcp")),
        ((Protocol.TCP, TcpState.BOUND_INACTIVE, 8080, 0, NGINX), (BOUND, "tcp")),
        ((Protocol.UDP, TcpState.CLOSE, 8080, 0, NGINX), (UDP, "udp")),
        ((Protocol.UDP, TcpState.ESTABLISHED, 8080, 53, NGINX), (UDP_CLIENT, "udp")),
        ((Protocol.UDPLITE, TcpState.CLOSE, 8080, 0, NGINX), (UDP, "udp")),
    ],
)
def test_rows_tell_who_has_a_port_and_whose_it_is(row, expected):
    """The same from rows, with owners."""
    (found,) = of_sockets(with_rows(host(), row))

    assert expected == found[:2]
    assert (NGINX,) == found.owners


@pytest.mark.parametrize(
    "row",
    [
        (Protocol.TCP, TcpState.ESTABLISHED, 8080, 443, NGINX),
        (Protocol.UDP, TcpState.CLOSE, 0, 0, NGINX),
        (Protocol.RAW, TcpState.CLOSE, 255, 0, NGINX),
        (Protocol.MPTCP, TcpState.LISTEN, 8080, 0, NGINX),
    ],
)
def test_rows_without_a_port_of_their_own_are_left_out(row):
    """Connections, sockets without a port and raw sockets count on none; MPTCP listens by TCP."""
    assert [] == list(of_sockets(with_rows(host(), row)))


def test_what_is_around_counts_on_ports_too():
    """Published ports, VXLAN devices, installed units and NodePorts need no socket."""
    around = Surroundings(
        published=(PublishedPort("tcp", 8080, "docker", "web"),),
        vxlan=(VxlanPort(8472, "flannel.1"),),
        services=(ServicePort("tcp", 3000, "grafana", "grafana-server.service"),),
        node_ports=NodePorts(RangeEnds(30000, 32767), "kubelet runs"),
    )

    assert (
        Occupied(PUBLISHED, "tcp", 8080, 8080, "docker container web"),
        Occupied(VXLAN, "udp", 8472, 8472, "flannel.1"),
        Occupied(SERVICE, "tcp", 3000, 3000, "grafana of grafana-server.service"),
        Occupied(NODE_PORTS, "tcp/udp", 30000, 32767, "kubelet runs"),
    ) == occupied(host(), around)


def test_nothing_is_unseen_where_the_groups_of_all_ports_were_read():
    """Then even without rows it is known what there is."""
    assert None is unseen(host(listener(8080)))
    assert () == occupied(host(), NOWHERE)


def test_sockets_are_unseen_where_nothing_was_read():
    """Without groups and rows it is not known what listens, and why is told."""
    gap = Gap("groups", "could not be read (EPERM)")
    read = msgspec.structs.replace(host(), groups=gap)

    assert gap == unseen(read)
    assert gap == unseen(with_rows(read))
    assert None is unseen(with_rows(read, listens(8080)))


def test_sockets_of_the_old_range_alone_do_not_tell_of_a_wider_one():
    """Groups of the range are no groups of all ports."""
    read = msgspec.structs.replace(host(), groups=Groups((), (), scope=PortRange(32768, 60999)))

    assert "only sockets on local ports 32768-60999 were read" == unseen(read).reason
