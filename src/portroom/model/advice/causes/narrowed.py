"""Fewer ports to choose from than the range has: reserved ports, or the program's own window."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from portroom.model.advice.causes.pools import (
    key_id,
    local_keys,
    no_search,
    routed_keys,
    unread,
)
from portroom.model.advice.causes.table import (
    AGAIN,
    IN_USE,
    NOT_AVAILABLE,
    Advice,
    found,
    possible,
    ruled_out,
    unknown,
)
from portroom.model.advice.causes.words import are, command, count, gap_words, owner_words, percent
from portroom.model.facts.answers import Key
from portroom.model.facts.explanation import Cause, ExplainQuestion
from portroom.model.facts.gaps import Gap
from portroom.model.facts.ports import PortRange
from portroom.model.facts.scene import ProcessSeen, Scene, Window
from portroom.model.facts.settings import RANGE_KEY
from portroom.model.facts.snapshot import Settings
from portroom.model.facts.sockets import Operation, Protocol
from portroom.model.laws.buckets import buckets
from portroom.model.laws.occupancy import Figures, local_owners, overlap_figures
from portroom.model.laws.scope import within
from portroom.model.laws.selection import window
from portroom.model.laws.tightest import measure
from portroom.model.laws.unseen import unseen_sockets

NAME = "narrowed_range"

RESERVED_SHARE = 0.5
"""From half of the range on, the list takes more ports than it leaves."""


def narrowed_range(asked: ExplainQuestion, scene: Scene) -> Cause | None:
    """Judge whether the kernel may choose from much less than the range."""
    if asked.error == NOT_AVAILABLE and asked.protocol is Protocol.UDP:
        return None
    if asked.error == AGAIN and asked.protocol is Protocol.TCP:
        return None
    if reason := no_search(asked, scene):
        return ruled_out(NAME, reason)
    settings = scene.read.settings
    if isinstance(settings, Gap):
        return unknown(NAME, f"The range could not be read: {gap_words(settings)}.")
    gap = unread(scene)
    if gap is not None:
        return unknown(NAME, f"The sockets could not be read: {gap_words(gap)}.")
    keys = judged_keys(asked, scene)
    return (
        _by_reserved(scene, settings, keys)
        or _by_window(scene, settings, keys)
        or _not_narrowed(asked, scene, settings, keys)
    )


def judged_keys(asked: ExplainQuestion, scene: Scene) -> tuple[Key, ...]:
    """Return the keys of every search that gives the errno, the fullest of each first."""
    udp_only, tcp_only = asked.protocol is Protocol.UDP, asked.protocol is Protocol.TCP
    found: list[Key] = []
    if asked.error in (None, NOT_AVAILABLE) and not udp_only:
        found += routed_keys(asked, scene)
    if asked.error in (None, IN_USE):
        protocol = asked.protocol or Protocol.TCP
        found += local_keys(asked, scene, protocol, Operation.BIND0)
    if asked.error in (None, AGAIN) and not tcp_only:
        found += local_keys(asked, scene, Protocol.UDP, Operation.CONNECT)
    return tuple(found)


def _by_reserved(scene: Scene, settings: Settings, keys: tuple[Key, ...]) -> Cause | None:
    """Return the verdict where the reserved ports take the range, None where they do not."""
    ephemeral = settings.ephemeral
    reserved = len(settings.reserved.within(ephemeral))
    if reserved < RESERVED_SHARE * ephemeral.ports:
        return None
    numbers = {"range_ports": ephemeral.ports, "reserved_ports": reserved}
    share = f"{reserved:,} of the {count(ephemeral.ports, 'port')} of the range {ephemeral}"
    advice = Advice(
        "Reserve only the ports that services really use, or move the range away from them "
        "(portroom set range=…, reserved-=…).",
        command(scene, "settings", "reserved"),
    )
    if reserved == ephemeral.ports:
        text = (
            f"The whole range {ephemeral} is reserved (ip_local_reserved_ports), "
            f"{count(reserved, 'port')}: the kernel may choose none."
        )
        return found(NAME, text, advice, numbers)
    full = [key for key in keys if key.exhausted]
    if not full:
        return None
    text = (
        f"{share} ({percent(reserved, ephemeral.ports)}) {are(reserved)} reserved (ip_local_reserved_ports), "
        f"and of the {ephemeral.ports - reserved:,} that are left none is free."
    )
    return found(NAME, text, advice, numbers)


class Narrow(NamedTuple):
    """A window of the process in which few or no ports are left."""

    window: Window
    ports: PortRange
    figures: Figures


def _by_window(scene: Scene, settings: Settings, keys: tuple[Key, ...]) -> Cause | None:
    """Return the verdict where a window of the process is full and the range is not."""
    process = scene.process
    if not isinstance(process, ProcessSeen) or isinstance(process.windows, Gap):
        return None
    narrow = list(_full_windows(scene, settings, process.windows, keys))
    if not narrow:
        return None
    sure = [one for one in narrow if not one.figures.doubtful_ports]
    one = (sure or narrow)[0]
    eligible = one.figures.eligible_ports
    sockets = count(one.window.sockets, "socket")
    state = "every one is held" if sure else "none of them is surely free"
    text = (
        f"{owner_words(process.owner)} sets IP_LOCAL_PORT_RANGE on {sockets}: they choose from "
        f"{one.ports}, {count(eligible, 'eligible port')}, and {state}. The range "
        f"{settings.ephemeral} has free ones."
    )
    make = found if sure else possible
    return make(
        NAME,
        text,
        Advice(
            "Give the program a wider window, or none: the limit is its own, no sysctl lifts it.",
            command(scene, "sessions", "--process", str(process.owner.pid)),
        ),
        {
            "window_ports": eligible,
            "window_first": one.ports.first,
            "window_last": one.ports.last,
            "range_ports": settings.ephemeral.ports,
        },
    )


def _full_windows(
    scene: Scene, settings: Settings, windows: tuple[Window, ...], keys: tuple[Key, ...]
) -> Iterator[Narrow]:
    """Yield the windows without a port that is surely free, of keys that have one."""
    for one in windows:
        ports = window(settings.ephemeral, one.first, one.last)
        if ports == settings.ephemeral:
            continue
        for key in keys:
            if key.free_ports:
                figures = _figures(key, scene, settings, ports, alone=len(keys) == 1)
                if figures is not None and not figures.free_ports:
                    yield Narrow(one, ports, figures)


def _figures(
    key: Key, scene: Scene, settings: Settings, ports: PortRange, *, alone: bool
) -> Figures | None:
    """
    Return the numbers of one key for a search in *ports* alone.

    Such a search visits every port, so that none is lost to parity. What the
    probe said counts where it can be about this key only.
    """
    groups, features = scene.read.groups, scene.read.features
    if isinstance(groups, Gap):
        return None
    narrowed = Settings(settings.values | {RANGE_KEY: ports})
    inside = within(msgspec.structs.replace(groups, scope=None), ports)
    unseen = unseen_sockets(scene.read)
    if key.remote_address is None:
        owners = local_owners(Protocol(key.protocol), inside, ports)
        found, _ = overlap_figures(key_id(key), owners, narrowed, unseen)
        return _unlost(found)
    shared = buckets(inside, narrowed, features, unseen)
    found = _unlost(measure(key_id(key), inside, shared, narrowed, features).figures)
    said = scene.probed
    if said is None or not alone or not found.doubtful_ports:
        return found
    free, held = len(set(said.free) & shared.doubtful), len(set(said.held) & shared.doubtful)
    return msgspec.structs.replace(
        found,
        free_ports=found.free_ports + free,
        held_ports=found.held_ports + held,
        doubtful_ports=max(found.doubtful_ports - free - held, 0),
    )


def _unlost(figures: Figures) -> Figures:
    """Return figures with the port that parity may lose counted as free."""
    return msgspec.structs.replace(
        figures,
        doubtful_ports=figures.doubtful_ports - figures.lost_ports,
        free_ports=figures.free_ports + figures.lost_ports,
        lost_ports=0,
    )


def _not_narrowed(
    asked: ExplainQuestion, scene: Scene, settings: Settings, keys: tuple[Key, ...]
) -> Cause:
    """Return why nothing narrows the range, or what could not be looked at."""
    ephemeral = settings.ephemeral
    reserved = len(settings.reserved.within(ephemeral))
    kept = (
        f"{reserved:,} of {count(ephemeral.ports, 'port')} of {ephemeral} {are(reserved)} reserved"
    )
    numbers = {"range_ports": ephemeral.ports, "reserved_ports": reserved}
    process = scene.process
    if any(key.exhausted for key in keys):
        return ruled_out(NAME, f"The range itself is used up; {kept}.", numbers)
    if scene.read.features.range_option is False:
        text = f"{kept}, and no socket has a window of its own: this kernel has no such option."
        return ruled_out(NAME, text, numbers)
    if process is None:
        remote = f" --remote {shlex.quote(asked.remote)}" if asked.remote else ""
        return unknown(
            NAME,
            f"{kept}. Whether the program sets IP_LOCAL_PORT_RANGE is seen at its sockets: "
            "name it with --pid.",
            f"portroom explain {asked.error or NOT_AVAILABLE} --pid PID{remote}",
        )
    if isinstance(process, Gap):
        return unknown(NAME, f"{kept}. The process was not seen: {gap_words(process)}.")
    if isinstance(process.windows, Gap):
        return unknown(
            NAME,
            f"{kept}. Whether {owner_words(process.owner)} sets IP_LOCAL_PORT_RANGE could not be "
            f"asked: {gap_words(process.windows)}.",
        )
    return ruled_out(
        NAME,
        f"{kept}, and no socket of {owner_words(process.owner)} is in a window of its own that "
        "is full.",
        numbers,
    )
