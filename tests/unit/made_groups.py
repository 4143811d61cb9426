"""Groups of sockets for tests, made in few words, and any groups at all.

A table is one group of one key; a test lists as many as it needs.
"""

from __future__ import annotations

import datetime

from hypothesis import strategies as some

from portroom.model.facts.ports import PortRange, PortSet
from portroom.model.facts.snapshot import (
    Features,
    Gap,
    Groups,
    GroupTable,
    Inbound,
    NetnsId,
    Settings,
    Snapshot,
    Vrf,
)
from portroom.model.facts.sockets import (
    Family,
    Kind,
    Operation,
    Protocol,
    TcpState,
    packed_address,
)
from portroom.model.laws.occupancy import KeyId

FORGETS = Features(
    bucket_forgets=True, range_option=True, bound_inactive_rows=True, tw_reuse_by_age=True
)
STICKY = Features(
    bucket_forgets=False, range_option=True, bound_inactive_rows=True, tw_reuse_by_age=False
)

RED = Vrf(7, "red", (2,))
"""A VRF, to which the device 2 of any group is enslaved."""

HERE, REMOTE = "192.0.2.1", ("198.51.100.1", 443)
TAKEN_AT = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.UTC)


def settings(first: int = 40000, last: int = 40009, reserved: str = "", **numbers: int) -> Settings:
    """
    Return settings with a range and reserved ports.

    *numbers* are sysctls below ``net.ipv4``.
    """
    return Settings(
        {
            "net.ipv4.ip_local_port_range": PortRange(first, last),
            "net.ipv4.ip_local_reserved_ports": PortSet.parse(reserved),
            **{f"net.ipv4.{name}": number for name, number in numbers.items()},
        }
    )


def table(
    *ports: int,
    local: str = HERE,
    remote: tuple[str, int] = REMOTE,
    state: TcpState = TcpState.ESTABLISHED,
    kind: Kind = Kind.UNKNOWN,
    protocol: Protocol = Protocol.TCP,
    v6only: bool | None = None,
    device: int = 0,
    remaining_ms: tuple[int, ...] = (),
) -> GroupTable:
    """Return one group of sockets, alike but for their local ports."""
    family, _ = packed_address(local)
    key = group_key(local, remote, device)
    times = {key: list(remaining_ms)} if remaining_ms else {}
    return GroupTable(protocol, family, state, kind, v6only, {key: list(ports)}, times)


def listener(port: int, local: str = "0.0.0.0", v6only: bool | None = None) -> GroupTable:
    """Return one listening TCP socket."""
    nowhere = "::" if ":" in local else "0.0.0.0"
    return table(
        port,
        local=local,
        remote=(nowhere, 0),
        state=TcpState.LISTEN,
        kind=Kind.LISTENER,
        v6only=v6only,
    )


def inbound(port: int, sockets: int, local: str = HERE) -> Inbound:
    """Return accepted sockets of one listener."""
    family, packed = packed_address(local)
    return Inbound(Protocol.TCP, family, packed, port, TcpState.ESTABLISHED, sockets)


def group_key(local: str = HERE, remote: tuple[str, int] = REMOTE, device: int = 0) -> bytes:
    """Return the key of a group."""
    address, port = remote
    ends = packed_address(local)[1] + packed_address(address)[1]
    return port.to_bytes(2, "big") + ends + device.to_bytes(4, "little")


def connect_key(
    local: str = HERE, remote: tuple[str, int] = REMOTE, vrf: Vrf | None = None
) -> KeyId:
    """Return the key of TCP connections."""
    family, packed = packed_address(local)
    there = packed_address(remote[0])[1]
    return KeyId(Protocol.TCP, Operation.CONNECT, family, packed, there, remote[1], vrf)


def local_key(
    local: str, protocol: Protocol = Protocol.TCP, operation: Operation = Operation.BIND0
) -> KeyId:
    """Return a key without a remote."""
    return KeyId(protocol, operation, *packed_address(local))


def snapshot(groups: Groups | Gap, of: Settings, features: Features = FORGETS) -> Snapshot:
    """Return a Snapshot with groups and settings."""
    return Snapshot(
        host="web-1.example",
        boot_id="6f1ed002-ab5b-4b5e-9f4f-000000000001",
        taken_at=TAKEN_AT,
        netns=NetnsId("shop", 4711, 4026531840, "named", 99),
        features=features,
        settings=of,
        groups=groups,
    )


PORTS = some.lists(some.integers(39998, 40012), min_size=1, max_size=6, unique=True)
LOCALS = some.sampled_from([HERE, "127.0.0.1", "192.0.2.2", "2001:db8::1", "::1"])
WILDCARDS = some.sampled_from(["0.0.0.0", "::"])
REMOTES = {
    Family.IPV4: some.sampled_from([REMOTE, ("127.0.0.1", 40003), ("192.0.2.1", 9000)]),
    Family.IPV6: some.sampled_from([("2001:db8::9", 443), ("::1", 9000)]),
}
CONNECTED = (
    TcpState.ESTABLISHED,
    TcpState.SYN_SENT,
    TcpState.FIN_WAIT2,
    TcpState.CLOSE_WAIT,
)


@some.composite
def connected_tables(draw) -> GroupTable:
    """Return TCP sockets that connected, or ended so."""
    local = draw(LOCALS)
    remote = draw(REMOTES[packed_address(local)[0]])
    kind = draw(some.sampled_from([Kind.UNKNOWN, Kind.UNKNOWN, Kind.NO_PORT, Kind.EXPLICIT]))
    device = draw(some.sampled_from([0, 0, 0, 2, 7]))
    ports = draw(PORTS)
    if draw(some.booleans()):
        state = draw(some.sampled_from(CONNECTED))
        return table(*ports, local=local, remote=remote, kind=kind, state=state, device=device)
    times = draw(
        some.just([])
        | some.lists(some.integers(0, 60_000), min_size=len(ports), max_size=len(ports))
    )
    return table(
        *ports,
        local=local,
        remote=remote,
        state=TcpState.TIME_WAIT,
        remaining_ms=tuple(times),
        device=device,
    )


@some.composite
def bound_tables(draw) -> GroupTable:
    """Return TCP sockets that listen or are only bound, or UDP sockets."""
    local = draw(LOCALS | WILDCARDS)
    six = ":" in local
    remote = ("::" if six else "0.0.0.0", 0)
    v6only = draw(some.booleans()) if six else None
    ports = draw(PORTS)
    if draw(some.booleans()):
        told = draw(some.sampled_from([v6only, None]))
        return table(
            *ports,
            local=local,
            remote=remote,
            state=TcpState.CLOSE,
            protocol=Protocol.UDP,
            v6only=told,
        )
    state, kind = draw(
        some.sampled_from([(TcpState.LISTEN, Kind.LISTENER), (TcpState.BOUND_INACTIVE, Kind.BOUND)])
    )
    return table(*ports, local=local, remote=remote, state=state, kind=kind, v6only=v6only)


@some.composite
def any_groups(draw) -> Groups:
    """Return any groups, whether a kernel would have them so or not."""
    tables = draw(some.lists(connected_tables() | bound_tables(), max_size=8))
    folded = draw(
        some.lists(
            some.builds(inbound, some.integers(39998, 40012), some.integers(1, 9), LOCALS),
            max_size=2,
        )
    )
    active = {
        (int(one.family), key): frozenset(ports)
        for one in tables
        if one.kind is Kind.UNKNOWN and one.state is TcpState.ESTABLISHED
        for key, ports in one.ports.items()
        if draw(some.booleans())
    }
    vrfs = draw(some.sampled_from([None, (), (RED,), (Vrf(2, "blue"), Vrf(7, "red"))]))
    seen = draw(some.sampled_from([True, True, True, False]))
    return Groups(tuple(tables), tuple(folded), active=active, vrfs=vrfs, devices_seen=seen)


ANY_SETTINGS = some.builds(
    settings,
    first=some.integers(40000, 40003),
    last=some.integers(40003, 40010),
    reserved=some.sampled_from(["", "40002", "40000-40003", "39000-41000", "40001,40005-40006"]),
    ip_autobind_reuse=some.integers(0, 1),
    tcp_tw_reuse=some.integers(0, 2),
    tcp_timestamps=some.integers(0, 1),
    tcp_tw_reuse_delay=some.sampled_from([1, 1000, 60_000]),
    tcp_l3mdev_accept=some.integers(0, 1),
)

MAYBE = some.sampled_from([True, False, None])
ANY_FEATURES = some.builds(
    Features,
    bucket_forgets=MAYBE,
    range_option=MAYBE,
    bound_inactive_rows=MAYBE,
    tw_reuse_by_age=MAYBE,
)
