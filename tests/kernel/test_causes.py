"""Every cause that explain knows: made on the real kernel, named, and nothing else with it.

Rules of this file: a test makes the failure, sees its errno, and asks afterwards. Where
the same errno has another cause, that one alone is named.
"""

from __future__ import annotations

import os
import resource
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from portroom.api.explain import explain
from portroom.api.source import Live
from portroom.model.facts.explanation import FOUND, POSSIBLE, RULED_OUT, UNKNOWN, ExplainQuestion
from portroom.model.facts.sockets import Protocol
from tests.kernel import needs
from tests.kernel.harness import Neighbour, black_hole, in_namespace, wait_until, write_settings
from tests.kernel.nat_host import NatHost, fill_table, nft, track_all
from tests.kernel.sockets import (
    attempt,
    connected,
    fill,
    fill_bind0,
    in_state,
    listener,
    make_time_wait,
    tcp,
    udp,
)

FIRST, SECOND = ("127.0.0.1", 9000), ("127.0.0.1", 9001)
TO_FIRST, TO_SECOND = "127.0.0.1:9000", "127.0.0.1:9001"
TEN_PORTS = "40000 40009"
FULL, IN_USE, AGAIN = "EADDRNOTAVAIL", "EADDRINUSE", "EAGAIN"
BACKLOG = 1


def why(error: str | None, remote: str | None = None, **asked: object) -> tuple[str, ...]:
    """Return the causes that are found, of the present namespace."""
    return explain(ExplainQuestion(error=error, remote=remote, **asked), Live()).found


def verdicts(error: str | None, remote: str | None = None, **asked: object) -> dict[str, str]:
    """Return the verdict of each cause that was judged."""
    answer = explain(ExplainQuestion(error=error, remote=remote, **asked), Live())
    return {cause.name: cause.verdict for cause in answer.causes}


def with_ten_ports(job: Callable[[], object], **settings: object) -> object:
    """Return what *job* returns where ten ports may be chosen and two servers listen."""

    def begin() -> object:
        """Listen on both."""
        listener(*FIRST)
        listener(*SECOND)
        return job()

    return in_namespace(begin, **({"ip_local_port_range": TEN_PORTS} | settings))


def test_a_key_whose_4_tuples_hold_every_port_is_full_and_another_is_not():
    """Ten connections to one destination: full; the other destination has all ten."""

    def job():
        real = fill(FIRST).outcome
        return real, why(FULL, TO_FIRST), why(FULL, TO_SECOND), attempt(lambda: connected(SECOND))

    real, full, other, second = with_ten_ports(job)

    assert (10, FULL) == real
    assert ("key_full",) == full
    assert () == other
    assert "ok" == second


def test_time_waits_fill_a_key_as_well():
    """Ten TIME_WAITs towards one destination that nothing may reuse."""

    def job():
        server = listener("127.0.0.1", 9002)
        make_time_wait(server, ("127.0.0.1", 9002), 10)
        return attempt(lambda: connected(("127.0.0.1", 9002))), why(FULL, "127.0.0.1:9002")

    refusal, found = with_ten_ports(job, tcp_tw_reuse=0)

    assert FULL == refusal
    assert ("key_full",) == found


def test_bind_first_sockets_block_the_ports_for_every_destination():
    """Ten sockets that bound before they connected: nobody else gets a port, to anywhere."""

    def job():
        real = fill(FIRST, bind=("127.0.0.1", 0)).outcome
        return real, attempt(lambda: connected(SECOND)), why(FULL, TO_SECOND)

    real, refusal, found = with_ten_ports(job)

    assert (10, IN_USE) == real
    assert FULL == refusal
    assert ("ports_blocked",) == found


def test_bind_first_sockets_are_named_without_a_destination():
    """The kernel is asked for one that nobody is connected to: this pool, and no other."""

    def job():
        fill(FIRST, bind=("127.0.0.1", 0))
        return why(FULL), verdicts(FULL)["key_full"]

    found, full = with_ten_ports(job)

    assert ("ports_blocked",) == found
    assert RULED_OUT == full


def test_a_full_key_is_named_without_a_destination_and_nothing_else():
    """Ten automatic connections: any other destination has two free ports at once."""

    def job():
        fill(FIRST)
        return why(FULL), verdicts(FULL)["ports_blocked"]

    found, blocked = with_ten_ports(job)

    assert ("key_full",) == found
    assert RULED_OUT == blocked


def test_without_the_probe_bind_first_sockets_are_a_possible_cause_only():
    """What the kernel does not tell is a doubt, never a verdict."""

    def job():
        fill(FIRST, bind=("127.0.0.1", 0))
        return verdicts(FULL, TO_SECOND, probe=False)

    found = with_ten_ports(job)

    assert POSSIBLE == found["ports_blocked"]


def test_ten_automatic_connections_elsewhere_are_no_cause_and_no_doubt_stays():
    """The probe sees two free ports, and stops: neither full nor blocked."""

    def job():
        fill(FIRST)
        return verdicts(FULL, TO_SECOND)

    found = with_ten_ports(job)

    assert RULED_OUT == found["key_full"]
    assert RULED_OUT == found["ports_blocked"]


def test_listeners_block_the_ports_as_well():
    """Ten listeners on another address inside the range."""

    def job():
        for port in range(40000, 40010):
            listener("127.0.0.9", port)
        return attempt(lambda: connected(SECOND)), why(FULL, TO_SECOND)

    refusal, found = with_ten_ports(job)

    assert FULL == refusal
    assert ("ports_blocked",) == found


def test_reserved_ports_that_leave_one_narrow_the_range():
    """Nine of ten reserved, and one connection: the list is to blame, and said to be."""

    def job():
        fill(FIRST)
        return why(FULL, TO_FIRST)

    found = with_ten_ports(job, ip_local_reserved_ports="40000-40008")

    assert "narrowed_range" in found
    assert "ports_blocked" not in found


@needs.range_option
def test_a_window_of_the_program_itself_narrows_the_range():
    """Sockets with IP_LOCAL_PORT_RANGE of four ports: full, while the range is not."""

    def job():
        real = fill(FIRST, range_option=(40002, 40005)).outcome
        return real, why(FULL, TO_FIRST, pid=os.getpid()), why(FULL, TO_FIRST)

    real, found, without = with_ten_ports(job)

    assert (4, FULL) == real
    assert ("narrowed_range",) == found
    assert () == without


def test_a_4_tuple_that_exists_clashes_with_the_port_asked_for():
    """Port 40001 by name, to a destination that has it already; another port is free."""

    def job():
        connected(FIRST, bind=("127.0.0.1", 40001), reuse_address=True)
        again = attempt(lambda: connected(FIRST, bind=("127.0.0.1", 40001), reuse_address=True))
        asked = {"from_address": "127.0.0.1"}
        return (
            again,
            why(FULL, TO_FIRST, from_port=40001, **asked),
            why(FULL, TO_FIRST, from_port=40002, **asked),
            why(FULL, TO_SECOND, from_port=40001, **asked),
        )

    again, found, other_port, other_remote = with_ten_ports(job)

    assert FULL == again
    assert ("tuple_clash",) == found
    assert () == other_port
    assert () == other_remote


def test_a_4_tuple_of_a_socket_that_is_bound_to_a_device_is_a_possible_clash_only():
    """Kernel case c29: a socket that is bound to no device gets the same 4-tuple."""

    def job():
        options = {"bind": ("127.0.0.1", 40001), "reuse_address": True}
        connected(FIRST, device="lo", **options)
        found = verdicts(FULL, TO_FIRST, from_address="127.0.0.1", from_port=40001)
        return found["tuple_clash"], attempt(lambda: connected(FIRST, **options))

    assert (POSSIBLE, "ok") == with_ten_ports(job)


def test_a_listener_for_ipv6_alone_is_in_the_way_of_one_wildcard():
    """Of 0.0.0.0 it is not, so that without an address nothing is sure."""

    def job():
        listener("::", 9005, v6only=True)
        found = [
            verdicts(IN_USE, from_port=9005, from_address=address)["port_taken"]
            for address in (None, "0.0.0.0", "::")
        ]
        return found, attempt(lambda: tcp(("0.0.0.0", 9005)))

    found, ipv4 = with_ten_ports(job)

    # A socket somewhere in the system may be bound here where none of them is listed.
    unlisted = not needs.features().bound_inactive_rows
    assert found in ([POSSIBLE, verdict, FOUND] for verdict in [RULED_OUT, UNKNOWN][: 1 + unlisted])
    assert "ok" == ipv4


def test_an_address_that_this_host_does_not_have():
    """bind() says EADDRNOTAVAIL, and no port is to blame."""

    def job():
        bound = attempt(lambda: tcp(("192.0.2.77", 0)))
        return bound, why(FULL, from_address="192.0.2.77"), why(FULL, from_address="127.0.0.1")

    bound, found, own = with_ten_ports(job)

    assert FULL == bound
    assert ("address_not_local",) == found
    assert () == own


def test_ipv6_that_is_off_leaves_no_address_to_go_from():
    """connect() to ::1 with IPv6 off: EADDRNOTAVAIL, and IPv4 works."""

    def job():
        Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").write_text("1")
        return (
            attempt(lambda: connected(("::1", 9000))),
            why(FULL, "[::1]:9000"),
            why(FULL, TO_FIRST),
        )

    refusal, found, ipv4 = with_ten_ports(job)

    assert FULL == refusal
    assert ("no_source_address",) == found
    assert () == ipv4


def test_a_bind0_pool_is_full_for_the_addresses_that_overlap():
    """Ten automatic connections leave bind(127.0.0.1, 0) nothing, and 127.0.0.2 everything."""

    def job():
        fill(FIRST)
        return (
            attempt(lambda: tcp(("127.0.0.1", 0))),
            why(IN_USE, from_address="127.0.0.1"),
            why(IN_USE, from_address="127.0.0.2"),
        )

    refusal, found, other = with_ten_ports(job)

    assert IN_USE == refusal
    assert ("bind0_pool_full",) == found
    assert () == other


def test_a_port_that_a_listener_has_is_taken():
    """And nothing else is the cause of the EADDRINUSE."""

    def job():
        return (
            attempt(lambda: tcp(FIRST)),
            why(IN_USE, from_address="127.0.0.1", from_port=9000),
            why(IN_USE, from_address="127.0.0.1", from_port=9002),
        )

    refusal, found, free = with_ten_ports(job)

    assert IN_USE == refusal
    assert ("port_taken",) == found
    assert () == free


def test_a_port_of_a_socket_that_is_only_bound_is_taken_or_in_doubt():
    """Never said to be free: where such sockets are not listed, that is said in words."""

    def job():
        held = tcp(("127.0.0.1", 9005))
        asked = {"from_address": "127.0.0.1", "from_port": 9005}
        (cause,) = [
            one
            for one in explain(ExplainQuestion(error=IN_USE, **asked), Live()).causes
            if one.name == "port_taken"
        ]
        held.close()
        return cause.verdict, "does not list sockets that are only bound" in cause.sentence

    listed = needs.features().bound_inactive_rows is True

    assert ((FOUND, False) if listed else (UNKNOWN, True)) == with_ten_ports(job)


def test_sockets_that_are_only_bound_block_the_ports_for_every_destination():
    """Or may do so: a kernel that does not list them is asked, and what it does not say is said."""

    def job():
        fill_bind0("127.0.0.9")
        (cause,) = [
            one
            for one in explain(ExplainQuestion(error=FULL, remote=TO_SECOND), Live()).causes
            if one.name == "ports_blocked"
        ]
        return attempt(lambda: connected(SECOND)), cause.verdict, cause.sentence

    refusal, verdict, sentence = with_ten_ports(job)

    assert FULL == refusal
    if needs.features().bound_inactive_rows:
        assert FOUND == verdict
    else:
        assert verdict in {FOUND, POSSIBLE}
        assert "only bound, which this kernel does not list" in sentence


@pytest.mark.parametrize("ended", [False, True])
def test_a_port_that_an_outgoing_connection_holds_is_no_listeners(ended):
    """Alive or in TIME_WAIT: the service that wants the port has to wait for it."""

    def job():
        if ended:
            server = listener("127.0.0.1", 9002)
            make_time_wait(server, ("127.0.0.1", 9002), 10)
        else:
            fill(FIRST)
        refusal = attempt(lambda: tcp(("0.0.0.0", 40003)))
        return refusal, why(IN_USE, from_address="0.0.0.0", from_port=40003)

    refusal, found = with_ten_ports(job, tcp_tw_reuse=0)

    assert IN_USE == refusal
    assert ("port_held_by_outgoing",) == found


def test_a_udp_pool_is_full_for_every_destination():
    """Ten connected UDP sockets; an unbound send gets EAGAIN, and no unix socket is to blame."""

    def job():
        real = fill(FIRST, make=udp).outcome
        return real, why(AGAIN), why(AGAIN, TO_SECOND), why(FULL, TO_SECOND)

    real, found, other, tcp_one = with_ten_ports(job)

    assert (10, AGAIN) == real
    assert ("udp_pool_full",) == found
    assert ("udp_pool_full",) == other
    assert () == tcp_one


def test_a_unix_backlog_that_is_full_gives_eagain_too():
    """And then no UDP port is to blame."""

    def job():
        server = socket.socket(socket.AF_UNIX)
        server.bind("\0portroom-test")
        server.listen(BACKLOG)
        clients = [socket.socket(socket.AF_UNIX) for _ in range(BACKLOG + 2)]
        for client in clients:
            client.setblocking(False)
        refusals = [attempt(lambda one=one: one.connect("\0portroom-test")) for one in clients]
        return refusals, why(AGAIN)

    refusals, found = with_ten_ports(job)

    assert ["ok"] * (BACKLOG + 1) + [AGAIN] == refusals
    assert ("unix_backlog_full",) == found


def test_a_process_at_its_limit_of_open_files():
    """socket() says EMFILE; the system as a whole has plenty."""

    def job():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        held = []
        refusal = attempt(lambda: held.extend(tcp() for _ in range(100)))
        child = os.fork()
        if child == 0:
            wait_until(lambda: False, "the parent ends it", deadline_s=60)
        for one in held:
            one.close()
        found = why("EMFILE", pid=child), why("EMFILE", pid=os.getpid())
        os.kill(child, 9)
        return refusal, *found

    refusal, child, parent = with_ten_ports(job)

    assert "EMFILE" == refusal
    assert ("open_files",) == child
    assert () == parent


def test_a_key_that_is_full_in_another_namespace_is_told():
    """The destination looks empty here: the process that fails is elsewhere."""

    def job():
        neighbour = Neighbour()
        with neighbour.inside():
            write_settings(ip_local_port_range=TEN_PORTS)
            listener(neighbour.there, 9000)
            fill((neighbour.there, 9000))
            elsewhere = os.fork()
            if elsewhere == 0:
                wait_until(lambda: False, "the parent ends it", deadline_s=60)
        there = f"{neighbour.there}:9000"
        found = why(FULL, there), why(FULL, there, pid=elsewhere), why(FULL, TO_SECOND)
        os.kill(elsewhere, 9)
        return found

    here, inside, other = with_ten_ports(job)

    assert ("other_namespace",) == here
    assert "key_full" in inside
    assert () == other


def test_an_accept_queue_that_is_full_makes_connects_time_out():
    """A listener that nobody serves: its queue overflows, the handshake is dropped."""

    def job():
        server = tcp(("127.0.0.1", 9002))
        server.listen(BACKLOG)
        for _ in range(BACKLOG + 1):
            connected(("127.0.0.1", 9002))
        late = tcp()
        late.settimeout(1.5)
        refusal = attempt(lambda: late.connect(("127.0.0.1", 9002)))
        return refusal, why("ETIMEDOUT", "127.0.0.1:9002"), why("ETIMEDOUT", TO_FIRST)

    refusal, found, other = with_ten_ports(job)

    assert "ok" != refusal
    assert "accept_queue_full" in found
    assert () == other


def test_a_remote_that_never_answers():
    """SYNs that are lost: no answer, and neither tracking nor translation is to blame."""

    def job():
        remote = black_hole(), 9000
        for _ in range(3):
            one = tcp()
            one.setblocking(False)
            one.connect_ex(remote)
        wait_until(lambda: in_state(2) == 3, "three SYNs are on the way")
        return why("ETIMEDOUT", f"{remote[0]}:9000"), why("ETIMEDOUT", TO_FIRST)

    found, other = with_ten_ports(job)

    assert ("no_answer",) == found
    assert () == other


def test_a_firewall_is_neither_named_nor_ruled_out():
    """EPERM of a dropped packet: the rules are not read, and that is said; tracking is."""

    def job():
        nft(
            "add table ip refuse",
            "add chain ip refuse out { type filter hook output priority 0 ; }",
            "add rule ip refuse out udp dport 5353 drop",
        )
        refusal = attempt(lambda: udp().sendto(b"", ("127.0.0.1", 5353)))
        return refusal, verdicts("EPERM", "127.0.0.1:5353", protocol=Protocol.UDP)

    refusal, found = with_ten_ports(job)

    assert "EPERM" == refusal
    assert UNKNOWN == found["firewall_refuses"]
    assert RULED_OUT == found["conntrack_full"]


def test_nothing_fails_and_nothing_is_found():
    """A namespace at rest has no cause to name, whatever is asked."""
    errors = (FULL, IN_USE, AGAIN, "ETIMEDOUT", "EMFILE", "ENFILE", None)

    found = with_ten_ports(lambda: [why(error) for error in errors])

    assert [()] * len(errors) == found


def test_bind0_of_udp_is_judged_by_the_udp_pool():
    """Ten UDP sockets: EADDRINUSE of bind(0) has its cause there, TCP has all ports."""

    def job():
        real = fill_bind0("0.0.0.0", kind=socket.SOCK_DGRAM).outcome
        return real, why(IN_USE, protocol=Protocol.UDP), why(IN_USE, protocol=Protocol.TCP)

    real, found, tcp_one = with_ten_ports(job)

    assert (10, IN_USE) == real
    assert found in {("udp_pool_full",), ("bind0_pool_full",)}
    assert () == tcp_one


def test_a_translation_that_finds_no_port_makes_connects_time_out():
    """Ten ports to translate to, ten connections: the eleventh is dropped, and never 99."""

    def job():
        host = NatHost("masquerade to :50000-50009")
        filled = host.fill()
        trying = threading.Thread(target=host.one_more, daemon=True)
        trying.start()
        found = why("ETIMEDOUT"), why(FULL)
        trying.join()
        return filled, *found

    filled, found, ports = in_namespace(job)

    assert 10 == filled
    assert ("snat_exhausted",) == found
    assert () == ports


def test_a_translation_with_room_is_no_cause():
    """Five of ten translated, and the sixth goes through."""

    def job():
        host = NatHost("masquerade to :50000-50009")
        made = host.fill(at_most=5)
        return made, host.one_more(), why("ETIMEDOUT")

    made, sixth, found = in_namespace(job)

    assert (5, "ok") == (made, sixth)
    assert () == found


def test_a_tracking_table_that_is_full_makes_connects_time_out_and_sends_eperm():
    """The kernel's own limit, filled in a namespace of the test's own."""

    def job():
        track_all()
        listener(*FIRST)
        before = why("ETIMEDOUT", TO_FIRST), why("EPERM", TO_FIRST)
        fill_table()
        late = tcp()
        late.settimeout(1.0)
        refusal = attempt(lambda: late.connect(FIRST))
        sent = attempt(lambda: udp().sendto(b"", SECOND))
        return before, refusal, sent, why("ETIMEDOUT", TO_SECOND), why("EPERM", TO_SECOND)

    before, refusal, sent, timed_out, refused = in_namespace(job)

    assert ((), ()) == before
    assert "ok" != refusal
    assert "EPERM" == sent
    assert ("conntrack_full",) == timed_out
    assert ("conntrack_full",) == refused
