"""Keys that are full in other namespaces are found, and the own ones are not among them."""

from __future__ import annotations

from pathlib import Path

from portroom.kernel import namespaces
from portroom.kernel.elsewhere import read_elsewhere, read_ranges
from portroom.model.facts.gaps import Gap
from portroom.model.facts.ports import PortRange
from portroom.model.facts.sockets import Endpoint
from tests.kernel import needs
from tests.kernel.bystanders import bystander, drop_rights, own_namespace
from tests.kernel.harness import set_up, write_settings
from tests.kernel.sockets import connected, fill, fill_bind0, listener, take, udp

SERVER = ("127.0.0.1", 9000)
TEN_PORTS = "40000 40009"

HAVE_NO_COOKIE = namespaces.read_cookie() is None
BOUND_ARE_LISTED = needs.features().bound_inactive_rows is True


def with_ten_ports():
    """
    Be in a namespace with ten ports and a server.
    """
    own_namespace()
    set_up("lo")
    write_settings(ip_local_port_range=TEN_PORTS)
    listener(*SERVER)


def full():
    """
    Fill the key of the server.
    """
    fill(SERVER)


def half():
    """
    Fill half of the key of the server.
    """
    fill(SERVER, 5)


def inode_of(pid):
    """
    Return the inode of the network namespace of a process.
    """
    return Path(f"/proc/{pid}/ns/net").stat().st_ino


def keys_in(pids, *remotes):
    """
    Return the keys that are told of the namespaces of some processes, with the process's place.
    """
    inodes = {inode_of(pid): place for place, pid in enumerate(pids)}
    found = read_elsewhere(remotes)
    return [
        (inodes[one.netns.inode], one.key)
        for one in (() if isinstance(found, Gap) else found)
        if one.netns.inode in inodes
    ]


def found_in(pids, *remotes):
    """
    Return place, remote and exhaustion of the connect keys that are told.
    """
    return [
        (place, key.remote_address, key.remote_port, key.exhausted)
        for place, key in keys_in(pids, *remotes)
        if key.remote_port
    ]


def test_a_full_key_of_another_namespace_is_found_and_a_half_full_one_is_not(netns):
    """
    A half full one is in doubt at most, where bound sockets of the other may be its own.
    """

    def job():
        with bystander(with_ten_ports, full) as one, bystander(with_ten_ports, half) as two:
            return found_in([one, two])

    sure, *others = netns(job)

    assert (0, "127.0.0.1", 9000, True) == sure
    assert {*others} <= (set() if BOUND_ARE_LISTED else {(1, "127.0.0.1", 9000, False)})


def test_only_the_destination_asked_about_is_told(netns):
    """
    Every other key is somebody else's trouble.
    """

    def job():
        with bystander(with_ten_ports, full) as pid:
            asked = Endpoint(*SERVER), Endpoint("127.0.0.1", 9001)
            return [found_in([pid], remote) for remote in asked]

    assert [[(0, "127.0.0.1", 9000, True)], []] == netns(job)


def test_pools_without_a_remote_are_told_as_well(netns):
    """
    Of UDP, and of bind() to port 0; whatever remote is asked about.
    """

    def all_of_udp():
        take(lambda: udp(("127.0.0.1", 0)))

    def all_bound():
        fill_bind0("127.0.0.1")

    def job():
        with (
            bystander(with_ten_ports, all_of_udp) as one,
            bystander(with_ten_ports, all_bound) as two,
        ):
            found = [
                (key.exhausted, (place, key.protocol, key.operation))
                for place, key in keys_in([one, two], Endpoint("127.0.0.1", 9001))
            ]
            return {what for _, what in found}, {what for sure, what in found if sure}

    of_udp, bound = {(0, "udp", "connect"), (0, "udp", "bind0")}, (1, "tcp", "bind0")
    told, sure = netns(job)

    assert of_udp | ({bound} if BOUND_ARE_LISTED else set()) == sure
    assert bound in told


def test_the_own_namespace_is_not_elsewhere(netns):
    """
    What is full here is told elsewhere.
    """

    def job():
        listener(*SERVER)
        fill(SERVER)
        own = Path("/proc/thread-self/ns/net").stat().st_ino
        found = read_elsewhere()
        return own in {one.netns.inode for one in (() if isinstance(found, Gap) else found)}

    assert netns(job, ip_local_port_range=TEN_PORTS) is False


def test_sockets_that_are_only_bound_fill_a_namespace_as_well(netns):
    """
    They are in no count of those in use, and are found all the same; not for sure where
    the kernel does not list them.
    """

    def blocked():
        connected(SERVER)
        fill_bind0("127.0.0.9")

    def job():
        with bystander(with_ten_ports, blocked) as pid:
            return found_in([pid])

    assert [(0, "127.0.0.1", 9000, BOUND_ARE_LISTED)] == netns(job)


def test_ranges_are_those_of_each_namespace(netns):
    """
    The own one included; reserved ports outside of the range do not count.
    """

    def reserving():
        with_ten_ports()
        write_settings(ip_local_reserved_ports="40003-40004,50000")

    def job():
        own = Path("/proc/thread-self/ns/net").stat().st_ino
        with bystander(reserving) as pid:
            found = {one.netns.inode: one for one in read_ranges(namespaces.survey())[0]}
            return found[own], found[inode_of(pid)]

    own, other = netns(job, ip_local_port_range="30000 30999")

    assert (PortRange(30000, 30999), 0) == (own.range, own.reserved_ports)
    assert (PortRange(40000, 40009), 2) == (other.range, other.reserved_ports)
    cookies = {own.netns.cookie, other.netns.cookie}
    assert {None} == cookies if HAVE_NO_COOKIE else len(cookies - {None}) == 2


def test_without_the_right_to_enter_that_is_a_gap(netns):
    """
    Nothing found is not told where others were not looked at.
    """

    def job():
        with bystander(with_ten_ports, full):
            drop_rights()
            return read_elsewhere()

    found = netns(job)

    assert isinstance(found, Gap)
    assert "CAP_SYS" in found.reason
