"""What is told of the surroundings of a change is what the kernel does and `ip` tells."""

from __future__ import annotations

import errno
import json
import os
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from portroom.kernel.limits import read_conntrack, read_open_files, read_tcp_memory
from portroom.kernel.namespaces import identify, inside
from portroom.kernel.netns_names import NetnsRef
from portroom.kernel.owners import read_owners
from portroom.kernel.processes import parse_stat
from portroom.kernel.published_ports import read_published
from portroom.kernel.surroundings import read_surroundings
from portroom.kernel.vxlan import read_vxlan
from portroom.model.facts.answers import RangeEnds
from portroom.model.facts.sockets import Owner
from portroom.model.facts.surroundings import VxlanPort
from tests.kernel.harness import Neighbour, in_child, ip, set_up, wait_until
from tests.kernel.sockets import listener


def add_vxlan(*ports):
    """
    Make a VXLAN device for each port: ``vx0``, ``vx1`` and so on.
    """
    for number, port in enumerate(ports):
        ip(f"link add vx{number} type vxlan id {number + 7} dstport {port} dev lo")


def test_vxlan_devices_are_those_that_ip_tells(netns):
    """
    With name and port, and no device of another kind.
    """

    def job():
        ip("link add near type veth peer name far")
        add_vxlan(8472, 4789, 40001)
        told = json.loads(ip("-json -details link show type vxlan"))
        return read_vxlan(), {
            VxlanPort(one["linkinfo"]["info_data"]["port"], one["ifname"]) for one in told
        }

    found, told = netns(job)

    assert (4789, 8472, 40001) == tuple(one.port for one in found)
    assert told == set(found)


def test_more_vxlan_devices_than_one_datagram_holds(netns):
    """
    A host of an overlay network may have hundreds.
    """

    def job():
        subprocess.run(
            ["ip", "-batch", "-"],
            input="".join(
                f"link add vx{number} type vxlan id {number} dstport {number} dev lo\n"
                for number in range(1, 201)
            ).encode(),
            check=True,
        )
        return [one.port for one in read_vxlan()]

    assert list(range(1, 201)) == netns(job)


def test_a_vxlan_device_that_is_up_holds_its_port(netns):
    """
    The port that is told is the one at which bind() then fails.
    """

    def attempt(port):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            try:
                udp.bind(("0.0.0.0", port))
            except OSError as error:
                return error.errno
        return 0

    def job():
        add_vxlan(40001)
        (found,) = read_vxlan()
        before = attempt(found.port)
        set_up("vx0")
        return before, attempt(found.port)

    assert (0, errno.EADDRINUSE) == netns(job)


def test_the_thread_decides_whose_devices_are_told(netns):
    """
    Inside another namespace its devices are told, not those of the process.
    """

    def job():
        add_vxlan(40001)
        neighbour = Neighbour()
        with neighbour.inside():
            add_vxlan(40002)
            ref = NetnsRef(identify(), f"/proc/{os.getpid()}/fd/{neighbour._away}")
        there = inside(ref, lambda: read_surroundings(ref.id, ()))
        return [one.port for one in read_vxlan()], [one.port for one in there.vxlan]

    assert ([40001], [40002]) == netns(job)


def test_no_device_at_all(netns):
    """
    An empty reply is no error.
    """
    assert () == netns(read_vxlan)


def test_open_files_are_those_of_the_process():
    """
    The number follows each descriptor, and the limit is the soft one.
    """
    me = owner_of(os.getpid())
    before = read_open_files([me])[0][0]
    opened = [os.dup(0) for _ in range(17)]
    try:
        after = read_open_files([me, me])[0]
    finally:
        for descriptor in opened:
            os.close(descriptor)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)

    assert [before.used + 17] == [one.used for one in after]
    assert soft == before.limit
    assert me == before.owner


def owner_of(pid):
    """
    Return a process as the owner that it is of a listener.
    """
    with listener("127.0.0.1", 0) as server:
        owners, _ = read_owners([os.fstat(server.fileno()).st_ino])
    return next(one for found in owners.values() for one in found if one.pid == pid)


def test_a_later_process_with_the_same_number_is_another_one():
    """
    Its start time tells.
    """
    me = owner_of(os.getpid())
    earlier = Owner(me.pid, me.start_time - 1, me.command, me.uid, None, None)
    gone = Owner(2**22 + 1, 1, "gone", 0, None, None)

    assert ((), ()) == read_open_files([earlier, gone])


TAKE_ALL = """
import resource, socket
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
print("ready", flush=True)
input()
made = []
try:
    while True:
        made.append(socket.socket())
except OSError as error:
    print(len(made), error.errno)
"""
"""A program that makes sockets, once it is told to, until the kernel refuses."""


def test_the_limit_bites_where_it_is_told():
    """
    A process can make as many sockets as are told to be left, and then EMFILE comes.
    """
    with subprocess.Popen(
        [sys.executable, "-c", TAKE_ALL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        process.stdout.readline()
        start_time = parse_stat(Path(f"/proc/{process.pid}/stat").read_bytes()).start_time
        owner = Owner(process.pid, start_time, "python", 0, None, None)
        ((told,), _) = read_open_files([owner])
        made, refusal = process.communicate("go\n")[0].split()

    assert 200 == told.limit
    assert (str(told.limit - told.used), str(errno.EMFILE)) == (made, refusal)


@pytest.mark.skipif(
    not Path("/proc/sys/net/netfilter/nf_conntrack_count").exists(),
    reason="this kernel tracks no connections",
)
def test_tracked_connections_are_those_of_the_namespace(netns):
    """
    The number and the limit are what the kernel tells this namespace.
    """

    def job():
        folder = Path("/proc/sys/net/netfilter")
        names = ("nf_conntrack_count", "nf_conntrack_max")
        return tuple(read_conntrack()), tuple(int((folder / name).read_text()) for name in names)

    found, told = netns(job)

    assert told == found


def test_memory_of_tcp_is_told_in_the_initial_namespace_alone(netns):
    """
    A new namespace shows no limit, so nothing is told.
    """
    told = Path("/proc/sys/net/ipv4/tcp_mem")

    assert (None, None) == netns(read_tcp_memory)
    if told.exists():
        assert int(told.read_text().split()[2]) == read_tcp_memory().limit


def test_a_process_that_calls_itself_kubelet_makes_its_namespace_a_node(netns, tmp_path):
    """
    And no other namespace; an API server's command line then gives the range.
    """

    def job():
        here, elsewhere = identify(), Neighbour()
        with elsewhere.inside():
            there = identify()
        kubelet = start_as(tmp_path / "kubelet")
        default = read_surroundings(here, ()).node_ports
        server = start_as(tmp_path / "kube-apiserver", "--service-node-port-range=20000-20999")
        own = read_surroundings(here, ()).node_ports
        others = inside(
            NetnsRef(there, f"/proc/{os.getpid()}/fd/{elsewhere._away}"),
            lambda: read_surroundings(there, ()).node_ports,
        )
        for process in (kubelet, server):
            process.kill()
            process.wait()
        return default, own, others, kubelet.pid

    default, own, others, pid = netns(job)

    assert RangeEnds(30000, 32767) == default.ports
    assert RangeEnds(20000, 20999) == own.ports
    assert f"kubelet runs (process {pid})" in own.evidence
    assert others is None


def start_as(program, *arguments):
    """
    Start a shell under the name of *program*, which waits until it is killed.
    """
    program.symlink_to("/bin/sh")
    command = ["sh", "-c", "read forever", "sh", *arguments]
    process = subprocess.Popen(command, executable=program, stdin=subprocess.PIPE)
    # Popen returns once exec() has closed its descriptors, which is before the name is set.
    name = Path(f"/proc/{process.pid}/comm")
    wait_until(lambda: name.read_text().strip() == program.name, f"it is {program.name}")
    return process


def test_who_may_not_look_at_docker_is_told_so(tmp_path):
    """
    Nobody but root may list Docker's containers; another user learns that their ports are unknown.
    """
    (tmp_path / "var/lib/docker/containers").mkdir(parents=True)
    (tmp_path / "var/lib/docker").chmod(0o700)
    (tmp_path / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as docker:
        docker.bind(str(tmp_path / "run/docker.sock"))
    tmp_path.chmod(0o755)
    root = os.open(tmp_path, os.O_PATH)

    def job():
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        else:
            (tmp_path / "var/lib/docker").chmod(0)
        return read_published({}, b"/proc/self/fd/%d" % root)

    ports, (gap,) = in_child(job)
    os.close(root)

    assert () == ports
    assert ("/var/lib/docker/containers", ("collisions",)) == (gap.source, gap.affects)
    assert "Permission denied" in gap.reason


def test_reading_is_quick_and_leaves_nothing(netns):
    """
    The whole reading takes a few milliseconds, and every descriptor is closed again.
    """

    def job():
        here = identify()
        read_surroundings(here, ())
        before = len(list(Path("/proc/self/fd").iterdir()))
        times = []
        for _ in range(5):
            begin = time.perf_counter()
            read_surroundings(here, ())
            times.append(time.perf_counter() - begin)
        return min(times), before, len(list(Path("/proc/self/fd").iterdir()))

    seconds, before, after = netns(job)

    assert before == after
    assert 0.05 > seconds
