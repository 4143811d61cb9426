"""What is told of an address is what bind() does, and bind() takes no port for it."""

from __future__ import annotations

import socket
import threading

import pytest

from portroom.kernel.addresses import read_address
from portroom.kernel.rows import RowsQuery, read_rows
from portroom.model.facts.sockets import Protocol
from tests.kernel.harness import ip
from tests.kernel.ipv6_hosts import HERE4, HERE6, all_off, on_trial, put, veth
from tests.kernel.sockets import attempt, connected, listener, reset, tcp

OURS = {
    "127.0.0.1": "",
    "127.9.9.9": "",
    "0.0.0.0": "",
    HERE4: "",
    f"::ffff:{HERE4}": "",
    "8.8.8.8": "EADDRNOTAVAIL",
    "10.1.0.4": "EADDRNOTAVAIL",
    "::ffff:8.8.8.8": "EADDRNOTAVAIL",
    "::1": "",
    "::": "",
    HERE6: "",
    "2001:db8::1": "EADDRNOTAVAIL",
    "fe80::5%near": "",
    "fe80::5%far": "EADDRNOTAVAIL",
    "fe80::5": "EINVAL",
}


def host():
    """
    Be a host with one address of each kind beside lo.
    """
    veth(generated=False)
    ip(f"address add {HERE4}/24 dev near", f"-6 address add {HERE6}/64 dev near nodad")
    ip("-6 address add fe80::5/64 dev near nodad")


def judged(*addresses):
    """
    Return the judgement of each address.
    """
    return {text: read_address(text).error for text in addresses}


def bound(text):
    """
    Return the judgement of bind() itself, with the port that it takes.
    """
    address, _, zone = text.partition("%")
    scope = (0, socket.if_nametoindex(zone)) if zone else ()
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as made:
        result = attempt(lambda: made.bind((address, 0, *scope)))
    return "" if result == "ok" else result


def test_each_address_is_judged_as_bind_judges_it(netns):
    """
    Own and foreign ones of both families, with zones and without.
    """

    def job():
        host()
        return judged(*OURS), {text: bound(text) for text in OURS}

    ours, real = netns(job)

    assert OURS == real
    assert real == ours


def test_addresses_that_nobody_has_may_be_bound_where_the_host_says_so(netns):
    """
    ip_nonlocal_bind is the kernel's to heed, apart for each family.
    """

    def job():
        host()
        put("ipv4/ip_nonlocal_bind", 1)
        four = judged("8.8.8.8", "2001:db8::1")
        put("ipv6/ip_nonlocal_bind", 1)
        return four, judged("2001:db8::1")

    four, six = netns(job)

    assert {"8.8.8.8": "", "2001:db8::1": "EADDRNOTAVAIL"} == four
    assert {"2001:db8::1": ""} == six


def test_an_address_on_trial_cannot_be_bound_yet(netns):
    """
    It is on the device and not usable: EADDRNOTAVAIL until the trial is over.
    """

    def job():
        on_trial()
        return judged(HERE6)

    assert {HERE6: "EADDRNOTAVAIL"} == netns(job)


def test_without_ipv6_loopback_is_foreign(netns):
    """
    The wildcard may be bound all the same.
    """

    def job():
        all_off()
        return judged("::1", "::", "127.0.0.1")

    assert {"::1": "EADDRNOTAVAIL", "::": "", "127.0.0.1": ""} == netns(job)


def test_no_port_is_taken(netns):
    """
    Where the only port is held, bind() to port 0 would fail; this does not ask for one.
    """

    def job():
        listener("0.0.0.0", 40000)
        return attempt(lambda: tcp(("127.0.0.1", 0))), read_address("127.0.0.1").error

    assert ("EADDRINUSE", "") == netns(job, ip_local_port_range="40000 40000")


def test_nobody_loses_a_port_meanwhile(netns):
    """
    While addresses are judged without a pause, every connect gets the only port there is.
    """

    def job():
        listener("127.0.0.1", 9000)
        ended = threading.Event()

        def judge():
            while not ended.is_set():
                read_address("127.0.0.1")

        thread = threading.Thread(target=judge)
        thread.start()
        results = [attempt(lambda: reset([connected(("127.0.0.1", 9000))])) for _ in range(300)]
        ended.set()
        thread.join()
        return set(results)

    assert {"ok"} == netns(job, ip_local_port_range="40000 40000")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_nothing_stays_in_the_tables(netns, address):
    """
    Neither connected nor bound.
    """

    def job():
        read_address(address)
        return read_rows(RowsQuery((Protocol.TCP,))).rows.local_port

    assert [] == netns(job)
