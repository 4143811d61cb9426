"""Findings on the real kernel: each made so that it fires, beside a state where it must not.

What needs no kernel is tested with made Snapshots (tests/unit/model/advice/findings).
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from portroom.api.doctor import doctor
from portroom.api.source import Live
from portroom.model.facts.answers import CRITICAL, INFO, WARNING
from tests.kernel import needs
from tests.kernel.harness import LIBC, Neighbour, in_namespace, write_settings
from tests.kernel.nat_host import NatHost, add_entries, fill_table, track_all
from tests.kernel.sockets import (
    accept_all,
    close,
    connected,
    fill,
    fill_bind0,
    listener,
    make_time_wait,
    tcp,
    udp,
)

FIRST, SECOND = ("127.0.0.1", 9000), ("127.0.0.1", 9001)
HUNDRED_PORTS = "40000 40099"
PR_SET_NAME = 15

ASKED_PORT_BY_PORT = needs.features().range_option is True
"""Whether the kernel can be asked about a single port."""


def found(*, settle: bool = False, watch_s: float = 0.0) -> dict[str, str]:
    """Return the severity of each finding of the present namespace."""
    answer = doctor(Live(), settle=settle, watch_s=watch_s)
    return {one.name: one.severity for one in answer.findings}


def evidence(name: str, **asked: object) -> str:
    """Return the evidence of one finding."""
    (one,) = [one for one in doctor(Live(), **asked).findings if one.name == name]
    return one.evidence


def gaps(**asked: object) -> set[str]:
    """Return the sources of what could not be read."""
    return {gap.source for gap in doctor(Live(), **asked).gaps}


def with_hundred_ports(job: Callable[[], object], **settings: object) -> object:
    """Return what *job* returns where a hundred ports may be chosen and a server listens."""

    def begin() -> object:
        """Listen."""
        listener(*FIRST)
        return job()

    return in_namespace(begin, **({"ip_local_port_range": HUNDRED_PORTS} | settings))


def test_a_namespace_at_rest_has_no_finding():
    """Nothing is open, and every setting is the host's."""
    hosts = " ".join(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())

    assert {} == in_namespace(found, ip_local_port_range=hosts)


@pytest.mark.parametrize(
    ("connections", "severity"),
    [(50, None), (51, INFO), (80, INFO), (81, WARNING), (95, WARNING), (96, CRITICAL)],
)
def test_a_key_is_tight_by_its_share_of_ports(connections, severity):
    """Over a half connect() costs more, over 80 % it is near, over 95 % at hand."""

    def job():
        fill(FIRST, at_most=connections)
        return found().get("tight_key")

    assert severity == with_hundred_ports(job)


def test_a_program_that_binds_before_it_connects_is_named():
    """By the parity of its ports, and for sure once the kernel was asked, where it can be."""

    def job():
        fill(FIRST, at_most=20, bind=("127.0.0.1", 0))
        return evidence("bind_first", watch_s=0.0), evidence("bind_first", settle=True, watch_s=0.0)

    guessed, sure = with_hundred_ports(job)

    assert "pytest" in guessed or "python" in guessed
    assert ASKED_PORT_BY_PORT is (sure != guessed)


def test_a_program_that_filled_the_range_by_binding_first_is_named_once_the_kernel_was_asked():
    """Then its ports have both parities, and nothing but the kernel can tell."""

    def job():
        fill(FIRST, bind=("127.0.0.1", 0))
        return found(), found(settle=True), gaps(settle=True)

    unasked, asked, unsettled = with_hundred_ports(job)

    assert "bind_first" not in unasked
    assert (WARNING if ASKED_PORT_BY_PORT else None) == asked.get("bind_first")
    assert ASKED_PORT_BY_PORT is not ("probe" in unsettled)


def test_a_program_that_filled_the_range_by_connecting_is_not():
    """The kernel would give its ports to others."""

    def job():
        fill(FIRST)
        return found(settle=True)

    assert "bind_first" not in with_hundred_ports(job)


@pytest.mark.parametrize("noport", [True, False])
def test_a_program_that_leaves_the_port_to_connect_is_not(noport):
    """Whether it binds with IP_BIND_ADDRESS_NO_PORT or not at all."""

    def job():
        fill(FIRST, at_most=20, **({"noport": True, "bind": ("127.0.0.1", 0)} if noport else {}))
        return found(settle=True)

    assert "bind_first" not in with_hundred_ports(job)


def test_accepted_connections_are_no_sign_of_bind_first():
    """A server on an odd port of the range: its children all have that port."""

    def job():
        server = listener("127.0.0.1", 40001)
        clients = [connected(("127.0.0.1", 40001), bind=("127.0.0.1", 0)) for _ in range(20)]
        accept_all(server, 20)
        del clients
        return doctor(Live(), watch_s=0.0).findings

    (one,) = [one for one in with_hundred_ports(job) if one.name == "bind_first"]
    # The clients are what is told, and the server's twenty children are not counted with them.
    assert 20 == one.numbers["sockets"]


def test_a_listener_inside_of_the_range_is_found_unless_it_is_reserved():
    """One at 40002, which no bind(0) would get; the one outside is no finding."""

    def job():
        listener("0.0.0.0", 40002)
        before = found()
        write_settings(ip_local_reserved_ports="40002")
        return before, found()

    before, after = with_hundred_ports(job)

    assert WARNING == before["listener_in_range"]
    assert "listener_in_range" not in after


def test_a_range_of_the_same_parity():
    """Both ends even."""
    same = in_namespace(found, ip_local_port_range="40000 40100")
    other = in_namespace(found, ip_local_port_range="40000 40099")

    assert "same_parity" in same
    assert "same_parity" not in other


def test_time_waits_that_were_cut_short_are_found_as_they_happen():
    """Two TIME_WAITs may be there, and ten connections end."""

    def job():
        server = listener("127.0.0.1", 9002)
        clients = fill(("127.0.0.1", 9002), at_most=10).sockets
        served = accept_all(server, 10)
        before = found()
        close(clients)
        for one in served:
            one.recv(1)
        close(served)
        return before, found()

    before, after = with_hundred_ports(job, tcp_max_tw_buckets=2)

    assert "tw_buckets_low" not in before
    assert "tw_buckets_low" in after


def test_autobind_reuse_is_told():
    """It is off by default, and lets two sockets have one port."""
    assert "autobind_reuse" in in_namespace(found, ip_autobind_reuse=1)


def test_close_wait_piles_up_with_its_owner():
    """A program that does not close what its peers closed."""

    def job():
        server = listener("127.0.0.1", 9002)
        clients = fill(("127.0.0.1", 9002), at_most=150).sockets
        accept_all(server, 150)
        close(clients)
        return evidence("close_wait_pile", watch_s=0.0)

    told = with_hundred_ports(job, ip_local_port_range="40000 49999")

    assert "150" in told


def test_a_udp_program_with_a_port_for_each_destination():
    """Three hundred connected sockets, each with a port of its own."""

    def job():
        for host in range(300):
            one = udp()
            one.connect((f"127.0.{host // 250}.{host % 250 + 1}", 53))
        return evidence("udp_port_each", watch_s=0.0)

    told = with_hundred_ports(job, ip_local_port_range="40000 40999")

    assert "300" in told


def test_one_udp_socket_for_all_destinations_is_no_finding():
    """It is how it should be."""

    def job():
        one = udp()
        for host in range(1, 200):
            one.sendto(b"", (f"127.0.0.{host}", 53))
        return found()

    assert "udp_port_each" not in with_hundred_ports(job)


def test_time_waits_come_faster_than_they_go():
    """Forty in a moment of a pool of a hundred: eight a second, and 1.6 can be held."""

    def job():
        server = listener("127.0.0.1", 9002)
        make_time_wait(server, ("127.0.0.1", 9002), 40)
        return found()

    fast = with_hundred_ports(job, tcp_tw_reuse=0)

    assert "time_wait_inflow" in fast


def test_a_few_time_waits_are_no_flood():
    """Two of a hundred ports."""

    def job():
        server = listener("127.0.0.1", 9002)
        make_time_wait(server, ("127.0.0.1", 9002), 2)
        return found()

    assert "time_wait_inflow" not in with_hundred_ports(job, tcp_tw_reuse=0)


@pytest.mark.parametrize(
    ("setting", "value", "myth"),
    [
        ("tcp_fin_timeout", 15, "myth_fin_timeout"),
        ("ip_local_port_range", "1024 65535", "myth_wide_range"),
        ("ip_local_port_range", "32768 61000", "myth_count"),
    ],
)
def test_a_setting_that_a_myth_tells_to_set(setting, value, myth):
    """The setting is found, and the truth told with it."""
    assert myth in in_namespace(found, **{setting: value})
    assert myth not in in_namespace(found)


def test_bound_sockets_of_a_pool_tell_nobody_binds_first():
    """Sockets that are bound and stay so are no connections."""

    def job():
        fill_bind0("127.0.0.1", at_most=20)
        return found()

    assert "bind_first" not in with_hundred_ports(job)


def test_sockets_of_datagrams_do_not_disturb():
    """A raw and a unix socket beside: no rule stumbles over them."""

    def job():
        socket.socket(socket.AF_UNIX).bind("\0portroom-test-doctor")
        tcp()
        return found()

    assert {} == with_hundred_ports(job)


@pytest.mark.parametrize(("reuse", "is_told"), [(2, True), (1, False), (0, True)])
def test_how_tw_reuse_really_acts_is_told_where_it_matters(reuse, is_told):
    """TIME_WAITs towards another host: 2 means loopback alone, and 0 nobody."""

    def job():
        neighbour = Neighbour()
        with neighbour.inside():
            server = listener(neighbour.there, 9000)
        make_time_wait(server, (neighbour.there, 9000), 60)
        return found()

    assert is_told is ("tw_reuse" in with_hundred_ports(job, tcp_tw_reuse=reuse))


def test_known_software_is_told_beside_a_key_that_is_half_full():
    """A program that is called gunicorn is told what Python programs do about it."""

    def job():
        LIBC.prctl(PR_SET_NAME, b"gunicorn", 0, 0, 0)
        fill(FIRST, at_most=60)
        return evidence("known_software", watch_s=0.0)

    told = with_hundred_ports(job)

    assert "gunicorn" in told


def test_known_software_is_silent_where_nothing_is_tight():
    """Ten of a hundred ports are no reason to tell anybody about pools."""

    def job():
        fill(FIRST, at_most=10)
        return found()

    assert "known_software" not in with_hundred_ports(job)


def test_a_tracking_table_that_is_full():
    """And one that is not."""

    def job():
        track_all()
        before = found()
        fill_table()
        return before, found()

    before, after = in_namespace(job)

    assert "conntrack_near_full" not in before
    assert CRITICAL == after["conntrack_near_full"]


def test_entries_that_could_not_be_made_are_told_as_they_happen():
    """Ten ports to translate to are used up: each SYN that is lost counts."""

    def job():
        host = NatHost("masquerade to :50000-50009")
        host.fill()
        before = found()
        host.one_more()
        return before, found()

    before, after = in_namespace(job)

    assert "conntrack_insert_failed" not in before
    assert "conntrack_insert_failed" in after


@pytest.mark.parametrize(("connections", "is_told"), [(5, False), (10, True)])
def test_a_translation_that_is_nearly_used_up(connections, is_told):
    """Ten ports to translate to."""

    def job():
        host = NatHost("masquerade to :50000-50009")
        host.fill(at_most=connections)
        return found()

    assert is_told is ("snat_tight" in in_namespace(job))


def test_many_translations_towards_many_remotes_are_not_tight():
    """Ports are counted for each remote: a thousand remotes are no reason."""

    def job():
        track_all()
        NatHost("masquerade")
        add_entries(1000, remotes=1000, translated="10.8.0.1")
        return found()

    assert "snat_tight" not in in_namespace(job)
