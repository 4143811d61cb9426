"""Rules about settings that somebody believed in: each shows what the belief does here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from portroom.model.advice import commands
from portroom.model.advice.findings.words import found
from portroom.model.advice.spelling import EXAMPLE
from portroom.model.advice.wording import count, listed
from portroom.model.facts.answers import INFO, WARNING, Finding
from portroom.model.facts.gaps import Gap
from portroom.model.facts.ports import PortRange
from portroom.model.facts.scene import Scene
from portroom.model.facts.settings import DEFAULT_RANGE, TW_RECYCLE_KEY, setting_named
from portroom.model.facts.snapshot import Counters, Settings
from portroom.model.facts.sysctl_files import FILE

FIN_TIMEOUT = setting_named("tcp_fin_timeout")
BUCKETS = setting_named("tcp_max_tw_buckets")

FIXED_PORTS_END = 10_000
"""Ports that installed software uses by number lie mostly below: a range should begin above."""

OLD_DEFAULT_RANGE = PortRange(32768, 61000)
"""The kernel's range before Linux 4.2, which many texts still have."""


class Line(msgspec.Struct, frozen=True):
    """A line of a sysctl file that sets something to a number."""

    file: str
    number: int
    value: int

    def __str__(self) -> str:
        """Return the place."""
        return f"{self.file}:{self.number}"


def myth_fin_timeout(scene: Scene) -> Iterator[Finding]:
    """Find that somebody lowered tcp_fin_timeout, which frees no port in TIME_WAIT."""
    settings, counters = scene.read.settings, scene.read.counters
    default = FIN_TIMEOUT.default
    if not isinstance(settings, Settings) or not isinstance(default, int):
        return
    value = settings.number(FIN_TIMEOUT.key, default)
    if value >= default:
        return
    waiting = counters.tcp_tw if isinstance(counters, Counters) else None
    now = "" if waiting is None else f": the {count(waiting, 'connection')} there now, too"
    yield _belief(
        "myth_fin_timeout",
        f"tcp_fin_timeout is {value} instead of {default}. TIME_WAIT lasts 60 s all the same{now}; "
        f"the setting ends FIN_WAIT2 of closed connections after {value} s, nothing else.",
        commands.sysctl(FIN_TIMEOUT.key, default, scene.read.netns),
        {FIN_TIMEOUT.name: value} | ({} if waiting is None else {"time_wait": waiting}),
    )


def myth_tw_recycle(scene: Scene) -> Iterator[Finding]:
    """Find files that still set tcp_tw_recycle."""
    lines = [line for line in _lines(scene, TW_RECYCLE_KEY) if line.value]
    if lines:
        yield _belief(
            "myth_tw_recycle",
            f"{count(len(lines), 'line')} of sysctl files {'sets' if len(lines) == 1 else 'set'} "
            f"tcp_tw_recycle to {lines[0].value}: {listed(list(map(str, lines)))}. The key is gone "
            "since Linux 4.12; before, it dropped connections of clients behind one NAT address.",
            commands.portroom(f"boot --key {TW_RECYCLE_KEY}"),
            {"lines": len(lines), "first": str(lines[0])},
            WARNING,
        )


def myth_tw_buckets(scene: Scene) -> Iterator[Finding]:
    """Find that a file lowers tcp_max_tw_buckets below the ports of one destination."""
    settings = scene.read.settings
    if not isinstance(settings, Settings):
        return
    value = settings.number(BUCKETS.key, 0)
    ports = settings.ephemeral.ports - len(settings.reserved.within(settings.ephemeral))
    if not 0 < value < ports:
        return
    lines = [line for line in _lines(scene, BUCKETS.key) if line.value == value]
    if lines:
        yield _belief(
            "myth_tw_buckets",
            f"{lines[-1]} lowers tcp_max_tw_buckets to {value:,}, fewer than the {ports:,} ports "
            f"towards one destination: above {value:,} connections end without TIME_WAIT, "
            "and late packets of one may reach the next.",
            commands.portroom(f"boot --key {BUCKETS.key}"),
            {BUCKETS.name: value, "eligible_ports": ports, "line": str(lines[-1])},
            WARNING,
        )


def myth_wide_range(scene: Scene) -> Iterator[Finding]:
    """Find a range that takes in the ports of services, and reserves none of them."""
    settings = scene.read.settings
    if not isinstance(settings, Settings):
        return
    first, last = settings.ephemeral
    if first >= FIXED_PORTS_END or settings.reserved.within(
        PortRange(first, max(first, min(last, DEFAULT_RANGE.first - 1)))
    ):
        return
    taken = min(last, FIXED_PORTS_END - 1) - first + 1
    yield _belief(
        "myth_wide_range",
        f"The range {settings.ephemeral} takes in {count(taken, 'port')} below {FIXED_PORTS_END:,}, "
        f"where services have theirs, and none below {DEFAULT_RANGE.first:,} is reserved: "
        "whoever starts later may find its port taken by an outgoing connection.",
        commands.portroom(f"set range={EXAMPLE} --reserve --try", scene.read.netns),
        {"first": first, "last": last, "ports_below": taken, "reserved_ports": 0},
        WARNING,
    )


def myth_count(scene: Scene) -> Iterator[Finding]:
    """Find the range that comes of a default that was counted, or remembered, wrongly."""
    settings = scene.read.settings
    if not isinstance(settings, Settings) or settings.ephemeral != OLD_DEFAULT_RANGE:
        return
    yield _belief(
        "myth_count",
        f"The range is {OLD_DEFAULT_RANGE}: both ends count, so it has {OLD_DEFAULT_RANGE.ports:,} "
        "ports, and as both are even the search for a port may leave out 1. The default is "
        f"{DEFAULT_RANGE}, {DEFAULT_RANGE.ports:,} ports.",
        commands.portroom(f"set range={DEFAULT_RANGE} --try", scene.read.netns),
        {"ports": OLD_DEFAULT_RANGE.ports, "default_ports": DEFAULT_RANGE.ports},
    )


def _belief(
    name: str,
    evidence: str,
    command: str,
    numbers: Mapping[str, int | str],
    severity: str = INFO,
) -> Finding:
    """Return the finding of a myth, with what helps instead."""
    from portroom.model.advice.findings.myths import MYTHS  # costs start-up

    myth = next(one for one in MYTHS if one.name == name)
    return found(severity, name, evidence, myth.instead, command=command, numbers=numbers)


def _lines(scene: Scene, key: str) -> list[Line]:
    """Return the lines of all sysctl files that set a key to a number."""
    boot = scene.read.boot
    if scene.read.netns.kind != "host" or isinstance(boot, Gap):
        return []
    word = key.rpartition(".")[2].encode()
    told = [file for file in boot.tree.files if file.kind == FILE and word in file.content]
    if not told:
        return []
    from portroom.model.facts.sysctl_files import shown
    from portroom.model.laws.sysctl_lines import meant, split_lines, with_slashes

    path = with_slashes(key.encode())
    return [
        Line(shown(file.path), number, int(value))
        for file in told
        for number, line in split_lines(file.content, b"\n")
        for value in [line.partition(b"=")[2].strip()]
        if meant(line) == path and value.isdigit()
    ]
