"""Rules about settings: what was set here and not there, now and not at the next boot."""

from __future__ import annotations

from collections.abc import Iterator

from portroom.model.advice import commands
from portroom.model.advice.findings.words import found
from portroom.model.advice.wording import count, listed
from portroom.model.facts.answers import INFO, WARNING, Drift, Finding
from portroom.model.facts.ports import PortSet
from portroom.model.facts.scene import NamespaceRange, Scene
from portroom.model.facts.settings import DEFAULT_RANGE, setting_named
from portroom.model.facts.snapshot import Settings

AUTOBIND = setting_named("ip_autobind_reuse")


def untuned_namespace(scene: Scene) -> Iterator[Finding]:
    """Find namespaces with the kernel's range on a host whose own was changed."""
    if not isinstance(scene.ranges, tuple):
        return
    host = next((one for one in scene.ranges if one.netns.kind == "host"), None)
    if host is None or host.range == DEFAULT_RANGE:
        return
    untuned = [one for one in scene.ranges if one is not host and one.range == DEFAULT_RANGE]
    here = scene.read.netns
    if here.kind != "host":
        untuned = [one for one in untuned if one.netns.inode == here.inode]
    if untuned:
        yield _untuned(host, untuned)


def _untuned(host: NamespaceRange, untuned: list[NamespaceRange]) -> Finding:
    """Return the finding of some namespaces."""
    names = listed([one.netns.name for one in untuned])
    verb = "has" if len(untuned) == 1 else "have"
    first = untuned[0].netns
    return found(
        INFO,
        "untuned_namespace",
        f"The host's range is {host.range} ({host.range.ports:,} ports), and "
        f"{count(len(untuned), 'network namespace')} {verb} the kernel's default {DEFAULT_RANGE} "
        f"({DEFAULT_RANGE.ports:,} ports): {names}. A namespace never takes it over from the host.",
        "Set it where the container or pod is started (--sysctl, securityContext.sysctls); "
        "the command does so until it ends.",
        command=commands.portroom(f"set range={host.range} --reserve", first),
        numbers={
            "namespaces": len(untuned),
            "range": str(host.range),
            "host_ports": host.range.ports,
            "namespace_ports": DEFAULT_RANGE.ports,
        },
    )


def drift(scene: Scene) -> Iterator[Finding]:
    """Find settings whose value is not what the next boot gives."""
    read = scene.read
    if not isinstance(read.settings, Settings) or _nothing_kept(scene):
        return
    from portroom.model.laws.drift import decided_here, drifts, prospects  # costs start-up

    for one in drifts(prospects(read, decided_here(read)), read.settings):
        yield _drift(one, scene)


def _drift(one: Drift, scene: Scene) -> Finding:
    """Return the finding of one setting."""
    where = f" ({one.file}:{one.line})" if one.file else ", the kernel's default: no line sets it"
    row = setting_named(one.name)
    remedy, command = f"Change the line that is named, or set {row.key} again.", ""
    if row.writable:
        value = one.current if one.current or not isinstance(row.default, PortSet) else "none"
        remedy = "Keep it with the command, if it is meant; the other value comes with a reboot."
        command = commands.portroom(f"set {row.name}={value} --persist-only", scene.read.netns)
    return found(
        WARNING,
        "drift",
        f"{one.name} is {one.current or 'none'} now, and the next boot gives "
        f"{one.persisted or 'none'}{where}.",
        remedy,
        command=command,
        numbers={"setting": one.name, "current": one.current, "persisted": one.persisted},
    )


def boot_conflict(scene: Scene) -> Iterator[Finding]:
    """Find settings that different boot programs would set differently."""
    read = scene.read
    if _nothing_kept(scene):
        return
    from portroom.model.laws.drift import conflicts, decided_here, prospects  # costs start-up

    for one in conflicts(prospects(read, decided_here(read))):
        given = ", ".join(
            f"{program} gives {'what depends on the machine' if value is None else value or 'none'}"
            for program, value in one.values.items()
        )
        yield found(
            WARNING,
            "boot_conflict",
            f"{one.name} depends on which of {len(one.values)} programs applies the files last: "
            f"{given}.",
            "Let one line, in the file that all of them read last, say it.",
            command=commands.portroom(f"boot --key {one.name}"),
            numbers={"setting": one.name, "programs": len(one.values)},
        )


def _nothing_kept(scene: Scene) -> bool:
    """Say whether no file decides in this namespace, or none was read."""
    return scene.read.netns.kind != "host"


def autobind_reuse(scene: Scene) -> Iterator[Finding]:
    """Find that bind() to port 0 may give one port to two programs."""
    settings = scene.read.settings
    if not isinstance(settings, Settings):
        return
    value = settings.number(AUTOBIND.key, 0)
    if value:
        yield found(
            WARNING,
            "autobind_reuse",
            f"ip_autobind_reuse is {value}: once all {settings.ephemeral.ports:,} ports are taken, "
            "bind() to port 0 gives a port that another socket has, if both set SO_REUSEADDR; "
            "of two connections to one destination the second then fails.",
            "Switch it off, and set IP_BIND_ADDRESS_NO_PORT on sockets that connect.",
            command=commands.portroom(f"set {AUTOBIND.name}=0", scene.read.netns),
            numbers={AUTOBIND.name: value, "ports": settings.ephemeral.ports},
        )
