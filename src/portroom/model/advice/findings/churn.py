"""Rules about keys that fill by coming and going: TIME_WAIT inflow, and known software."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from portroom.model.advice import commands
from portroom.model.advice.findings.keys import CLIFF_RATIO
from portroom.model.advice.findings.words import destination, found, key_numbers, program_words
from portroom.model.advice.wording import be, count
from portroom.model.facts.answers import INFO, WARNING, Finding, Key
from portroom.model.facts.scene import Scene
from portroom.model.facts.snapshot import Groups, GroupTable, Settings
from portroom.model.facts.sockets import (
    Endpoint,
    Family,
    Owner,
    Protocol,
    TcpState,
    address_text,
)
from portroom.model.laws.rates import (
    YOUNG_S,
    hold_time_s,
    max_connect_rate,
    seconds_until_full,
    young,
)
from portroom.model.laws.time_wait import TIME_WAIT_MS

LEAST_YOUNG = 10
"""
Young TIME_WAITs below which a rate is chance.

Of 10 that come at random the next window has 7 to 13 in two of three cases.
"""


class Flow(msgspec.Struct, frozen=True):
    """TIME_WAITs of one group key: their remaining times, and rates a second."""

    family: Family
    key: bytes
    times: Sequence[int]
    rate: float
    sustained: float
    hold_s: float


class Inflow(msgspec.Struct, frozen=True):
    """TIME_WAITs that come in on one key, and what it sustains, both a second."""

    local_address: str
    remote: Endpoint
    rate: float
    sustained: float
    hold_s: float
    free_ports: int
    full_s: float | None
    key: Key | None


def time_wait_inflow(scene: Scene) -> Iterator[Finding]:
    """Find keys to which more connections end than they have ports for."""
    for flow in inflows(scene):
        evidence = (
            f"{flow.rate:,.1f} connections a second to {flow.remote} from {flow.local_address} "
            f"end in TIME_WAIT (the last {YOUNG_S:.0f} s); its ports sustain "
            f"{flow.sustained:,.1f} a second.{_until(flow)}"
        )
        netns = scene.read.netns
        yield found(
            WARNING,
            "time_wait_inflow",
            evidence,
            "Keep connections open and reuse them; or let the other side close first.",
            command=commands.portroom(f"headroom {flow.remote} --owners", netns),
            owners=flow.key.owners if flow.key else (),
            numbers=_numbers(flow),
        )


def inflows(scene: Scene) -> list[Inflow]:
    """Return the keys with more inflow than they sustain, the fastest first."""
    settings, groups = scene.read.settings, scene.read.groups
    if not isinstance(settings, Settings) or not isinstance(groups, Groups):
        return []
    flows: list[Inflow] = []
    for table in groups.tables:
        if table.protocol is Protocol.TCP and table.state is TcpState.TIME_WAIT:
            flows += _of_table(table, scene, settings)
    return sorted(flows, key=lambda flow: -flow.rate)


def _of_table(table: GroupTable, scene: Scene, settings: Settings) -> Iterator[Inflow]:
    """Yield what comes in too fast on the keys of one table."""
    every = settings.ephemeral.ports - len(settings.reserved.within(settings.ephemeral))
    for key, times in table.remaining_ms.items():
        hold_s = hold_time_s(settings, table.family, key[2:18])
        sustained = max_connect_rate(every, hold_s)
        least = max(LEAST_YOUNG, sustained * YOUNG_S)
        # Most keys have fewer entries than would be too many, and end here.
        if len(times) >= least and (ended := young(times)) >= least:
            flow = Flow(table.family, key, times, ended / YOUNG_S, sustained, hold_s)
            if flow.rate > sustained:
                yield _inflow(flow, scene, every)


def _inflow(flow: Flow, scene: Scene, every: int) -> Inflow:
    """Return what comes in on one key, and when its ports are gone."""
    local = address_text(flow.family, flow.key[2:18])
    port = int.from_bytes(flow.key[:2], "big")
    remote = Endpoint(address_text(flow.family, flow.key[18:34]), port)
    measured = next((one for one in scene.keys if _is_of(one, local, remote)), None)
    free = measured.free_ports if measured else max(every - len(flow.times), 0)
    # What reuse gives back early is not known port by port: no time is told then.
    lasts = flow.hold_s * 1000 >= TIME_WAIT_MS
    full_s = seconds_until_full(free, flow.times, flow.rate) if lasts else None
    return Inflow(local, remote, flow.rate, flow.sustained, flow.hold_s, free, full_s, measured)


def _is_of(key: Key, local: str, remote: Endpoint) -> bool:
    """Say whether a key is the one of two ends."""
    return (
        key.protocol == "tcp"
        and key.local_address == local
        and key.remote_address == remote.address
        and key.remote_port == remote.port
    )


def _until(flow: Inflow) -> str:
    """Return when no port is left, as a sentence; "" where that is not known."""
    if flow.full_s is None:
        return ""
    if not flow.free_ports:
        return " No port is left."
    return f" {count(flow.free_ports, 'free port')} last {flow.full_s:,.0f} s at this rate."


def _numbers(flow: Inflow) -> dict[str, int | float | str]:
    """Return the figures of an inflow."""
    numbers: dict[str, int | float | str] = {
        "destination": str(flow.remote),
        "inflow_per_s": round(flow.rate, 1),
        "sustained_per_s": round(flow.sustained, 1),
        "hold_time_s": flow.hold_s,
        "free_ports": flow.free_ports,
    }
    return numbers if flow.full_s is None else numbers | {"full_in_s": round(flow.full_s, 1)}


# Software that is known by its name.


def known_software(scene: Scene) -> Iterator[Finding]:
    """Find programs behind full or busy keys that have a setting of their own for it."""
    if not any(key.owners for key in scene.keys):
        return
    full = [key for key in scene.keys if key.occupancy_ratio > CLIFF_RATIO]
    busy = [flow.key for flow in inflows(scene) if flow.key is not None]
    told: set[str] = set()
    for key in dict.fromkeys(_identity(one) for one in (*full, *busy)):
        yield from _of_key(scene, key, told)


def _identity(key: Key) -> tuple[str, str, str, str | None, int | None]:
    """Return what tells keys apart."""
    return key.protocol, key.operation, key.local_address, key.remote_address, key.remote_port


def _of_key(
    scene: Scene, identity: tuple[str, str, str, str | None, int | None], told: set[str]
) -> Iterator[Finding]:
    """Yield the recipes for the programs of one key, each recipe once."""
    from portroom.model.advice.findings.recipes import recipe_of  # costs start-up

    key = next(one for one in scene.keys if _identity(one) == identity)
    by_recipe: dict[str, list[Owner]] = {}
    for owner in key.owners:
        recipe = recipe_of(owner.command, key.protocol)
        if recipe and recipe.name not in told:
            by_recipe.setdefault(recipe.name, []).append(owner)
    for name, owners in by_recipe.items():
        told.add(name)
        recipe = recipe_of(owners[0].command, key.protocol)
        assert recipe is not None
        sockets = sum(owner.sockets for owner in owners)
        yield found(
            INFO,
            "known_software",
            f"{program_words(owners)}, recognised by its name as {recipe.software}, has "
            f"{count(sockets, 'socket')} to {destination(key)}, where {key.held_ports:,} of "
            f"{count(key.eligible_ports, 'eligible port')} {be(key.held_ports)} held.",
            f"{recipe.setting}: {recipe.value} ({recipe.where}).",
            owners=owners,
            numbers=key_numbers(key) | {"software": recipe.software, "sockets": sockets},
        )
