"""All surroundings together, from a folder: what belongs to whom, and what is a gap."""

import json

from portroom.kernel.surroundings import read_surroundings
from portroom.model.facts.snapshot import NetnsId
from tests.unit.kernel.trees import Link, make_tree

INODE = 4026532000
TREE = {
    "/proc/7/comm": "kubelet\n",
    "/proc/7/cgroup": "0::/system.slice/kubelet.service\n",
    "/proc/7/ns/net": Link(f"net:[{INODE}]"),
    "/proc/sys/net/netfilter/nf_conntrack_count": "3\n",
    "/proc/sys/net/netfilter/nf_conntrack_max": "100\n",
    "/proc/sys/net/ipv4/tcp_mem": "1 2 3\n",
    "/proc/thread-self/net/sockstat": "TCP: inuse 1 mem 2\n",
    "/etc/services": "postgresql 5432/tcp\n",
    "/usr/lib/systemd/system/postgresql.service": "[Service]\n",
    "/etc/nftables.conf": "tcp sport 32768-60999 accept\n",
    "/sys/fs/selinux/enforce": "1",
    f"/var/lib/docker/containers/{'a' * 64}/config.v2.json": json.dumps(
        {
            "Name": "/web",
            "State": {"Running": True},
            "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}},
        }
    ),
}


def surroundings(tmp_path, tree, kind="host"):
    """
    Return the surroundings of a namespace of a kind, read from a tree.
    """
    root = make_tree(tmp_path, tree)
    return read_surroundings(NetnsId("x", None, INODE, kind), (), f"{root}/proc", root)


def test_the_host_has_all_of_it(tmp_path):
    """
    Each part is read from its own place.
    """
    found = surroundings(tmp_path, TREE)

    assert [8080] == [one.port for one in found.published]
    assert [5432] == [one.port for one in found.services]
    assert ["/etc/nftables.conf"] == [one.file for one in found.filters]
    assert (30000, 32767) == (found.node_ports.ports.first, found.node_ports.ports.last)
    assert ("enforcing", 3, 100) == (found.selinux, found.conntrack_used, found.conntrack_max)
    assert (2, 3) == (found.tcp_memory_pages, found.tcp_memory_max_pages)
    assert found.workload is None


def test_another_namespace_has_what_is_its_own(tmp_path):
    """
    Services, firewalls' files and Docker are the host's; NodePorts are those of the namespace.
    """
    found = surroundings(tmp_path, TREE, "named")

    assert ((), (), ()) == (found.published, found.services, found.filters)
    assert found.node_ports is not None
    assert () == found.gaps


def test_what_cannot_be_read_is_a_gap_and_the_rest_is_told(tmp_path):
    """
    The gap says what it makes uncertain.
    """
    broken = {
        "/etc/systemd/system": Link("system"),
        "/sys/fs/selinux/enforce": "x",
        "/proc/sys/net/netfilter/nf_conntrack_count": "x",
        "/proc/thread-self/net/sockstat": "",
    }
    found = surroundings(tmp_path, TREE | broken)
    affected = {gap.source: gap.affects for gap in found.gaps}

    assert [8080] == [one.port for one in found.published]
    assert {
        "units": ("collisions",),
        "selinux": ("reasons",),
        "conntrack": ("limits",),
        "tcp_mem": ("limits",),
    }.items() <= affected.items()


def test_processes_that_are_hidden_are_a_gap(tmp_path):
    """
    A folder has no process 1 in its list, so there may be others.
    """
    assert "processes" in {gap.source for gap in surroundings(tmp_path, {"/proc": None}).gaps}
