"""Changes for tests: a host as it is, words, and the plan that comes of them; or any at all."""

from __future__ import annotations

import msgspec
from hypothesis import strategies as some

from portroom.model.advice.draft import Draft, draft
from portroom.model.advice.plan import plan_change
from portroom.model.advice.requests import WRITABLE, parse_words
from portroom.model.facts.change import ChangePlan, Request
from portroom.model.facts.ports import LAST_PORT, PortRange, PortSet
from portroom.model.facts.settings import SETTINGS, ValueType
from portroom.model.facts.snapshot import (
    Groups,
    GroupTable,
    NetnsId,
    Owners,
    Rows,
    Settings,
    Snapshot,
)
from portroom.model.facts.sockets import Family, Kind, Owner, Protocol, TcpState
from portroom.model.facts.surroundings import Surroundings
from portroom.model.laws.acceptance import RANGE_KEY, RESERVED_KEY, START_KEY
from tests.unit.made_groups import listener, snapshot, table

HOST = NetnsId("host", 1, 4026531840, "host", 1)
NEW = {row.key: row.default for row in SETTINGS if row.default is not None}
NOWHERE = Surroundings()
NGINX = Owner(4711, 100, "nginx", 33, "nginx.service", None)


def host(
    *tables: GroupTable,
    ephemeral: PortRange = NEW[RANGE_KEY],
    reserved: str = "",
    netns: NetnsId = HOST,
    without: tuple[str, ...] = (),
    **numbers: int,
) -> Snapshot:
    """
    Return a Snapshot of a host with the kernel's settings but for those named.

    *numbers* are sysctls below ``net.ipv4``, *without* those it does not have.
    """
    values = NEW | {RANGE_KEY: ephemeral, RESERVED_KEY: PortSet.parse(reserved)}
    values |= {f"net.ipv4.{name}": number for name, number in numbers.items()}
    # The initial namespace alone has it; without it the Snapshot is one of a container.
    values["net.ipv4.tcp_max_orphans"] = 65536
    known = Settings({key: value for key, value in values.items() if key not in without})
    return msgspec.structs.replace(snapshot(Groups(tables, ()), known), netns=netns)


def udp(port: int, remote: tuple[str, int] = ("0.0.0.0", 0)) -> GroupTable:
    """Return one UDP socket, connected where *remote* is somewhere."""
    state = TcpState.ESTABLISHED if remote[1] else TcpState.CLOSE
    return table(port, local="0.0.0.0", remote=remote, protocol=Protocol.UDP, state=state)


def bound(port: int) -> GroupTable:
    """Return one TCP socket that is bound and does not listen."""
    return table(
        port,
        local="0.0.0.0",
        remote=("0.0.0.0", 0),
        state=TcpState.BOUND_INACTIVE,
        kind=Kind.BOUND,
    )


def with_rows(read: Snapshot, *rows: tuple[Protocol, TcpState, int, int, Owner]) -> Snapshot:
    """Return a Snapshot with rows: protocol, state, local and remote port, and their owner."""
    inodes = list(range(1, len(rows) + 1))
    columns = Rows(
        protocol=[row[0] for row in rows],
        family=[Family.IPV4] * len(rows),
        state=[row[1] for row in rows],
        local_address=["0.0.0.0"] * len(rows),
        local_port=[row[2] for row in rows],
        remote_address=["0.0.0.0"] * len(rows),
        remote_port=[row[3] for row in rows],
        recv_queue_bytes=[0] * len(rows),
        send_queue_bytes=[0] * len(rows),
        uid=[0] * len(rows),
        inode=inodes,
        device=[0] * len(rows),
    )
    owners = {inode: (row[4],) for inode, row in zip(inodes, rows, strict=True)}
    return msgspec.structs.replace(read, rows=columns, owners=Owners(by_inode=owners))


def listens(port: int, owner: Owner = NGINX) -> tuple[Protocol, TcpState, int, int, Owner]:
    """Return the row of a listener."""
    return Protocol.TCP, TcpState.LISTEN, port, 0, owner


def drafted(words: str, read: Snapshot, around: Surroundings = NOWHERE, **options: object) -> Draft:
    """Return the draft of a change, its words apart by blanks."""
    request = Request(tuple(words.split()), **options)
    return draft(read, parse_words(request.words), request, around)


def planned(
    words: str, read: Snapshot, around: Surroundings = NOWHERE, **options: object
) -> ChangePlan:
    """Return the plan of a change, its words apart by blanks."""
    request = Request(tuple(words.split()), **options)
    return plan_change(read, parse_words(request.words), request, around)


def codes(plan: ChangePlan, severity: str = "") -> list[str]:
    """Return the codes of the reasons of a plan, of all severities or of one."""
    return [one.code for one in plan.reasons if severity in {"", one.severity}]


PORTS = some.integers(1, LAST_PORT)
LISTS = some.lists(PORTS, max_size=6).map(PortSet.of)
OF_NUMBERS = {
    row.key: some.integers(row.lowest, row.highest)
    for row in WRITABLE
    if row.type is ValueType.NUMBER and row.key != START_KEY
}


@some.composite
def values(draw) -> Settings:
    """Return any settings that a kernel can hold at one time."""
    ends = PORTS | some.sampled_from([1, 1024, 15000, 32768, 60999, 64001, LAST_PORT])
    first, last = sorted((draw(ends), draw(ends)))
    chosen = {
        RANGE_KEY: PortRange(first, last),
        RESERVED_KEY: draw(LISTS),
        START_KEY: draw(some.integers(0, first)),
    }
    return Settings(chosen | {key: draw(any_number) for key, any_number in OF_NUMBERS.items()})


LISTENER_AT_8080 = listener(8080)
