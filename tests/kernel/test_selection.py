"""Named ports and windows: predicted by the law, then done (c26-c28, c36, c50, c54, u13, u15)."""

from __future__ import annotations

import msgspec
import pytest

from portroom.api import look
from portroom.model.facts.ports import PortRange
from portroom.model.facts.snapshot import Groups, Settings
from portroom.model.facts.sockets import Endpoint, Protocol, packed_address
from portroom.model.laws.headroom import KeysWanted, as_key, find_keys
from portroom.model.laws.selection import explicit_bind, window
from tests.kernel import needs
from tests.kernel.predict import span
from tests.kernel.sockets import attempt, fill, local_port, tcp, udp

FIRST = ("127.0.0.1", 9000)
ADDRESSES = ("127.0.0.1", "127.0.0.2", "0.0.0.0", "::1", "::")
IN_USE = "EADDRINUSE"


def foretold(protocol, address, port, *, reuses=False):
    """Return what the law says of bind() to a named port of this namespace."""
    groups = look.take_all().groups
    assert isinstance(groups, Groups)
    return explicit_bind(groups, protocol, *packed_address(address), port, reuses=reuses)


@pytest.mark.parametrize("make", [tcp, udp])
def test_a_plain_socket_gets_a_named_port_as_foretold(ten_ports, make):
    """An automatic owner is in the way of its address and of wildcards, of no other."""
    protocol = Protocol.TCP if make is tcp else Protocol.UDP

    def job():
        owner = make()
        owner.connect(FIRST)
        port = local_port(owner)
        told = {address: foretold(protocol, address, port) for address in ADDRESSES}
        done = {
            address: attempt(lambda a=address: make((a, port)).close()) for address in ADDRESSES
        }
        return told, done

    told, done = ten_ports(job)

    assert {"127.0.0.1": False, "127.0.0.2": True, "0.0.0.0": False} == {
        address: told[address] for address in ADDRESSES[:3]
    }
    assert told == {address: outcome == "ok" for address, outcome in done.items()}


def test_a_reserved_port_may_be_named(ten_ports):
    """Reserved ports are kept from automatic choice only (c50)."""

    def job():
        return foretold(Protocol.TCP, "127.0.0.1", 40001), attempt(
            lambda: tcp(("127.0.0.1", 40001))
        )

    told, done = ten_ports(job, ip_local_reserved_ports="40000-40008")

    assert (True, "ok") == (told, done)


def test_reuse_of_an_owned_port_is_in_doubt(ten_ports):
    """Whether the owner set SO_REUSEADDR too is not told (c36, c37)."""

    def job():
        ports = []
        for reuses in (False, True):
            owner = tcp(reuse_address=reuses)
            owner.connect(FIRST)
            ports.append(local_port(owner))
        told = [foretold(Protocol.TCP, "127.0.0.1", port, reuses=True) for port in ports]
        done = [attempt(lambda p=port: tcp(("127.0.0.1", p), reuse_address=True)) for port in ports]
        return told, done

    told, done = ten_ports(job)

    assert [None, None] == told
    assert [IN_USE, "ok"] == done


@needs.range_option
@pytest.mark.parametrize("option", [(40002, 40005), (39990, 40003), (50000, 50005), (40008, 50000)])
def test_a_window_gives_what_is_foretold_of_it(ten_ports, option):
    """IP_LOCAL_PORT_RANGE counts where it lies inside the range (c26-c28)."""

    def job():
        read = look.take_all()
        assert isinstance(read.settings, Settings)
        ports = window(read.settings.ephemeral, *option)
        values = read.settings.values | {"net.ipv4.ip_local_port_range": ports}
        narrowed = msgspec.structs.replace(read, settings=Settings(values))
        wanted = KeysWanted(remotes=(Endpoint(*FIRST),), from_address="127.0.0.1")
        (key,) = find_keys(narrowed, wanted).measured[:1]
        done = fill(FIRST, range_option=option)
        return ports, span(as_key(key)), done.count, sorted(done.ports)

    ports, told, done, given = ten_ports(job)

    assert told[0] <= done == PortRange(*ports).ports == told[1]
    assert told[0] == told[1] or not needs.features().bound_inactive_rows
    assert (ports[0], ports[1]) == (given[0], given[-1])
