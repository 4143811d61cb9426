"""Answers made by hand, as the rendering tests need them."""

import datetime

from portroom.model.facts.answers import (
    Headroom,
    Key,
    RangeUse,
    Status,
    Summary,
    TcpSummary,
    TransportCount,
    Transports,
)
from portroom.model.facts.snapshot import NetnsId, not_looked_at
from portroom.model.facts.sockets import Owner

AT = datetime.datetime(2026, 3, 1, 12, 0, 0, tzinfo=datetime.UTC)

HOST = NetnsId("host", 1, 4026531840, "host")

ELIGIBLE = 28_232

HOSTILE = "e\x1b[31mvil\n\u202egnp"


def netns(name="web", number=7):
    """Return a named namespace."""
    return NetnsId(name, number, 4026532000 + number, "named")


def owner(command="nginx", sockets=1, pid=4312, unit="nginx.service"):
    """Return a process that holds sockets."""
    return Owner(pid, 1000, command, 33, unit, None, sockets)


def key(
    remote="10.0.0.9",
    port=443,
    *,
    held=0,
    doubtful=0,
    states=None,
    owners=(),
    protocol="tcp",
    operation="connect",
    local="10.0.0.1",
    eligible=ELIGIBLE,
):
    """Return a key whose figures add up."""
    free_max = eligible - held
    return Key(
        protocol=protocol,
        operation=operation,
        local_address=local,
        remote_address=remote,
        remote_port=port if remote else None,
        eligible_ports=eligible,
        held_ports=held,
        doubtful_ports=doubtful,
        free_ports=free_max - doubtful,
        free_ports_max=free_max,
        occupancy_ratio=held / eligible if eligible else 1.0,
        occupancy_ratio_max=(held + doubtful) / eligible if eligible else 1.0,
        exhausted=free_max == 0,
        states={"ESTABLISHED": held} if states is None else states,
        owners=tuple(owners),
    )


TIGHT = key(
    held=28_190,
    states={"TIME_WAIT": 20_000, "ESTABLISHED": 8_190},
    owners=[owner(sockets=8_000), owner("envoy", 190, 77, None)],
)
DOUBTFUL = key("10.0.0.10", 5432, held=9_001, doubtful=8_000, owners=[owner("app", 9)])
EXHAUSTED = key("2001:db8:12:34::1234", 8443, held=ELIGIBLE, local="2001:db8::1")
UDP = key(None, held=12, protocol="udp", local="0.0.0.0", states={"CLOSE": 12})
BIND0 = key(None, held=30, operation="bind0", local="0.0.0.0", states={"LISTEN": 30})
EASY = key("192.0.2.7", 80, held=1)

KEYS = (EXHAUSTED, TIGHT, DOUBTFUL, UDP, EASY)

SUMMARY = Summary(
    sockets_total=2_933,
    bound_local_ports=30_347,
    tcp=TcpSummary(43_915, 2_655, 41_080, 159, 41_080),
    transports=Transports(
        raw=TransportCount(0, 0, 0),
        udp=TransportCount(12, 9, 3),
        tcp=TransportCount(2_835, 2_800, 35),
        inet=TransportCount(2_847, 2_809, 38),
        frag=TransportCount(0, 0, 0),
    ),
    states={"TIME_WAIT": 41_080, "ESTABLISHED": 2_500, "CLOSE_WAIT": 155, "LISTEN": 21},
    udp_states={"CLOSE": 9, "ESTABLISHED": 3},
    system_wide=("tcp.total", "tcp.closed", "tcp.orphaned"),
)

EMPTY_SUMMARY = Summary(
    sockets_total=0,
    bound_local_ports=0,
    tcp=TcpSummary(0, 0, 0, 0, 0),
    transports=Transports(*[TransportCount(0, 0, 0)] * 5),
    states={},
    udp_states={},
    system_wide=("tcp.total", "tcp.closed", "tcp.orphaned"),
)

RANGE = RangeUse(32768, 60999, 28_232, 0, ELIGIBLE)

PERSISTED = not_looked_at("persisted settings", "drift")


def headroom(keys=KEYS, *, omitted=0, gaps=(), where=HOST):
    """Return the answer with these keys, and as many that are not shown."""
    total = len(keys) + omitted
    return Headroom(
        host="web1",
        taken_at=AT,
        netns=where,
        gaps=tuple(gaps),
        keys=tuple(keys),
        keys_total=total,
        keys_omitted=omitted,
    )


def status(
    keys=KEYS,
    *,
    total=None,
    gaps=(PERSISTED,),
    where=HOST,
    use=RANGE,
    sessions=SUMMARY,
    drift=(),
    findings=(),
    boot_conflicts=(),
):
    """Return the one screen with these keys."""
    return Status(
        host="web1",
        taken_at=AT,
        netns=where,
        gaps=tuple(gaps),
        range=use,
        tightest=tuple(keys),
        keys_total=len(keys) if total is None else total,
        sessions=sessions,
        drift=tuple(drift),
        findings=tuple(findings),
        boot_conflicts=tuple(boot_conflicts),
    )
